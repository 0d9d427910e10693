import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ecb } from '@noble/ciphers/aes.js';
import fc from 'fast-check';
import { ccmOpen, ccmSeal } from '../src/index.ts';
import { cryptoError, fromHex, octets, toHex } from './oracle.ts';
import { ccmVectors } from './vectors/aes-ccm.ts';

/** CCM written out from SP 800-38C §6.1 and A.2, A.3 over noble's AES, for n = 12, q = 3, t = 16. */
function sealByTheBook(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const encrypt = (block: Uint8Array) => ecb(key, { disablePadding: true }).encrypt(block);
  const length = plaintext.length;
  let mac = encrypt(Uint8Array.of(0x3a, ...nonce, length >> 16, length >> 8, length));
  for (let offset = 0; offset < length; offset += 16) {
    const block = plaintext.subarray(offset, offset + 16);
    mac = encrypt(mac.map((octet, index) => octet ^ (block[index] ?? 0)));
  }
  const stream = (counter: number) =>
    encrypt(Uint8Array.of(0x02, ...nonce, counter >> 16, counter >> 8, counter));
  const ciphertext = plaintext.map((octet, index) => octet ^ stream(1 + (index >> 4))[index & 15]!);
  const tag = stream(0).map((octet, index) => octet ^ mac[index]!);
  return Uint8Array.of(...ciphertext, ...tag);
}

const anyMessage = fc.uint8Array({ maxLength: 70 });

suite('AES-128-CCM', () => {
  test('CAMP vectors', () => {
    for (const { key, nonce, plaintext, sealed } of ccmVectors) {
      const result = ccmSeal(fromHex(key), fromHex(nonce), fromHex(plaintext));
      assert.equal(toHex(result), sealed);
      assert.equal(toHex(ccmOpen(fromHex(key), fromHex(nonce), result)), plaintext);
    }
  });

  test('agrees with SP 800-38C written out, and opens what it sealed', () => {
    fc.assert(
      fc.property(octets(16), octets(12), anyMessage, (key, nonce, plaintext) => {
        const sealed = ccmSeal(key, nonce, plaintext);
        assert.deepEqual(sealed, sealByTheBook(key, nonce, plaintext));
        assert.deepEqual(ccmOpen(key, nonce, sealed), plaintext);
      }),
    );
  });

  test('the empty plaintext is a tag alone', () => {
    const key = new Uint8Array(16);
    const nonce = new Uint8Array(12);
    const sealed = ccmSeal(key, nonce, new Uint8Array(0));
    assert.deepEqual(sealed, sealByTheBook(key, nonce, new Uint8Array(0)));
    assert.equal(ccmOpen(key, nonce, sealed).length, 0);
    sealed[3]! ^= 1;
    assert.throws(() => ccmOpen(key, nonce, sealed), cryptoError('decryption-failed'));
  });

  test('any change of ciphertext, tag, key or nonce fails', () => {
    fc.assert(
      fc.property(octets(16), octets(12), anyMessage, fc.nat(), (key, nonce, plaintext, at) => {
        const sealed = ccmSeal(key, nonce, plaintext);
        for (const target of [sealed, key, nonce]) {
          const index = at % target.length;
          target[index]! ^= 1 << (at % 8);
          assert.throws(() => ccmOpen(key, nonce, sealed), cryptoError('decryption-failed'));
          target[index]! ^= 1 << (at % 8);
        }
        assert.throws(
          () => ccmOpen(key, nonce, sealed.subarray(0, -1)),
          cryptoError('decryption-failed'),
        );
      }),
    );
  });

  test('fewer octets than a tag fail', () => {
    for (let length = 0; length < 16; length += 1) {
      assert.throws(
        () => ccmOpen(new Uint8Array(16), new Uint8Array(12), new Uint8Array(length)),
        cryptoError('decryption-failed'),
      );
    }
  });

  test('keys and nonces of other lengths are refused', () => {
    const key = new Uint8Array(16);
    const nonce = new Uint8Array(12);
    for (const length of [0, 11, 13, 15, 17, 32]) {
      const wrong = new Uint8Array(length);
      assert.throws(() => ccmSeal(wrong, nonce, key), cryptoError('invalid-length'));
      assert.throws(() => ccmSeal(key, wrong, key), cryptoError('invalid-length'));
      assert.throws(() => ccmOpen(wrong, nonce, key), cryptoError('invalid-length'));
      assert.throws(() => ccmOpen(key, wrong, key), cryptoError('invalid-length'));
    }
  });

  test('a plaintext of 2^24 octets is refused, one octet less is sealed', () => {
    const key = new Uint8Array(16);
    const nonce = new Uint8Array(12);
    const tooLong = new Uint8Array(2 ** 24);
    assert.throws(() => ccmSeal(key, nonce, tooLong), cryptoError('invalid-length'));
    assert.throws(
      () => ccmOpen(key, nonce, new Uint8Array(2 ** 24 + 16)),
      cryptoError('decryption-failed'),
    );
    assert.equal(ccmSeal(key, nonce, tooLong.subarray(1)).length, 2 ** 24 + 15);
  });
});
