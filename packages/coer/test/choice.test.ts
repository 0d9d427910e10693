import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type Codec,
  choice,
  decode,
  encode,
  integer,
  nullValue,
  octetString,
  sequence,
  sequenceOf,
  type UnknownAlternative,
} from '@chrysalis/coer';
import fc from 'fast-check';
import {
  expectEncoding,
  expectRefusal,
  expectRefusalToEncode,
  octets,
  STRAY_VALUES,
  toHex,
} from './expectation.ts';

const Uint8 = integer({ min: 0, max: 255 });

type Closed =
  | { readonly type: 'none'; readonly value: null }
  | { readonly type: 'one'; readonly value: number };
const Closed = choice<Closed>('Closed', { none: nullValue, one: Uint8 });

type Open = Closed | { readonly type: 'later'; readonly value: number } | UnknownAlternative;
const Open = choice<Open>(
  'Open',
  { none: nullValue, one: Uint8, later: Uint8 },
  { extensible: true, extensionAlternatives: 1 },
);

/** Alternatives 0 to 199, to reach the tags of two and three octets. */
const wideNames = Array.from({ length: 200 }, (_, i) => `alternative${i}`);
type Wide = { readonly type: string; readonly value: null } | UnknownAlternative;
const Wide = choice<Wide>(
  'Wide',
  Object.fromEntries(wideNames.map((name) => [name, nullValue])) as never,
  { extensible: true },
);

describe('CHOICE (X.696 §20)', () => {
  test('is a context tag and the alternative', () => {
    expectEncoding(Closed, { type: 'none', value: null }, '80');
    expectEncoding(Closed, { type: 'one', value: 5 }, '81 05');
  });

  test('after the extension marker is a tag and an open type', () => {
    expectEncoding(Open, { type: 'one', value: 5 }, '81 05');
    expectEncoding(Open, { type: 'later', value: 5 }, '82 01 05');
  });

  test('keeps an alternative that it does not know and encodes it again', () => {
    expectEncoding(Open, { type: 'unknown', tag: 3, value: octets('0a 0b') }, '83 02 0a 0b');
    expectEncoding(Open, { type: 'unknown', tag: 62, value: octets('') }, 'be 00');
  });

  test('has its tag from 63 on in groups of 7 bits (X.696 §8.7.2.3)', () => {
    expectEncoding(Wide, { type: 'alternative62', value: null }, 'be');
    expectEncoding(Wide, { type: 'alternative63', value: null }, 'bf 3f');
    expectEncoding(Wide, { type: 'alternative127', value: null }, 'bf 7f');
    expectEncoding(Wide, { type: 'alternative128', value: null }, 'bf 81 00');
    expectEncoding(Wide, { type: 'alternative199', value: null }, 'bf 81 47');
    expectEncoding(Open, { type: 'unknown', tag: 63, value: octets('') }, 'bf 3f 00');
    expectEncoding(Open, { type: 'unknown', tag: 16383, value: octets('') }, 'bf ff 7f 00');
    expectEncoding(Open, { type: 'unknown', tag: 16384, value: octets('') }, 'bf 81 80 00 00');
    const last = { type: 'unknown', tag: 2 ** 28 - 1, value: octets('01') } as const;
    expectEncoding(Open, last, 'bf ff ff ff 7f 01 01');
  });

  test('keeps an unknown alternative of any tag', () => {
    const anyUnknown = fc.tuple(fc.integer({ min: 3, max: 2 ** 28 - 1 }), fc.uint8Array());
    fc.assert(
      fc.property(anyUnknown, ([tag, value]) => {
        const unknown: Open = { type: 'unknown', tag, value };
        assert.deepEqual(decode(Open, encode(Open, unknown)), unknown);
      }),
      { seed: 8, numRuns: 500 },
    );
  });

  test('takes several alternatives of one shape as one member of the union', () => {
    type Duration = { readonly type: 'minutes' | 'hours'; readonly value: number };
    const Duration = choice<Duration>('Duration', { minutes: Uint8, hours: Uint8 });
    expectEncoding(Duration, { type: 'hours', value: 2 }, '81 02');
  });
});

describe('CHOICE refuses', () => {
  test('a tag that is not of the context class', () => {
    for (const hex of ['00', '01 05', '41 05', 'c1 05', '3f 3f']) {
      expectRefusal(Open, hex, 'invalid-tag', 0);
    }
  });

  test('the long form of a short tag', () => {
    expectRefusal(Open, 'bf 01 05', 'invalid-tag', 0);
    expectRefusal(Open, 'bf 3e 00', 'invalid-tag', 0);
  });

  test('a long tag with a leading group of zeros', () => {
    expectRefusal(Open, 'bf 80 3f 00', 'invalid-tag', 0);
    expectRefusal(Open, 'bf 80 80 80 01 00', 'invalid-tag', 0);
  });

  test('a tag of more than 28 bits', () => {
    expectRefusal(Open, 'bf 81 80 80 80 00 00', 'invalid-tag', 0);
    expectRefusal(Open, 'bf ff ff ff ff ff ff', 'invalid-tag', 0);
  });

  test('a tag that is cut short', () => {
    expectRefusal(Open, '', 'truncated', 0);
    expectRefusal(Open, 'bf', 'truncated', 1);
    expectRefusal(Open, 'bf 81', 'truncated', 2);
  });

  test('an alternative that it does not know, unless it is extensible', () => {
    expectRefusal(Closed, '82', 'unknown-alternative', 0);
    const Holder = sequence<{ held: Closed }>('Holder', { held: Closed });
    expectRefusal(Holder, 'bf 3f', 'unknown-alternative', 0, ['held']);
  });

  test('an alternative that is cut short or followed by more, by its name', () => {
    expectRefusal(Closed, '81', 'truncated', 1, ['one']);
    expectRefusal(Open, '82 02 05 06', 'trailing-octets', 3, ['later']);
    expectRefusal(Open, '82 00', 'truncated', 2, ['later']);
    expectRefusal(Open, '85 03 01', 'truncated', 2, ['unknown']);
    expectRefusal(Closed, '80 00', 'trailing-octets', 1);
  });

  test('to encode what is not one of its alternatives', () => {
    for (const value of STRAY_VALUES) expectRefusalToEncode(Open, value);
    expectRefusalToEncode(Open, { type: 'other', value: 1 });
    expectRefusalToEncode(Open, { type: 'toString', value: 1 });
    expectRefusalToEncode(Open, { type: 'one' }, 'out-of-range', ['one']);
    expectRefusalToEncode(Open, { type: 'one', value: 256 }, 'out-of-range', ['one']);
    expectRefusalToEncode(Open, { type: 'later', value: 256 }, 'out-of-range', ['later']);
  });

  test('to encode an unknown alternative that it knows, cannot read back, or may not have', () => {
    const value = octets('00');
    expectRefusalToEncode(Closed, { type: 'unknown', tag: 2, value });
    for (const tag of [-1, 0, 2, 3.5, 2 ** 28, Number.NaN, undefined, '3']) {
      expectRefusalToEncode(Open, { type: 'unknown', tag, value });
    }
    const noOctets = { type: 'unknown', tag: 3, value: 'text' };
    expectRefusalToEncode(Open, noOctets, 'out-of-range', ['unknown']);
  });
});

test('an extension alternative is enough to make a CHOICE extensible', () => {
  const Grown = choice<Open>(
    'Grown',
    { none: nullValue, one: Uint8, later: Uint8 },
    { extensionAlternatives: 1 },
  );
  expectEncoding(Grown, { type: 'unknown', tag: 3, value: octets('') }, '83 00');
});

test('no alternative is shorter than minimumOctets says', () => {
  const values: Open[] = [
    { type: 'none', value: null },
    { type: 'one', value: 1 },
    { type: 'later', value: 1 },
    { type: 'unknown', tag: 9, value: octets('') },
  ];
  for (const value of values) assert.ok(encode(Open, value).length >= Open.minimumOctets);
  expectEncoding(sequenceOf(Open), [{ type: 'none', value: null }], '01 01 80');
  type Long = { readonly type: 'long'; readonly value: Uint8Array } | UnknownAlternative;
  const Long = choice<Long>('Long', { long: octetString(9) }, { extensible: true });
  expectEncoding(sequenceOf(Long), [{ type: 'unknown', tag: 1, value: octets('') }], '01 01 81 00');
});

test('a name that JavaScript would reorder, inherits or reserves is refused when the type is made', () => {
  for (const name of ['7', 'constructor', '__proto__', 'unknown']) {
    assert.throws(() => choice('Bad', { [name]: nullValue } as never), TypeError, name);
  }
});

test('the tag follows the order in which the alternatives are listed', () => {
  const encodings = wideNames.map((type) =>
    toHex(encode(Wide as Codec<unknown>, { type, value: null })),
  );
  assert.deepEqual(encodings.slice(0, 3), ['80', '81', '82']);
  assert.equal(new Set(encodings).size, wideNames.length);
});
