import { EeError } from './error.ts';
import { JsonRecord, jsonOctets, toHex } from './json-record.ts';
import type { RaResponse, RaTransport } from './ra-transport.ts';
import { expectStatus, readBody } from './response-body.ts';

/** A policy, chain or revocation file as it came, under the name by which it is asked for again. */
export interface RaFile {
  readonly name: string;
  readonly octets: Uint8Array;
  /** With a chain file: certificates of those before it that it leaves out, COER. */
  readonly former?: readonly Uint8Array[];
}

/** What came of asking for a file. */
export type RaFileAnswer =
  | { readonly type: 'new'; readonly file: RaFile }
  /** HTTP 304: the one that is held. */
  | { readonly type: 'unchanged' };

export interface RaFileOptions {
  readonly transport: RaTransport;
  readonly url: URL;
  /** The file that is held, if any. */
  readonly held: RaFile | undefined;
  readonly maxOctets: number;
  readonly signal?: AbortSignal;
}

/**
 * Asks for a file that anybody may have (sheet 1.11, 1.12, C1): a plain GET, with If-None-Match when
 * one is held.
 *
 * @throws EeError `refused` (HTTP 500: the RA is not ready, or has no such file), `unexpected-response`, `too-large`, and what
 *   the transport throws
 */
export async function fetchRaFile(options: RaFileOptions): Promise<RaFileAnswer> {
  const { transport, url, held, maxOctets, signal } = options;
  const response = await transport.exchange(
    {
      method: 'GET',
      url,
      message: () => ({
        headers: {
          'Accept-Encoding': 'identity',
          ...(held && { 'If-None-Match': `"${held.name}"` }),
        },
      }),
    },
    signal,
  );
  if (response.status === 304 && held !== undefined) {
    await readBody(response, 0);
    return { type: 'unchanged' };
  }
  expectStatus(response, [200], 'file');
  const name = fileNameOf(response);
  return { type: 'new', file: { name, octets: await readBody(response, maxOctets) } };
}

/** The name in Content-Disposition, in quotes as CAMP has it or without; it goes into our next request. */
function fileNameOf(response: RaResponse): string {
  const disposition = response.headers['content-disposition'] ?? '';
  const [, quoted, bare] = /;\s*filename\s*=\s*(?:"([^"]*)"|([^\s;"]+))/i.exec(disposition) ?? [];
  const name = quoted ?? bare ?? '';
  if (/^[\w.-]{1,128}$/.test(name)) return name;
  response.discard();
  throw new EeError(
    'unexpected-response',
    `expected a file name in Content-Disposition, saw ${JSON.stringify(disposition.slice(0, 80))}`,
  );
}

export function encodeRaFile({ name, octets, former }: RaFile): Uint8Array {
  return jsonOctets({ name, octets: toHex(octets), ...(former && { former: former.map(toHex) }) });
}

/** @throws EeError `profile-damaged` */
export function decodeRaFile(where: string, octets: Uint8Array): RaFile {
  const record = JsonRecord.parse(where, octets);
  const file = { name: record.text('name'), octets: record.octets('octets') };
  return record.has('former') ? { ...file, former: record.octetsList('former') } : file;
}
