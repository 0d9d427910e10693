import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bitString, decode, encode, octetString, utf8String } from '@chrysalis/coer';
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
import { anyCharacter } from './message.ts';

const Open = octetString();
const Bounded = octetString({ min: 1, max: 4 });
const Fixed = octetString(3);

describe('OCTET STRING', () => {
  test('of a fixed size has no length (X.696 §14.1)', () => {
    expectEncoding(Fixed, Uint8Array.of(1, 2, 3), '01 02 03');
    expectEncoding(octetString({ min: 2, max: 2 }), Uint8Array.of(1, 2), '01 02');
    expectEncoding(octetString(0), new Uint8Array(0), '');
  });

  test('of any other size has one (X.696 §14.2)', () => {
    expectEncoding(Open, new Uint8Array(0), '00');
    expectEncoding(Open, Uint8Array.of(7), '01 07');
    expectEncoding(Bounded, Uint8Array.of(1, 2, 3, 4), '04 01 02 03 04');
  });

  test('has the length in its shortest form at each of its steps (X.696 §8.6, §31.2)', () => {
    const heads: readonly [number, string][] = [
      [127, '7f'],
      [128, '81 80'],
      [255, '81 ff'],
      [256, '82 01 00'],
      [65535, '82 ff ff'],
      [65536, '83 01 00 00'],
    ];
    for (const [size, head] of heads) {
      const encoding = encode(Open, new Uint8Array(size).fill(9));
      assert.equal(toHex(encoding.subarray(0, encoding.length - size)), head);
      assert.equal(decode(Open, encoding).length, size);
    }
  });

  test('round trips', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (value) => expectRoundTrip(Open, value)),
      { seed: 4, numRuns: 300 },
    );
  });

  test('refuses a length that is not in its shortest form', () => {
    for (const hex of ['80', '81 00', '81 01 07', '81 7f', '82 00 80', '84 00 00 00 01 07']) {
      expectRefusal(Open, hex, 'non-canonical-length', 0);
    }
    expectRefusal(Open, '85 01 00 00 00 00', 'non-canonical-length', 0);
    expectRefusal(Open, 'ff', 'non-canonical-length', 0);
  });

  test('refuses more or fewer octets than its bounds, at the length', () => {
    expectRefusal(Bounded, '00', 'out-of-range', 0);
    expectRefusal(Bounded, '05 01 02 03 04 05', 'out-of-range', 0);
  });

  test('refuses what is cut short or followed by more', () => {
    expectRefusal(Open, '', 'truncated', 0);
    expectRefusal(Open, '82 01', 'truncated', 1);
    expectRefusal(Open, '02 01', 'truncated', 1);
    expectRefusal(Open, '01 01 01', 'trailing-octets', 2);
    expectRefusal(Fixed, '01 02', 'truncated', 0);
    expectRefusal(Fixed, '01 02 03 04', 'trailing-octets', 3);
  });

  test('encodes nothing but octets of its size', () => {
    const stray = [...STRAY_VALUES, [1, 2, 3], 'abc', new Uint16Array(3), new ArrayBuffer(3)];
    for (const value of stray) {
      for (const codec of [Open, Bounded, Fixed]) expectRefusalToEncode(codec, value);
    }
    expectRefusalToEncode(Fixed, new Uint8Array(2));
    expectRefusalToEncode(Bounded, new Uint8Array(5));
  });

  test('is a view of the input, and a plain Uint8Array also of a Buffer', () => {
    const input = octets('02 0a 0b');
    assert.equal(decode(Open, input).buffer, input.buffer);
    const fromBuffer = decode(Open, Buffer.from('xx020a0b'.slice(2), 'hex'));
    assert.equal(fromBuffer.constructor, Uint8Array);
    assert.deepEqual(fromBuffer, Uint8Array.of(10, 11));
  });
});

describe('BIT STRING of a fixed size', () => {
  test('is whole octets with no length, the first bit on top (X.696 §13.1)', () => {
    expectEncoding(bitString(8), Uint8Array.of(0x80), '80');
    expectEncoding(bitString(3), Uint8Array.of(0b1010_0000), 'a0');
    expectEncoding(bitString(11), Uint8Array.of(0xff, 0xe0), 'ff e0');
    expectEncoding(bitString(0), new Uint8Array(0), '');
  });

  test('refuses each unused bit that is set, at its own offset', () => {
    for (let bit = 0; bit < 5; bit++) {
      expectRefusal(bitString(11), Uint8Array.of(0xff, 0xe0 | (1 << bit)), 'non-zero-padding', 0);
    }
    expectRefusal(bitString(11), 'ff', 'truncated', 0);
    expectRefusal(bitString(8), 'ff 00', 'trailing-octets', 1);
  });

  test('encodes nothing but octets of its size with zero padding', () => {
    for (const value of STRAY_VALUES) expectRefusalToEncode(bitString(8), value);
    expectRefusalToEncode(bitString(11), Uint8Array.of(0xff, 0xf0));
    expectRefusalToEncode(bitString(11), Uint8Array.of(0xff));
  });
});

const Text = utf8String();
const Short = utf8String({ min: 1, max: 3 });

describe('UTF8String', () => {
  test('is a length in octets and the text, also when its size is fixed (X.696 §27)', () => {
    expectEncoding(Text, '', '00');
    expectEncoding(Text, 'Ab', '02 41 62');
    expectEncoding(Text, 'é€😀', '09 c3 a9 e2 82 ac f0 9f 98 80');
    expectEncoding(utf8String({ min: 2, max: 2 }), 'ab', '02 61 62');
    expectEncoding(Text, '\u{feff}a\0', '05 ef bb bf 61 00');
  });

  test('counts characters, neither octets nor UTF-16 units', () => {
    expectEncoding(Short, '😀😀😀', '0c f0 9f 98 80 f0 9f 98 80 f0 9f 98 80');
    expectRefusal(Short, '00', 'out-of-range', 0);
    expectRefusal(Short, '04 61 61 61 61', 'out-of-range', 0);
    expectRefusalToEncode(Short, '');
    expectRefusalToEncode(Short, '😀😀😀a');
  });

  test('refuses octets that are not UTF-8', () => {
    const malformed = ['80', 'c3', 'c3 28', 'c0 80', 'e0 80 80', 'ed a0 80', 'f4 90 80 80', 'ff'];
    for (const hex of malformed) {
      const text = octets(hex);
      const encoding = Uint8Array.of(text.length, ...text);
      expectRefusal(Text, encoding, 'invalid-utf8', 0);
    }
  });

  test('refuses what is cut short', () => {
    expectRefusal(Text, '03 61 62', 'truncated', 1);
  });

  test('encodes nothing but well-formed text', () => {
    for (const value of STRAY_VALUES) {
      if (typeof value !== 'string') expectRefusalToEncode(Text, value);
    }
    expectRefusalToEncode(Text, '\ud800');
    expectRefusalToEncode(Text, 'a\udc00b');
  });

  test('round trips, and its bounds agree with a count of code points', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 8 }), (value) => {
        expectRoundTrip(Text, value);
        const size = [...value].length;
        expectRoundTrip(utf8String({ min: size, max: size }), value);
        expectRefusalToEncode(utf8String({ min: size + 1 }), value);
      }),
      { seed: 5, numRuns: 500 },
    );
  });
});
