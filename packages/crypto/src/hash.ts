import { hash } from 'node:crypto';
import { concatOctets, ownOctets } from './octets.ts';

/** The block of SHA-256 in octets (FIPS 180-4 §1), which HMAC pads its key to. */
const BLOCK_OCTETS = 64;

/**
 * SHA-256 of the concatenation of `parts`: 32 octets (FIPS 180-4). Without parts, of the empty
 * string.
 */
export function sha256(...parts: Uint8Array[]): Uint8Array {
  // The one-shot call costs half of createHash, so even several parts go through it.
  const [first] = parts;
  const data = parts.length === 1 && first !== undefined ? first : concatOctets(...parts);
  return ownOctets(hash('sha256', data, 'buffer'));
}

/**
 * SHA-256 of the empty string. IEEE 1609.2 §5.3.1 uses it as the signer part of a self-signed hash,
 * and §5.3.5 as the P1 of an ECIES encryption to a key that no certificate holds. Read only.
 */
export const SHA256_EMPTY: Uint8Array = sha256();

/**
 * HMAC-SHA-256 with its full tag of 32 octets (FIPS 198-1, RFC 2104), for a key of any length.
 *
 * Written out over `sha256` because Node's createHmac costs about 13 microseconds an object, and a
 * message here is 16 octets (MAC1 of ECIES).
 */
export function hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK_OCTETS);
  block.set(key.length > BLOCK_OCTETS ? sha256(key) : key);
  const innerKey = block.map((octet) => octet ^ 0x36);
  const outerKey = block.map((octet) => octet ^ 0x5c);
  return sha256(outerKey, sha256(innerKey, data));
}
