import type { IncomingHttpHeaders } from 'node:http';
import { isRangeApplicable, parseRange } from './byte-range.ts';
import type { Download } from './download.ts';
import type { Log } from './options.ts';

const OCTET_STREAM = 'application/octet-stream';
const NOTHING = Buffer.alloc(0);

/** How a request for a file is answered. */
export interface FileAnswer {
  readonly status: 200 | 206 | 416;
  readonly headers: Readonly<Record<string, string>>;
  /** A view of the file, not a copy. */
  readonly body: Buffer;
}

/**
 * A file, or the range of it that was asked for (Q18). The log is told the name, in which the request hash stands, and nothing of
 * where the device is.
 */
export function answerWithFile(file: Download, asked: IncomingHttpHeaders, log: Log): FileAnswer {
  const { octets, name, etag } = file;
  const range = etag === undefined ? 'whole' : rangeOf(asked, etag, octets.length);
  const headers: Record<string, string> = {
    'content-type': OCTET_STREAM,
    'content-disposition': `attachment; filename="${name}"`,
    // What changes under its name has no parts that would fit together.
    ...(etag !== undefined && { 'accept-ranges': 'bytes', etag }),
  };
  if (range === 'unsatisfiable') {
    log.debug({ file: name, status: 416 }, 'no such range');
    file.onAnswer?.(416, 0);
    headers['content-range'] = `bytes */${octets.length}`;
    return { status: 416, headers, body: NOTHING };
  }
  if (range === 'whole') {
    log.debug({ file: name, status: 200, octets: octets.length }, 'file served');
    file.onAnswer?.(200, octets.length);
    return { status: 200, headers, body: view(octets) };
  }
  const { first, last } = range;
  log.debug({ file: name, status: 206, first, octets: last - first + 1 }, 'file served');
  file.onAnswer?.(206, last - first + 1);
  headers['content-range'] = `bytes ${first}-${last}/${octets.length}`;
  return { status: 206, headers, body: view(octets.subarray(first, last + 1)) };
}

function rangeOf(
  { range, 'if-range': ifRange }: IncomingHttpHeaders,
  etag: string,
  length: number,
): ReturnType<typeof parseRange> {
  const condition = Array.isArray(ifRange) ? ifRange.join() : ifRange;
  return isRangeApplicable(condition, etag) ? parseRange(range, length) : 'whole';
}

function view(octets: Uint8Array): Buffer {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length);
}
