import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { suite, test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { eciesUnwrap, eciesWrap, PrivateKey, SHA256_EMPTY, systemRandom } from '../src/index.ts';
import {
  anyScalar,
  cryptoError,
  FEW,
  fromHex,
  fromInteger,
  nobleMultiple,
  octets,
  pointFromHex,
  scriptedRandom,
  toHex,
} from './oracle.ts';

/** CAMP SCP1 vectors. Their .txt prints k where it means P1; P1 is from the script that made it. */
const RECIPIENTS = {
  first: {
    scalar: '060e41440a4e35154ca0efcb52412145836ad032833e6bc781e533bf14851085',
    x: '8c5e20fe31935f6fa682a1f6d46e4468534ffea1a698b14b0b12513eed8deb11',
    y: '1270fec2427e6a154dfcae3368584396c8251a04e2ae7d87b016ff65d22d6f9e',
    key: '9169155b08b07674cbadf75fb46a7b0d',
    p1: 'a6b7b52554b4203f7e3acfdb3a3ed8674ee086ce5906a7cac2f8a398306d3be9',
  },
  second: {
    scalar: 'da5e1d853fcc5d0c162a245b9f29d38eb6059f0db172fb7fda6663b925e8c744',
    x: '8008b06fc4c9f9856048da186e7dc390963d6a424e80b274fb75d12188d7d73f',
    y: '2774fb9600f27d7b3bbb2f7fcd8d2c96d4619ef9b4692c6a7c5733b5bac8b27d',
    key: '687e9757debfd87b0c267330c183c7b6',
    p1: '05bed5f867b89f30fe5552df414b65b9dd4073fc385d14921c641a145aa12051',
  },
} as const;

const VECTORS = [
  {
    recipient: RECIPIENTS.first,
    ephemeral: '1384c31d6982d52bca3bed8a7e60f52fecdab44e5c0ea166815a8159e09ffb42',
    vx: 'f45a99137b1bb2c150d6d8cf7292ca07da68c003daa766a9af7f67f5ee916828',
    vy: 'f6a25216f44cb64a96c229ae00b479857b3b81c1319fb2adf0e8db2681769729',
    c: 'a6342013d623ad6c5f6882469673ae33',
    t: '80e1d85d30f1bae4ecf1a534a89a0786',
  },
  {
    recipient: RECIPIENTS.first,
    ephemeral: 'd418760f0cb2dcb856bc3c7217ad3aa36db6742ae1db655a3d28df88cbbf84e1',
    vx: 'ee9cc7fbd9edecea41f7c8bd258e8d2e988e75bd069addca1e5a38e534ac6818',
    vy: '5ae3c8d9fe0b1fc7438f29417c240f8bf81c358ec1a4d0c6e98d8edbcc714017',
    c: 'dd530be3bcd149e881e09f06e160f5a0',
    t: '06c1f0f5eaed453caf78e01a3d16a001',
  },
  {
    recipient: RECIPIENTS.second,
    ephemeral: '1384c31d6982d52bca3bed8a7e60f52fecdab44e5c0ea166815a8159e09ffb42',
    vx: 'f45a99137b1bb2c150d6d8cf7292ca07da68c003daa766a9af7f67f5ee916828',
    vy: 'f6a25216f44cb64a96c229ae00b479857b3b81c1319fb2adf0e8db2681769729',
    c: '1f6346edaeaf57561fc9604febeff44e',
    t: '373c0fa7c52a0798ec36eadfe387c3ef',
  },
  {
    recipient: RECIPIENTS.second,
    ephemeral: '4624a6f9f6bc6bd088a71ed97b3aee983b5cc2f574f64e96a531d2464137049f',
    vx: '121aa495c6b2c07a2b2daec36bd207d6620d7e6081050df5de3e9696868fcdca',
    vy: '46c31a1abea0bddaaaaefbba3afdbff1ac8d196bc313fc130926810c05503950',
    c: '6cfd13b76436cd0db70244fae380cba1',
    t: 'c8bf18ac796b0b1d3a1256d3a91676c8',
  },
] as const;

/** The wrapping of 1609.2 §5.3.5 with noble's ECDH and Node's streaming hash and HMAC. */
function wrapByTheBook(recipient: Uint8Array, key: Uint8Array, p1: Uint8Array, v: bigint) {
  const shared = p256.getSharedSecret(fromInteger(v), recipient).subarray(1);
  const block = (counter: number) =>
    createHash('sha256')
      .update(shared)
      .update(Uint8Array.of(0, 0, 0, counter))
      .update(p1)
      .digest();
  const derived = Buffer.concat([block(1), block(2)]);
  const c = key.map((octet, index) => octet ^ derived[index]!);
  const tag = createHmac('sha256', derived.subarray(16, 48)).update(c).digest();
  return { v: nobleMultiple(v), c, t: Uint8Array.from(tag.subarray(0, 16)) };
}

suite('ECIES', () => {
  test('CAMP vectors, both ways', () => {
    for (const { recipient, ephemeral, vx, vy, c, t } of VECTORS) {
      const privateKey = PrivateKey.fromScalar(fromHex(recipient.scalar));
      const point = pointFromHex(recipient.x, recipient.y);
      assert.deepEqual(privateKey.publicPoint, point);
      const [key, p1] = [fromHex(recipient.key), fromHex(recipient.p1)];
      const wrapped = eciesWrap(point, key, p1, scriptedRandom(fromHex(ephemeral)));
      assert.deepEqual(wrapped, { v: pointFromHex(vx, vy), c: fromHex(c), t: fromHex(t) });
      assert.equal(toHex(eciesUnwrap(privateKey, wrapped, p1)), recipient.key);
    }
  });

  test('agrees with a wrapping written out, and unwraps it', () => {
    fc.assert(
      fc.property(anyScalar, anyScalar, octets(16), octets(32), (scalar, v, key, p1) => {
        const recipient = PrivateKey.fromScalar(fromInteger(scalar));
        const expected = wrapByTheBook(recipient.publicPoint, key, p1, v);
        const random = scriptedRandom(fromInteger(v));
        assert.deepEqual(eciesWrap(recipient.publicPoint, key, p1, random), expected);
        assert.deepEqual(eciesUnwrap(recipient, expected, p1), key);
      }),
      FEW,
    );
  });

  test('two wrappings of one key have nothing in common', () => {
    const recipient = nobleMultiple(7n);
    const key = new Uint8Array(16);
    const a = eciesWrap(recipient, key, SHA256_EMPTY, systemRandom);
    const b = eciesWrap(recipient, key, SHA256_EMPTY, systemRandom);
    assert.notDeepEqual(a.v, b.v);
    assert.notDeepEqual(a.c, b.c);
    assert.notDeepEqual(a.t, b.t);
  });

  test('another recipient, another P1, another V, c or t: decryption fails', () => {
    const recipient = PrivateKey.fromScalar(fromInteger(7n));
    const good = eciesWrap(recipient.publicPoint, new Uint8Array(16), SHA256_EMPTY, systemRandom);
    const other = PrivateKey.fromScalar(fromInteger(8n));
    const fails = cryptoError('decryption-failed');
    assert.throws(() => eciesUnwrap(other, good, SHA256_EMPTY), fails);
    assert.throws(() => eciesUnwrap(recipient, good, new Uint8Array(32)), fails);
    const swapped = { ...good, v: nobleMultiple(3n) };
    assert.throws(() => eciesUnwrap(recipient, swapped, SHA256_EMPTY), fails);
    for (let bit = 0; bit < 128; bit += 1) {
      for (const part of ['c', 't'] as const) {
        const changed = { ...good, [part]: Uint8Array.from(good[part]) };
        changed[part][bit >> 3]! ^= 1 << (bit & 7);
        assert.throws(() => eciesUnwrap(recipient, changed, SHA256_EMPTY), fails);
      }
    }
  });

  test('a wrapped key of another length fails, even with a right tag', () => {
    const recipient = PrivateKey.fromScalar(fromInteger(7n));
    for (const length of [0, 1, 15, 17, 32]) {
      const key = new Uint8Array(length);
      const wrapped = wrapByTheBook(recipient.publicPoint, key, SHA256_EMPTY, 5n);
      assert.throws(
        () => eciesUnwrap(recipient, wrapped, SHA256_EMPTY),
        cryptoError('decryption-failed'),
      );
    }
  });

  test('c and t of other lengths fail, also where the octets they have are right', () => {
    const recipient = PrivateKey.fromScalar(fromInteger(7n));
    const good = eciesWrap(recipient.publicPoint, new Uint8Array(16), SHA256_EMPTY, systemRandom);
    for (const part of ['c', 't'] as const) {
      for (const wrong of [
        good[part].subarray(0, 15),
        Uint8Array.of(...good[part], 0),
        new Uint8Array(0),
      ]) {
        assert.throws(
          () => eciesUnwrap(recipient, { ...good, [part]: wrong }, SHA256_EMPTY),
          cryptoError('decryption-failed'),
        );
      }
    }
  });

  test('keys and P1 of other lengths are refused', () => {
    const recipient = PrivateKey.fromScalar(fromInteger(7n));
    const key = new Uint8Array(16);
    const good = eciesWrap(recipient.publicPoint, key, SHA256_EMPTY, systemRandom);
    for (const length of [0, 15, 17, 31, 33]) {
      const wrong = new Uint8Array(length);
      assert.throws(
        () => eciesWrap(recipient.publicPoint, wrong, SHA256_EMPTY, systemRandom),
        cryptoError('invalid-length'),
      );
      assert.throws(
        () => eciesWrap(recipient.publicPoint, key, wrong, systemRandom),
        cryptoError('invalid-length'),
      );
      assert.throws(() => eciesUnwrap(recipient, good, wrong), cryptoError('invalid-length'));
    }
  });
});
