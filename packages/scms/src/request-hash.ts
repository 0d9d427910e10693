import { sha256 } from '@chrysalis/crypto';
import { type HashedId8, hashedId8 } from '@chrysalis/ieee1609dot2';

/** The name by which the RA and a device refer to a provisioning request; 8 octets. */
export type RequestHash = HashedId8;

/**
 * The request hash of CAMP: low-order 8 octets of the SHA-256 of the whole POST body, the encrypted PDU as it
 * travelled (Q1; verified on recorded acknowledgements).
 */
export function requestHash(body: Uint8Array): RequestHash {
  return hashedId8(sha256(body));
}
