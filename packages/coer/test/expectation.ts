/** What every test of a type says: these octets are this value, and those octets or that value are refused. */
import assert from 'node:assert/strict';
import { type Codec, CoerError, type CoerErrorCode, decode, encode } from '@chrysalis/coer';

/** `01 02` as octets. */
export function octets(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/[0-9a-fA-F]{2}/g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function toHex(encoding: Uint8Array): string {
  return Array.from(encoding, (octet) => octet.toString(16).padStart(2, '0')).join(' ');
}

/** Both directions. */
export function expectEncoding<T>(codec: Codec<T>, value: T, hex: string): void {
  assert.equal(toHex(encode(codec, value)), hex.toLowerCase());
  assert.deepEqual(decode(codec, octets(hex)), value);
}

export function expectRoundTrip<T>(codec: Codec<T>, value: T): void {
  const encoding = encode(codec, value);
  assert.deepEqual(decode(codec, encoding), value);
  assert.ok(encoding.length >= codec.minimumOctets, 'no encoding is shorter than minimumOctets');
}

/** The code, the offset and the path (empty at the top) of the refusal to decode. */
export function expectRefusal(
  codec: Codec<unknown>,
  input: string | Uint8Array,
  code: CoerErrorCode,
  offset: number,
  path: readonly (string | number)[] = [],
): void {
  const encoding = typeof input === 'string' ? octets(input) : input;
  assert.throws(
    () => decode(codec, encoding),
    (error) => {
      assert.ok(error instanceof CoerError, `a CoerError, not ${error}`);
      assert.deepEqual(
        { code: error.code, offset: error.offset, path: error.path },
        { code, offset, path },
      );
      return true;
    },
  );
}

/** The code and the path of the refusal to encode. The value may be of any type, as it may be in JavaScript. */
export function expectRefusalToEncode(
  codec: Codec<unknown>,
  value: unknown,
  code: CoerErrorCode = 'out-of-range',
  path: readonly (string | number)[] = [],
): void {
  assert.throws(
    () => encode(codec, value),
    (error) => {
      assert.ok(error instanceof CoerError, `a CoerError, not ${error}`);
      assert.deepEqual(
        { code: error.code, offset: error.offset, path: error.path },
        { code, offset: undefined, path },
      );
      return true;
    },
  );
}

/** What is of no type of this room, or of only one of them. */
export const STRAY_VALUES: readonly unknown[] = [
  undefined,
  null,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  1.5,
  10n ** 30n,
  'stray',
  Symbol('stray'),
  {},
  Object.create(null),
  [undefined],
  () => 1,
  new Date(0),
];
