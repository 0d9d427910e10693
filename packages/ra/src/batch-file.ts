import { formatEntryName, formatHex, type IPeriodClock } from '@chrysalis/scms';
import { zipSync } from 'fflate';
import type { Device } from './device-registry.ts';
import { periodOf } from './validity.ts';

/** The part of a device's row that names its files. */
export type FileOwner = Pick<
  Device,
  'kind' | 'request_hash' | 'files_hash' | 'first_start' | 'lifetime_sec' | 'period_sec'
>;

/** Where file number i of a device lies: by the period that it is over with first, so that a period is dropped whole. */
export function fileKey(owner: FileOwner, i: number, iPeriod: IPeriodClock): string {
  const hash = formatHex(owner.files_hash ?? owner.request_hash);
  const name = owner.kind === 'identification' ? `${hash}_${formatIndex(i)}` : hash;
  // 256 directories: one would hold the files of a whole fleet.
  return `${periodOf(owner, i, iPeriod)}/${hash.slice(0, 2)}/${name}.zip`;
}

/** The zip of file number i of a device (sections 1.5, 1.9, 1.10). */
export function zipFile(owner: FileOwner, i: number, responses: readonly Uint8Array[]): Uint8Array {
  if (owner.kind === 'pseudonym') return zipBatch(i, responses);
  const hash = formatHex(owner.request_hash);
  const name = owner.kind === 'identification' ? `${hash}_${formatIndex(i)}` : hash;
  return zipStored(responses.map((octets) => [name, octets] as const));
}

/**
 * The zip of one i-period: flat, stored, entries `<I>_<J>` in upper-case hex in the order of j (section 1.5).
 *
 * @param responses SignedEncryptedCertificateResponse, COER, by j from 0
 */
export function zipBatch(i: number, responses: readonly Uint8Array[]): Uint8Array {
  return zipStored(responses.map((octets, j) => [formatEntryName(i, j), octets] as const));
}

/**
 * Whether octets are a zip of ours to its end: the end of central directory record, which is its last 22 octets, is where the
 * central directory ends (APPNOTE 4.3.16). What a disk has cut off is not.
 */
export function isWholeZip(octets: Uint8Array): boolean {
  if (octets.length < END_RECORD_OCTETS) return false;
  const end = octets.length - END_RECORD_OCTETS;
  const view = new DataView(octets.buffer, octets.byteOffset + end, END_RECORD_OCTETS);
  const [size, offset] = [view.getUint32(12, true), view.getUint32(16, true)];
  return view.getUint32(0, true) === END_SIGNATURE && offset + size === end;
}

const END_RECORD_OCTETS = 22;
const END_SIGNATURE = 0x06054b50;

function zipStored(entries: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  // Fixed, so that the same certificates always make the same file. ZIP knows no time zone: midnight where we are.
  const mtime = new Date(1980, 0, 1);
  return zipSync(Object.fromEntries(entries), { level: 0, mtime });
}

function formatIndex(index: number): string {
  return index.toString(16).toUpperCase();
}
