import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { PrivateKey, PublicKey, pointOfOurs, systemRandom } from '../src/index.ts';
import {
  anyScalar,
  cryptoError,
  FEW,
  fromHex,
  fromInteger,
  nobleMultiple,
  ORDER,
  octets,
  pointFromHex,
  scriptedRandom,
  toInteger,
} from './oracle.ts';
import { ecdhVectors } from './vectors/ecdh.ts';

/** RFC 6979 A.2.5: a key of P-256 and its signatures with SHA-256. */
const RFC_6979 = {
  scalar: 'c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721',
  x: '60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6',
  y: '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
  signatures: [
    {
      message: 'sample',
      r: 'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716',
      s: 'f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
    },
    {
      message: 'test',
      r: 'f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367',
      s: '019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083',
    },
  ],
} as const;

suite('private keys', () => {
  test('the key of RFC 6979 A.2.5', () => {
    const key = PrivateKey.fromScalar(fromHex(RFC_6979.scalar));
    assert.deepEqual(key.publicPoint, pointFromHex(RFC_6979.x, RFC_6979.y));
    assert.deepEqual(key.scalar().reveal(), fromHex(RFC_6979.scalar));
  });

  test('public points agree with noble', () => {
    fc.assert(
      fc.property(anyScalar, (scalar) => {
        const key = PrivateKey.fromScalar(fromInteger(scalar));
        assert.deepEqual(key.publicPoint, nobleMultiple(scalar));
      }),
      FEW,
    );
  });

  test('scalars outside 1..n-1 or of other lengths are refused', () => {
    for (const scalar of [
      fromInteger(0n),
      fromInteger(ORDER),
      fromInteger(2n ** 256n - 1n),
      new Uint8Array(0),
      new Uint8Array(31).fill(1),
      new Uint8Array(33).fill(1),
    ]) {
      assert.throws(() => PrivateKey.fromScalar(scalar), cryptoError('invalid-scalar'));
    }
  });

  test('a key keeps its scalar when the caller wipes the octets', () => {
    const scalar = fromInteger(3n);
    const key = PrivateKey.fromScalar(scalar);
    scalar.fill(0);
    assert.deepEqual(key.publicPoint, nobleMultiple(3n));
    assert.deepEqual(key.scalar().reveal(), fromInteger(3n));
  });

  test('generate draws again until the draw is a scalar (FIPS 186-5 A.2.2)', () => {
    const random = scriptedRandom(fromInteger(0n), fromInteger(ORDER), fromInteger(11n));
    assert.deepEqual(PrivateKey.generate(random).publicPoint, nobleMultiple(11n));
  });

  test('generate gives a broken source up', () => {
    const broken = [
      () => new Uint8Array(32),
      () => new Uint8Array(32).fill(0xff),
      () => new Uint8Array(31).fill(1),
      () => new Uint8Array(0),
    ];
    for (const random of broken) {
      assert.throws(() => PrivateKey.generate(random), cryptoError('invalid-random'));
    }
  });

  test('generate with systemRandom gives different keys', () => {
    const a = PrivateKey.generate(systemRandom);
    const b = PrivateKey.generate(systemRandom);
    assert.notDeepEqual(a.publicPoint, b.publicPoint);
  });
});

suite('ECDH', () => {
  test('NIST CAVS vectors', () => {
    for (const { scalar, peerX, peerY, shared } of ecdhVectors) {
      const key = PrivateKey.fromScalar(fromHex(scalar));
      assert.deepEqual(key.ecdh(pointFromHex(peerX, peerY)), fromHex(shared));
      // From the second agreement on, by an imported key.
      assert.deepEqual(key.ecdh(pointFromHex(peerX, peerY)), fromHex(shared));
    }
  });

  test('both sides agree, with each other and with noble', () => {
    fc.assert(
      fc.property(anyScalar, anyScalar, (a, b) => {
        const [alice, bob] = [a, b].map((scalar) => PrivateKey.fromScalar(fromInteger(scalar)));
        const shared = alice!.ecdh(bob!.publicPoint);
        assert.deepEqual(shared, bob!.ecdh(alice!.publicPoint));
        const expected = p256.getSharedSecret(fromInteger(a), bob!.publicPoint).subarray(1);
        assert.deepEqual(shared, Uint8Array.from(expected));
      }),
      FEW,
    );
  });

  test('a shared secret keeps its leading zeros', () => {
    // Among the first few hundred multiples of G, several x begin with a zero octet.
    const one = PrivateKey.fromScalar(fromInteger(1n));
    let found = 0;
    for (let scalar = 1n; scalar <= 600n; scalar += 1n) {
      const point = PrivateKey.fromScalar(fromInteger(scalar)).publicPoint;
      if (point[1] === 0) {
        found += 1;
        assert.deepEqual(one.ecdh(point), point.slice(1, 33));
      }
    }
    assert.ok(found > 0);
  });
});

suite('ECDSA', () => {
  const key = PrivateKey.fromScalar(fromHex(RFC_6979.scalar));
  const publicKey = PublicKey.fromPoint(key.publicPoint);

  test('RFC 6979 A.2.5 signatures verify', () => {
    for (const { message, r, s } of RFC_6979.signatures) {
      const signature = { r: fromHex(r), s: fromHex(s) };
      assert.ok(publicKey.verify(Buffer.from(message), signature));
      assert.ok(!publicKey.verify(Buffer.from(`${message}.`), signature));
    }
  });

  test('noble verifies what we sign, and we verify what noble signs', () => {
    fc.assert(
      fc.property(anyScalar, octets(64), (scalar, message) => {
        const ours = PrivateKey.fromScalar(fromInteger(scalar));
        const verifier = PublicKey.fromPoint(ours.publicPoint);
        const signature = ours.sign(message);
        assert.equal(signature.r.length, 32);
        assert.equal(signature.s.length, 32);
        const compact = Uint8Array.of(...signature.r, ...signature.s);
        assert.ok(p256.verify(compact, message, ours.publicPoint, { lowS: false }));
        assert.ok(verifier.verify(message, signature));

        const noble = p256.sign(message, fromInteger(scalar), { lowS: false });
        assert.ok(verifier.verify(message, { r: noble.slice(0, 32), s: noble.slice(32) }));
      }),
      FEW,
    );
  });

  test('r and s with leading zeros come out with 32 octets, and verify', () => {
    const message = new Uint8Array(64);
    const missing = new Set(['r', 's']);
    // One signature in 128 has a short r or s: 5,000 would be needed only by a broken one.
    for (let attempt = 0; attempt < 5000 && missing.size > 0; attempt += 1) {
      const { r, s } = key.sign(message);
      if (r[0] === 0 || s[0] === 0) {
        missing.delete(r[0] === 0 ? 'r' : 's');
        assert.deepEqual([r.length, s.length], [32, 32]);
        assert.ok(publicKey.verify(message, { r, s }));
      }
    }
    assert.equal(missing.size, 0);
  });

  test('a signature is not one of another message, by another key, or with a bit changed', () => {
    fc.assert(
      fc.property(octets(64), fc.nat(511), (message, bit) => {
        const signature = key.sign(message);
        const other = PublicKey.fromPoint(nobleMultiple(2n));
        assert.ok(!other.verify(message, signature));
        const part = bit < 256 ? signature.r : signature.s;
        part[(bit & 255) >> 3]! ^= 1 << (bit & 7);
        assert.ok(!publicKey.verify(message, signature));
        part[(bit & 255) >> 3]! ^= 1 << (bit & 7);
        message[bit & 63]! ^= 1;
        assert.ok(!publicKey.verify(message, signature));
      }),
      FEW,
    );
  });

  test('n - s verifies as s does: a signature is not an identifier', () => {
    const message = new Uint8Array(64).fill(5);
    const { r, s } = key.sign(message);
    assert.ok(publicKey.verify(message, { r, s: fromInteger(ORDER - toInteger(s)) }));
  });

  test('malformed signatures are wrong ones, without an exception', () => {
    const message = new Uint8Array(64);
    const good = key.sign(message);
    const malformed = [
      fromInteger(0n),
      fromInteger(ORDER),
      fromInteger(ORDER + 1n),
      fromInteger(2n ** 256n - 1n),
      new Uint8Array(0),
      new Uint8Array(31).fill(1),
      new Uint8Array(33).fill(1),
      new Uint8Array(33),
      new Uint8Array(500).fill(1),
    ];
    for (const part of malformed) {
      assert.equal(publicKey.verify(message, { r: part, s: good.s }), false);
      assert.equal(publicKey.verify(message, { r: good.r, s: part }), false);
      assert.equal(publicKey.verify(message, { r: part, s: part }), false);
    }
    // r + n has the same residue as r: only its range tells it apart.
    const { r, s } = good;
    if (toInteger(r) + ORDER < 2n ** 256n) {
      const alias = fromInteger(toInteger(r) + ORDER);
      assert.equal(publicKey.verify(message, { r: alias, s }), false);
    }
  });

  test('messages of any length, the empty one included', () => {
    for (const length of [0, 1, 63, 64, 65, 5000]) {
      const message = new Uint8Array(length).fill(7);
      assert.ok(publicKey.verify(message, key.sign(message)));
    }
  });

  test('a key that is imported in each verification and one that is kept say the same', () => {
    const other = PrivateKey.generate(systemRandom);
    const [message, wrong] = [Buffer.from('message'), Buffer.from('another')];
    const signature = other.sign(message);
    const kept = PublicKey.fromPoint(other.publicPoint);
    for (let use = 0; use < 3; use += 1) {
      assert.ok(kept.verify(message, signature));
      assert.ok(!kept.verify(wrong, signature));
      assert.ok(PublicKey.fromPoint(other.publicPoint).verify(message, signature));
      assert.ok(!PublicKey.fromPoint(other.publicPoint).verify(wrong, signature));
    }
  });

  test('a point of ours that is off the curve is never computed with', () => {
    const octets = Uint8Array.from(key.publicPoint);
    octets[64]! ^= 1;
    const signature = key.sign(Buffer.from('message'));
    assert.throws(() => PublicKey.fromPoint(pointOfOurs(octets)).verify(octets, signature));
    assert.throws(() => pointOfOurs(octets.subarray(1)), { code: 'invalid-point' });
  });

  test('a public key shows its point', () => {
    assert.equal(publicKey.point, key.publicPoint);
  });
});
