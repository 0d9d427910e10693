import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type EccP256CurvePoint,
  fromEcdsaSignature,
  fromPoint,
  type Signature,
  toEcdsaSignature,
  toPoint,
} from '@chrysalis/ieee1609dot2';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { keyOf, toHex } from './pki.ts';
import { SEED } from './round-trip.ts';

const unsupported = { name: 'Ieee1609Dot2Error', code: 'unsupported' };

describe('a point of a key', () => {
  test('reads the same, compressed or whole, as noble reads it', () => {
    const anyName = fc.string({ minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(anyName, (name) => {
        const point = keyOf(name).publicPoint;
        const [x, y] = [point.slice(1, 33), point.slice(33)];
        const compressed = fromPoint(point);
        assert.equal(toHex(toPoint(compressed)), toHex(point));
        assert.equal(toHex(toPoint({ type: 'uncompressed', value: { x, y } })), toHex(point));
        assert.ok(compressed.type === 'compressedY0' || compressed.type === 'compressedY1');
        const sec1 = `${compressed.type === 'compressedY0' ? '02' : '03'}${toHex(compressed.value)}`;
        assert.equal(toHex(p256.Point.fromHex(sec1).toBytes(false)), toHex(point));
      }),
      { seed: SEED, numRuns: 40 },
    );
  });

  const zero = new Uint8Array(32);
  const refused: readonly [string, EccP256CurvePoint][] = [
    ['x-only names two points', { type: 'xOnly', value: keyOf('x').publicPoint.slice(1, 33) }],
    ['fill names none', { type: 'fill', value: null }],
    ['x beyond the field', { type: 'compressedY0', value: new Uint8Array(32).fill(0xff) }],
    ['an x without a y', { type: 'compressedY1', value: zero.with(31, 1) }],
    ['coordinates off the curve', { type: 'uncompressed', value: { x: zero, y: zero } }],
  ];
  for (const [name, point] of refused) {
    test(`${name}: refused`, () => assert.throws(() => toPoint(point), unsupported));
  }
});

describe('an ECDSA signature', () => {
  const s = new Uint8Array(32).fill(5);
  const value = new Uint8Array(32).fill(4);

  test('has the same r x-only and compressed', () => {
    for (const type of ['xOnly', 'compressedY0', 'compressedY1'] as const) {
      const signature: Signature = {
        type: 'ecdsaNistP256Signature',
        value: { r: { type, value }, s },
      };
      assert.deepEqual(toEcdsaSignature(signature), { r: value, s });
    }
  });

  test('is sent with r x-only', () => {
    assert.deepEqual(fromEcdsaSignature({ r: value, s }), {
      type: 'ecdsaNistP256Signature',
      value: { r: { type: 'xOnly', value }, s },
    });
  });

  const refused: readonly [string, Signature][] = [
    [
      'r as a whole point',
      {
        type: 'ecdsaNistP256Signature',
        value: { r: { type: 'uncompressed', value: { x: value, y: value } }, s },
      },
    ],
    [
      'r unsaid',
      { type: 'ecdsaNistP256Signature', value: { r: { type: 'fill', value: null }, s } },
    ],
    [
      'another curve',
      { type: 'ecdsaBrainpoolP256r1Signature', value: { r: { type: 'xOnly', value }, s } },
    ],
    ['a kind that nobody knows', { type: 'unknown', tag: 2, value }],
  ];
  for (const [name, signature] of refused) {
    test(`${name}: refused`, () => assert.throws(() => toEcdsaSignature(signature), unsupported));
  }
});
