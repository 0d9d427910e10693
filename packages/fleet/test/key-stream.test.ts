import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { caterpillarKeysOf, keyStream } from '../src/index.ts';

const SEED = new Uint8Array(32).map((_, n) => n);

/** The octets of a stream by another way: block after block, with node's HMAC. */
function expected(purpose: string, device: number, blocks: number): Buffer {
  return Buffer.concat(
    Array.from({ length: blocks }, (_, block) => {
      const numbers = Buffer.alloc(8);
      numbers.writeUInt32BE(device, 0);
      numbers.writeUInt32BE(block, 4);
      return createHmac('sha256', SEED).update(purpose).update(numbers).digest();
    }),
  );
}

describe('keyStream', () => {
  it('is HMAC-SHA-256 of purpose, device and block, however it is cut', () => {
    const stream = keyStream(SEED, 0x01020304, 'enrollment');
    const taken = Buffer.concat([1, 31, 33, 0, 64, 5].map((octets) => stream(octets)));
    assert.deepEqual(taken, expected('enrollment', 0x01020304, 5).subarray(0, 134));
  });

  it('gives fresh arrays', () => {
    const stream = keyStream(SEED, 1, 'provisioning');
    const first = stream(16);
    const copy = first.slice();
    stream(16).fill(0);
    assert.deepEqual(first, copy);
  });
});

describe('caterpillarKeysOf', () => {
  it('takes seeds and expansion keys off the stream, in the order of the EE SDK', () => {
    const { verify, respEnc, certEnc } = caterpillarKeysOf(SEED, 7);
    const octets = Buffer.concat([
      verify.seed.scalar().reveal(),
      verify.expansion.reveal(),
      respEnc.seed.scalar().reveal(),
      respEnc.expansion.reveal(),
    ]);
    assert.deepEqual(octets, expected('provisioning', 7, 3));
    assert.equal(certEnc, undefined);
  });
});
