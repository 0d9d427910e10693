import type { Codec } from './codec.ts';
import { show } from './error.ts';
import type { Reader } from './reader.ts';
import { signedWidth, unsignedWidth } from './writer.ts';

/** Bounds of an INTEGER; a missing bound is MIN or MAX. */
export interface IntegerBounds<N extends number | bigint> {
  readonly min?: N;
  readonly max?: N;
}

/** Longest variable-size bigint: the modulus of the largest RSA key in use has half of it. */
const MAX_BIG_OCTETS = 1024;

/**
 * INTEGER as a JavaScript number, X.696 §10. Bounds choose the form: a fixed word of 1, 2 or 4 octets, or a length
 * and the fewest octets. A form without bounds still ends at ±(2^53 - 1): nothing in the SCMS counts further, and a
 * larger value is refused rather than rounded. Use {@link bigInteger} for 8-octet words.
 */
export function integer(bounds: IntegerBounds<number> = {}): Codec<number> {
  const { min, max } = bounds;
  const name = rangeName(min, max);
  const low = min ?? Number.MIN_SAFE_INTEGER;
  const high = max ?? Number.MAX_SAFE_INTEGER;
  const size = wordSize(min, max);
  if (size === 8) throw new TypeError(`${name} needs 8 octets: use bigInteger`);
  const signed = min === undefined || min < 0;

  return {
    name,
    minimumOctets: size === 0 ? 2 : size,
    read(reader) {
      const at = reader.offset;
      const value = size === 0 ? readVariable(reader, signed) : readWord(reader, size, signed);
      if (value < low || value > high) {
        reader.fail('out-of-range', `expected ${name}, saw ${value}`, at);
      }
      return value;
    },
    write(writer, value) {
      if (!Number.isSafeInteger(value) || value < low || value > high) {
        writer.fail('out-of-range', `expected ${name}, saw ${show(value)}`);
      }
      if (size !== 0) return writer.unsigned(value, size);
      const width = signed ? signedWidth(value) : unsignedWidth(value);
      writer.lengthOf(width);
      writer.unsigned(value, width);
    },
  };
}

/** INTEGER as a bigint: for 8-octet words, and for numbers of up to {@link MAX_BIG_OCTETS} (X.696 §10). */
export function bigInteger(bounds: IntegerBounds<bigint> = {}): Codec<bigint> {
  const { min, max } = bounds;
  const name = rangeName(min, max);
  const size = wordSize(min, max);
  const signed = min === undefined || min < 0n;
  const isOutside = (value: bigint) =>
    (min !== undefined && value < min) || (max !== undefined && value > max);

  return {
    name,
    minimumOctets: size === 0 ? 2 : size,
    read(reader) {
      const at = reader.offset;
      const octets = reader.take(size === 0 ? variableSize(reader, signed) : size);
      if (octets.length > MAX_BIG_OCTETS) {
        reader.fail('too-long', `expected ${MAX_BIG_OCTETS} octets, saw ${octets.length}`, at);
      }
      const magnitude = toBigInt(octets);
      const value = signed ? BigInt.asIntN(octets.length * 8, magnitude) : magnitude;
      if (isOutside(value)) {
        reader.fail('out-of-range', `expected ${name}, saw ${show(value)}`, at);
      }
      return value;
    },
    write(writer, value) {
      if (typeof value !== 'bigint' || isOutside(value)) {
        writer.fail('out-of-range', `expected ${name}, saw ${show(value)}`);
      }
      const width = size === 0 ? bigWidth(value, signed) : size;
      if (width > MAX_BIG_OCTETS) {
        writer.fail('too-long', `expected ${MAX_BIG_OCTETS} octets, saw ${width}`);
      }
      if (size === 0) writer.lengthOf(width);
      writer.put(fromBigInt(value, width));
    },
  };
}

/** The fixed word of X.696 §10.3 (unsigned) and §10.4 (signed) in octets, or 0 for the variable form. */
function wordSize(min: number | bigint | undefined, max: number | bigint | undefined): number {
  if (min === undefined || max === undefined) return 0;
  for (const size of [1, 2, 4, 8]) {
    const span = 1n << BigInt(8 * size);
    if (min >= 0 ? BigInt(max) < span : BigInt(min) >= -span / 2n && BigInt(max) < span / 2n) {
      return size;
    }
  }
  return 0;
}

function readWord(reader: Reader, size: number, signed: boolean): number {
  const value = reader.unsigned(size);
  return signed && value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value;
}

function readVariable(reader: Reader, signed: boolean): number {
  const at = reader.offset;
  const start = reader.skip(variableSize(reader, signed));
  const negative = signed && (reader.octets[start] as number) >= 0x80;
  // Two's complement from the top: -1 extends the sign without a special case.
  let value = negative ? -1 : 0;
  for (let i = start; i < reader.offset; i++) {
    value = value * 256 + (reader.octets[i] as number);
    if (!Number.isSafeInteger(value)) {
      reader.fail('out-of-range', 'expected an integer within ±(2^53 - 1)', at);
    }
  }
  return value;
}

/** The length of a variable-size integer. Canonical (X.696 §31.4): no leading octet that says nothing. */
function variableSize(reader: Reader, signed: boolean): number {
  const at = reader.offset;
  const size = reader.length();
  if (size === 0) reader.fail('non-canonical-integer', 'expected an integer', at);
  if (size === 1 || reader.remaining < size) return size;
  const first = reader.octets[reader.offset] as number;
  const second = reader.octets[reader.offset + 1] as number;
  const redundant = signed
    ? (first === 0 && second < 0x80) || (first === 0xff && second >= 0x80)
    : first === 0;
  if (redundant) reader.fail('non-canonical-integer', 'expected the fewest octets', at);
  return size;
}

function toBigInt(octets: Uint8Array): bigint {
  let hex = '0x0';
  for (const octet of octets) hex += octet.toString(16).padStart(2, '0');
  return BigInt(hex);
}

function fromBigInt(value: bigint, width: number): Uint8Array {
  const hex = BigInt.asUintN(width * 8, value)
    .toString(16)
    .padStart(width * 2, '0');
  const octets = new Uint8Array(width);
  for (let i = 0; i < width; i++) octets[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return octets;
}

function bigWidth(value: bigint, signed: boolean): number {
  const magnitude = value < 0n ? -value - 1n : value;
  const bits = magnitude === 0n ? 0 : magnitude.toString(2).length;
  return Math.max(1, Math.ceil((bits + (signed ? 1 : 0)) / 8));
}

function rangeName(min: number | bigint | undefined, max: number | bigint | undefined): string {
  if (min === undefined && max === undefined) return 'INTEGER';
  return `INTEGER (${min ?? 'MIN'}..${max ?? 'MAX'})`;
}
