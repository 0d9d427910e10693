import { formatEntryName, formatHex } from '@chrysalis/scms';
import { zipSync } from 'fflate';

/** Where the batch of a device for a period lies: by period first, so that a period is dropped whole. */
export function batchKey(i: number, requestHash: Uint8Array): string {
  return `${i}/${formatHex(requestHash)}.zip`;
}

/**
 * The zip of one i-period: flat, stored, entries `<I>_<J>` in upper-case hex in the order of j (section 1.5).
 *
 * @param responses SignedEncryptedCertificateResponse, COER, by j from 0
 */
export function zipBatch(i: number, responses: readonly Uint8Array[]): Uint8Array {
  const entries = responses.map((octets, j) => [formatEntryName(i, j), octets] as const);
  // Fixed, so that the same certificates always make the same file. ZIP knows no time zone: midnight where we are.
  const mtime = new Date(1980, 0, 1);
  return zipSync(Object.fromEntries(entries), { level: 0, mtime });
}
