/** What every implementation of `Signer` and `Decrypter` does, in this process or elsewhere. */
import assert from 'node:assert/strict';
import { createECDH, createHash } from 'node:crypto';
import { test } from 'node:test';
import { decode } from '@chrysalis/coer';
import { eciesWrap, type KeyAgreement, PrivateKey, SHA256_EMPTY } from '@chrysalis/crypto';
import {
  type Decrypter,
  decrypterOf,
  decryptForKey,
  encryptForKey,
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  type Signer,
} from '@chrysalis/ieee1609dot2';
import { p256 } from '@noble/curves/nist.js';
import { fixedRandom } from './pki.ts';

/** @param key its public half; `signer` is asked for when a test begins */
export function conformsToSigner(key: PrivateKey, signer: () => Signer): void {
  for (const length of [0, 1, 64, 4096]) {
    test(`signs SHA-256 of ${length} octets, as noble verifies it`, () => {
      const message = fixedRandom('message')(length);
      const { r, s } = signer().sign(message);
      assert.deepEqual([r.length, s.length], [32, 32]);
      const digest = createHash('sha256').update(message).digest();
      const options = { prehash: false, lowS: false };
      assert.ok(p256.verify(Buffer.concat([r, s]), digest, key.publicPoint, options));
      digest[0]! ^= 1;
      assert.ok(!p256.verify(Buffer.concat([r, s]), digest, key.publicPoint, options));
    });
  }

  test('signs a hundred times, each with a nonce of its own', () => {
    const message = Uint8Array.of(1);
    const signed = Array.from({ length: 100 }, () => signer().sign(message));
    assert.equal(new Set(signed.map(({ r }) => Buffer.from(r).toString('hex'))).size, 100);
  });
}

/** @param key its public half */
export function conformsToDecrypter(key: PrivateKey, agreement: () => KeyAgreement): void {
  const decrypter = (): Decrypter => decrypterOf(agreement());
  const random = fixedRandom('conformance');

  test('agrees on the x of the point, 32 octets, leading zeros kept, as libcrypto does', () => {
    const other = createECDH('prime256v1');
    let zeros = 0;
    // One x in 256 begins with a zero.
    for (let n = 0; n < 4096 && zeros < 2; n += 1) {
      const peer = PrivateKey.generate(fixedRandom(`peer ${n}`));
      other.setPrivateKey(peer.scalar().reveal());
      const expected = other.computeSecret(key.publicPoint);
      if (expected[0] !== 0 && n >= 20) continue;
      if (expected[0] === 0) zeros += 1;
      assert.deepEqual(Buffer.from(agreement().ecdh(peer.publicPoint)), expected);
    }
    assert.equal(zeros, 2);
  });

  test('opens what was encrypted to it, and nothing else', () => {
    const plaintext = new TextEncoder().encode('for one recipient only');
    const octets = encryptForKey(plaintext, key.publicPoint, new Uint8Array(8), random);
    const { content } = decode(Ieee1609Dot2Data, octets);
    assert.ok(content.type === 'encryptedData');
    assert.deepEqual(decryptForKey(content.value, decrypter()), plaintext);
    const stranger = PrivateKey.generate(random);
    const other = encryptForKey(plaintext, stranger.publicPoint, new Uint8Array(8), random);
    const decoded = decode(Ieee1609Dot2Data, other).content;
    assert.ok(decoded.type === 'encryptedData');
    assert.throws(() => decryptForKey(decoded.value, decrypter()), isNotOpened);
  });

  test('refuses an altered tag, key and P1 as decryption-failed', () => {
    const wrapped = eciesWrap(key.publicPoint, new Uint8Array(16).fill(7), SHA256_EMPTY, random);
    assert.deepEqual(decrypter().unwrap(wrapped, SHA256_EMPTY), new Uint8Array(16).fill(7));
    const changed = (octets: Uint8Array) => octets.map((octet, n) => (n === 3 ? octet ^ 1 : octet));
    const failed = { name: 'CryptoError', code: 'decryption-failed' };
    for (const altered of [
      { ...wrapped, t: changed(wrapped.t) },
      { ...wrapped, c: changed(wrapped.c) },
      { ...wrapped, c: wrapped.c.subarray(1) },
    ]) {
      assert.throws(() => decrypter().unwrap(altered, SHA256_EMPTY), failed);
    }
    assert.throws(() => decrypter().unwrap(wrapped, new Uint8Array(32)), failed);
  });
}

function isNotOpened(error: unknown): boolean {
  return error instanceof Ieee1609Dot2Error && error.code === 'decryption-failed';
}
