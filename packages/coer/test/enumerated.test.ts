import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decode, encode, enumerated } from '@chrysalis/coer';
import fc from 'fast-check';
import {
  expectEncoding,
  expectRefusal,
  expectRefusalToEncode,
  octets,
  STRAY_VALUES,
  toHex,
} from './expectation.ts';

const Colour = enumerated('Colour', ['red', 'green', 'blue']);
const Growing = enumerated('Growing', ['one', 'two'], { extensible: true });
const manyNames = Array.from({ length: 300 }, (_, i) => `value${i}`);
const Many = enumerated('Many', manyNames);

test('ENUMERATED up to 127 is one octet (X.696 §11.3)', () => {
  expectEncoding(Colour, 'red', '00');
  expectEncoding(Colour, 'blue', '02');
  expectEncoding(Many, 'value127', '7f');
});

test('ENUMERATED from 128 on is a length with its top bit set and a signed integer (X.696 §11.4)', () => {
  expectEncoding(Many, 'value128', '82 00 80');
  expectEncoding(Many, 'value255', '82 00 ff');
  expectEncoding(Many, 'value256', '82 01 00');
});

test('an extensible ENUMERATED keeps a value that it does not know', () => {
  expectEncoding(Growing, 'two', '01');
  expectEncoding(Growing, 2, '02');
  expectEncoding(Growing, 128, '82 00 80');
  expectEncoding(Growing, -1, '81 ff');
  expectEncoding(Growing, -128, '81 80');
  expectEncoding(Growing, -129, '82 ff 7f');
  expectEncoding(Growing, 2 ** 31 - 1, '84 7f ff ff ff');
  expectEncoding(Growing, -(2 ** 31), '84 80 00 00 00');
});

test('every value of an extensible ENUMERATED round trips', () => {
  fc.assert(
    fc.property(fc.integer(), (value) => {
      const back = decode(Growing, encode(Growing, value));
      assert.equal(back, ['one', 'two'][value] ?? value);
    }),
    { seed: 3, numRuns: 1000 },
  );
});

describe('ENUMERATED refuses', () => {
  test('a value that is not listed, unless it is extensible', () => {
    expectRefusal(Colour, '03', 'out-of-range', 0);
    expectRefusal(Colour, '81 ff', 'out-of-range', 0);
    expectRefusal(Many, '82 01 2c', 'out-of-range', 0);
  });

  test('the long form of what fits the short one (X.696 §31.5)', () => {
    for (const hex of ['81 00', '81 7f', '82 00 7f', '84 00 00 00 01']) {
      expectRefusal(Growing, hex, 'non-canonical-integer', 0);
    }
  });

  test('an octet that says nothing in the long form', () => {
    for (const hex of ['82 ff 80', '83 00 00 80', '83 ff ff 00', '84 00 12 34 56']) {
      expectRefusal(Growing, hex, 'non-canonical-integer', 0);
    }
  });

  test('a long form of no octets or of more than 4', () => {
    expectRefusal(Growing, '80', 'non-canonical-length', 0);
    expectRefusal(Growing, '85 01 00 00 00 00', 'non-canonical-length', 0);
    expectRefusal(Growing, 'ff', 'non-canonical-length', 0);
  });

  test('what is cut short', () => {
    expectRefusal(Growing, '', 'truncated', 0);
    expectRefusal(Growing, '82 01', 'truncated', 1);
    assert.throws(() => decode(Growing, octets('02 00')));
  });

  test('to encode a name or a number that is not its own', () => {
    for (const value of STRAY_VALUES) {
      expectRefusalToEncode(Colour, value);
      expectRefusalToEncode(Growing, value);
    }
    expectRefusalToEncode(Colour, 3);
    expectRefusalToEncode(Growing, 2 ** 31);
    expectRefusalToEncode(Growing, -(2 ** 31) - 1);
    expectRefusalToEncode(Colour, 'toString');
  });
});

test('the number of a listed value is encoded as its name is', () => {
  assert.equal(toHex(encode(Growing, 1)), '01');
});
