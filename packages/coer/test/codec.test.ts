import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  boolean,
  type Codec,
  choice,
  containing,
  DEFAULT_DEPTH,
  decode,
  encode,
  lazy,
  MAX_DEPTH,
  nullValue,
  octetString,
  sequence,
  sequenceOf,
} from '@chrysalis/coer';
import fc from 'fast-check';
import {
  expectRefusal,
  expectRefusalToEncode,
  expectRoundTrip,
  octets,
  toHex,
} from './expectation.ts';
import { anyMessage, Message } from './message.ts';

type Nest =
  | { readonly type: 'deeper'; readonly value: Nest }
  | { readonly type: 'end'; readonly value: null };
const Nest: Codec<Nest> = choice<Nest>('Nest', {
  deeper: lazy('Nest', () => Nest),
  end: nullValue,
});

/** A value that nests `depth` fields, with an encoding of `depth` octets. */
function nested(depth: number): Nest {
  let value: Nest = { type: 'end', value: null };
  for (let i = 1; i < depth; i++) value = { type: 'deeper', value };
  return value;
}

test('a message with every construct round trips', () => {
  fc.assert(
    fc.property(anyMessage, (message) => expectRoundTrip(Message, message)),
    { seed: 10, numRuns: 300 },
  );
});

test('one codec decodes many messages without a memory of any', () => {
  const encoding = encode(Nest, nested(3));
  assert.throws(() => decode(Nest, octets('80 80 05')));
  assert.deepEqual(decode(Nest, encoding), nested(3));
});

describe('the limit on depth', () => {
  test('is 64 fields unless another is given', () => {
    const deepest = nested(DEFAULT_DEPTH);
    expectRoundTrip(Nest, deepest);
    const tooDeep = Uint8Array.from({ length: DEFAULT_DEPTH + 1 }, () => 0x80);
    const path = Array.from({ length: DEFAULT_DEPTH + 1 }, () => 'deeper');
    expectRefusal(Nest, tooDeep, 'too-deep', DEFAULT_DEPTH + 1, path);
    assert.throws(() => decode(Nest, encode(Nest, deepest), { depth: 63 }), { code: 'too-deep' });
  });

  test('can be raised to 512 and no further, for both directions', () => {
    const deepest = nested(MAX_DEPTH);
    const encoding = encode(Nest, deepest, { depth: Number.POSITIVE_INFINITY });
    assert.equal(encoding.length, MAX_DEPTH);
    assert.deepEqual(decode(Nest, encoding, { depth: Number.POSITIVE_INFINITY }), deepest);
    const deeper = nested(MAX_DEPTH + 1);
    assert.throws(() => encode(Nest, deeper, { depth: 10_000 }), { code: 'too-deep' });
  });

  test('ends the encoding of a value that refers to itself', () => {
    const loop: { type: 'deeper'; value: unknown } = { type: 'deeper', value: undefined };
    loop.value = loop;
    const path = Array.from({ length: DEFAULT_DEPTH + 1 }, () => 'deeper');
    expectRefusalToEncode(Nest, loop, 'too-deep', path);
  });
});

test('the limit on octets is checked before anything is read', () => {
  const never: Codec<null> = {
    ...nullValue,
    read: () => assert.fail('read'),
  };
  assert.throws(() => decode(never, new Uint8Array(11), { octets: 10 }), { code: 'too-long' });
});

test('the limit on fields counts elements, components and alternatives alike', () => {
  const Rows = sequenceOf(sequence<{ a: boolean }>('Row', { a: boolean }));
  const encoding = octets('01 03 00 00 00');
  assert.equal(decode(Rows, encoding, { fields: 6 }).length, 3);
  assert.throws(() => decode(Rows, encoding, { fields: 5 }), {
    code: 'too-many',
    path: [2, 'a'],
    offset: 4,
  });
});

describe('encode', () => {
  test('gives octets of their own each time', () => {
    const first = encode(octetString(), octets('01 02'));
    const second = encode(octetString(), octets('03 04'));
    assert.equal(toHex(first), '02 01 02');
    assert.equal(toHex(second), '02 03 04');
    assert.notEqual(first.buffer, second.buffer);
    assert.equal(first.buffer.byteLength, first.length);
  });

  test('is not disturbed by an encoding within it, nor by one that failed', () => {
    const Inner = containing(octetString());
    const Nested: Codec<Uint8Array> = {
      ...octetString(),
      write(writer, value) {
        assert.throws(() => encode(boolean as Codec<unknown>, 'no'));
        octetString().write(writer, encode(Inner, value));
      },
    };
    const value = new Uint8Array(600).fill(3);
    assert.deepEqual(decode(containing(Inner), encode(Nested, value)), value);
    assert.equal(toHex(encode(sequenceOf(Nested), [octets('05')])), '01 01 03 02 01 05');
  });
});
