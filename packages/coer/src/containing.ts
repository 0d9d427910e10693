import { type Codec, decode, encode } from './codec.ts';
import { show } from './error.ts';

/** OCTET STRING (CONTAINING T): a length, then exactly one encoding of T. */
export function containing<T>(content: Codec<T>): Codec<T> {
  return {
    name: `OCTET STRING (CONTAINING ${content.name})`,
    minimumOctets: 1 + content.minimumOctets,
    read(reader) {
      return reader.within(reader.length(), () => reader.field('content', content));
    },
    write(writer, value) {
      writer.prefixed(() => writer.field('content', content, value));
    },
  };
}

/**
 * A value together with the octets that it was decoded from. What is hashed or verified is what arrived, so
 * the octets, not the value, are what is encoded again.
 */
export interface Captured<T> {
  readonly value: T;
  readonly octets: Uint8Array;
}

/** Keeps the octets of T beside its value. */
export function captured<T>(content: Codec<T>): Codec<Captured<T>> {
  return {
    name: content.name,
    minimumOctets: content.minimumOctets,
    read(reader) {
      const start = reader.offset;
      const value = content.read(reader);
      return { value, octets: reader.octets.subarray(start, reader.offset) };
    },
    write(writer, value) {
      if (!(value?.octets instanceof Uint8Array)) {
        writer.fail('out-of-range', `expected captured octets of ${content.name}`);
      }
      writer.put(value.octets);
    },
  };
}

/** Makes a captured value of one's own. */
export function capture<T>(content: Codec<T>, value: T): Captured<T> {
  return { value, octets: encode(content, value) };
}

/** Octets that were encoded before, as a captured value: it is decoded when somebody asks for it. */
export function encoded<T>(content: Codec<T>, octets: Uint8Array): Captured<T> {
  return {
    octets,
    get value() {
      return decode(content, octets);
    },
  };
}

/** A type that refers to itself: the codec is looked up when it is first used. */
export function lazy<T>(name: string, resolve: () => Codec<T>): Codec<T> {
  let codec: Codec<T> | undefined;
  return {
    name,
    // A type that refers to itself has a version, a preamble, a tag or a count before it can do so.
    minimumOctets: 1,
    read(reader) {
      codec ??= resolveLazy(name, resolve);
      return codec.read(reader);
    },
    write(writer, value) {
      codec ??= resolveLazy(name, resolve);
      codec.write(writer, value);
    },
  };
}

function resolveLazy<T>(name: string, resolve: () => Codec<T>): Codec<T> {
  const codec = resolve();
  if (codec.minimumOctets < 1) throw new TypeError(`${name} may have no octets: it cannot be lazy`);
  return codec;
}

/**
 * The same encoding with a check on the value, or another TypeScript view of it: for value constraints such as `Uint8 (3)`.
 */
export function constrained<T>(
  codec: Codec<T>,
  name: string,
  isAllowed: (value: T) => boolean,
): Codec<T> {
  return {
    name,
    minimumOctets: codec.minimumOctets,
    read(reader) {
      const at = reader.offset;
      const value = codec.read(reader);
      if (!isAllowed(value)) {
        reader.fail('out-of-range', `expected ${name}, saw ${show(value)}`, at);
      }
      return value;
    },
    write(writer, value) {
      // Written first, so that `isAllowed` sees no value that is outside the type.
      codec.write(writer, value);
      if (!isAllowed(value)) writer.fail('out-of-range', `expected ${name}, saw ${show(value)}`);
    },
  };
}
