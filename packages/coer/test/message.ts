/** A type with every construct of the room, which refers to itself, and any value of it. */
import {
  bigInteger,
  bitString,
  boolean,
  type Captured,
  type Codec,
  capture,
  captured,
  choice,
  containing,
  type Extensible,
  enumerated,
  integer,
  lazy,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
  utf8String,
  withDefault,
} from '@chrysalis/coer';
import fc from 'fast-check';

export type Body =
  | { readonly type: 'leaf'; readonly value: null }
  | { readonly type: 'children'; readonly value: readonly Message[] }
  | { readonly type: 'sealed'; readonly value: Message }
  | { readonly type: 'signed'; readonly value: Captured<Message> }
  | { readonly type: 'note'; readonly value: string }
  | UnknownAlternative;

export interface Message extends Extensible {
  readonly id: number;
  readonly word: number;
  readonly time: bigint;
  readonly free: number;
  readonly big: bigint;
  readonly name: string;
  readonly kind: 'red' | 'green' | number;
  readonly flags: Uint8Array;
  readonly fixed: Uint8Array;
  readonly bounded?: Uint8Array;
  readonly urgent: boolean;
  readonly level: number;
  readonly body: Body;
  readonly later?: Message;
  readonly remark?: Uint8Array;
}

const Self = lazy<Message>('Message', () => Message);

export const Message: Codec<Message> = sequence<Message>(
  'Message',
  {
    id: integer({ min: 0, max: 255 }),
    word: integer({ min: -1000, max: 1000 }),
    time: bigInteger({ min: 0n, max: 2n ** 64n - 1n }),
    free: integer(),
    big: bigInteger({ min: 0n }),
    name: utf8String({ max: 5 }),
    kind: enumerated('Kind', ['red', 'green'], { extensible: true }),
    flags: bitString(11),
    fixed: octetString(3),
    bounded: optional(octetString({ min: 1, max: 200 })),
    urgent: withDefault(boolean, false),
    level: withDefault(integer(), 1),
    body: choice<Body>(
      'Body',
      {
        leaf: nullValue,
        children: sequenceOf(Self, { max: 3 }),
        sealed: containing(Self),
        signed: captured(Self),
        note: utf8String(),
      },
      { extensible: true, extensionAlternatives: 1 },
    ),
    later: optional(Self),
    remark: optional(octetString()),
  },
  { extensible: true, extensionAdditions: 2 },
);

const SMALLEST: Message = {
  id: 0,
  word: 0,
  time: 0n,
  free: 0,
  big: 0n,
  name: '',
  kind: 'red',
  flags: Uint8Array.of(0, 0),
  fixed: Uint8Array.of(0, 0, 0),
  urgent: false,
  level: 1,
  body: { type: 'leaf', value: null },
};

/** Characters of one to four octets; fast-check's own units take most of a second to set up. */
export const anyCharacter = fc.constantFrom(
  'a',
  '\0',
  '\u{7f}',
  'é',
  '€',
  '\u{feff}',
  '😀',
  '\u{10ffff}',
);

const anyOctets = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });

const anyUnknownAdditions = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 2, max: 40 }), { minLength: 1, maxLength: 3 }),
    fc.nat(9),
    anyOctets(0, 4),
  )
  .map(([indices, spareBits, octets]) => {
    const present = indices.sort((a, b) => a - b).map((index) => ({ index, octets }));
    return { bitmapLength: (indices.at(-1) as number) + 1 + spareBits, present };
  });

const trees = fc.letrec<{ message: Message; body: Body }>((tie) => ({
  body: fc.oneof(
    { maxDepth: 3 },
    fc.constant<Body>({ type: 'leaf', value: null }),
    fc.string({ unit: anyCharacter }).map((value): Body => ({ type: 'note', value })),
    fc
      .tuple(fc.integer({ min: 5, max: 2 ** 28 - 1 }), anyOctets(0, 150))
      .map(([tag, value]): Body => ({ type: 'unknown', tag, value })),
    fc.array(tie('message'), { maxLength: 3 }).map((value): Body => ({ type: 'children', value })),
    tie('message').map((value): Body => ({ type: 'sealed', value })),
    tie('message').map((value): Body => ({ type: 'signed', value: capture(Message, value) })),
  ),
  message: fc.record(
    {
      id: fc.nat(255),
      word: fc.integer({ min: -1000, max: 1000 }),
      time: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      free: fc.maxSafeInteger(),
      big: fc.bigInt({ min: 0n, max: 2n ** 100n }),
      name: fc.string({ unit: anyCharacter, maxLength: 5 }),
      kind: fc.oneof(fc.constantFrom('red', 'green'), fc.integer({ min: 2, max: 2 ** 31 - 1 })),
      flags: anyOctets(2, 2).map(([a = 0, b = 0]) => Uint8Array.of(a, b & 0xe0)),
      fixed: anyOctets(3, 3),
      bounded: anyOctets(1, 200),
      urgent: fc.boolean(),
      level: fc.integer({ min: 0, max: 3 }),
      body: tie('body'),
      later: fc.constant(SMALLEST),
      remark: anyOctets(0, 3),
      unknownAdditions: anyUnknownAdditions,
    },
    {
      noNullPrototype: true,
      requiredKeys: [
        'id',
        'word',
        'time',
        'free',
        'big',
        'name',
        'kind',
        'flags',
        'fixed',
        'urgent',
        'level',
        'body',
      ],
    },
  ),
}));

export const anyMessage: fc.Arbitrary<Message> = trees.message;
