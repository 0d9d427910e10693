import type { Codec } from './codec.ts';
import { show } from './error.ts';
import type { Writer } from './writer.ts';

/** A SIZE constraint. Equal bounds make a fixed size, which is encoded without a length. */
export interface SizeBounds {
  readonly min?: number;
  readonly max?: number;
}

/** OCTET STRING, X.696 §14: `octetString(8)` is fixed, `octetString({ min, max })` bounded, `octetString()` open. */
export function octetString(size?: number | SizeBounds): Codec<Uint8Array> {
  const { min = 0, max } = typeof size === 'number' ? { min: size, max: size } : (size ?? {});
  const fixed = max === min;
  const name = sizeName('OCTET STRING', min, max);
  const isWithin = (length: number) => length >= min && length <= (max ?? Infinity);
  return {
    name,
    minimumOctets: fixed ? min : min + 1,
    read(reader) {
      const at = reader.offset;
      const length = fixed ? min : reader.length();
      if (!isWithin(length)) {
        reader.fail('out-of-range', `expected ${name}, saw ${length} octets`, at);
      }
      return reader.take(length);
    },
    write(writer, value) {
      if (!(value instanceof Uint8Array) || !isWithin(value.length)) {
        writer.fail('out-of-range', `expected ${name}, saw ${show(value)}`);
      }
      if (!fixed) writer.lengthOf(value.length);
      writer.put(value);
    },
  };
}

/** BIT STRING of a fixed size in bits, X.696 §13.2: whole octets, the first bit on top, unused bits zero. */
export function bitString(bits: number): Codec<Uint8Array> {
  const size = Math.ceil(bits / 8);
  const paddingMask = (1 << (size * 8 - bits)) - 1;
  const name = `BIT STRING (SIZE(${bits}))`;
  const isPadded = (octets: Uint8Array) => ((octets[size - 1] ?? 0) & paddingMask) !== 0;
  return {
    name,
    minimumOctets: size,
    read(reader) {
      const at = reader.offset;
      const octets = reader.take(size);
      if (isPadded(octets)) {
        reader.fail('non-zero-padding', `expected the unused bits of ${name} to be zero`, at);
      }
      return octets;
    },
    write(writer, value) {
      if (!(value instanceof Uint8Array) || value.length !== size || isPadded(value)) {
        writer.fail('out-of-range', `expected ${name} with zero padding, saw ${show(value)}`);
      }
      writer.put(value);
    },
  };
}

const UTF8_DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const UTF8_ENCODER = new TextEncoder();

/** UTF8String, X.696 §27: a length in octets and the text; the bounds count characters, as SIZE does in ASN.1. */
export function utf8String(bounds: SizeBounds = {}): Codec<string> {
  const { min = 0, max } = bounds;
  const name = sizeName('UTF8String', min, max);
  const isWithin = (count: number) => count >= min && count <= (max ?? Infinity);
  return {
    name,
    minimumOctets: min + 1,
    read(reader) {
      const at = reader.offset;
      const octets = reader.take(reader.length());
      const count = countCharacters(octets);
      if (!isWithin(count)) {
        reader.fail('out-of-range', `expected ${name}, saw ${count} characters`, at);
      }
      try {
        return UTF8_DECODER.decode(octets);
      } catch {
        return reader.fail('invalid-utf8', `expected ${name}, saw octets that are not UTF-8`, at);
      }
    },
    write(writer, value) {
      if (typeof value !== 'string' || !value.isWellFormed()) {
        writer.fail('out-of-range', `expected ${name}, saw what no UTF-8 encodes`);
      }
      if (isWithin(value.length) && isAscii(value)) return writeAscii(writer, value);
      const octets = UTF8_ENCODER.encode(value);
      const count = countCharacters(octets);
      if (!isWithin(count)) {
        writer.fail('out-of-range', `expected ${name}, saw ${count} characters`);
      }
      writer.lengthOf(octets.length);
      writer.put(octets);
    },
  };
}

/** As host names are. A TextEncoder allocates octets outside the heap for each of them, which costs ten times the writing. */
function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false;
  return true;
}

function writeAscii(writer: Writer, text: string): void {
  writer.lengthOf(text.length);
  for (let i = 0; i < text.length; i++) writer.u8(text.charCodeAt(i));
}

/** Characters as ASN.1 counts them are code points: in UTF-8 each has one octet that is not a continuation. */
function countCharacters(octets: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < octets.length; i++) if (((octets[i] as number) & 0xc0) !== 0x80) count++;
  return count;
}

function sizeName(type: string, min: number, max: number | undefined): string {
  if (max === min) return `${type} (SIZE(${min}))`;
  if (min === 0 && max === undefined) return type;
  return `${type} (SIZE(${min}..${max ?? 'MAX'}))`;
}
