/** A part of a file that is sent, both ends inclusive. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * What a Range header asks of a file of `length` octets, RFC 9110 §14.2 (Q18): one range of octets. `whole` for no
 * header, another unit, several ranges or a header that makes no sense, which the RFC lets a server ignore;
 * `unsatisfiable` when the range starts behind the end.
 */
export function parseRange(
  header: string | undefined,
  length: number,
): ByteRange | 'whole' | 'unsatisfiable' {
  const [, start, end] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header?.trim() ?? '') ?? [];
  if (start === undefined || end === undefined || (start === '' && end === '')) return 'whole';
  if (start === '') {
    const suffix = Number(end);
    if (suffix === 0 || length === 0) return 'unsatisfiable';
    return { first: Math.max(0, length - suffix), last: length - 1 };
  }
  const first = Number(start);
  const last = end === '' ? length - 1 : Math.min(Number(end), length - 1);
  if (end !== '' && Number(end) < first) return 'whole';
  return first >= length ? 'unsatisfiable' : { first, last };
}

/** Whether a Range still applies: no If-Range, or one that names this very version (RFC 9110 §13.1.5, strong). */
export function isRangeApplicable(ifRange: string | undefined, etag: string | undefined): boolean {
  return ifRange === undefined || ifRange.trim() === etag;
}
