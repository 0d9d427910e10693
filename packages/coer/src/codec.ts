import { CoerError } from './error.ts';
import { DEFAULT_OCTETS, type DecodeLimits, type EncodeLimits } from './limits.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/**
 * One ASN.1 type in Canonical OER (ITU-T X.696 with the canonical choices of its clause 31), both directions.
 * A codec is a constant: it is made once, when its module loads, and holds no state of a message.
 */
export interface Codec<T> {
  /** The ASN.1 name, or a description such as `OCTET STRING (SIZE(8))`: it appears in messages and in `inspect`. */
  readonly name: string;
  /** The fewest octets that any encoding of the type has; bounds what a hostile count can make us allocate. */
  readonly minimumOctets: number;
  /** Reads one value. Octet strings in it are views of the input: copy what must outlive the input buffer. */
  read(reader: Reader): T;
  /** Appends one value. @throws CoerError when the value is outside the type. */
  write(writer: Writer, value: T): void;
}

/** The TypeScript type of the values of a codec. */
export type Value<C> = C extends Codec<infer T> ? T : never;

/**
 * Decodes exactly one value that fills the whole input.
 *
 * @throws CoerError for anything that is not the one canonical encoding of a value of the type; no other error
 *   escapes, whatever the input.
 */
export function decode<T>(codec: Codec<T>, octets: Uint8Array, limits?: DecodeLimits): T {
  const reader = openReader(octets, limits);
  const value = codec.read(reader);
  reader.expectEnd();
  return value;
}

/** A reader at the start of an input that is not too long. */
export function openReader(octets: Uint8Array, limits?: DecodeLimits): Reader {
  const most = limits?.octets ?? DEFAULT_OCTETS;
  if (octets.length > most) {
    throw new CoerError('too-long', `expected at most ${most} octets, saw ${octets.length}`, [], 0);
  }
  return new Reader(octets, limits?.depth, limits?.fields);
}

/** Encodes one value. @throws CoerError when the value is outside the type. */
export function encode<T>(codec: Codec<T>, value: T, limits?: EncodeLimits): Uint8Array {
  const writer = new Writer(limits?.depth);
  codec.write(writer, value);
  return writer.finish();
}
