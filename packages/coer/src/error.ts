/** What can be wrong with an encoding, or with a value that is to be encoded. Stable: callers may switch on it. */
export type CoerErrorCode =
  | 'truncated'
  | 'trailing-octets'
  | 'non-canonical-length'
  | 'non-canonical-integer'
  | 'non-zero-padding'
  | 'encoded-default'
  | 'out-of-range'
  | 'invalid-boolean'
  | 'invalid-utf8'
  | 'invalid-tag'
  | 'unknown-alternative'
  | 'invalid-extensions'
  | 'too-deep'
  | 'too-many'
  | 'too-long';

/** The path from the outermost type to the field, as in `tbsRequest.content.eeRa[2]`. */
export type FieldPath = readonly (string | number)[];

/**
 * The only error that this room throws on hostile input. The message says what was expected, what was
 * seen, and where: the field path and, for decoding, the octet offset in the outermost input.
 */
export class CoerError extends Error {
  override readonly name = 'CoerError';
  readonly code: CoerErrorCode;
  readonly path: FieldPath;
  /** Offset in the decoded octets; undefined when the error arose while encoding a value. */
  readonly offset: number | undefined;

  constructor(code: CoerErrorCode, message: string, path: FieldPath, offset?: number) {
    const where = path.length === 0 ? 'at the top' : `in ${formatPath(path)}`;
    super(`${message}, ${where}${offset === undefined ? '' : ` at octet ${offset}`}`);
    this.code = code;
    this.path = [...path];
    this.offset = offset;
  }
}

/** Characters of a value that a message repeats: enough for any number of 64 bits. */
const MAX_SHOWN = 40;

/** A path as text, `tbsRequest.content.eeRa[2]`. */
export function formatPath(path: FieldPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** A value as a message shows it: briefly, and of octets only how many, as they may be secret. */
export function show(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} octets`;
  if (Array.isArray(value)) return `${value.length} elements`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value).slice(0, MAX_SHOWN);
}
