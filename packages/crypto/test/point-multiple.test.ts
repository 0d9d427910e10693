import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { multiplyGenerator, multiplyPoint } from '../src/index.ts';
import { negatePoint } from '../src/point-sum.ts';
import {
  anyScalar,
  cryptoError,
  FEW,
  fromHex,
  fromInteger,
  nobleMultiple,
  nobleProduct,
  ORDER,
  pointFromHex,
} from './oracle.ts';
import { ecdhVectors } from './vectors/ecdh.ts';

const G = nobleMultiple(1n);

suite('multiples of points', () => {
  test('the 25 key pairs of the NIST ECDH vectors', () => {
    for (const { scalar, ownX, ownY } of ecdhVectors) {
      const own = pointFromHex(ownX, ownY);
      assert.deepEqual(multiplyGenerator(fromHex(scalar)), own);
      assert.deepEqual(multiplyPoint(fromHex(scalar), G), own);
    }
  });

  test('the x of NIST’s shared secrets', () => {
    for (const { scalar, peerX, peerY, shared } of ecdhVectors) {
      const product = multiplyPoint(fromHex(scalar), pointFromHex(peerX, peerY));
      assert.deepEqual(product.slice(1, 33), fromHex(shared));
    }
  });

  test('multiplyGenerator agrees with noble', () => {
    fc.assert(
      fc.property(anyScalar, (scalar) => {
        assert.deepEqual(multiplyGenerator(fromInteger(scalar)), nobleMultiple(scalar));
      }),
    );
  });

  test('multiplyPoint agrees with noble', () => {
    fc.assert(
      fc.property(anyScalar, anyScalar, (scalar, logarithm) => {
        const point = nobleMultiple(logarithm);
        const product = multiplyPoint(fromInteger(scalar), point);
        assert.deepEqual(product, nobleProduct(scalar, point));
      }),
      FEW,
    );
  });

  test('the scalars next to 0, n/2 and n, where the two halves of the sum meet', () => {
    const point = nobleMultiple(0xc0ffeen);
    for (const scalar of [
      1n,
      2n,
      3n,
      (ORDER - 1n) / 2n,
      (ORDER + 1n) / 2n,
      ORDER - 3n,
      ORDER - 2n,
      ORDER - 1n,
    ]) {
      const product = multiplyPoint(fromInteger(scalar), point);
      assert.deepEqual(product, nobleProduct(scalar, point), `${scalar}`);
    }
    assert.deepEqual(multiplyPoint(fromInteger(ORDER - 1n), point), negatePoint(point));
  });

  test('scalars outside 1..n-1 are refused', () => {
    for (const scalar of [
      fromInteger(0n),
      fromInteger(ORDER),
      fromInteger(2n ** 256n - 1n),
      new Uint8Array(31).fill(1),
      new Uint8Array(33).fill(1),
    ]) {
      assert.throws(() => multiplyGenerator(scalar), cryptoError('invalid-scalar'));
      assert.throws(() => multiplyPoint(scalar, G), cryptoError('invalid-scalar'));
    }
  });

  test('results own their memory: a worker message takes nothing else along', () => {
    const generated = multiplyGenerator(fromInteger(5n));
    const product = multiplyPoint(fromInteger(5n), G);
    assert.equal(generated.buffer.byteLength, 65);
    assert.equal(product.buffer.byteLength, 65);
    assert.equal(Object.getPrototypeOf(generated), Uint8Array.prototype);
  });
});
