import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { CryptoError } from '../src/index.ts';

suite('CryptoError', () => {
  test('carries a code, a message and a cause', () => {
    const cause = new Error('libcrypto');
    const error = new CryptoError('invalid-point', 'expected a point', { cause });
    assert.ok(error instanceof Error);
    assert.equal(error.name, 'CryptoError');
    assert.equal(error.code, 'invalid-point');
    assert.equal(error.cause, cause);
    assert.equal(String(error), 'CryptoError: expected a point');
  });
});
