import type { Codec } from './codec.ts';
import { show } from './error.ts';
import type { Reader } from './reader.ts';
import { signedWidth } from './writer.ts';

/** Longest long form that is followed: no type of the SCMS has values beyond its short form. */
const MAX_OCTETS = 4;

/**
 * ENUMERATED with values counted from 0 in listed order, X.696 §11. Of an extensible type, a value that is not
 * listed is kept as its number and encoded again as it came.
 */
export function enumerated<const N extends string>(
  name: string,
  names: readonly N[],
  options?: { readonly extensible?: false },
): Codec<N>;
export function enumerated<const N extends string>(
  name: string,
  names: readonly N[],
  options: { readonly extensible: true },
): Codec<N | number>;
export function enumerated<const N extends string>(
  name: string,
  names: readonly N[],
  options: { readonly extensible?: boolean } = {},
): Codec<N | number> {
  const extensible = options.extensible ?? false;
  return {
    name,
    minimumOctets: 1,
    read(reader) {
      const at = reader.offset;
      const first = reader.u8();
      const value = first < 0x80 ? first : readLongForm(reader, name, first & 0x7f, at);
      const known = names[value];
      if (known !== undefined) return known;
      if (!extensible) reader.fail('out-of-range', `expected a value of ${name}, saw ${value}`, at);
      return value;
    },
    write(writer, value) {
      const number = typeof value === 'number' ? value : names.indexOf(value);
      const isListed = number >= 0 && number < names.length;
      const isKept = extensible && typeof value === 'number';
      if (!Number.isSafeInteger(number) || !(isListed || isKept)) {
        writer.fail('out-of-range', `expected a value of ${name}, saw ${show(value)}`);
      }
      if (number >= 0 && number < 0x80) return writer.u8(number);
      const width = signedWidth(number);
      if (width > MAX_OCTETS) {
        writer.fail('out-of-range', `expected ${name} in 1 to 4 octets, saw ${number}`);
      }
      writer.u8(0x80 | width);
      writer.unsigned(number, width);
    },
  };
}

/** The long form is a length with its top bit set, then a signed integer outside 0..127 (X.696 §11.4, §31.5). */
function readLongForm(reader: Reader, name: string, size: number, at: number): number {
  if (size === 0 || size > MAX_OCTETS) {
    reader.fail('non-canonical-length', `expected ${name} in 1 to 4 octets, saw ${size}`, at);
  }
  const limit = 2 ** (8 * size - 1);
  const word = reader.unsigned(size);
  const value = word < limit ? word : word - 2 * limit;
  if (value >= 0 && value < 0x80) {
    reader.fail('non-canonical-integer', `expected the short form of ${value}`, at);
  }
  if (signedWidth(value) < size) {
    reader.fail('non-canonical-integer', 'expected the fewest octets', at);
  }
  return value;
}
