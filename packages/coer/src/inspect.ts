import { type Codec, openReader } from './codec.ts';
import type { DecodeLimits } from './limits.ts';
import type { Reader } from './reader.ts';

/** One field of a decoded message and the octets that belong to it. */
export interface InspectedField {
  readonly name: string | number;
  readonly type: string;
  /** Offset of the first octet in the input. */
  readonly offset: number;
  /** Octets, those of the tag or preamble that the field's own type writes included. */
  readonly length: number;
  /** The decoded value. */
  readonly value: unknown;
  readonly children: readonly InspectedField[];
}

/** Collects fields while a reader runs. */
export class Trace {
  #open: InspectedField[] = [];

  get fields(): readonly InspectedField[] {
    return this.#open;
  }

  field<T>(reader: Reader, name: string | number, codec: Codec<T>): T {
    const siblings = this.#open;
    const children: InspectedField[] = [];
    this.#open = children;
    const offset = reader.offset;
    const value = codec.read(reader);
    siblings.push({
      name,
      type: codec.name,
      offset,
      length: reader.offset - offset,
      value,
      children,
    });
    this.#open = siblings;
    return value;
  }
}

/**
 * Decodes one value and says which octets belong to which field.
 *
 * @throws CoerError as `decode` does.
 */
export function inspect<T>(
  codec: Codec<T>,
  octets: Uint8Array,
  limits?: DecodeLimits,
): InspectedField {
  const reader = openReader(octets, limits);
  const trace = new Trace();
  reader.trace = trace;
  const value = codec.read(reader);
  reader.expectEnd();
  return {
    name: codec.name,
    type: codec.name,
    offset: 0,
    length: octets.length,
    value,
    children: trace.fields,
  };
}
