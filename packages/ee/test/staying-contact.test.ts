import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { endOfChain, time32FromUnix, unixFromTime32 } from '@chrysalis/ieee1609dot2';
import { I_PERIOD_LENGTH_SEC, timeOf } from '@chrysalis/scms';
import {
  type EeError,
  EndEntity,
  type EndEntityOptions,
  PATHS,
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

function stayingAt(now: () => number): StayingContact {
  return new StayingContact({ now, random: systemRandom });
}

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
  const staying = stayingAt(() => NOW);
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
      await assert.rejects(stayingAt(() => NOW).make(ee), {
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

/** Time32 in the four octets of `.info`. */
function infoOf(time: number): Uint8Array {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, time);
  return octets;
}

const STOPPED = infoOf(0);

/**
 * A vehicle that stays, at an RA that says 0 unless it is told otherwise before a contact. Its clock jumps to the next contact.
 *
 * @param beforeContact with the number of the contact that comes; false ends the stay
 */
async function told(
  beforeContact: (number: number, made: Awaited<ReturnType<typeof device>>) => boolean,
  options: { readonly octet?: number; readonly identification?: boolean } = {},
) {
  const made = await device({ periods: 1, identificationFiles: 1 });
  const { ra, clock, eeOptions, profile } = made;
  ra.info = STOPPED;
  const { octet = 0x80, identification = false } = options;
  const stopped: (readonly string[])[] = [];
  const staying = new StayingContact({
    now: () => timeOf(clock),
    random: (length) => new Uint8Array(length).fill(octet),
    onStopped: (kinds) => stopped.push(kinds),
  });
  const at: number[] = [];
  await stay({
    async contact() {
      if (staying.isOver || !beforeContact(at.length, made)) return undefined;
      at.push(timeOf(clock) - NOW);
      await using ee = await EndEntity.open(profile, {
        ...eeOptions,
        settings: { identification },
      });
      return staying.make(ee);
    },
    clock,
    sleep: clock.sleep,
    random: (length) => new Uint8Array(length),
    onPause: (untilMs) => {
      clock.unixMs = untilMs;
    },
  });
  const end = endOfChain(
    (await EndEntity.open(profile, { ...eeOptions, clock: AT_NOW })).enrollment.certificate,
  );
  return { at, stopped, clock, ra, profile, end };
}

const AT_NOW = { now: () => unixFromTime32(NOW) };

describe('a device that is told 0', () => {
  it('comes again about once in an i-period, earlier or later by chance', async () => {
    for (const [octet, share] of [
      [0, 0.75],
      [0x80, 1.001],
      [0xff, 1.25],
    ] as const) {
      const { at, stopped, ra } = await told((number) => number < 4, { octet });
      const periods = at.map((time) => time / I_PERIOD_LENGTH_SEC);
      for (const [n, seen] of periods.entries()) {
        assert(Math.abs(seen - n * share) < 0.01, `${octet}: contact ${n} after ${seen} periods`);
      }
      assert.deepEqual(stopped, Array(4).fill(['pseudonym']));
      assert.equal(ra.keySets, 1);
    }
  });

  it('finds its certificates when a PCA is renewed late, and schedules by .info again', async () => {
    const { at, ra, profile } = await told((number, { ra: said, clock }) => {
      if (number === 2) {
        said.periods = 4;
        said.info = infoOf(timeOf(clock) + 50_000);
      }
      return number < 4;
    });
    assert.equal(at[3]! - at[2]!, 50_000);
    const opened = await profile.certificates('pseudonym').openedNumbers();
    assert(opened.length > 1, String(opened));
    assert.equal(ra.keySets, 1);
  });

  it('stays when it has used up what it had: a file that is refused then is no failure', async () => {
    // From the second contact on the week of now is not there, and refused with a bare 500.
    const { at, stopped } = await told((number) => number < 8);
    assert.equal(at.length, 8);
    assert.deepEqual(stopped.at(-1), ['pseudonym']);
  });

  it('has failed when the file is refused and .info promises one', async () => {
    const contacts: number[] = [];
    await assert.rejects(
      told((number, { ra }) => {
        contacts.push(number);
        if (number > 0) ra.info = infoOf(NOW + 40 * I_PERIOD_LENGTH_SEC);
        return true;
      }),
      { code: 'refused' },
    );
    // The second contact, and four more with growing pauses.
    assert.equal(contacts.length, 6);
  });

  it('keeps asking for the kind that has stopped while another goes on', async () => {
    const far = infoOf(NOW + 40 * I_PERIOD_LENGTH_SEC);
    const { at, stopped } = await told(
      (number, { ra }) => {
        if (number > 0) return number < 3;
        Object.assign(ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
        const handle = ra.handle.bind(ra);
        ra.handle = (request) => {
          const answer = handle(request);
          if (request.url.pathname !== PATHS.info) return answer;
          const [hash = ''] = ra.filesAsked.at(-1)?.split('.') ?? [];
          const isStopped = ra.accepted.get(hash)?.request.type === 'pseudonym';
          return { ...answer, body: isStopped ? STOPPED : far };
        };
        return true;
      },
      { identification: true },
    );
    assert.deepEqual(stopped, Array(3).fill(['pseudonym']));
    assert(Math.abs(at[1]! / I_PERIOD_LENGTH_SEC - 1) < 0.01, String(at));
  });

  it('ends with its enrollment certificate also when .info promises something for later', async () => {
    const { at, clock, end } = await told((_, { ra }) => {
      Object.assign(ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
      ra.info = infoOf(0x7fff_ffff);
      return true;
    });
    assert.equal(at.length, 1);
    assert.equal(time32FromUnix(clock.unixMs), end);
  });

  it('ends when its enrollment certificate is over, and not before', async () => {
    const { at, clock, end } = await told(() => true);
    assert.equal(time32FromUnix(clock.unixMs), end);
    const last = end - NOW - at.at(-1)!;
    assert(last > 0 && last <= 1.01 * I_PERIOD_LENGTH_SEC, String(last));
  });
});
