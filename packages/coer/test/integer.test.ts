import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bigInteger, decode, encode, integer } from '@chrysalis/coer';
import fc from 'fast-check';
import {
  expectEncoding,
  expectRefusal,
  expectRefusalToEncode,
  expectRoundTrip,
  STRAY_VALUES,
  toHex,
} from './expectation.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const Uint8 = integer({ min: 0, max: 255 });
const Unsigned = integer({ min: 0 });
const Signed = integer();
const Uint64 = bigInteger({ min: 0n, max: 2n ** 64n - 1n });
const BigUnsigned = bigInteger({ min: 0n });
const BigSigned = bigInteger();

describe('INTEGER, the form that its bounds choose (X.696 §10.3, §10.4)', () => {
  const forms: readonly [number | undefined, number | undefined, number, string][] = [
    [0, 0, 0, '00'],
    [0, 255, 255, 'ff'],
    [3, 255, 3, '03'],
    [0, 256, 255, '00 ff'],
    [0, 65535, 65535, 'ff ff'],
    [0, 65536, 1, '00 00 00 01'],
    [1000, 65536, 1000, '00 00 03 e8'],
    [0, 2 ** 32 - 1, 2 ** 32 - 1, 'ff ff ff ff'],
    [-1, 0, -1, 'ff'],
    [-128, 127, -128, '80'],
    [-128, 127, 127, '7f'],
    [-128, 128, -128, 'ff 80'],
    [-129, 127, 127, '00 7f'],
    [-32768, 32767, -32768, '80 00'],
    [-32768, 32767, 32767, '7f ff'],
    [-1, 32768, -1, 'ff ff ff ff'],
    [-(2 ** 31), 2 ** 31 - 1, -(2 ** 31), '80 00 00 00'],
    [-900_000_000, 900_000_001, 900_000_001, '35 a4 e9 01'],
    [0, undefined, 0, '01 00'],
    [0, undefined, 127, '01 7f'],
    [0, undefined, 128, '01 80'],
    [0, undefined, 256, '02 01 00'],
    [0, undefined, MAX, '07 1f ff ff ff ff ff ff'],
    [undefined, undefined, 0, '01 00'],
    [undefined, undefined, 127, '01 7f'],
    [undefined, undefined, 128, '02 00 80'],
    [undefined, undefined, -1, '01 ff'],
    [undefined, undefined, -128, '01 80'],
    [undefined, undefined, -129, '02 ff 7f'],
    [undefined, undefined, -32768, '02 80 00'],
    [undefined, undefined, MAX, '07 1f ff ff ff ff ff ff'],
    [undefined, undefined, -MAX, '07 e0 00 00 00 00 00 01'],
    // An upper bound alone leaves the sign open, and so the length.
    [undefined, 255, 255, '02 00 ff'],
    [-5, undefined, -5, '01 fb'],
  ];
  for (const [min, max, value, hex] of forms) {
    test(`(${min ?? 'MIN'}..${max ?? 'MAX'}) has ${value} in ${hex}`, () => {
      const bounds = { ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
      expectEncoding(integer(bounds), value, hex);
    });
  }
});

describe('INTEGER as a bigint', () => {
  test('takes a word of 8 octets where the bounds need one', () => {
    expectEncoding(Uint64, 0n, '00 00 00 00 00 00 00 00');
    expectEncoding(Uint64, 2n ** 64n - 1n, 'ff ff ff ff ff ff ff ff');
    const Int64 = bigInteger({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    expectEncoding(Int64, -(2n ** 63n), '80 00 00 00 00 00 00 00');
    expectEncoding(Int64, -2n, 'ff ff ff ff ff ff ff fe');
  });

  test('takes a length beyond 8 octets', () => {
    expectEncoding(bigInteger({ min: 0n, max: 2n ** 64n }), 255n, '01 ff');
    expectEncoding(BigUnsigned, 2n ** 64n, '09 01 00 00 00 00 00 00 00 00');
    expectEncoding(BigSigned, -(2n ** 63n) - 1n, '09 ff 7f ff ff ff ff ff ff ff');
    expectEncoding(BigSigned, 0n, '01 00');
    expectEncoding(BigSigned, -128n, '01 80');
    expectEncoding(BigSigned, 128n, '02 00 80');
  });

  test('ends at 1024 octets in both directions', () => {
    const largest = 2n ** 8192n - 1n;
    expectRoundTrip(BigUnsigned, largest);
    expectRefusalToEncode(BigUnsigned, largest + 1n, 'too-long');
    const encoding = new Uint8Array(3 + 1025).fill(0x7f);
    encoding.set([0x82, 0x04, 0x01]);
    expectRefusal(BigUnsigned, encoding, 'too-long', 0);
  });
});

test('every INTEGER of every bounds round trips', () => {
  const anyBounds = fc
    .tuple(
      fc.maxSafeInteger(),
      fc.maxSafeInteger(),
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.boolean(),
    )
    .map(([a, b, c, hasMin, hasMax]) => {
      const [min, value, max] = [a, b, c].sort((x, y) => x - y) as [number, number, number];
      return { value, bounds: { ...(hasMin && { min }), ...(hasMax && { max }) } };
    });
  fc.assert(
    fc.property(anyBounds, ({ value, bounds }) => {
      const { min, max } = bounds;
      const big = bigInteger({
        ...(min !== undefined && { min: BigInt(min) }),
        ...(max !== undefined && { max: BigInt(max) }),
      });
      expectRoundTrip(big, BigInt(value));
      let codec: ReturnType<typeof integer>;
      try {
        codec = integer(bounds);
      } catch (error) {
        // Bounds that need a word of 8 octets are for bigInteger.
        assert.ok(error instanceof TypeError);
        return;
      }
      expectRoundTrip(codec, value);
      assert.deepEqual(encode(codec, value), encode(big, BigInt(value)));
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test('a bigint of any size round trips', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }), (value) => {
      expectRoundTrip(BigSigned, value);
      if (value >= 0n) expectRoundTrip(BigUnsigned, value);
    }),
    { seed: 2, numRuns: 500 },
  );
});

describe('INTEGER refuses', () => {
  test('a value outside its bounds, though the word could hold it', () => {
    const Percent = integer({ min: 10, max: 100 });
    expectRefusal(Percent, '09', 'out-of-range', 0);
    expectRefusal(Percent, '65', 'out-of-range', 0);
    expectRefusal(integer({ min: -5, max: 5 }), 'fa', 'out-of-range', 0);
    expectRefusal(integer({ min: 2 }), '01 01', 'out-of-range', 0);
    expectRefusal(integer({ max: 2 }), '01 03', 'out-of-range', 0);
    expectRefusal(bigInteger({ min: 1n, max: 2n ** 64n - 1n }), '00'.repeat(8), 'out-of-range', 0);
  });

  test('a leading octet that says nothing (X.696 §31.4)', () => {
    for (const codec of [Unsigned, BigUnsigned]) {
      expectRefusal(codec, '02 00 01', 'non-canonical-integer', 0);
      expectRefusal(codec, '02 00 ff', 'non-canonical-integer', 0);
    }
    for (const codec of [Signed, BigSigned]) {
      expectRefusal(codec, '02 00 7f', 'non-canonical-integer', 0);
      expectRefusal(codec, '02 ff 80', 'non-canonical-integer', 0);
      expectRefusal(codec, '03 ff ff 7f', 'non-canonical-integer', 0);
    }
  });

  test('no octets', () => {
    for (const codec of [Unsigned, Signed, BigUnsigned, BigSigned]) {
      expectRefusal(codec, '00', 'non-canonical-integer', 0);
      expectRefusal(codec, '', 'truncated', 0);
    }
  });

  test('a word or a number that is cut short, or followed by more', () => {
    expectRefusal(integer({ min: 0, max: 65535 }), '01', 'truncated', 0);
    expectRefusal(Uint64, '00 00 00 00 00 00 00', 'truncated', 0);
    expectRefusal(Unsigned, '02 01', 'truncated', 1);
    expectRefusal(BigSigned, '02 01', 'truncated', 1);
    expectRefusal(Uint8, '00 00', 'trailing-octets', 1);
  });

  test('a length that is not the shortest', () => {
    expectRefusal(Unsigned, '81 01 05', 'non-canonical-length', 0);
    expectRefusal(BigSigned, '82 00 01 05', 'non-canonical-length', 0);
  });

  test('what a JavaScript number would round', () => {
    expectRefusal(Unsigned, '07 20 00 00 00 00 00 00', 'out-of-range', 0);
    expectRefusal(Signed, '07 e0 00 00 00 00 00 00', 'out-of-range', 0);
    expectRefusal(Unsigned, '08 01 00 00 00 00 00 00 00', 'out-of-range', 0);
    assert.equal(decode(BigUnsigned, Uint8Array.of(7, 0x20, 0, 0, 0, 0, 0, 0)), 2n ** 53n);
  });

  test('to encode what is not an integer of its range', () => {
    for (const value of [...STRAY_VALUES, -1, 256, 1n]) expectRefusalToEncode(Uint8, value);
    for (const value of [...STRAY_VALUES, -1, MAX + 1]) expectRefusalToEncode(Unsigned, value);
    for (const value of [...STRAY_VALUES, -1n, 1, 2n ** 64n]) expectRefusalToEncode(Uint64, value);
  });
});

test('bounds that need 8 octets are refused when the codec is made, not when it runs', () => {
  assert.throws(() => integer({ min: 0, max: 2 ** 32 }), TypeError);
});

test('minus zero is encoded as zero', () => {
  assert.equal(toHex(encode(Signed, -0)), '01 00');
});
