import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Door } from '../src/door.ts';
import type { Log } from '../src/options.ts';
import { Refusal } from '../src/refusal.ts';

const where = { method: 'GET', path: '/download/info' };
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };
const refusal = new Refusal('raInvalidURL', 'expected a name, saw "a\r\nSet-Cookie: \u00fc"');

describe('the door', () => {
  it('says the same of every error in production', () => {
    const door = new Door('production', quiet);
    const expected = { status: 500, headers: { connection: 'close' } };
    for (const error of [
      refusal,
      new Refusal('raBlacklisted', 'x'),
      new Error('ours'),
      'text',
      undefined,
    ]) {
      assert.deepEqual(door.refuse(error, where), expected);
    }
  });

  it('names code and reason in qa, in a text that cannot break a header', () => {
    const { status, headers } = new Door('qa', quiet).refuse(refusal, where);
    assert.equal(status, 500);
    assert.equal(headers['scms-poc-error'], '5072');
    assert.match(
      headers['scms-poc-error-message'] ?? '',
      /^raInvalidURL: expected a name, saw "a Set-Cookie: "$/,
    );
  });

  it('cuts a text that quotes too much', () => {
    const { headers } = new Door('qa', quiet).refuse(
      new Refusal('raInvalidURL', 'a'.repeat(9999)),
      where,
    );
    assert.equal(headers['scms-poc-error-message']?.length, 300);
  });

  it('tells of a fault of ours its id and no more, and logs the rest under it', () => {
    const logged: object[] = [];
    const log: Log = { ...quiet, error: (fields) => logged.push(fields) };
    const fault = new Error('the disk is full at /secret/path');
    const { headers } = new Door('qa', log).refuse(fault, where);
    const id = /^internal error ([0-9a-f-]{36})$/.exec(
      headers['scms-poc-error-message'] ?? '',
    )?.[1];
    assert.equal(headers['scms-poc-error'], '5999');
    assert.deepEqual(logged, [{ ...where, id, err: fault }]);
  });
});
