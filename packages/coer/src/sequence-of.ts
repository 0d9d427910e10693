import type { Codec } from './codec.ts';
import { show } from './error.ts';
import { integer } from './integer.ts';
import type { SizeBounds } from './string.ts';

/** The count of elements, X.696 §17.2. */
const Quantity = integer({ min: 0 });

/**
 * SEQUENCE OF, X.696 §17. The count is believed only as far as the octets that are left can hold that many
 * elements; elements that may be empty need a `max` of their own.
 */
export function sequenceOf<T>(element: Codec<T>, bounds: SizeBounds = {}): Codec<readonly T[]> {
  const { min = 0, max } = bounds;
  const name = `SEQUENCE OF ${element.name}`;
  if (element.minimumOctets === 0 && max === undefined) {
    throw new TypeError(`${name} has elements without octets and needs a maximum`);
  }
  const allowed = `${min} to ${max ?? 'any number of'} elements`;
  return {
    name,
    minimumOctets: 2 + min * element.minimumOctets,
    read(reader) {
      const at = reader.offset;
      const count = Quantity.read(reader);
      if (count < min || count > (max ?? Infinity)) {
        reader.fail('out-of-range', `expected ${allowed}, saw ${count}`, at);
      }
      if (count * element.minimumOctets > reader.remaining) {
        reader.fail('too-many', `expected at most what the input can hold, saw ${count}`, at);
      }
      const values: T[] = [];
      for (let i = 0; i < count; i++) values.push(reader.field(i, element));
      return values;
    },
    write(writer, values) {
      if (!Array.isArray(values) || values.length < min || values.length > (max ?? Infinity)) {
        writer.fail('out-of-range', `expected ${allowed}, saw ${show(values)}`);
      }
      Quantity.write(writer, values.length);
      for (let i = 0; i < values.length; i++) writer.field(i, element, values[i]);
    },
  };
}
