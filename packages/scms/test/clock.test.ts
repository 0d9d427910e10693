import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock, timeOf } from '@chrysalis/scms';

test('a clock gives Unix milliseconds, and with them the time of the SCMS', () => {
  assert.equal(timeOf({ now: () => Date.parse('2015-01-06T09:00:00.500Z') }), 347_619_603);
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 1000);
});
