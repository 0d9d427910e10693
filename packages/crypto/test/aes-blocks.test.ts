import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ecb } from '@noble/ciphers/aes.js';
import fc from 'fast-check';
import { AesBlocks } from '../src/aes-blocks.ts';
import { cryptoError, fromHex, octets, toHex } from './oracle.ts';

suite('AES_k(x) XOR x', () => {
  test('FIPS 197 C.1', () => {
    const plaintext = fromHex('00112233445566778899aabbccddeeff');
    const ciphertext = fromHex('69c4e0d86a7b0430d8cdb78070b4c55a');
    const blocks = new AesBlocks('key', fromHex('000102030405060708090a0b0c0d0e0f'));
    const expected = ciphertext.map((octet, index) => octet ^ plaintext[index]!);
    assert.equal(toHex(blocks.encryptAndXor(plaintext)), toHex(expected));
  });

  test('agrees with noble for any number of blocks, call after call on one object', () => {
    fc.assert(
      fc.property(octets(16), fc.array(fc.nat(5), { maxLength: 4 }), (key, counts) => {
        const blocks = new AesBlocks('key', key);
        for (const count of counts) {
          const input = new Uint8Array(16 * count).map((_, index) => (index * 37) & 0xff);
          const encrypted = ecb(key, { disablePadding: true }).encrypt(input);
          const expected = encrypted.map((octet, index) => octet ^ input[index]!);
          assert.deepEqual(blocks.encryptAndXor(input), expected);
        }
      }),
    );
  });

  test('a key is 16 octets', () => {
    for (const length of [0, 15, 17, 32]) {
      assert.throws(() => new AesBlocks('key', new Uint8Array(length)), {
        code: 'invalid-length',
        message: `key: expected 16 octets, saw ${length}`,
      });
    }
    assert.throws(() => new AesBlocks('key', new Uint8Array(1)), cryptoError('invalid-length'));
  });
});
