import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type EeError,
  EndEntity,
  type EndEntityOptions,
  StayingContact,
  stay,
} from '../src/index.ts';
import { device } from './device.ts';
import { chainFile, policyFile } from './mock-files.ts';
import type { ArrivedRequest, MockAnswer } from './mock-ra.ts';
import { NOW } from './mock-scms.ts';

const BARE: MockAnswer = { status: 500 };
const FOR_EVER: MockAnswer = { status: 500, headers: { 'scms-poc-error': '5070' } };
const CONTACTS = 8;

/** A vehicle that stays for some contacts, at an RA that refuses its requests for identification certificates, or all. */
async function scene(refused: Readonly<Record<string, MockAnswer>>) {
  const made = await device({ periods: 1, identificationFiles: 1 });
  const { ra, clock, eeOptions, profile } = made;
  // What comes next is due in an hour, each time.
  ra.info = Uint8Array.of(0x7f, 0xff, 0xff, 0xff);
  const asked: string[] = [];
  const handle = ra.handle.bind(ra);
  ra.handle = (request: ArrivedRequest) => {
    const path = request.url.pathname;
    if (path.startsWith('/provision-')) asked.push(path);
    const usual = handle(request);
    return refused[path] ?? usual;
  };
  const options: EndEntityOptions = { ...eeOptions, settings: { identification: true } };
  const ee = await EndEntity.open(profile, options);
  const staying = new StayingContact(() => NOW);
  const dues: (number | undefined)[] = [];
  const run = () =>
    stay({
      contact: async () => {
        dues.push(await staying.make(ee));
        return dues.length === CONTACTS ? undefined : NOW - 1;
      },
      clock,
      sleep: clock.sleep,
      random: (length) => new Uint8Array(length),
    });
  return { run, dues, asked };
}

const IDENTIFICATION = '/provision-identity-certificate';
const PSEUDONYM = '/provision-pseudonym-certificate-batch';

describe('a device that stays', () => {
  it('goes on with one kind while another is refused again and again', async () => {
    const { run, dues, asked } = await scene({ [IDENTIFICATION]: BARE });
    await run();
    assert.equal(dues.length, CONTACTS);
    assert.deepEqual(new Set(dues), new Set([NOW + 6 * 3600]));
    assert(asked.filter((path) => path === IDENTIFICATION).length >= CONTACTS);
  });

  it('leaves out a kind that is refused for ever', async () => {
    const { run, dues, asked } = await scene({ [IDENTIFICATION]: FOR_EVER });
    await run();
    assert.equal(dues.length, CONTACTS);
    assert.equal(asked.filter((path) => path === IDENTIFICATION).length, 1);
  });

  it('sends one request in a contact to an RA that has it already', async () => {
    const DUPLICATE = { status: 500, headers: { 'scms-poc-error': '5057' } };
    const { run, asked } = await scene({ [IDENTIFICATION]: DUPLICATE });
    await run();
    assert.equal(asked.filter((path) => path === IDENTIFICATION).length, CONTACTS);
  });

  it('has failed in a contact in which a file was withheld, whatever else did', async () => {
    for (const others of [{}, { [IDENTIFICATION]: FOR_EVER }, { [IDENTIFICATION]: BARE }]) {
      const { ra, profile, eeOptions } = await device({ periods: 1, identificationFiles: 1 });
      Object.assign(ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
      const ee = await EndEntity.open(profile, {
        ...eeOptions,
        settings: { identification: true },
      });
      await ee.fetchFiles();
      const refused: Record<string, MockAnswer> = { '/download/policy/local': BARE, ...others };
      const handle = ra.handle.bind(ra);
      ra.handle = (request) => refused[request.url.pathname] ?? handle(request);
      await assert.rejects(new StayingContact(() => NOW).make(ee), {
        code: 'refused',
        message: /^policy file: /,
      });
      // It has brought what there was all the same.
      assert.equal((await profile.certificates('pseudonym').openedNumbers()).length, 1);
    }
  });

  it('ends when every kind is refused for ever', async () => {
    const { run, dues } = await scene({ [IDENTIFICATION]: FOR_EVER, [PSEUDONYM]: FOR_EVER });
    await assert.rejects(run(), { code: 'refused' });
    assert.deepEqual(dues, []);
  });

  it('does not end with a kind that is refused for ever while another may come yet', async () => {
    const { run, asked } = await scene({ [PSEUDONYM]: FOR_EVER, [IDENTIFICATION]: BARE });
    await assert.rejects(run(), ({ refusal }: EeError) => refusal?.code === undefined);
    assert.equal(asked.filter((path) => path === PSEUDONYM).length, 1);
    // Five contacts, and in each of them five tries.
    assert(asked.filter((path) => path === IDENTIFICATION).length >= 25);
  });
});
