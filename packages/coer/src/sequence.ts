import { type Codec, encode } from './codec.ts';
import { show } from './error.ts';
import { expectUsableNames } from './names.ts';
import { openType, unknownOpenType } from './open-type.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** Extension additions that this version of a type does not know, kept so that they are encoded again. */
export interface UnknownAdditions {
  /** Bits of the presence bitmap as it was received. */
  readonly bitmapLength: number;
  /** The additions that are present and unknown, by their position after the extension marker. */
  readonly present: readonly { readonly index: number; readonly octets: Uint8Array }[];
}

/** What the value of an extensible SEQUENCE may carry beside its own components. */
export interface Extensible {
  readonly unknownAdditions?: UnknownAdditions;
}

interface OptionalComponent<T> {
  readonly presence: 'optional';
  readonly codec: Codec<T>;
}

interface DefaultComponent<T> {
  readonly presence: 'default';
  readonly codec: Codec<T>;
  readonly value: T;
}

/** An OPTIONAL component. */
export function optional<T>(codec: Codec<T>): OptionalComponent<T> {
  return { presence: 'optional', codec };
}

/** A component with a DEFAULT: always present in the value, never encoded when equal (canonical, X.696 §31.9). */
export function withDefault<T>(codec: Codec<T>, value: T): DefaultComponent<T> {
  return { presence: 'default', codec, value };
}

/** For each component of the interface T, how it is encoded. */
export type Components<T> = {
  readonly [K in Exclude<keyof T, 'unknownAdditions'>]-?: undefined extends T[K]
    ? OptionalComponent<Exclude<T[K], undefined>>
    : Codec<T[K]> | DefaultComponent<T[K]>;
};

export interface SequenceOptions {
  /** The type has an extension marker. A type with extension additions has one. */
  readonly extensible?: boolean;
  /** How many of the components, from the end, stand after the extension marker (all OPTIONAL). */
  readonly extensionAdditions?: number;
}

interface Component {
  readonly name: string;
  readonly codec: Codec<unknown>;
  /** The place of the bit that tells presence, in the preamble or in the bitmap; undefined when always present. */
  readonly bit: number | undefined;
  readonly defaultValue: unknown;
  readonly defaultOctets: Uint8Array | undefined;
}

/** Longest presence bitmap that is followed: no type of the SCMS has a tenth of it. */
const MAX_BITMAP = 256;

/** SEQUENCE, X.696 §16: a preamble for the extension bit and what may be absent, the components, the additions. */
export function sequence<T extends object>(
  name: string,
  components: Components<T>,
  options: SequenceOptions = {},
): Codec<T> {
  const given = Object.entries(components) as [string, AnyComponent][];
  const names = given.map(([component]) => component);
  expectUsableNames(name, names, 'unknownAdditions');
  const additionCount = options.extensionAdditions ?? 0;
  const extensible = options.extensible || additionCount > 0;
  const additions = toAdditions(name, given.slice(given.length - additionCount));
  const root: Component[] = [];
  // The extension bit, if any, comes first (X.696 §16.2.2).
  let preambleBits = extensible ? 1 : 0;
  for (const [component, codec] of given.slice(0, given.length - additionCount)) {
    root.push(toComponent(component, codec, 'presence' in codec ? preambleBits++ : undefined));
  }
  const preambleOctets = Math.ceil(preambleBits / 8);
  const required = root.filter((c) => c.bit === undefined);

  return {
    name,
    minimumOctets: required.reduce((sum, c) => sum + c.codec.minimumOctets, preambleOctets),

    read(reader) {
      const preamble = reader.skip(preambleOctets);
      expectZeroPadding(reader, preamble, preambleBits);
      const value: Record<string, unknown> = {};
      for (const component of root) {
        const { bit } = component;
        if (bit === undefined)
          value[component.name] = reader.field(component.name, component.codec);
        else if (isBitSet(reader, preamble, bit))
          value[component.name] = readUnlessDefault(reader, component);
        else if (component.defaultOctets) value[component.name] = component.defaultValue;
      }
      if (extensible && isBitSet(reader, preamble, 0)) readAdditions(reader, value, additions);
      return value as T;
    },

    write(writer, sequenceValue) {
      if (typeof sequenceValue !== 'object' || sequenceValue === null) {
        writer.fail('out-of-range', `expected ${name}, saw ${show(sequenceValue)}`);
      }
      const value = sequenceValue as Record<string, unknown>;
      const preamble = writer.zeros(preambleOctets);
      for (const component of root) {
        const { bit } = component;
        if (bit === undefined) writer.field(component.name, component.codec, value[component.name]);
        else if (writeUnlessDefault(writer, component, value[component.name]))
          writer.setBit(preamble, bit);
      }
      if (extensible && writeAdditions(writer, value, additions)) writer.setBit(preamble, 0);
    },
  };
}

function readUnlessDefault(reader: Reader, component: Component): unknown {
  const start = reader.offset;
  const value = reader.field(component.name, component.codec);
  const { name, defaultOctets } = component;
  if (defaultOctets && equal(reader.octets.subarray(start, reader.offset), defaultOctets)) {
    reader.fail('encoded-default', `expected ${name} absent when it is the default`, start);
  }
  return value;
}

/** Whether there was something to write: not when the component is absent or has its default value. */
function writeUnlessDefault(writer: Writer, component: Component, value: unknown): boolean {
  if (value === undefined) return false;
  const start = writer.length;
  writer.field(component.name, component.codec, value);
  return !(component.defaultOctets && writer.retract(start, component.defaultOctets));
}

/** X.696 §16.4: a bitmap in the form of a BIT STRING of any size, then each present addition as an open type. */
function readAdditions(
  reader: Reader,
  value: Record<string, unknown>,
  additions: readonly Component[],
): void {
  const at = reader.offset;
  const size = reader.length();
  const unused = size > 0 ? reader.u8() : 0;
  const bitmapLength = (size - 1) * 8 - unused;
  if (size < 2 || unused > 7 || bitmapLength > MAX_BITMAP) {
    reader.fail('invalid-extensions', 'expected a bitmap of extension additions', at);
  }
  const bitmap = reader.skip(size - 1);
  expectZeroPadding(reader, bitmap, bitmapLength);
  const unknown: { index: number; octets: Uint8Array }[] = [];
  let count = 0;
  for (let index = 0; index < bitmapLength; index++) {
    if (!isBitSet(reader, bitmap, index)) continue;
    count++;
    const addition = additions[index];
    if (addition) value[addition.name] = reader.field(addition.name, addition.codec);
    else unknown.push({ index, octets: reader.field(unknownName(index), unknownOpenType) });
  }
  if (count === 0) {
    reader.fail('invalid-extensions', 'expected an addition, as the extension bit is set', at);
  }
  if (unknown.length > 0 || bitmapLength !== additions.length) {
    value.unknownAdditions = { bitmapLength, present: unknown } satisfies UnknownAdditions;
  }
}

/** Whether there were any additions to write. */
function writeAdditions(
  writer: Writer,
  value: Record<string, unknown>,
  additions: readonly Component[],
): boolean {
  const unknown = value.unknownAdditions as UnknownAdditions | undefined;
  const known = additions.filter((addition) => value[addition.name] !== undefined);
  if (known.length === 0 && !unknown?.present.length) return false;
  const bitmapLength = bitmapLengthFor(writer, unknown, known, additions.length);
  const size = Math.ceil(bitmapLength / 8);
  writer.lengthOf(size + 1);
  writer.u8(size * 8 - bitmapLength);
  const bitmap = writer.zeros(size);
  for (const addition of known) {
    writer.setBit(bitmap, addition.bit as number);
    writer.field(addition.name, addition.codec, value[addition.name]);
  }
  for (const { index, octets } of unknown?.present ?? []) {
    writer.setBit(bitmap, index);
    writer.field(unknownName(index), unknownOpenType, octets);
  }
  return true;
}

/** As many bits as the sender had, so that what came is encoded as it came; ours if we add what it did not know. */
function bitmapLengthFor(
  writer: Writer,
  unknown: UnknownAdditions | undefined,
  known: readonly Component[],
  ours: number,
): number {
  const theirs = unknown?.bitmapLength ?? ours;
  let next = ours;
  for (const { index } of unknown?.present ?? []) {
    if (!(Number.isInteger(index) && index >= next && index < theirs)) {
      writer.fail('out-of-range', `expected unknown additions from ${ours} on, saw ${index}`);
    }
    next = index + 1;
  }
  const last = known.at(-1)?.bit ?? -1;
  const length = last < theirs ? theirs : ours;
  if (!(Number.isInteger(length) && length <= MAX_BITMAP)) {
    writer.fail('out-of-range', `expected a bitmap of at most ${MAX_BITMAP} bits, saw ${length}`);
  }
  return length;
}

function unknownName(index: number): string {
  return `unknownAdditions[${index}]`;
}

type AnyComponent = Codec<unknown> | OptionalComponent<unknown> | DefaultComponent<unknown>;

function toComponent(name: string, given: AnyComponent, bit: number | undefined): Component {
  const codec = 'presence' in given ? given.codec : given;
  const hasDefault = 'presence' in given && given.presence === 'default';
  return {
    name,
    codec,
    bit,
    defaultValue: hasDefault ? given.value : undefined,
    defaultOctets: hasDefault ? encode(codec, given.value) : undefined,
  };
}

function toAdditions(type: string, given: readonly [string, AnyComponent][]): Component[] {
  return given.map(([name, addition], index) => {
    if (!('presence' in addition && addition.presence === 'optional')) {
      throw new TypeError(`${type} needs its extension addition ${name} to be optional`);
    }
    return toComponent(name, openType(addition.codec), index);
  });
}

/** Bits count from the top of the octet at `start`. */
function isBitSet(reader: Reader, start: number, bit: number): boolean {
  return ((reader.octets[start + (bit >> 3)] as number) & (0x80 >> (bit & 7))) !== 0;
}

/** The bits that fill the last octet have to be zero. */
function expectZeroPadding(reader: Reader, start: number, bits: number): void {
  if ((bits & 7) === 0) return;
  const last = reader.octets[start + (bits >> 3)] as number;
  if ((last & (0xff >> (bits & 7))) !== 0) {
    reader.fail('non-zero-padding', 'expected the unused bits to be zero', start);
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i]);
}
