import { ScmsDataError } from './error.ts';
import type { RequestHash } from './request-hash.ts';

/** A file that an EE names in an AuthenticatedDownloadRequest. */
export type DownloadFile =
  /** `<request hash>_<i>.zip`: the certificates of one i-period, or identification certificate number i. */
  | { readonly type: 'batch'; readonly requestHash: RequestHash; readonly i: number }
  /** `<request hash>.info`: when the next batch will be there. */
  | { readonly type: 'info'; readonly requestHash: RequestHash }
  /** `<request hash>.zip`: one application certificate. */
  | { readonly type: 'application'; readonly requestHash: RequestHash };

/** Case counts nowhere: CAMP writes upper case, fielded devices send the hash in lower case. */
const NAME = /^([0-9a-f]{16})(?:_([0-9a-f]{1,8}))?\.(zip|info)$/i;

/** @throws ScmsDataError `invalid-file-name` */
export function parseFileName(name: string): DownloadFile {
  const [, hash, i, extension] = NAME.exec(name) ?? [];
  if (hash === undefined || extension === undefined) {
    throw new ScmsDataError(
      'invalid-file-name',
      `expected a download file name, saw ${quote(name)}`,
    );
  }
  const requestHash = new Uint8Array(Buffer.from(hash, 'hex'));
  if (extension.toLowerCase() === 'info') {
    if (i === undefined) return { type: 'info', requestHash };
    throw new ScmsDataError('invalid-file-name', `expected no i in ${quote(name)}`);
  }
  if (i === undefined) return { type: 'application', requestHash };
  return { type: 'batch', requestHash, i: Number.parseInt(i, 16) };
}

/** The canonical name: upper-case hex, i without leading zeros, extension in lower case. */
export function formatFileName(file: DownloadFile): string {
  const hash = formatHex(file.requestHash);
  switch (file.type) {
    case 'batch':
      return `${hash}_${formatIndex(file.i)}.zip`;
    case 'info':
      return `${hash}.info`;
    case 'application':
      return `${hash}.zip`;
  }
}

/** The entry of certificate j in the batch of period i: `1A9_0` to `1A9_13`. */
export function formatEntryName(i: number, j: number): string {
  return `${formatIndex(i)}_${formatIndex(j)}`;
}

/** The i and j of an entry name, in either case; undefined when it is none. */
export function parseEntryName(
  name: string,
): { readonly i: number; readonly j: number } | undefined {
  const [, i, j] = /^([0-9a-f]{1,8})_([0-9a-f]{1,8})$/i.exec(name) ?? [];
  if (i === undefined || j === undefined) return undefined;
  return { i: Number.parseInt(i, 16), j: Number.parseInt(j, 16) };
}

export function formatHex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex').toUpperCase();
}

function formatIndex(index: number): string {
  return index.toString(16).toUpperCase();
}

/** Names come from strangers: show them without control characters, and not at any length. */
function quote(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}
