import { CryptoError } from './errors.ts';
import { sha256Secret } from './hash.ts';
import { concatOctets } from './octets.ts';

const HASH_OCTETS = 32;
/** Far above the 48 octets of 1609.2, far below the 2^32 blocks at which the counter would wrap. */
const MAXIMUM_OCTETS = 4096;

/**
 * KDF2 with SHA-256 (IEEE 1363a-2004 §13.2; the same as ANSI X9.63): SHA-256(Z || counter || P1) for
 * a 32-bit counter from 1, cut to `length` octets.
 *
 * @throws CryptoError `invalid-length`: a length outside 0..4096
 */
export function kdf2Sha256(sharedSecret: Uint8Array, p1: Uint8Array, length: number): Uint8Array {
  if (!Number.isInteger(length) || length < 0 || length > MAXIMUM_OCTETS) {
    throw new CryptoError(
      'invalid-length',
      `derived key: expected 0..${MAXIMUM_OCTETS} octets, saw ${length}`,
    );
  }
  const blocks: Uint8Array[] = [];
  for (let counter = 1; (counter - 1) * HASH_OCTETS < length; counter += 1) {
    const counterOctets = Uint8Array.of(counter >> 24, counter >> 16, counter >> 8, counter);
    blocks.push(sha256Secret(sharedSecret, counterOctets, p1));
  }
  return concatOctets(...blocks).slice(0, length);
}
