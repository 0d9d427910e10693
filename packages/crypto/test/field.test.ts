import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  FIELD_PRIME,
  invert,
  invertAll,
  modP,
  readFieldElement,
  writeFieldElement,
} from '../src/field.ts';
import { fromInteger, MANY, PRIME, toInteger } from './oracle.ts';

const anyFieldElement = fc.oneof(
  fc.bigInt({ min: 1n, max: PRIME - 1n }),
  fc.nat(255).map((bit) => 2n ** BigInt(bit)),
  fc
    .nat(255)
    .map((bit) => PRIME - 2n ** BigInt(bit))
    .filter((value) => value > 0n),
);

suite('the field of P-256', () => {
  test('the prime is noble’s', () => {
    assert.equal(FIELD_PRIME, PRIME);
  });

  test('invert gives an inverse', () => {
    fc.assert(
      fc.property(anyFieldElement, (value) => {
        const inverse = invert(value);
        assert.ok(inverse > 0n && inverse < PRIME);
        assert.equal((inverse * value) % PRIME, 1n);
      }),
      MANY,
    );
  });

  test('invert at the edges, and where Euclid’s quotients are all small or the first is huge', () => {
    const goldenRatio = (2n ** 255n * 618033988749894848n) / 10n ** 18n;
    const edges = [1n, 2n, 3n, PRIME - 1n, PRIME - 2n, (PRIME + 1n) / 2n, goldenRatio, PRIME / 3n];
    const nearPowers = [51n, 52n, 53n, 104n, 224n].flatMap((bits) => [
      2n ** bits - 1n,
      2n ** bits,
      2n ** bits + 1n,
    ]);
    for (const value of [...edges, ...nearPowers]) {
      assert.equal((invert(value) * value) % PRIME, 1n, `${value}`);
    }
  });

  test('invertAll inverts each, for any number of values', () => {
    fc.assert(
      fc.property(fc.array(anyFieldElement, { maxLength: 20 }), (values) => {
        assert.deepEqual(invertAll(values), values.map(invert));
      }),
    );
  });

  test('modP is the residue of negative numbers too', () => {
    for (const value of [-1n, -PRIME, -PRIME - 1n, 0n, PRIME, PRIME * PRIME + 3n]) {
      assert.equal(modP(value), ((value % PRIME) + PRIME) % PRIME);
    }
  });

  test('elements are read and written as 32 big-endian octets, at any offset', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: PRIME - 1n }), fc.nat(40), (value, offset) => {
        const octets = new Uint8Array(80).subarray(3);
        writeFieldElement(value, octets, offset);
        assert.deepEqual(octets.slice(offset, offset + 32), fromInteger(value));
        assert.equal(readFieldElement(octets, offset), value);
        assert.equal(toInteger(octets.slice(0, offset)), 0n);
        assert.equal(toInteger(octets.slice(offset + 32)), 0n);
      }),
    );
  });
});
