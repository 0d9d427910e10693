import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto';
import { CryptoError, expectLength } from './errors.ts';
import { concatOctets, ownOctets } from './octets.ts';

/*
 * AES-128-CCM with the parameters of 1609.2 §5.3.8 (SP 800-38C): a nonce of 12 octets, therefore a
 * length field of 3; a tag of 16 octets after the ciphertext; no associated data.
 *
 * The key goes in as a KeyObject: given bare octets, Node 24 finds out that they are none by way of
 * two exceptions, which cost 12 microseconds; to make one costs 1.
 */

const ALGORITHM = 'aes-128-ccm';
const KEY_OCTETS = 16;
const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;
/** What a length field of three octets can say (SP 800-38C A.1). */
const MAXIMUM_PLAINTEXT_OCTETS = 2 ** 24 - 1;

/**
 * Encrypts and authenticates. The pair of key and nonce must never repeat.
 *
 * @param key 16 octets
 * @param nonce 12 octets
 * @returns ciphertext || tag: 16 octets longer than the plaintext
 * @throws CryptoError `invalid-length`: key, nonce, or a plaintext of 2^24 octets or more
 */
export function ccmSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  expectLength('CCM key', key, KEY_OCTETS);
  expectLength('CCM nonce', nonce, NONCE_OCTETS);
  if (plaintext.length > MAXIMUM_PLAINTEXT_OCTETS) {
    throw new CryptoError(
      'invalid-length',
      `CCM plaintext: expected at most ${MAXIMUM_PLAINTEXT_OCTETS} octets, saw ${plaintext.length}`,
    );
  }
  const cipher = createCipheriv(ALGORITHM, createSecretKey(key), nonce, {
    authTagLength: TAG_OCTETS,
  });
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return concatOctets(ciphertext, cipher.getAuthTag());
}

/**
 * Authenticates and decrypts.
 *
 * @param ciphertextAndTag what `ccmSeal` gave
 * @throws CryptoError `decryption-failed`: a wrong tag, or too few octets for one, or too many for
 *   CCM; `invalid-length`: key or nonce
 */
export function ccmOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  ciphertextAndTag: Uint8Array,
): Uint8Array {
  expectLength('CCM key', key, KEY_OCTETS);
  expectLength('CCM nonce', nonce, NONCE_OCTETS);
  const ciphertextOctets = ciphertextAndTag.length - TAG_OCTETS;
  if (ciphertextOctets < 0 || ciphertextOctets > MAXIMUM_PLAINTEXT_OCTETS) {
    throw new CryptoError(
      'decryption-failed',
      `CCM ciphertext: expected at least a tag of 16 octets, saw ${ciphertextAndTag.length}`,
    );
  }
  const decipher = createDecipheriv(ALGORITHM, createSecretKey(key), nonce, {
    authTagLength: TAG_OCTETS,
  });
  decipher.setAuthTag(ciphertextAndTag.subarray(ciphertextOctets));
  try {
    const plaintext = decipher.update(ciphertextAndTag.subarray(0, ciphertextOctets));
    decipher.final();
    return ownOctets(plaintext);
  } catch (cause) {
    throw new CryptoError('decryption-failed', 'CCM ciphertext: expected a matching tag', {
      cause,
    });
  }
}
