import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DISTINCT, FINGERPRINT_OCTETS, Fingerprints } from '../src/index.ts';

/** All values are `value`, apart from those that are given; j is 0, 1, ... */
function batch(...values: readonly (readonly bigint[])[]): Uint8Array {
  const octets = new Uint8Array(values.length * FINGERPRINT_OCTETS);
  const view = new DataView(octets.buffer);
  for (const [j, parts] of values.entries()) {
    view.setUint8(j * FINGERPRINT_OCTETS, j);
    for (const [kind, part] of parts.entries()) {
      view.setBigUint64(j * FINGERPRINT_OCTETS + 1 + 8 * kind, part);
    }
  }
  return octets;
}

/** Five values that no other `n` gives. */
function distinct(n: number): bigint[] {
  return DISTINCT.map((_, kind) => (BigInt(n) << 32n) | BigInt(kind));
}

describe('Fingerprints', () => {
  it('finds none where none is, whatever the number', () => {
    const fingerprints = new Fingerprints();
    for (let n = 0; n < 3_000; n += 1) fingerprints.add(n, 600, batch(distinct(n)));
    assert.equal(fingerprints.size, 3_000);
    assert.deepEqual(fingerprints.duplicates(), []);
  });

  for (const [kind, what] of DISTINCT.entries()) {
    it(`finds each place of a ${what} that is there three times`, () => {
      const fingerprints = new Fingerprints();
      for (let n = 0; n < 1_500; n += 1) fingerprints.add(n, 600, batch(distinct(n)));
      const same = distinct(700)[kind]!;
      fingerprints.add(2_000, 601, batch(distinct(2_000), distinct(2_001).with(kind, same)));
      fingerprints.add(2_001, 602, batch(distinct(2_002).with(kind, same)));
      assert.deepEqual(fingerprints.duplicates(), [
        {
          what,
          places: [
            { device: 700, i: 600, j: 0 },
            { device: 2_000, i: 601, j: 1 },
            { device: 2_001, i: 602, j: 0 },
          ],
        },
      ]);
    });
  }

  it('does not take values of different kinds for the same', () => {
    const fingerprints = new Fingerprints();
    fingerprints.add(0, 600, batch([1n, 2n, 3n, 4n, 5n]));
    fingerprints.add(1, 600, batch([5n, 1n, 2n, 3n, 4n]));
    assert.deepEqual(fingerprints.duplicates(), []);
  });
});
