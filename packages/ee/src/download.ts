import { EeError, hasCode } from './error.ts';
import type { RaResponse, RaTransport } from './ra-transport.ts';
import { expectStatus, forEachPart } from './response-body.ts';

/** Port: what is left of an interrupted download. */
export interface PartialFile {
  /** What has arrived, and the ETag it belongs to; undefined when there is nothing to go on from. */
  load(): Promise<{ readonly octets: Uint8Array; readonly etag: string } | undefined>;
  /** Forgets what has arrived and starts anew, under an ETag if the RA gave one. */
  begin(etag: string | undefined): Promise<void>;
  append(octets: Uint8Array): Promise<void>;
}

export interface DownloadOptions {
  readonly transport: RaTransport;
  readonly url: URL;
  /** Makes the value of Download-Req; called when the connection is there. */
  readonly downloadReq: () => string;
  readonly partial: PartialFile;
  readonly maxOctets: number;
  readonly signal?: AbortSignal;
}

/**
 * One attempt at a file: from where the last one broke off, if that is certain to be the same file.
 * The range is asked for with If-Range, so that a file which has changed comes whole (RFC 9110
 * §13.1.5); a part without an ETag is not resumed.
 *
 * Whatever arrives is in `partial` when this throws: call again, with a fresh header.
 *
 * @throws EeError `refused` (HTTP 500: not there yet, or not for us), `unexpected-response`,
 *   `too-large`, and what the transport throws
 */
export async function downloadOnce(options: DownloadOptions): Promise<Uint8Array> {
  const { transport, url, downloadReq, partial, signal } = options;
  const held = await partial.load();
  const response = await transport.exchange(
    {
      method: 'GET',
      url,
      message: () => ({
        headers: {
          'Download-Req': downloadReq(),
          'Accept-Encoding': 'identity',
          ...(held && { Range: `bytes=${held.octets.length}-`, 'If-Range': held.etag }),
        },
      }),
    },
    signal,
  );
  if (held !== undefined && response.status === 416) {
    // The file is shorter than what we hold: it is not the same one.
    response.discard();
    await partial.begin(undefined);
    throw new EeError('interrupted', 'expected to resume the download, saw HTTP 416');
  }
  expectStatus(response, held === undefined ? [200] : [200, 206], 'download');
  if (held !== undefined && response.status === 206) return resume(options, response, held);
  await partial.begin(strongEtag(response));
  return collect(options, response, new Uint8Array(0), contentLength(response));
}

async function resume(
  options: DownloadOptions,
  response: RaResponse,
  held: { readonly octets: Uint8Array; readonly etag: string },
): Promise<Uint8Array> {
  const start = held.octets.length;
  const total = totalOfRange(response, start);
  const { etag = held.etag, 'content-range': range = 'none' } = response.headers;
  if (total === undefined || etag !== held.etag) {
    response.discard();
    await options.partial.begin(undefined);
    throw new EeError(
      'interrupted',
      `expected octets ${start} to the end of ${held.etag}, saw ` +
        `${JSON.stringify(range)} of ${JSON.stringify(etag)}`,
    );
  }
  return collect(options, response, held.octets, total);
}

async function collect(
  { partial, maxOctets }: DownloadOptions,
  response: RaResponse,
  held: Uint8Array,
  total: number | undefined,
): Promise<Uint8Array> {
  const parts = [held];
  try {
    await forEachPart(response, maxOctets - held.length, async (part) => {
      parts.push(part);
      await partial.append(part);
    });
  } catch (error) {
    // Nothing good will ever come of this part.
    if (hasCode(error, 'too-large')) await partial.begin(undefined);
    throw error;
  }
  const whole = new Uint8Array(Buffer.concat(parts));
  if (total !== undefined && whole.length !== total) {
    // More than the whole cannot be gone on from; less can.
    if (whole.length > total) await partial.begin(undefined);
    throw new EeError('interrupted', `expected ${total} octets, saw ${whole.length}`);
  }
  return whole;
}

/** The size of the file, if the range is the one that was asked for (RFC 9110 §14.4). */
function totalOfRange(response: RaResponse, start: number): number | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(
    response.headers['content-range'] ?? '',
  );
  if (match === null) return undefined;
  const [first, last, total] = match.slice(1).map(Number);
  if (first !== start || total === undefined || last !== total - 1) return undefined;
  return total;
}

function contentLength(response: RaResponse): number | undefined {
  const text = response.headers['content-length'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Weak ones compare files that mean the same, not files that are the same octet for octet (RFC 9110 §8.8.1). */
function strongEtag(response: RaResponse): string | undefined {
  const etag = response.headers.etag;
  return etag !== undefined && /^"[!#-~]{1,128}"$/.test(etag) ? etag : undefined;
}
