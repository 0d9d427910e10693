import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoerError, formatPath } from '@chrysalis/coer';

test('a path reads as TypeScript would write it', () => {
  assert.equal(formatPath([]), '');
  assert.equal(formatPath(['tbsRequest', 'content', 'eeRa', 2]), 'tbsRequest.content.eeRa[2]');
  assert.equal(formatPath([0, 1, 'a']), '[0][1].a');
});

test('the message says what was expected, what was seen, and where', () => {
  const decoding = new CoerError('truncated', 'expected 4 more octets, saw 1', ['a', 0], 17);
  assert.equal(decoding.message, 'expected 4 more octets, saw 1, in a[0] at octet 17');
  const encoding = new CoerError('out-of-range', 'expected Uint8, saw 256', []);
  assert.equal(encoding.message, 'expected Uint8, saw 256, at the top');
  assert.equal(encoding.offset, undefined);
  assert.equal(encoding.name, 'CoerError');
});

test('an error keeps its path when the reader that it came from goes on', () => {
  const path = ['a'];
  const error = new CoerError('truncated', 'expected more', path, 0);
  path.push('b');
  assert.deepEqual(error.path, ['a']);
});
