import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  boolean,
  choice,
  integer,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
} from '@chrysalis/coer';
import fc from 'fast-check';
import {
  expectEncoding,
  expectRefusal,
  expectRefusalToEncode,
  expectRoundTrip,
  STRAY_VALUES,
} from './expectation.ts';

const Uint8 = integer({ min: 0, max: 255 });
const Bytes = sequenceOf(Uint8);

test('SEQUENCE OF is a count, as an unsigned INTEGER without bounds, and the elements (X.696 §17)', () => {
  expectEncoding(Bytes, [], '01 00');
  expectEncoding(Bytes, [1, 2, 3], '01 03 01 02 03');
  expectEncoding(
    sequenceOf(octetString()),
    [Uint8Array.of(5), new Uint8Array(0)],
    '01 02 01 05 00',
  );
});

test('SEQUENCE OF has its count also when its size is fixed', () => {
  expectEncoding(sequenceOf(Uint8, { min: 2, max: 2 }), [8, 9], '01 02 08 09');
});

test('SEQUENCE OF counts 128 and 256 elements in the fewest octets', () => {
  const many = (count: number) => Array.from({ length: count }, () => 0);
  expectEncoding(Bytes, many(128), `01 80${' 00'.repeat(128)}`);
  expectEncoding(Bytes, many(256), `02 01 00${' 00'.repeat(256)}`);
});

test('SEQUENCE OF round trips, nested', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.integer({ min: 0, max: 255 }))), (value) =>
      expectRoundTrip(sequenceOf(Bytes), value),
    ),
    { seed: 6, numRuns: 300 },
  );
});

describe('the count is believed as far as the octets can hold, and no valid one is refused', () => {
  type Empty = { readonly type: 'nothing'; readonly value: null };
  const Empty = choice<Empty>('Empty', { nothing: nullValue });
  test('of elements of one octet', () => {
    expectEncoding(sequenceOf(Empty), [{ type: 'nothing', value: null }], '01 01 80');
    expectEncoding(
      sequenceOf(sequence<{ a?: null }>('S', { a: optional(nullValue) })),
      [{}],
      '01 01 00',
    );
    expectEncoding(sequenceOf(sequenceOf(boolean)), [[], []], '01 02 01 00 01 00');
  });

  test('of extension alternatives, which may be shorter than those of the root', () => {
    type Grown =
      | { readonly type: 'long'; readonly value: Uint8Array }
      | { readonly type: 'short'; readonly value: null };
    const Grown = choice<Grown>(
      'Grown',
      { long: octetString(20), short: nullValue },
      { extensionAlternatives: 1 },
    );
    expectEncoding(sequenceOf(Grown), [{ type: 'short', value: null }], '01 01 81 00');
  });

  test('of elements without octets, up to the maximum that they need', () => {
    const Nulls = sequenceOf(nullValue, { max: 3 });
    expectEncoding(Nulls, [null, null, null], '01 03');
    expectRefusal(Nulls, '01 04', 'out-of-range', 0);
    assert.throws(() => sequenceOf(nullValue), TypeError);
  });
});

describe('SEQUENCE OF refuses', () => {
  test('a count beyond what the input can hold, at the count', () => {
    expectRefusal(Bytes, '01 02 07', 'too-many', 0);
    expectRefusal(sequenceOf(Bytes), '01 02 01 00 01', 'too-many', 0);
    expectRefusal(sequenceOf(octetString(8)), '01 02 01 02 03 04 05 06 07 08', 'too-many', 0);
  });

  test('a count in more octets than it needs', () => {
    expectRefusal(Bytes, '02 00 01 07', 'non-canonical-integer', 0);
    expectRefusal(Bytes, '81 01 01 07', 'non-canonical-length', 0);
    expectRefusal(Bytes, '00', 'non-canonical-integer', 0);
  });

  test('more or fewer elements than its bounds', () => {
    const Pair = sequenceOf(Uint8, { min: 1, max: 2 });
    expectRefusal(Pair, '01 00', 'out-of-range', 0);
    expectRefusal(Pair, '01 03 01 02 03', 'out-of-range', 0);
    expectRefusalToEncode(Pair, []);
    expectRefusalToEncode(Pair, [1, 2, 3]);
  });

  test('a bad element, by its index and offset', () => {
    expectRefusal(sequenceOf(boolean), '01 03 00 ff 01', 'invalid-boolean', 4, [2]);
    expectRefusalToEncode(Bytes, [1, 2, 300], 'out-of-range', [2]);
  });

  test('to encode what is not an array, or has a hole', () => {
    for (const value of STRAY_VALUES) {
      if (!Array.isArray(value)) expectRefusalToEncode(Bytes, value);
    }
    expectRefusalToEncode(Bytes, { length: 1, 0: 1 });
    expectRefusalToEncode(sequenceOf(nullValue, { max: 9 }), new Array(2), 'out-of-range', [0]);
  });
});
