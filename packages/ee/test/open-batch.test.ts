import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cocoonPoints, Expansion, systemRandom } from '@chrysalis/crypto';
import { fromPoint } from '@chrysalis/ieee1609dot2';
import { formatEntryName, I_PERIOD_EPOCH, I_PERIOD_LENGTH_SEC } from '@chrysalis/scms';
import { zipSync } from 'fflate';
import { generateCaterpillarKeys, loadEnrollment, openBatch } from '../src/index.ts';
import { clockAtNow, enrolledProfile, SCMS } from './device.ts';
import { MemoryStorage } from './memory-storage.ts';
import {
  batchEntries,
  CURRENT_I,
  certificateResponse,
  createMockScms,
  NOW,
  type ResponseOptions,
  zipOf,
} from './mock-scms.ts';

const { profile } = await enrolledProfile(new MemoryStorage());
const { trust, iPeriods } = await loadEnrollment(profile, clockAtNow());
const KEYS = generateCaterpillarKeys(systemRandom);
const OPTIONS = { i: CURRENT_I, keys: KEYS, trust, iPeriods, time: NOW };
const ENTRIES = batchEntries(
  SCMS,
  {
    verifyKeyInfo: params(KEYS.verify),
    respEncKeyInfo: params(KEYS.respEnc),
  },
  CURRENT_I,
  3,
);

function params({ seed, expansion }: (typeof KEYS)['verify']) {
  return { seedKey: fromPoint(seed.publicPoint), expansion: expansion.reveal() };
}

/** A batch whose entry j = 1 the PCA made in another way. */
function withSecond(options: ResponseOptions, j = 1): Uint8Array {
  const cocoon = {
    verify: cocoonPoints(
      KEYS.verify.seed.publicPoint,
      new Expansion(KEYS.verify.expansion, 'signing'),
      CURRENT_I,
      3,
    )[j]!,
    respEnc: cocoonPoints(
      KEYS.respEnc.seed.publicPoint,
      new Expansion(KEYS.respEnc.expansion, 'encryption'),
      CURRENT_I,
      3,
    )[1]!,
  };
  const response = certificateResponse(SCMS, CURRENT_I, cocoon, options);
  return zipOf({ ...ENTRIES, '26B_1': response });
}

describe('openBatch', () => {
  it('opens every entry, ordered by j, whatever the case of the names', () => {
    const lower = Object.fromEntries(
      Object.entries(ENTRIES).map(([name, octets]) => [name.toLowerCase(), octets]),
    );
    for (const zip of [zipOf(ENTRIES), zipOf(lower), zipSync(ENTRIES, { level: 9 })]) {
      const { i, certificates, failures } = openBatch(zip, OPTIONS);
      assert.deepEqual(failures, []);
      assert.equal(i, CURRENT_I);
      assert.deepEqual(
        certificates.map(({ j }) => j),
        [0, 1, 2],
      );
    }
  });

  it('says which entry failed and why, and opens the others', () => {
    const stranger = createMockScms();
    const expiredPca = { ...OPTIONS, time: NOW + 700_000_000 };
    const start = I_PERIOD_EPOCH + (CURRENT_I + 1) * I_PERIOD_LENGTH_SEC;
    const cases: [Uint8Array, RegExp][] = [
      [withSecond({ signer: stranger.pca }), /signer that is known and trusted/],
      [withSecond({ signer: SCMS.ra }), /signer that is known and trusted/],
      [withSecond({ signer: SCMS.eca }), /of the PCA that signed for it/],
      [withSecond({ issuer: SCMS.ra }), /trusted issuer/],
      [withSecond({ issuer: SCMS.eca }), /certIssuePermissions/],
      [withSecond({ issuer: stranger.pca }), /trusted issuer/],
      [withSecond({ signer: { ...SCMS.pca, key: SCMS.ra.key } }), /signer's signature/],
      [withSecond({ iCert: CURRENT_I + 1 }), /expected iCert 26B, saw iCert 26C/],
      [withSecond({ start }), /expected validity from/],
      [withSecond({ start: start - 2 * I_PERIOD_LENGTH_SEC - 1 }), /expected validity from/],
      // The certificate of another lane, sealed for this one.
      [withSecond({}, 2), /the key that was requested/],
      // The response of another lane under this name.
      [zipOf({ ...ENTRIES, '26B_1': ENTRIES['26B_2']! }), /encrypted to this key/],
      [zipOf({ ...ENTRIES, '26B_1': new Uint8Array(3) }), /expected Ieee1609Dot2Data/],
    ];
    for (const [zip, message] of cases) {
      const { certificates, failures } = openBatch(zip, OPTIONS);
      assert.deepEqual(
        certificates.map(({ j }) => j),
        [0, 2],
      );
      assert.deepEqual(
        failures.map(({ entry }) => entry),
        ['26B_1'],
      );
      assert.match(failures[0]!.error.message, message);
    }
    assert.equal(openBatch(zipOf(ENTRIES), expiredPca).failures.length, 3);
  });

  it('lists entries of another period and names that are none, and unpacks no path', () => {
    const odd = {
      '26C_3': ENTRIES['26B_0']!,
      '../26B_3': new Uint8Array(1),
      readme: new Uint8Array(1),
    };
    const { certificates, failures } = openBatch(zipOf({ ...ENTRIES, ...odd }), OPTIONS);
    assert.equal(certificates.length, 3);
    assert.deepEqual(failures.map(({ entry }) => entry).sort(), ['../26B_3', '26C_3', 'readme']);
  });

  it('never gives anything but its own error for an altered response', () => {
    const octets = ENTRIES['26B_0']!;
    for (let n = 0; n < octets.length; n += 7) {
      const altered = octets.slice();
      altered[n]! ^= 0x41;
      const { certificates, failures } = openBatch(zipOf({ '26B_0': altered }), OPTIONS);
      assert.equal(certificates.length + failures.length, 1);
      assert.equal(certificates.length, 0, `octet ${n} is not covered`);
    }
  });

  it('refuses a zip that passes its limits, before it unpacks it', () => {
    const refused = (message: RegExp) => ({ code: 'invalid-batch', message });
    const open = (entries: Record<string, Uint8Array>, level: 0 | 9 = 9) =>
      openBatch(zipSync(entries, { level }), OPTIONS);
    const many = (count: number, octets: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, j) => [
          formatEntryName(CURRENT_I, j),
          new Uint8Array(octets),
        ]),
      );
    assert.throws(() => open(many(256, 1)), refused(/at most 255 entries/));
    assert.equal(open(many(255, 1)).failures.length, 255);
    assert.throws(() => open(many(1, 9_000)), refused(/at most 8192 octets, saw 9000/));
    assert.throws(() => open(many(150, 8_000)), refused(/octets/));
    assert.throws(() => open(many(20, 100_000)), refused(/octets/));
    assert.throws(
      () => open({ '26B_0': ENTRIES['26B_0']!, '26b_0': ENTRIES['26B_0']! }),
      refused(/twice/),
    );
    assert.throws(() => openBatch(new Uint8Array(1_048_577), OPTIONS), refused(/1048576/));
  });

  it('refuses what is no zip, and a zip that is cut anywhere', () => {
    const zip = zipOf(ENTRIES);
    for (let length = 0; length < zip.length; length += 13) {
      assert.throws(
        () => openBatch(zip.subarray(0, length), OPTIONS),
        { code: 'invalid-batch' },
        `cut at ${length}`,
      );
    }
  });

  it('keeps a zip that lies about its sizes inside the buffer that it announced', () => {
    const zip = zipSync({ '26B_0': new Uint8Array(4_000) }, { level: 9 });
    const view = new DataView(zip.buffer);
    // The uncompressed size in the central directory (APPNOTE 4.3.12, offset 24).
    const directory = zip.findLastIndex(
      (_, n) => n + 4 <= zip.length && view.getUint32(n, true) === 0x02014b50,
    );
    view.setUint32(directory + 24, 8, true);
    const { certificates, failures } = openBatch(zip, OPTIONS);
    assert.equal(certificates.length, 0);
    assert.equal(failures.length, 1);
  });
});
