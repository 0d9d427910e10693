import type { Codec } from './codec.ts';
import { show } from './error.ts';
import { expectUsableNames } from './names.ts';
import { openType, unknownOpenType } from './open-type.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** An alternative of an extensible CHOICE that this version of the type does not know, kept as it came. */
export interface UnknownAlternative {
  readonly type: 'unknown';
  /** The tag number. */
  readonly tag: number;
  /** The content of the open type. */
  readonly value: Uint8Array;
}

interface AnyAlternative {
  readonly type: string;
  readonly value: unknown;
}

/** The value of the alternative K, also where one member of the union T stands for several alternatives. */
type ValueOf<T extends AnyAlternative, K> = T extends AnyAlternative
  ? K extends T['type']
    ? T['value']
    : never
  : never;

/** For each known alternative of the union T, the codec of its value. */
export type Alternatives<T extends AnyAlternative> = {
  readonly [K in Exclude<T['type'], 'unknown'>]: Codec<ValueOf<T, K>>;
};

export interface ChoiceOptions {
  /** The type ends in `...`: unknown alternatives are kept. Without it they are refused. */
  readonly extensible?: boolean;
  /**
   * How many of the alternatives, from the end, stand after the extension marker and so travel as open types.
   * A type that has any is extensible.
   */
  readonly extensionAlternatives?: number;
}

/** Class bits of a context-specific tag, X.696 §8.7.2: AUTOMATIC TAGS makes no other. */
const CONTEXT = 0x80;
/** Tag numbers from here on follow in further octets (X.696 §8.7.2.3). */
const LONG_TAG = 0x3f;
/** Tag numbers are followed up to 28 bits. */
const MAX_TAG_OCTETS = 4;
const MAX_TAG = 2 ** (7 * MAX_TAG_OCTETS) - 1;

/** CHOICE, X.696 §20: a tag, then the alternative; alternatives after the extension marker are open types. */
export function choice<T extends AnyAlternative>(
  name: string,
  alternatives: Alternatives<T>,
  options: ChoiceOptions = {},
): Codec<T> {
  const names = Object.keys(alternatives);
  expectUsableNames(name, names, 'unknown');
  const extensionCount = options.extensionAlternatives ?? 0;
  const extensible = options.extensible || extensionCount > 0;
  const rootCount = names.length - extensionCount;
  const codecs = (Object.values(alternatives) as Codec<unknown>[]).map((codec, tag) =>
    tag < rootCount ? codec : openType(codec),
  );
  const minima = codecs.map((codec) => codec.minimumOctets);
  if (extensible) minima.push(unknownOpenType.minimumOctets);

  return {
    name,
    minimumOctets: 1 + Math.min(...minima),
    read(reader) {
      const at = reader.offset;
      const tag = readTag(reader);
      const codec = codecs[tag];
      if (codec !== undefined) {
        const type = names[tag] as string;
        return { type, value: reader.field(type, codec) } as T;
      }
      if (!extensible) {
        reader.fail('unknown-alternative', `expected an alternative of ${name}, saw ${tag}`, at);
      }
      const value = reader.field('unknown', unknownOpenType);
      return { type: 'unknown', tag, value } as AnyAlternative as T;
    },
    write(writer, value) {
      const tag = value?.type === 'unknown' ? unknownTag(value) : names.indexOf(value?.type);
      if (tag < 0) writer.fail('out-of-range', `expected ${name}, saw ${show(value?.type)}`);
      writeTag(writer, tag);
      writer.field(value.type, codecs[tag] ?? unknownOpenType, value.value as Uint8Array);
    },
  };

  /** The tag of an unknown alternative, or -1 if it cannot have come from a decoding of this type. */
  function unknownTag(value: AnyAlternative): number {
    const { tag } = value as UnknownAlternative;
    const isUnknown = Number.isInteger(tag) && tag >= names.length && tag <= MAX_TAG;
    return extensible && isUnknown ? tag : -1;
  }
}

function readTag(reader: Reader): number {
  const at = reader.offset;
  const first = reader.u8();
  if ((first & 0xc0) !== CONTEXT) {
    reader.fail('invalid-tag', `expected a context tag, saw ${first.toString(16)}`, at);
  }
  const low = first & LONG_TAG;
  if (low < LONG_TAG) return low;
  let tag = 0;
  for (let i = 0; i < MAX_TAG_OCTETS; i++) {
    const octet = reader.u8();
    if (i === 0 && octet === 0x80) reader.fail('invalid-tag', 'expected the fewest tag octets', at);
    tag = tag * 128 + (octet & 0x7f);
    if (octet < 0x80) {
      if (tag < LONG_TAG) reader.fail('invalid-tag', `expected the short form of tag ${tag}`, at);
      return tag;
    }
  }
  reader.fail('invalid-tag', `expected a tag of at most ${MAX_TAG_OCTETS} octets`, at);
}

function writeTag(writer: Writer, tag: number): void {
  if (tag < LONG_TAG) {
    writer.u8(CONTEXT | tag);
    return;
  }
  writer.u8(CONTEXT | LONG_TAG);
  let shift = 0;
  while (tag >> (shift + 7) > 0) shift += 7;
  for (; shift > 0; shift -= 7) writer.u8(0x80 | ((tag >> shift) & 0x7f));
  writer.u8(tag & 0x7f);
}
