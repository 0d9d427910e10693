import type { Codec } from './codec.ts';
import { octetString } from './string.ts';

/**
 * Open type, X.696 §30: a length, then exactly one encoding of the type that it holds. Extension additions and
 * extension alternatives travel in it, so that a reader that does not know them can go past them.
 */
export function openType<T>(content: Codec<T>): Codec<T> {
  return {
    name: content.name,
    minimumOctets: 1 + content.minimumOctets,
    read(reader) {
      return reader.within(reader.length(), () => content.read(reader));
    },
    write(writer, value) {
      writer.prefixed(() => content.write(writer, value));
    },
  };
}

/** An open type of which only the octets are known. */
export const unknownOpenType: Codec<Uint8Array> = { ...octetString(), name: 'unknown open type' };
