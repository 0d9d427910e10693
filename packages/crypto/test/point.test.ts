import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import {
  compressPoint,
  equalPoints,
  multiplyGenerator,
  pointFromCompressed,
  pointFromUncompressed,
} from '../src/index.ts';
import {
  anyScalar,
  cryptoError,
  FEW,
  fromHex,
  fromInteger,
  nobleMultiple,
  octets,
  PRIME,
  toInteger,
} from './oracle.ts';
import { ecdhVectors } from './vectors/ecdh.ts';

const G = nobleMultiple(1n);

/** The first x from `start` upwards that has a y, or has none, on the curve. */
function firstX(start: bigint, onCurve: boolean): bigint {
  for (let x = start; ; x += 1n) {
    try {
      p256.Point.fromBytes(fromHex(`02${x.toString(16).padStart(64, '0')}`));
      if (onCurve) {
        return x;
      }
    } catch {
      if (!onCurve) {
        return x;
      }
    }
  }
}

suite('points', () => {
  test('the 50 public points of the NIST ECDH vectors, in both forms', () => {
    for (const { peerX, peerY, ownX, ownY } of ecdhVectors) {
      for (const [x, y] of [
        [peerX, peerY],
        [ownX, ownY],
      ] as const) {
        const point = pointFromUncompressed(fromHex(`04${x}${y}`));
        const yIsOdd = (toInteger(fromHex(y)) & 1n) === 1n;
        assert.deepEqual(compressPoint(point), { x: fromHex(x), yIsOdd });
        assert.deepEqual(pointFromCompressed(fromHex(x), yIsOdd), point);
      }
    }
  });

  test('decompression agrees with noble, and the other parity gives the negative', () => {
    fc.assert(
      fc.property(anyScalar, (scalar) => {
        const expected = nobleMultiple(scalar);
        const { x, yIsOdd } = compressPoint(expected);
        assert.ok(equalPoints(pointFromCompressed(x, yIsOdd), expected));
        const negative = p256.Point.fromBytes(expected).negate().toBytes(false);
        assert.deepEqual(pointFromCompressed(x, !yIsOdd), Uint8Array.from(negative));
      }),
      FEW,
    );
  });

  test('an x without a y is refused; such an x belongs to the twist', () => {
    const x = fromInteger(firstX(1n, false));
    assert.throws(() => pointFromCompressed(x, false), cryptoError('invalid-point'));
    assert.throws(() => pointFromCompressed(x, true), cryptoError('invalid-point'));
  });

  test('a random x is accepted exactly when noble accepts it', () => {
    fc.assert(
      fc.property(octets(32), fc.boolean(), (x, yIsOdd) => {
        let expected: Uint8Array | undefined;
        try {
          expected = p256.Point.fromBytes(Uint8Array.of(yIsOdd ? 3 : 2, ...x)).toBytes(false);
        } catch {
          expected = undefined;
        }
        if (expected === undefined) {
          assert.throws(() => pointFromCompressed(x, yIsOdd), cryptoError('invalid-point'));
        } else {
          assert.deepEqual(pointFromCompressed(x, yIsOdd), Uint8Array.from(expected));
        }
      }),
      FEW,
    );
  });

  test('a coordinate of p or above is refused, even where its residue is on the curve', () => {
    const small = firstX(1n, true);
    const { x } = compressPoint(pointFromCompressed(fromInteger(small), false));
    assert.equal(toInteger(x), small);
    const alias = fromInteger(small + PRIME);
    assert.throws(() => pointFromCompressed(alias, false), cryptoError('invalid-point'));
    const y = pointFromCompressed(x, false).slice(33);
    const uncompressed = Uint8Array.of(4, ...alias, ...y);
    assert.throws(() => pointFromUncompressed(uncompressed), cryptoError('invalid-point'));
    for (const value of [PRIME, PRIME + 1n, 2n ** 256n - 1n]) {
      assert.throws(
        () => pointFromCompressed(fromInteger(value), false),
        cryptoError('invalid-point'),
      );
    }
  });

  test('points off the curve are refused: every bit of y flipped', () => {
    for (let bit = 0; bit < 256; bit += 1) {
      const octets = Uint8Array.from(G);
      octets[33 + (bit >> 3)]! ^= 1 << (bit & 7);
      assert.throws(() => pointFromUncompressed(octets), cryptoError('invalid-point'));
    }
  });

  test('a point of another curve with the same prime is refused (invalid curve attack)', () => {
    // b of the curve drops out of the addition law, so such a point would be computed with.
    const octets = Uint8Array.of(4, ...fromInteger(5n), ...fromInteger(1n));
    assert.throws(() => pointFromUncompressed(octets), cryptoError('invalid-point'));
    const origin = Uint8Array.of(4, ...new Uint8Array(64));
    assert.throws(() => pointFromUncompressed(origin), cryptoError('invalid-point'));
  });

  test('infinity, hybrid, compressed and wrongly sized encodings are no uncompressed points', () => {
    const { x, yIsOdd } = compressPoint(G);
    for (const wrong of [
      new Uint8Array(0),
      Uint8Array.of(0),
      new Uint8Array(65),
      Uint8Array.of(yIsOdd ? 7 : 6, ...G.slice(1)),
      Uint8Array.of(yIsOdd ? 3 : 2, ...x),
      Uint8Array.of(5, ...G.slice(1)),
      G.slice(0, 64),
      Uint8Array.of(...G, 0),
      G.slice(1),
    ]) {
      assert.throws(() => pointFromUncompressed(wrong), cryptoError('invalid-point'));
    }
  });

  test('x of a compressed point is 32 octets', () => {
    for (const length of [0, 31, 33, 65]) {
      assert.throws(
        () => pointFromCompressed(new Uint8Array(length), false),
        cryptoError('invalid-point'),
      );
    }
  });

  test('the error says what was expected and what was seen', () => {
    assert.throws(() => pointFromUncompressed(Uint8Array.of(2, 0xab)), {
      name: 'CryptoError',
      message: 'uncompressed point: expected 65 octets from 04, saw 2 octets from 02ab',
    });
  });

  test('a point is a copy of what it was made from, and a plain Uint8Array', () => {
    const octets = Uint8Array.from(G);
    const point = pointFromUncompressed(octets);
    octets.fill(0);
    assert.deepEqual(point, G);
    const buffer = Buffer.from(G);
    assert.equal(Object.getPrototypeOf(pointFromUncompressed(buffer)), Uint8Array.prototype);
    assert.equal(Object.getPrototypeOf(compressPoint(point).x), Uint8Array.prototype);
  });

  test('equalPoints', () => {
    assert.ok(equalPoints(G, pointFromUncompressed(G)));
    assert.ok(!equalPoints(G, multiplyGenerator(fromInteger(2n))));
    const { x, yIsOdd } = compressPoint(G);
    assert.ok(!equalPoints(G, pointFromCompressed(x, !yIsOdd)));
  });
});
