import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { hmacSha256, SHA256_EMPTY, sha256 } from '../src/index.ts';
import { fromHex, toHex } from './oracle.ts';

/** RFC 4231 §4 (cases 1 to 7, without the truncated 5): key, data, HMAC-SHA-256. */
const HMAC_VECTORS: readonly (readonly [Uint8Array, Uint8Array, string])[] = [
  [
    new Uint8Array(20).fill(0x0b),
    Buffer.from('Hi There'),
    'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  ],
  [
    Buffer.from('Jefe'),
    Buffer.from('what do ya want for nothing?'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  ],
  [
    new Uint8Array(20).fill(0xaa),
    new Uint8Array(50).fill(0xdd),
    '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
  ],
  [
    fromHex('0102030405060708090a0b0c0d0e0f10111213141516171819'),
    new Uint8Array(50).fill(0xcd),
    '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
  ],
  [
    new Uint8Array(131).fill(0xaa),
    Buffer.from('Test Using Larger Than Block-Size Key - Hash Key First'),
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
  [
    new Uint8Array(131).fill(0xaa),
    Buffer.from(
      'This is a test using a larger than block-size key and a larger than block-size data. ' +
        'The key needs to be hashed before being used by the HMAC algorithm.',
    ),
    '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  ],
];

/** RFC 4231 §4.6, the only published output of case 5: the first 16 octets. */
const TRUNCATED_TAG = 'a3b6167473100ee06e0c796c2955552b';

suite('SHA-256 and HMAC', () => {
  test('FIPS 180-4 examples', () => {
    assert.equal(
      toHex(sha256(Buffer.from('abc'))),
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    assert.equal(toHex(SHA256_EMPTY), empty);
    assert.equal(toHex(sha256()), empty);
    assert.equal(toHex(sha256(new Uint8Array(0), new Uint8Array(0))), empty);
  });

  test('sha256 of parts is that of their concatenation, whatever view they are', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array(), { maxLength: 4 }), (parts) => {
        const expected = createHash('sha256').update(Buffer.concat(parts)).digest();
        assert.deepEqual(sha256(...parts), Uint8Array.from(expected));
        const shifted = parts.map((part) => Uint8Array.of(9, ...part, 9).subarray(1, -1));
        assert.deepEqual(sha256(...shifted), Uint8Array.from(expected));
      }),
    );
  });

  test('RFC 4231 (the mac1 vectors are its first 16 octets)', () => {
    for (const [key, data, tag] of HMAC_VECTORS) {
      assert.equal(toHex(hmacSha256(key, data)), tag);
    }
    const truncated = hmacSha256(
      new Uint8Array(20).fill(0x0c),
      Buffer.from('Test With Truncation'),
    );
    assert.equal(toHex(truncated.slice(0, 16)), TRUNCATED_TAG);
  });

  test('hmacSha256 agrees with createHmac, keys around the block included', () => {
    const key = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 62, maxLength: 66 }),
      fc.uint8Array({ minLength: 120, maxLength: 140 }),
    );
    fc.assert(
      fc.property(key, fc.uint8Array(), (key, data) => {
        const expected = createHmac('sha256', key).update(data).digest();
        assert.deepEqual(hmacSha256(key, data), Uint8Array.from(expected));
      }),
    );
  });
});
