import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  boolean,
  type Codec,
  decode,
  type Extensible,
  encode,
  integer,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
  utf8String,
  withDefault,
} from '@chrysalis/coer';
import fc from 'fast-check';
import {
  expectEncoding,
  expectRefusal,
  expectRefusalToEncode,
  expectRoundTrip,
  octets,
  STRAY_VALUES,
  toHex,
} from './expectation.ts';

const Uint8 = integer({ min: 0, max: 255 });

interface Pair {
  readonly a: number;
  readonly b: boolean;
}
const Pair = sequence<Pair>('Pair', { a: Uint8, b: boolean });

interface Choosy {
  readonly a: number;
  readonly b?: number;
  readonly c?: null;
  readonly d: number;
}
const Choosy = sequence<Choosy>('Choosy', {
  a: Uint8,
  b: optional(Uint8),
  c: optional(nullValue),
  d: withDefault(Uint8, 7),
});

describe('SEQUENCE, its preamble and its components (X.696 §16.2, §16.3)', () => {
  test('without anything that may be absent there is no preamble', () => {
    expectEncoding(Pair, { a: 1, b: true }, '01 ff');
    expectEncoding(sequence<object>('Empty', {}), {}, '');
  });

  test('each OPTIONAL or DEFAULT component has a bit from the top, set when it is encoded', () => {
    expectEncoding(Choosy, { a: 1, d: 7 }, '00 01');
    expectEncoding(Choosy, { a: 1, b: 2, d: 7 }, '80 01 02');
    expectEncoding(Choosy, { a: 1, c: null, d: 7 }, '40 01');
    expectEncoding(Choosy, { a: 1, b: 2, c: null, d: 3 }, 'e0 01 02 03');
  });

  test('the extension bit comes first', () => {
    interface Open extends Extensible {
      readonly a?: number;
    }
    const Open = sequence<Open>('Open', { a: optional(Uint8) }, { extensible: true });
    expectEncoding(Open, {}, '00');
    expectEncoding(Open, { a: 5 }, '40 05');
  });

  test('the preamble takes as many octets as it needs', () => {
    const letters = [...'abcdefghi'];
    const components = Object.fromEntries(letters.map((name) => [name, optional(Uint8)]));
    const Nine = sequence<Record<string, number>>('Nine', components as never);
    expectEncoding(Nine, { a: 1, i: 9 }, '80 80 01 09');
    const Ten = sequence<Record<string, number>>('Ten', components as never, { extensible: true });
    expectEncoding(Ten, { h: 8, i: 9 }, '00 c0 08 09');
    expectRefusal(Nine, '00 40', 'non-zero-padding', 0);
    expectRefusal(Nine, '00', 'truncated', 0);
  });
});

describe('SEQUENCE refuses', () => {
  test('padding bits that are not zero', () => {
    for (let bit = 0; bit < 5; bit++) {
      expectRefusal(Choosy, Uint8Array.of(1 << bit, 1), 'non-zero-padding', 0);
    }
  });

  test('an encoded DEFAULT, by its name and offset (X.696 §31.9)', () => {
    expectRefusal(Choosy, '20 01 07', 'encoded-default', 2);
    assert.throws(() => decode(Choosy, octets('20 01 07')), /expected d absent/);
    const Outer = sequence<{ inner: Choosy }>('Outer', { inner: Choosy });
    expectRefusal(Outer, 'a0 01 02 07', 'encoded-default', 3, ['inner']);
  });

  test('a component that is cut short or out of range, by its path and offset', () => {
    expectRefusal(Choosy, '80 01', 'truncated', 2, ['b']);
    expectRefusal(Pair, '01 02', 'invalid-boolean', 1, ['b']);
    expectRefusal(sequenceOf(Pair), '01 02 01 ff 01 05', 'invalid-boolean', 5, [1, 'b']);
    expectRefusal(Pair, '01 ff 00', 'trailing-octets', 2);
    expectRefusal(Choosy, '', 'truncated', 0);
  });

  test('to encode what is not an object, or lacks a component', () => {
    for (const value of [undefined, null, 5, 'text']) expectRefusalToEncode(Pair, value);
    for (const value of STRAY_VALUES.filter((v) => typeof v === 'object' && v !== null)) {
      expectRefusalToEncode(Pair, value, 'out-of-range', ['a']);
    }
    expectRefusalToEncode(Pair, { a: 1 }, 'out-of-range', ['b']);
    expectRefusalToEncode(Choosy, { a: 1, b: 256, d: 7 }, 'out-of-range', ['b']);
    expectRefusalToEncode(Choosy, { a: 1, d: 256 }, 'out-of-range', ['d']);
  });
});

describe('DEFAULT', () => {
  test('is in the decoded value, and is not encoded when it is given or left out', () => {
    assert.deepEqual(decode(Choosy, octets('00 01')), { a: 1, d: 7 });
    assert.equal(toHex(encode(Choosy, { a: 1, d: 7 })), '00 01');
    assert.equal(toHex(encode(Choosy as Codec<unknown>, { a: 1 })), '00 01');
  });

  test('of octets is compared by its octets', () => {
    interface Flags {
      readonly flags: Uint8Array;
    }
    const Flags = sequence<Flags>('Flags', { flags: withDefault(octetString(), octets('80')) });
    expectEncoding(Flags, { flags: octets('80') }, '00');
    expectEncoding(Flags, { flags: octets('80 00') }, '80 02 80 00');
    expectRefusal(Flags, '80 01 80', 'encoded-default', 1);
  });

  test('is only compared with what was written for its own component', () => {
    interface Twins {
      readonly a: number;
      readonly b: number;
      readonly c: null;
    }
    const Twins = sequence<Twins>('Twins', {
      a: withDefault(Uint8, 1),
      b: withDefault(Uint8, 1),
      c: withDefault(nullValue, null),
    });
    expectEncoding(Twins, { a: 1, b: 1, c: null }, '00');
    expectEncoding(Twins, { a: 2, b: 1, c: null }, '80 02');
    expectRefusal(Twins, '20', 'encoded-default', 1);
  });

  test('nested thirty deep is encoded in one pass', () => {
    interface Nest {
      readonly inner: object | number;
    }
    let codec: Codec<object | number> = Uint8;
    let value: object | number = 1;
    for (let depth = 0; depth < 30; depth++) {
      const inner: object | number = value;
      codec = sequence<Nest>('Nest', { inner: withDefault(codec, inner) }) as typeof codec;
      value = { inner };
    }
    let other: object | number = 2;
    for (let depth = 0; depth < 30; depth++) other = { inner: other };
    assert.deepEqual(encode(codec, value), octets('00'));
    assert.equal(toHex(encode(codec, other)), `${'80 '.repeat(30)}02`);
  });
});

interface V1 extends Extensible {
  readonly a: number;
}
interface V2 extends V1 {
  readonly b?: number;
  readonly c?: string;
}
interface V3 extends V2 {
  readonly d?: number;
}
const V1 = sequence<V1>('Versioned', { a: Uint8 }, { extensible: true });
const V2 = sequence<V2>(
  'Versioned',
  { a: Uint8, b: optional(Uint8), c: optional(utf8String()) },
  { extensionAdditions: 2 },
);
const V3 = sequence<V3>(
  'Versioned',
  { a: Uint8, b: optional(Uint8), c: optional(utf8String()), d: optional(Uint8) },
  { extensible: true, extensionAdditions: 3 },
);

describe('extension additions (X.696 §16.4, §16.5)', () => {
  test('stand behind a bitmap, each in an open type', () => {
    expectEncoding(V2, { a: 1 }, '00 01');
    expectEncoding(V2, { a: 1, b: 2 }, '80 01 02 06 80 01 02');
    expectEncoding(V2, { a: 1, c: 'x' }, '80 01 02 06 40 02 01 78');
    expectEncoding(V2, { a: 1, b: 2, c: 'x' }, '80 01 02 06 c0 01 02 02 01 78');
    const Marked = sequence<{ marked?: null }>(
      'Marked',
      { marked: optional(nullValue) },
      { extensionAdditions: 1 },
    );
    expectEncoding(Marked, { marked: null }, '80 02 07 80 00');
  });

  test('that an older version does not know are kept and encoded again', () => {
    const encoding = encode(V3, { a: 1, b: 2, d: 9 });
    assert.equal(toHex(encoding), '80 01 02 05 a0 01 02 01 09');
    const v1 = decode(V1, encoding);
    assert.deepEqual(v1.unknownAdditions, {
      bitmapLength: 3,
      present: [
        { index: 0, octets: octets('02') },
        { index: 2, octets: octets('09') },
      ],
    });
    assert.deepEqual(encode(V1, v1), encoding);
    const v2 = decode(V2, encoding);
    assert.equal(v2.b, 2);
    assert.deepEqual(encode(V2, v2), encoding);
    assert.equal(toHex(encode(V2, { ...v2, c: '' })), '80 01 02 05 e0 01 02 01 00 01 09');
  });

  test('keep the shorter bitmap of an older sender, as long as nothing new is added', () => {
    const encoding = encode(V2, { a: 1, b: 2 });
    const v3 = decode(V3, encoding);
    assert.deepEqual(v3, { a: 1, b: 2, unknownAdditions: { bitmapLength: 2, present: [] } });
    assert.deepEqual(encode(V3, v3), encoding);
    assert.equal(toHex(encode(V3, { ...v3, d: 4 })), '80 01 02 05 a0 01 02 01 04');
    const { b: _, ...withoutAdditions } = v3;
    assert.equal(toHex(encode(V3, withoutAdditions)), '00 01');
  });

  test('keep the zero bits at the end of a longer bitmap', () => {
    const encoding = octets('80 01 03 03 80 00 01 02');
    assert.deepEqual(encode(V2, decode(V2, encoding)), encoding);
  });

  test('refuse a bitmap that is missing, empty, of zeros, padded wrongly or too long', () => {
    expectRefusal(V2, '80 01', 'truncated', 2);
    expectRefusal(V2, '80 01 00', 'invalid-extensions', 2);
    expectRefusal(V2, '80 01 01 00', 'invalid-extensions', 2);
    expectRefusal(V2, '80 01 02 08 80 01 02', 'invalid-extensions', 2);
    expectRefusal(V2, '80 01 03 08 80 00 01 02', 'invalid-extensions', 2);
    expectRefusal(V2, '80 01 02 06 00', 'invalid-extensions', 2);
    expectRefusal(V2, '80 01 02 06 81 01 02', 'non-zero-padding', 4);
    expectRefusal(V2, '80 01 81 02 06 80 01 02', 'non-canonical-length', 2);
    expectRefusal(V2, `80 01 22 07 ${'80'.repeat(33)}`, 'invalid-extensions', 2);
  });

  test('refuse an addition that does not fill its open type, by its name', () => {
    expectRefusal(V2, '80 01 02 06 80 02 02 03', 'trailing-octets', 7, ['b']);
    expectRefusal(V2, '80 01 02 06 80 00', 'truncated', 6, ['b']);
    expectRefusal(V2, '80 01 02 06 80 02 02', 'truncated', 6, ['b']);
    expectRefusal(V1, '80 01 02 06 80 02 02', 'truncated', 6, ['unknownAdditions[0]']);
  });

  test('refuse to encode unknown additions that no decoding of the type makes', () => {
    const unsound = [
      { bitmapLength: 3, present: [{ index: 0, octets: octets('00') }] },
      { bitmapLength: 2, present: [{ index: 2, octets: octets('00') }] },
      { bitmapLength: 3, present: [{ index: 3, octets: octets('00') }] },
      { bitmapLength: 4, present: [{ index: 2.5, octets: octets('00') }] },
      { bitmapLength: Number.NaN, present: [{ index: 2, octets: octets('00') }] },
      { bitmapLength: 3.5, present: [{ index: 2, octets: octets('00') }] },
      { bitmapLength: 257, present: [{ index: 2, octets: octets('00') }] },
      { bitmapLength: 2 ** 40, present: [{ index: 2, octets: octets('00') }] },
      {
        bitmapLength: 4,
        present: [
          { index: 3, octets: octets('00') },
          { index: 2, octets: octets('00') },
        ],
      },
      {
        bitmapLength: 4,
        present: [
          { index: 2, octets: octets('00') },
          { index: 2, octets: octets('00') },
        ],
      },
    ];
    for (const unknownAdditions of unsound) {
      expectRefusalToEncode(V2, { a: 1, unknownAdditions });
    }
    const noOctets = { bitmapLength: 3, present: [{ index: 2, octets: 'text' }] };
    expectRefusalToEncode(V2, { a: 1, unknownAdditions: noOctets }, 'out-of-range', [
      'unknownAdditions[2]',
    ]);
  });

  test('round trip between any two versions', () => {
    const known = fc.record(
      { a: fc.nat(255), b: fc.nat(255), c: fc.string(), d: fc.nat(255) },
      { requiredKeys: ['a'] },
    );
    const versions: Codec<unknown>[] = [V1, V2, V3];
    fc.assert(
      fc.property(known, (value) => {
        const encoding = encode(V3, value);
        for (const version of versions) expectRoundTrip(version, decode(version, encoding));
        for (const version of versions) {
          assert.deepEqual(encode(version, decode(version, encoding)), encoding);
        }
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe('a type that cannot work is refused when it is made', () => {
  test('an addition that is not OPTIONAL', () => {
    const make = () => sequence<Pair>('Pair', { a: Uint8, b: boolean }, { extensionAdditions: 1 });
    assert.throws(make, TypeError);
  });

  test('a name that every object inherits, that JavaScript would reorder, or that is reserved', () => {
    for (const name of ['__proto__', 'constructor', 'toString', '0', 'unknownAdditions']) {
      assert.throws(() => sequence<object>('Bad', { [name]: Uint8 } as never), TypeError, name);
    }
  });

  test('a default outside its own type', () => {
    assert.throws(() => sequence<{ a: number }>('Bad', { a: withDefault(Uint8, 256) }));
  });
});

test('what is not a component does not travel', () => {
  assert.equal(toHex(encode(Pair as Codec<unknown>, { a: 1, b: false, c: 3 })), '01 00');
});
