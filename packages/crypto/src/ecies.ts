import { CryptoError, expectLength } from './errors.ts';
import { hmacSha256 } from './hash.ts';
import { kdf2Sha256 } from './kdf2.ts';
import { PrivateKey } from './keys.ts';
import { xorOctets } from './octets.ts';
import type { Point } from './point.ts';
import type { Random } from './random.ts';
import { equalConstantTime } from './secret.ts';

/*
 * ECIES as 1609.2 §5.3.5 takes it from IEEE 1363a-2004 §11.3 (DHAES mode off, stream cipher based on
 * KDF2, MAC1 with a tag of 16 octets): it wraps one AES-128 key for a recipient.
 */

const KEY_OCTETS = 16;
const MAC_KEY_OCTETS = 32;
const TAG_OCTETS = 16;
const P1_OCTETS = 32;

/** The private half of an ECDH agreement: a `PrivateKey`, or a key that lives elsewhere, as in a hardware module. */
export interface KeyAgreement {
  /** The x of the shared point, 32 octets, big-endian (SP 800-56A §5.7.1.2); `peer` is on the curve. */
  ecdh(peer: Point): Uint8Array;
}

/** A wrapped key (EciesP256EncryptedKey of 1609.2). */
export interface EciesCiphertext {
  /** The sender's ephemeral public key. */
  readonly v: Point;
  /** The key, encrypted: 16 octets. */
  readonly c: Uint8Array;
  /** The authentication tag: 16 octets. */
  readonly t: Uint8Array;
}

/**
 * Wraps a key of 16 octets for the holder of `recipient`.
 *
 * @param p1 32 octets: SHA-256 of the recipient's certificate, or `SHA256_EMPTY` where the key comes
 *   from no certificate (1609.2 §5.3.5)
 * @throws CryptoError `invalid-length`: key or p1; `invalid-random`
 */
export function eciesWrap(
  recipient: Point,
  key16: Uint8Array,
  p1: Uint8Array,
  random: Random,
): EciesCiphertext {
  expectLength('key to wrap', key16, KEY_OCTETS);
  expectLength('P1', p1, P1_OCTETS);
  const ephemeral = PrivateKey.generate(random);
  const { streamKey, macKey } = deriveKeys(ephemeral.ecdh(recipient), p1);
  const c = xorOctets(key16, streamKey);
  return { v: ephemeral.publicPoint, c, t: authenticate(macKey, c) };
}

/**
 * Unwraps a key.
 *
 * @param p1 32 octets, as for `eciesWrap`
 * @returns 16 octets
 * @throws CryptoError `decryption-failed`: wrapped for another key or another P1, altered, or c or t
 *   of a wrong length; `invalid-length`: p1
 */
export function eciesUnwrap(
  recipient: KeyAgreement,
  ciphertext: EciesCiphertext,
  p1: Uint8Array,
): Uint8Array {
  expectLength('P1', p1, P1_OCTETS);
  const { v, c, t } = ciphertext;
  if (c.length !== KEY_OCTETS) {
    throw new CryptoError(
      'decryption-failed',
      `wrapped key: expected ${KEY_OCTETS} octets, saw ${c.length}`,
    );
  }
  const { streamKey, macKey } = deriveKeys(recipient.ecdh(v), p1);
  if (!equalConstantTime(authenticate(macKey, c), t)) {
    throw new CryptoError('decryption-failed', 'wrapped key: expected a matching tag');
  }
  return xorOctets(c, streamKey);
}

function deriveKeys(
  sharedSecret: Uint8Array,
  p1: Uint8Array,
): { streamKey: Uint8Array; macKey: Uint8Array } {
  const derived = kdf2Sha256(sharedSecret, p1, KEY_OCTETS + MAC_KEY_OCTETS);
  return { streamKey: derived.subarray(0, KEY_OCTETS), macKey: derived.subarray(KEY_OCTETS) };
}

/** MAC1 of IEEE 1363a-2004 §14.4.1: HMAC-SHA-256, cut to 16 octets; the parameter P2 is empty. */
function authenticate(macKey: Uint8Array, c: Uint8Array): Uint8Array {
  return hmacSha256(macKey, c).slice(0, TAG_OCTETS);
}
