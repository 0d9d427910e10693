import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  boolean,
  type Captured,
  type Codec,
  capture,
  captured,
  constrained,
  containing,
  decode,
  encode,
  encoded,
  integer,
  lazy,
  nullValue,
  octetString,
  openType,
  optional,
  sequence,
  sequenceOf,
} from '@chrysalis/coer';
import {
  expectEncoding,
  expectRefusal,
  expectRefusalToEncode,
  octets,
  STRAY_VALUES,
  toHex,
} from './expectation.ts';

const Uint8 = integer({ min: 0, max: 255 });

describe('OCTET STRING (CONTAINING T)', () => {
  test('is a length and exactly one encoding', () => {
    expectEncoding(containing(Uint8), 5, '01 05');
    expectEncoding(containing(nullValue), null, '00');
    expectEncoding(containing(containing(Uint8)), 5, '02 01 05');
  });

  test('moves its content when the length needs more than one octet', () => {
    for (const size of [100, 127, 128, 255, 256, 70_000]) {
      const value = new Uint8Array(size).fill(0xa5);
      const plain = encode(octetString(), value);
      const nested = encode(containing(containing(octetString())), value);
      assert.deepEqual(decode(octetString(), decode(octetString(), nested)), plain);
      assert.deepEqual(decode(containing(containing(octetString())), nested), value);
    }
  });

  test('refuses a content that does not fill it, with the offset in the whole input', () => {
    expectRefusal(containing(Uint8), '02 05 06', 'trailing-octets', 2);
    expectRefusal(containing(Uint8), '00', 'truncated', 1, ['content']);
    expectRefusal(containing(Uint8), '02 05', 'truncated', 1);
    expectRefusal(containing(Uint8), '01 05 00', 'trailing-octets', 2);
    const Inner = containing(sequenceOf(boolean));
    expectRefusal(Inner, '04 01 02 ff 05', 'invalid-boolean', 4, ['content', 1]);
  });

  test('does not let its content read past its end', () => {
    expectRefusal(containing(boolean), '00 ff', 'truncated', 1, ['content']);
    expectRefusal(sequenceOf(containing(octetString())), '01 02 02 02 01 01 00', 'truncated', 4, [
      0,
      'content',
    ]);
  });

  test('names its content when it cannot be encoded', () => {
    expectRefusalToEncode(containing(Uint8), 256, 'out-of-range', ['content']);
  });
});

describe('an open type', () => {
  test('is a length and exactly one encoding, without a level of its own (X.696 §30)', () => {
    expectEncoding(openType(Uint8), 5, '01 05');
    expectRefusal(openType(Uint8), '02 05 06', 'trailing-octets', 2);
    expectRefusalToEncode(openType(Uint8), 256);
  });
});

describe('captured', () => {
  const Pair = sequence<{ a: number; b: Captured<{ c?: number }> }>('Pair', {
    a: Uint8,
    b: captured(sequence<{ c?: number }>('Inner', { c: optional(Uint8) })),
  });

  test('keeps the octets beside the value', () => {
    const decoded = decode(Pair, octets('01 80 07'));
    assert.deepEqual(decoded, { a: 1, b: { value: { c: 7 }, octets: octets('80 07') } });
    assert.deepEqual(encode(Pair, decoded), octets('01 80 07'));
  });

  test('encodes the octets, whatever the value', () => {
    const encoding = encode(captured(Uint8), { value: 1, octets: octets('02') });
    assert.equal(toHex(encoding), '02');
  });

  test('is made of octets by encoded, whose value is read when it is asked for', () => {
    const given = octets('09');
    assert.equal(encoded(Uint8, given).octets, given);
    assert.equal(encoded(Uint8, given).value, 9);
    const wrong = encoded(Uint8, octets('09 09'));
    assert.equal(toHex(encode(captured(Uint8), wrong)), '09 09');
    assert.throws(() => wrong.value, { name: 'CoerError', code: 'trailing-octets' });
  });

  test('is made of a value of one’s own by capture', () => {
    assert.deepEqual(capture(Uint8, 9), { value: 9, octets: octets('09') });
  });

  test('refuses to encode what has no octets', () => {
    for (const value of STRAY_VALUES) expectRefusalToEncode(captured(Uint8), value);
  });
});

describe('lazy', () => {
  interface Tree {
    readonly children: readonly Tree[];
  }
  const Tree: Codec<Tree> = sequence<Tree>('Tree', {
    children: sequenceOf(lazy('Tree', () => Tree)),
  });

  test('lets a type refer to itself', () => {
    expectEncoding(Tree, { children: [] }, '01 00');
    expectEncoding(Tree, { children: [{ children: [] }, { children: [] }] }, '01 02 01 00 01 00');
  });

  test('looks its codec up once', () => {
    let lookups = 0;
    const Counted = lazy('Counted', () => {
      lookups++;
      return Uint8;
    });
    decode(sequenceOf(Counted), octets('01 03 01 02 03'));
    encode(Counted, 4);
    assert.equal(lookups, 1);
  });

  test('refuses a type that may have no octets, as counts would be misjudged', () => {
    assert.throws(
      () =>
        decode(
          lazy('Nothing', () => nullValue),
          octets(''),
        ),
      TypeError,
    );
  });
});

describe('constrained', () => {
  const Three = constrained(Uint8, 'Uint8 (3)', (version) => version === 3);

  test('changes nothing in the encoding', () => {
    expectEncoding(Three, 3, '03');
    assert.equal(Three.minimumOctets, 1);
  });

  test('refuses what its check refuses, at the first octet', () => {
    const Holder = sequence<{ a: number; version: number }>('Holder', { a: Uint8, version: Three });
    expectRefusal(Holder, '03 02', 'out-of-range', 1, ['version']);
    expectRefusalToEncode(Holder, { a: 3, version: 2 }, 'out-of-range', ['version']);
    assert.throws(
      () => decode(Three, octets('04')),
      /expected Uint8 \(3\), saw 4, at the top at octet 0/,
    );
  });

  test('checks only values of its type', () => {
    const Long = constrained(octetString(), 'long', (value) => value.length > 2);
    for (const value of STRAY_VALUES) expectRefusalToEncode(Long, value);
  });
});
