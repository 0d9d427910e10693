import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { requestHash } from '@chrysalis/scms';
import { fromHex, toHex } from '../../ieee1609dot2/test/pki.ts';

test('the request hash is the last eight octets of the SHA-256 of the whole body', () => {
  const body = fromHex('03820101');
  assert.equal(toHex(requestHash(body)), createHash('sha256').update(body).digest('hex').slice(48));
  // SHA-256 of nothing ends so: two fielded ECAs send this one whatever was asked.
  assert.equal(toHex(requestHash(new Uint8Array(0))), 'a495991b7852b855');
});
