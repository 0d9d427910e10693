import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { concatOctets, ownOctets, xorOctets } from '../src/octets.ts';

suite('octets', () => {
  test('ownOctets leaves the pool of small Buffers behind', () => {
    const pooled = Buffer.from('a few octets');
    assert.ok(pooled.buffer.byteLength > pooled.length);
    const owned = ownOctets(pooled);
    assert.equal(owned.buffer.byteLength, pooled.length);
    assert.deepEqual(owned, Uint8Array.from(pooled));
    assert.equal(Object.getPrototypeOf(owned), Uint8Array.prototype);
  });

  test('ownOctets does not copy what has memory of its own', () => {
    const buffer = Buffer.from(new ArrayBuffer(4));
    assert.equal(ownOctets(buffer).buffer, buffer.buffer);
  });

  test('concatOctets and xorOctets', () => {
    const whole = concatOctets(Uint8Array.of(1), Uint8Array.of(), Uint8Array.of(2, 3));
    assert.deepEqual(whole, Uint8Array.of(1, 2, 3));
    assert.deepEqual(concatOctets(), Uint8Array.of());
    assert.deepEqual(
      xorOctets(Uint8Array.of(0xf0, 1), Uint8Array.of(0xff, 1)),
      Uint8Array.of(15, 0),
    );
  });
});
