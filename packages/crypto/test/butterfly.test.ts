import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ecb } from '@noble/ciphers/aes.js';
import fc from 'fast-check';
import {
  cocoonPoints,
  cocoonPrivateKey,
  Expansion,
  type ExpansionUse,
  multiplyGenerator,
  PrivateKey,
  Secret,
} from '../src/index.ts';
import { negatePoint } from '../src/point-sum.ts';
import {
  anyScalar,
  cryptoError,
  fromHex,
  fromInteger,
  nobleMultiple,
  nobleSum,
  ORDER,
  octets,
  pointFromHex,
  toHex,
  toInteger,
} from './oracle.ts';

/** CAMP SCP1 vectors (bfkeyexp): both chains of one device at one (i, j). */
const I = 0x217d79e1;
const J = 0x11;
const VECTORS = [
  {
    use: 'signing',
    key: '121d14216715e11d2d3787434a673b1b',
    scalar: 'd418760f0cb2dcb856bc3c7217ad3aa36db6742ae1db655a3d28df88cbbf84e1',
    x: 'ee9cc7fbd9edecea41f7c8bd258e8d2e988e75bd069addca1e5a38e534ac6818',
    y: '5ae3c8d9fe0b1fc7438f29417c240f8bf81c358ec1a4d0c6e98d8edbcc714017',
    value: '79081ddd31ef9e5ea601250e584cd90fba13ee7b518e72a2db3aaaa158e12d5e',
    expandedScalar: '4d2093ed3ea27b15fcbd61806ffa13b36ae367f88c52397824a9bf67283d8cee',
    expandedX: '2b18f3d93c4df3d9d1490e3a9ba5a0de9cfa73eddb95408bc1f2bf60cb3cf313',
    expandedY: '1a2ce511e0da86356329a5c22a36a8a53088dcb11a5a94fa903ef0087421666a',
  },
  {
    use: 'encryption',
    key: 'f9fce2371b4523c0a75fc352ba7ebd8d',
    scalar: '4624a6f9f6bc6bd088a71ed97b3aee983b5cc2f574f64e96a531d2464137049f',
    x: '121aa495c6b2c07a2b2daec36bd207d6620d7e6081050df5de3e9696868fcdca',
    y: '46c31a1abea0bddaaaaefbba3afdbff1ac8d196bc313fc130926810c05503950',
    value: 'a1559b337d59834b32e364376c9915028e92d9392d89d4315bda481add3ba317',
    expandedScalar: 'e77a422d7415ef1bbb8a8310e7d4039ac9ef9c2ea28022c8010c1a611e72a7b6',
    expandedX: 'b568fd55a7114254118e7463e85459bdd3c091342625b4a929541151bb8286be',
    expandedY: 'ed8dbe22200353d316cc5c3d8f1f281d8bfb34a9e6e1dbfe2043d928c64b430b',
  },
] as const;

const anyUse = fc.constantFrom<ExpansionUse>('signing', 'encryption');
const anyUint32 = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 1, 0x1a9, 0xffff_ffff));

/** f by the formula: noble's AES, the 128-bit sum x + b and the reduction in BigInt. */
function valueByTheBook(key: Uint8Array, use: ExpansionUse, i: number, j: number): bigint {
  const prefix = use === 'signing' ? 0n : 0xffff_ffffn;
  const x = (prefix << 96n) | (BigInt(i) << 64n) | (BigInt(j) << 32n);
  let whole = 0n;
  for (let block = 1n; block <= 3n; block += 1n) {
    const input = fromInteger(x + block, 16);
    const output = ecb(key, { disablePadding: true }).encrypt(input);
    whole = (whole << 128n) | (toInteger(output) ^ (x + block));
  }
  return whole % ORDER;
}

suite('butterfly key expansion', () => {
  for (const vector of VECTORS) {
    test(`CAMP vector of the ${vector.use} chain`, () => {
      const expansion = new Expansion(fromHex(vector.key), vector.use);
      assert.equal(toHex(expansion.value(I, J)), vector.value);

      const seed = PrivateKey.fromScalar(fromHex(vector.scalar));
      assert.deepEqual(seed.publicPoint, pointFromHex(vector.x, vector.y));
      const privateKey = cocoonPrivateKey(seed, expansion, I, J);
      assert.equal(toHex(privateKey.scalar().reveal()), vector.expandedScalar);

      const points = cocoonPoints(seed.publicPoint, expansion, I, J + 1);
      assert.deepEqual(points[J], pointFromHex(vector.expandedX, vector.expandedY));
      assert.deepEqual(points[J], privateKey.publicPoint);
    });
  }

  test('value agrees with the formula', () => {
    fc.assert(
      fc.property(octets(16), anyUse, anyUint32, anyUint32, (key, use, i, j) => {
        const expansion = new Expansion(key, use);
        assert.equal(toInteger(expansion.value(i, j)), valueByTheBook(key, use, i, j));
      }),
    );
  });

  test('values are value(i, 0), value(i, 1) and so on, from one object in any order', () => {
    fc.assert(
      fc.property(octets(16), anyUse, anyUint32, fc.nat(40), (key, use, i, jCount) => {
        const expansion = new Expansion(key, use);
        const values = expansion.values(i, jCount);
        assert.equal(values.length, jCount);
        for (const [j, value] of [...values.entries()].reverse()) {
          assert.deepEqual(expansion.value(i, j), value);
        }
      }),
    );
  });

  test('the RA’s points are the device’s private keys, and noble’s sums', () => {
    fc.assert(
      fc.property(anyScalar, octets(16), anyUse, anyUint32, (scalar, key, use, i) => {
        const expansion = new Expansion(key, use);
        const seed = PrivateKey.fromScalar(fromInteger(scalar));
        const points = cocoonPoints(seed.publicPoint, expansion, i, 5);
        assert.equal(points.length, 5);
        for (const [j, point] of points.entries()) {
          const value = valueByTheBook(key, use, i, j);
          assert.deepEqual(point, nobleSum(seed.publicPoint, nobleMultiple(value)));
          assert.deepEqual(cocoonPrivateKey(seed, expansion, i, j).publicPoint, point);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('the two chains of one key are different', () => {
    const key = new Uint8Array(16).fill(3);
    const signing = new Expansion(key, 'signing').value(1, 2);
    assert.notDeepEqual(new Expansion(key, 'encryption').value(1, 2), signing);
  });

  test('a key may come as a Secret', () => {
    const key = new Uint8Array(16).fill(3);
    const secret = new Expansion(new Secret(key), 'signing');
    assert.deepEqual(secret.value(1, 2), new Expansion(key, 'signing').value(1, 2));
  });

  test('no lanes, no points', () => {
    const expansion = new Expansion(new Uint8Array(16), 'signing');
    assert.deepEqual(cocoonPoints(nobleMultiple(1n), expansion, 0, 0), []);
  });

  test('a seed that equals f·G doubles; one that is -f·G costs the device its batch', () => {
    const expansion = new Expansion(new Uint8Array(16).fill(9), 'signing');
    const value = expansion.value(7, 2);
    const multiple = multiplyGenerator(value);
    const doubled = cocoonPoints(multiple, expansion, 7, 4);
    assert.deepEqual(doubled[2], nobleSum(multiple, multiple));
    assert.throws(
      () => cocoonPoints(negatePoint(multiple), expansion, 7, 4),
      cryptoError('point-at-infinity'),
    );
    const negative = PrivateKey.fromScalar(fromInteger(ORDER - toInteger(value)));
    assert.throws(() => cocoonPrivateKey(negative, expansion, 7, 2), cryptoError('invalid-scalar'));
  });

  test('keys of other lengths, and i, j and counts out of range, are refused', () => {
    for (const length of [0, 15, 17, 32]) {
      assert.throws(
        () => new Expansion(new Uint8Array(length), 'signing'),
        cryptoError('invalid-length'),
      );
    }
    const expansion = new Expansion(new Uint8Array(16), 'signing');
    for (const wrong of [-1, 2 ** 32, 0.5, Number.NaN]) {
      assert.throws(() => expansion.value(wrong, 0), cryptoError('out-of-range'));
      assert.throws(() => expansion.value(0, wrong), cryptoError('out-of-range'));
      assert.throws(() => expansion.values(wrong, 1), cryptoError('out-of-range'));
    }
    for (const wrong of [-1, 4097, 0.5, Number.NaN]) {
      assert.throws(() => expansion.values(0, wrong), cryptoError('out-of-range'));
    }
  });
});
