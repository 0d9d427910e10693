import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  bigInteger,
  type Codec,
  CoerError,
  choice,
  containing,
  DEFAULT_FIELDS,
  decode,
  encode,
  inspect,
  integer,
  lazy,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
  utf8String,
} from '@chrysalis/coer';
import fc from 'fast-check';
import { expectRefusal, octets } from './expectation.ts';
import { anyMessage, Message } from './message.ts';

/** Either a CoerError with an offset inside the input, or a value of which the input is the one encoding. */
function expectStrict(codec: Codec<unknown>, input: Uint8Array): void {
  const before = Uint8Array.from(input);
  let value: unknown;
  try {
    value = decode(codec, input);
  } catch (error) {
    assert.ok(error instanceof CoerError, `a CoerError, not ${error}`);
    assert.ok(error.offset !== undefined && error.offset >= 0 && error.offset <= input.length);
    assert.throws(() => inspect(codec, input), { message: error.message });
    return;
  }
  assert.deepEqual(encode(codec, value), input, 'what is accepted is canonical');
  assert.deepEqual(input, before, 'the input is left as it was');
}

type Mutation = (encoding: Uint8Array) => Uint8Array;

const anyPlace = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const anyMutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(anyPlace, fc.nat(7)).map(
    ([place, bit]): Mutation =>
      (encoding) => {
        const mutant = Uint8Array.from(encoding);
        const at = Math.floor(place * mutant.length);
        mutant[at] = (mutant[at] ?? 0) ^ (1 << bit);
        return mutant;
      },
  ),
  fc.tuple(anyPlace, fc.nat(255)).map(
    ([place, octet]): Mutation =>
      (encoding) => {
        const at = Math.floor(place * (encoding.length + 1));
        return Uint8Array.from([...encoding.subarray(0, at), octet, ...encoding.subarray(at)]);
      },
  ),
  fc.tuple(anyPlace, fc.integer({ min: 1, max: 4 })).map(
    ([place, size]): Mutation =>
      (encoding) => {
        const at = Math.floor(place * encoding.length);
        return Uint8Array.from([...encoding.subarray(0, at), ...encoding.subarray(at + size)]);
      },
  ),
  anyPlace.map(
    (place): Mutation =>
      (encoding) => {
        return encoding.slice(0, Math.floor(place * encoding.length));
      },
  ),
  fc.tuple(anyPlace, anyPlace).map(
    ([from, to]): Mutation =>
      (encoding) => {
        const mutant = Uint8Array.from(encoding);
        const start = Math.floor(from * mutant.length);
        return mutant.copyWithin(Math.floor(to * mutant.length), start, start + 8);
      },
  ),
);

describe('whatever the octets, only CoerError escapes, and what is accepted encodes to the same octets', () => {
  test('of messages with one to three mutations', () => {
    const mutations = fc.array(anyMutation, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(anyMessage, mutations, (message, changes) => {
        const encoding = encode(Message, message);
        expectStrict(
          Message,
          changes.reduce((mutant, change) => change(mutant), encoding),
        );
      }),
      { seed: 11, numRuns: 6000 },
    );
  });

  test('of one message with every bit flipped, every octet left out and every end cut off', () => {
    const [message] = fc
      .sample(anyMessage, { seed: 12, numRuns: 40 })
      .filter((candidate) => candidate.body.type === 'children' && candidate.unknownAdditions);
    assert.ok(message);
    const encoding = encode(Message, message);
    for (let at = 0; at < encoding.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const mutant = Uint8Array.from(encoding);
        mutant[at]! ^= 1 << bit;
        expectStrict(Message, mutant);
      }
      expectStrict(Message, encoding.slice(0, at));
      expectStrict(Message, Uint8Array.from(encoding.filter((_, i) => i !== at)));
    }
  });

  test('of random octets', () => {
    const lax = sequenceOf(
      choice('Lax', {
        any: octetString(),
        text: utf8String(),
        number: integer(),
        big: bigInteger(),
        list: sequenceOf(integer({ min: 0 })),
        part: sequence<{ a?: null }>('Part', { a: optional(nullValue) }, { extensible: true }),
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (input) => {
        expectStrict(Message, input);
        expectStrict(lax, input);
        expectStrict(lax, Uint8Array.of(1, 1, 0x80 | (input.length % 6), ...input));
      }),
      { seed: 13, numRuns: 5000 },
    );
  });
});

describe('a hostile count or length is refused before anything is made for it', () => {
  /** An element that fails the test as soon as it is read. */
  const untouched: Codec<null> = {
    name: 'UNTOUCHED',
    minimumOctets: 1,
    read: () => assert.fail('an element was read'),
    write: () => {},
  };

  test('a count of 2^32 - 1, of 2^53 - 1 and beyond, in an input of a few octets', () => {
    const Elements = sequenceOf(untouched);
    expectRefusal(Elements, '04 ff ff ff ff', 'too-many', 0);
    expectRefusal(Elements, '04 ff ff ff ff 00 00', 'too-many', 0);
    expectRefusal(Elements, '07 1f ff ff ff ff ff ff', 'too-many', 0);
    expectRefusal(Elements, '08 ff ff ff ff ff ff ff ff', 'out-of-range', 0);
  });

  test('a count is held against what its container has left, not against the whole input', () => {
    const Inside = sequence<{ inner: readonly null[]; rest: Uint8Array }>('Inside', {
      inner: containing(sequenceOf(untouched)),
      rest: octetString(),
    });
    expectRefusal(Inside, `03 01 05 00 05 ${'00'.repeat(5)}`, 'too-many', 1, ['inner', 'content']);
  });

  test('a length of 4 GiB, for each type that has a length', () => {
    const codecs: Codec<unknown>[] = [
      octetString(),
      utf8String(),
      containing(nullValue),
      integer(),
      bigInteger(),
      sequenceOf(integer()),
    ];
    for (const codec of codecs) expectRefusal(codec, '84 ff ff ff ff', 'truncated', 5);
    const Extended = sequence<object>('Extended', {}, { extensible: true });
    expectRefusal(Extended, '80 84 ff ff ff ff', 'truncated', 6);
    expectRefusal(Extended, '80 84 ff ff ff ff 00', 'invalid-extensions', 1);
    expectRefusal(Extended, '80 02 00 80 84 ff ff ff ff', 'truncated', 9, ['unknownAdditions[0]']);
  });
});

describe('nesting bombs of 100,000 levels end at the 64th', () => {
  const LEVELS = 100_000;

  test('of alternatives, an octet each', () => {
    type Bomb = { readonly type: 'self'; readonly value: Bomb };
    const Bomb: Codec<Bomb> = choice<Bomb>('Bomb', { self: lazy('Bomb', () => Bomb) });
    const path = Array.from({ length: 65 }, () => 'self');
    expectRefusal(Bomb, new Uint8Array(LEVELS).fill(0x80), 'too-deep', 65, path);
  });

  test('of lists of one element', () => {
    type Bomb = readonly Bomb[];
    const Bomb: Codec<Bomb> = sequenceOf(lazy<Bomb>('Bomb', () => Bomb));
    const path = Array.from({ length: 65 }, () => 0);
    const bomb = new Uint8Array(2 * LEVELS).fill(1);
    expectRefusal(Bomb, bomb, 'too-deep', 130, path);
  });

  test('of containers, each with a length that is right', () => {
    interface Bomb {
      readonly inner?: Bomb;
    }
    const Bomb: Codec<Bomb> = sequence<Bomb>('Bomb', {
      inner: optional(containing(lazy('Bomb', () => Bomb))),
    });
    const bomb = containerBomb(LEVELS);
    assert.throws(() => decode(Bomb, bomb), { code: 'too-deep' });
    assert.throws(() => inspect(Bomb, bomb), { code: 'too-deep' });
    assert.throws(() => decode(Bomb, bomb, { depth: LEVELS }), { code: 'too-deep' });
  });

  /** Preamble 80 and a length, over and over, from the innermost level out. */
  function containerBomb(levels: number): Uint8Array {
    const reversed = [0x00];
    for (let level = 0; level < levels; level++) {
      const size = reversed.length;
      let width = 0;
      for (let rest = size; rest > 0; rest = Math.floor(rest / 256)) {
        reversed.push(rest % 256);
        width++;
      }
      if (size >= 0x80) reversed.push(0x80 | width);
      reversed.push(0x80);
    }
    return Uint8Array.from(reversed.reverse());
  }

  test('the same bomb of 20 levels is a valid message', () => {
    interface Bomb {
      readonly inner?: Bomb;
    }
    const Bomb: Codec<Bomb> = sequence<Bomb>('Bomb', {
      inner: optional(containing(lazy('Bomb', () => Bomb))),
    });
    const encoding = containerBomb(20);
    assert.deepEqual(encode(Bomb, decode(Bomb, encoding)), encoding);
  });
});

describe('allocation', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;

  /** Octets of heap that the decoded value takes, for each octet of the input. */
  function heapPerOctet(codec: Codec<unknown>, input: Uint8Array): number {
    const inUse = () => {
      collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = inUse();
    const value = decode(codec, input);
    const after = inUse();
    assert.ok(value);
    return (after - before) / input.length;
  }

  const COUNT = 200_000;
  const elements: readonly [string, Codec<unknown>, string][] = [
    ['empty octet strings', octetString(), '00'],
    ['short octet strings', octetString(), '01 07'],
    ['empty texts', utf8String(), '00'],
    ['alternatives without octets', choice('C', { nothing: nullValue } as never), '80'],
    ['sequences of one bit', sequence<object>('S', { a: optional(nullValue) } as never), '80'],
    ['small big integers', bigInteger(), '01 05'],
    ['empty lists', sequenceOf(nullValue, { max: 1 }), '01 00'],
  ];
  for (const [name, element, hex] of elements) {
    test(`stays below 160 octets of heap for each octet of ${name}`, () => {
      const count = [0x03, COUNT >> 16, (COUNT >> 8) & 0xff, COUNT & 0xff];
      const one = octets(hex);
      const input = new Uint8Array(count.length + COUNT * one.length);
      input.set(count);
      for (let i = 0; i < COUNT; i++) input.set(one, count.length + i * one.length);
      const perOctet = heapPerOctet(sequenceOf(element), input);
      assert.ok(perOctet < 160, `${perOctet.toFixed(1)} octets for each octet`);
    });
  }

  test('ends at a million fields, however many the input could hold', () => {
    const count = DEFAULT_FIELDS + 1;
    const input = new Uint8Array(4 + count);
    input.set([0x03, count >> 16, (count >> 8) & 0xff, count & 0xff]);
    const Octets = sequenceOf(integer({ min: 0, max: 255 }));
    expectRefusal(Octets, input, 'too-many', 4 + DEFAULT_FIELDS, [DEFAULT_FIELDS]);
    assert.equal(decode(Octets, input, { fields: count }).length, count);
  });
});
