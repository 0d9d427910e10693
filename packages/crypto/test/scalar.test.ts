import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { isScalar, scalarAdd, scalarMultiplyAdd, scalarReduce } from '../src/index.ts';
import { anyInteger256, cryptoError, fromInteger, MANY, ORDER, toInteger } from './oracle.ts';

const MAXIMUM = 2n ** 256n - 1n;
/** Values whose sums and products meet every border: 0, n, 2n and the end of 256 bits. */
const EDGES = [0n, 1n, 2n, ORDER - 1n, ORDER, ORDER + 1n, MAXIMUM - ORDER, MAXIMUM - 1n, MAXIMUM];

suite('scalar arithmetic modulo n', () => {
  test('scalarAdd at every pair of edges', () => {
    for (const a of EDGES) {
      for (const b of EDGES) {
        const sum = scalarAdd(fromInteger(a), fromInteger(b));
        assert.equal(toInteger(sum), (a + b) % ORDER, `${a} + ${b}`);
      }
    }
  });

  test('scalarMultiplyAdd at every triple of edges', () => {
    for (const e of EDGES) {
      for (const k of EDGES) {
        for (const r of EDGES) {
          const value = scalarMultiplyAdd(fromInteger(e), fromInteger(k), fromInteger(r));
          assert.equal(toInteger(value), (e * k + r) % ORDER, `${e} * ${k} + ${r}`);
        }
      }
    }
  });

  test('scalarReduce at multiples of n and at the end of 512 bits', () => {
    const multiples = [1n, 2n, ORDER - 1n, ORDER, ORDER + 1n, 2n ** 256n].map((m) => m * ORDER);
    for (const multiple of [...multiples, 2n ** 512n - 1n, 2n ** 512n - ORDER]) {
      for (const wide of [multiple - 1n, multiple, multiple + 1n].filter((w) => w < 2n ** 512n)) {
        assert.equal(toInteger(scalarReduce(fromInteger(wide, 64))), wide % ORDER, `${wide}`);
      }
    }
  });

  test('scalarAdd agrees with BigInt', () => {
    fc.assert(
      fc.property(anyInteger256, anyInteger256, (a, b) => {
        const sum = scalarAdd(fromInteger(a), fromInteger(b));
        assert.equal(toInteger(sum), (a + b) % ORDER);
      }),
      MANY,
    );
  });

  test('scalarMultiplyAdd agrees with BigInt', () => {
    fc.assert(
      fc.property(anyInteger256, anyInteger256, anyInteger256, (e, k, r) => {
        const value = scalarMultiplyAdd(fromInteger(e), fromInteger(k), fromInteger(r));
        assert.equal(toInteger(value), (e * k + r) % ORDER);
      }),
      MANY,
    );
  });

  test('scalarReduce agrees with BigInt for every length of 0 to 64 octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (wide) => {
        assert.equal(toInteger(scalarReduce(wide)), toInteger(wide) % ORDER);
      }),
      MANY,
    );
    for (let length = 0; length <= 64; length += 1) {
      const wide = new Uint8Array(length).fill(0xff);
      assert.equal(toInteger(scalarReduce(wide)), toInteger(wide) % ORDER);
    }
  });

  test('isScalar is 1..n-1 in 32 octets', () => {
    for (const [value, expected] of [
      [0n, false],
      [1n, true],
      [ORDER - 1n, true],
      [ORDER, false],
      [ORDER + 1n, false],
      [MAXIMUM, false],
    ] as const) {
      assert.equal(isScalar(fromInteger(value)), expected, `${value}`);
    }
    assert.equal(isScalar(new Uint8Array(31).fill(1)), false);
    assert.equal(isScalar(new Uint8Array(33).fill(1)), false);
    assert.equal(isScalar(new Uint8Array(0)), false);
  });

  test('isScalar agrees with BigInt', () => {
    fc.assert(
      fc.property(anyInteger256, (value) => {
        assert.equal(isScalar(fromInteger(value)), value > 0n && value < ORDER);
      }),
      MANY,
    );
  });

  test('other lengths are refused', () => {
    const whole = fromInteger(5n);
    const short = new Uint8Array(31);
    const long = new Uint8Array(33);
    for (const wrong of [short, long, new Uint8Array(0)]) {
      assert.throws(() => scalarAdd(wrong, whole), cryptoError('invalid-length'));
      assert.throws(() => scalarAdd(whole, wrong), cryptoError('invalid-length'));
      assert.throws(() => scalarMultiplyAdd(wrong, whole, whole), cryptoError('invalid-length'));
      assert.throws(() => scalarMultiplyAdd(whole, wrong, whole), cryptoError('invalid-length'));
      assert.throws(() => scalarMultiplyAdd(whole, whole, wrong), cryptoError('invalid-length'));
    }
    assert.throws(() => scalarReduce(new Uint8Array(65)), cryptoError('invalid-length'));
  });

  test('a refusal leaves nothing behind for the next call', () => {
    const five = fromInteger(5n);
    assert.throws(() => scalarMultiplyAdd(five, five, new Uint8Array(3)));
    assert.equal(toInteger(scalarMultiplyAdd(five, five, five)), 30n);
  });

  test('arguments are left as they were', () => {
    const a = fromInteger(ORDER - 1n);
    const b = fromInteger(7n);
    scalarAdd(a, b);
    scalarMultiplyAdd(a, b, a);
    scalarReduce(a);
    isScalar(b);
    assert.equal(toInteger(a), ORDER - 1n);
    assert.equal(toInteger(b), 7n);
  });
});
