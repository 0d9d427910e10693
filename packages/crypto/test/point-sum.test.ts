import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { addPairs, addPoints, addToPoint, CryptoError } from '../src/index.ts';
import { negatePoint } from '../src/point-sum.ts';
import { anyScalar, cryptoError, FEW, nobleMultiple, nobleSum, ORDER } from './oracle.ts';

const G = nobleMultiple(1n);

suite('sums of points', () => {
  test('small multiples of the generator, all pairs, with doublings among them', () => {
    const multiples = Array.from({ length: 12 }, (_, i) => nobleMultiple(BigInt(i + 1)));
    for (let a = 0; a < 6; a += 1) {
      for (let b = 0; b < 6; b += 1) {
        assert.deepEqual(addPoints(multiples[a]!, multiples[b]!), multiples[a + b + 1]);
      }
    }
  });

  test('addPoints agrees with noble', () => {
    fc.assert(
      fc.property(anyScalar, anyScalar, (a, b) => {
        fc.pre((a + b) % ORDER !== 0n);
        const sum = addPoints(nobleMultiple(a), nobleMultiple(b));
        assert.deepEqual(sum, nobleSum(nobleMultiple(a), nobleMultiple(b)));
      }),
      FEW,
    );
  });

  test('addToPoint adds every lane for itself, equal lanes and doublings included', () => {
    const lane = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(lane, fc.array(lane, { maxLength: 30 }), (base, lanes) => {
        const sums = addToPoint(small(base), lanes.map(small));
        assert.deepEqual(
          sums,
          lanes.map((addend) => small(base + addend)),
        );
      }),
      FEW,
    );
  });

  test('addPairs adds each pair for itself, as noble does, doublings included', () => {
    const pair = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }));
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 30 }), (pairs) => {
        const sums = addPairs(
          pairs.map(([a]) => small(a)),
          pairs.map(([, b]) => small(b)),
        );
        assert.deepEqual(
          sums,
          pairs.map(([a, b]) => small(a + b)),
        );
      }),
      FEW,
    );
    assert.throws(
      () => addPairs([G, small(2)], [G, negatePoint(small(2))]),
      (error) => error instanceof CryptoError && /^sum 1: /.test(error.message),
    );
  });

  test('no addends, no sums', () => {
    assert.deepEqual(addToPoint(G, []), []);
  });

  test('a point and its negative have no affine sum', () => {
    const negative = nobleMultiple(ORDER - 1n);
    assert.deepEqual(negatePoint(G), negative);
    assert.throws(() => addPoints(G, negative), cryptoError('point-at-infinity'));
    assert.throws(() => addPoints(negative, G), cryptoError('point-at-infinity'));
  });

  test('the error of a batch names its lane', () => {
    const lanes = [small(2), small(3), negatePoint(G), small(4)];
    assert.throws(
      () => addToPoint(G, lanes),
      (error) => error instanceof CryptoError && /^sum 2: /.test(error.message),
    );
  });
});

const smallMultiples = Array.from({ length: 20 }, (_, i) => nobleMultiple(BigInt(i + 1)));

function small(multiple: number) {
  return smallMultiples[multiple - 1]!;
}
