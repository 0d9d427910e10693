import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  RA_EE_ERROR_EXPLANATIONS,
  RA_EE_ERRORS,
  type RaEeErrorName,
  type RaEeErrorRetry,
} from '@chrysalis/scms';
import { EeError, EndEntity, stay } from '../src/index.ts';
import { clockAtNow, device } from './device.ts';
import type { Fault, MockAnswer } from './mock-ra.ts';

const NAMES = Object.keys(RA_EE_ERRORS) as RaEeErrorName[];

function refusal(name: RaEeErrorName): MockAnswer {
  return { status: 500, headers: { 'scms-poc-error': String(RA_EE_ERRORS[name]) } };
}

function namesWith(retry: RaEeErrorRetry): RaEeErrorName[] {
  return NAMES.filter((name) => RA_EE_ERROR_EXPLANATIONS[name].retry === retry);
}

describe('the pauses of a contact', () => {
  it('double, and are spread over half their length by chance', async () => {
    for (const octet of [0, 128, 255]) {
      const { profile, ra, eeOptions, clock } = await device();
      const real = eeOptions.random!;
      // One octet is asked for by the pauses alone.
      const random = (length: number) => (length === 1 ? Uint8Array.of(octet) : real(length));
      const ee = await EndEntity.open(profile, { ...eeOptions, random });
      ra.script.push(...Array<MockAnswer>(5).fill({ status: 500 }));
      await assert.rejects(ee.request('pseudonym'), { code: 'refused' });
      const expected = [2_000, 4_000, 8_000, 16_000].map((ms) =>
        Math.round(ms * (1 + octet / 512)),
      );
      assert.deepEqual(clock.slept, expected);
    }
  });
});

describe('a refusal with a code', () => {
  it('is tried again in the same contact when its row says so, and not otherwise', async () => {
    for (const name of NAMES) {
      const { ee, ra, clock } = await device();
      ra.script.push(...Array<MockAnswer>(9).fill(refusal(name)));
      await assert.rejects(ee.request('pseudonym'), { code: 'refused' });
      const isAgain = RA_EE_ERROR_EXPLANATIONS[name].retry === 'again';
      assert.equal(ra.requests.length, isAgain ? 5 : 1, name);
      assert.equal(clock.slept.length, isAgain ? 4 : 0, name);
    }
    for (const name of [
      'raBlacklisted',
      'raRequestForMultipleCerts',
      'raDuplicateRequestReceived',
      'raNoInfoFileAvailable',
      'raWrongParameters',
    ] as const) {
      assert.notEqual(RA_EE_ERROR_EXPLANATIONS[name].retry, 'again', name);
    }
  });

  it('is tried again by .info and downloads no more than that', async () => {
    for (const [name, times] of [
      ['raNoInfoFileAvailable', 1],
      ['raNoCertFileAvailable', 5],
    ] as const) {
      const { ee, ra } = await device();
      await ee.request('pseudonym');
      ra.requests.length = 0;
      ra.script.push(...Array<MockAnswer>(9).fill(refusal(name)));
      await assert.rejects(ee.info('pseudonym'), { code: 'refused' });
      assert.equal(ra.requests.length, times, name);
    }
  });

  it('of the device is no end of the files that the RA has', async () => {
    const { ee, ra } = await device({ periods: 1 });
    await ee.request('pseudonym');
    ra.script.push(undefined, refusal('raMoreThanAllowedTries'));
    await assert.rejects(ee.download('pseudonym'), ({ refusal: { name } }) => {
      return name === 'raMoreThanAllowedTries';
    });
    ra.script.push(refusal('raNoCertFileAvailable'));
    assert.deepEqual((await ee.download('pseudonym')).batches, []);
  });

  it('of the device leaves the other bodies unsent', async () => {
    for (const [name, sent] of [
      ['raBlacklisted', 1],
      ['raMoreThanAllowedTries', 1],
      // The body may be too old, sealed to another certificate, or in a dialect that the RA does not read.
      ['raWrongParameters', 2],
      ['chrysalisDecryptionFailed', 2],
    ] as const) {
      const { ee, ra, transport } = await device();
      transport.faults.push(...Array<Fault>(5).fill('lost-request'));
      await assert.rejects(ee.request('pseudonym'), { code: 'interrupted' });
      ra.script.push(refusal(name), refusal(name));
      await assert.rejects(ee.request('pseudonym'), { code: 'refused' });
      assert.equal(ra.requests.length, sent, name);
    }
  });

  it('ends the stay when its row says never', async () => {
    for (const [retry, contacts] of [
      ['never', 1],
      ['later', 5],
      ['again', 5],
    ] as const) {
      for (const name of namesWith(retry)) {
        const { clock, random, made } = scripted(name);
        await assert.rejects(stay({ contact: made.contact, clock, random, sleep: clock.sleep }), {
          code: 'refused',
        });
        assert.equal(made.contacts, contacts, name);
      }
    }
  });
});

/** Contacts that are all refused with a code. */
function scripted(name: RaEeErrorName) {
  const { retry } = RA_EE_ERROR_EXPLANATIONS[name];
  const made = {
    contacts: 0,
    async contact(): Promise<undefined> {
      made.contacts += 1;
      const next = { name, meaning: '', next: '', retry };
      throw new EeError('refused', name, { refusal: next });
    },
  };
  return { clock: clockAtNow(), random: (length: number) => new Uint8Array(length), made };
}
