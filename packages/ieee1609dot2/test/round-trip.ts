/** Every codec that a room exports, each with its arbitrary: none may be forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Codec, decode, encode } from '@chrysalis/coer';
import fc from 'fast-check';

/** One seed for all properties: a run repeats the one before. */
export const SEED = 16092;

/** A round trip by property for each codec among the exports of a room, and a complaint for one without an arbitrary. */
export function testRoundTrips(
  exports: Readonly<Record<string, unknown>>,
  arbitraries: Readonly<Record<string, fc.Arbitrary<unknown>>>,
): void {
  for (const [name, codec] of Object.entries(exports).filter(isCodecEntry)) {
    test(`${name}: what is encoded decodes to itself, in no fewer octets than it says`, () => {
      const arbitrary = arbitraries[name];
      assert.ok(arbitrary, `an arbitrary for ${name}`);
      fc.assert(
        fc.property(arbitrary, (value) => {
          const encoding = encode(codec, value);
          assert.deepEqual(decode(codec, encoding), value);
          assert.ok(encoding.length >= codec.minimumOctets);
        }),
        { seed: SEED, numRuns: 150 },
      );
    });
  }
}

function isCodecEntry(entry: [string, unknown]): entry is [string, Codec<unknown>] {
  const [, value] = entry;
  return typeof value === 'object' && value !== null && 'read' in value && 'minimumOctets' in value;
}
