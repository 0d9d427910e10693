import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import { VerificationKeys } from '../src/verification-keys.ts';

describe('keys by which requests are verified', () => {
  const point = () => PrivateKey.generate(systemRandom).publicPoint;
  const [a, b, c, d] = [point(), point(), point(), point()];

  it('are the same for the same octets, wherever these lie', () => {
    const keys = new VerificationKeys();
    const key = keys.of(a);
    const elsewhere = new Uint8Array(100);
    elsewhere.set(a, 20);
    assert.equal(keys.of(elsewhere.subarray(20, 85)), key);
    assert.deepEqual(key.point, a);
    assert.notEqual(keys.of(b), key);
    assert.deepEqual(keys.of(b).point, b);
  });

  it('are as many as there is room for: the one that was not used for longest goes', () => {
    const keys = new VerificationKeys(3);
    const first = keys.of(a);
    const second = keys.of(b);
    keys.of(c);
    assert.equal(keys.of(a), first);
    keys.of(d);
    assert.equal(keys.size, 3);
    assert.equal(keys.of(a), first);
    assert.notEqual(keys.of(b), second);
  });

  it('are no keys of other octets', () => {
    const keys = new VerificationKeys();
    assert.throws(() => keys.of(a.subarray(1)), { code: 'invalid-point' });
    assert.equal(keys.size, 0);
  });
});
