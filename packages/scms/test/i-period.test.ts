import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatTime32, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { I_PERIOD_EPOCH, IPeriodClock } from '@chrysalis/scms';

describe('the i-period, section 3.4', () => {
  const clock = new IPeriodClock();

  test('0 starts at 04:00 US Eastern time on Tuesday, 2015-01-06', () => {
    assert.equal(formatTime32(I_PERIOD_EPOCH), '2015-01-06T09:00:00Z');
    assert.equal(new Date('2015-01-06T09:00:00Z').getUTCDay(), 2);
    assert.equal(clock.at(347_619_603), 0);
    assert.equal(clock.at(347_619_602), -1);
  });

  test('is 0x90 in a public transcript of 2017', () => {
    assert.equal(clock.at(434_733_540), 0x90);
  });

  test('is 619 when the recorded device asks', () => {
    assert.equal(clock.at(722_380_077), 619);
  });

  test('starts a week after the one before, leap seconds and daylight saving time or not', () => {
    assert.equal(clock.start(0x1a9), 347_619_603 + 0x1a9 * 604_800);
    for (const i of [0, 1, 24, 25, 26, 103, 104, 619]) {
      assert.equal(clock.at(clock.start(i)), i);
      assert.equal(clock.at(clock.start(i + 1) - 1), i);
    }
    // By the clock on the wall it is one second earlier after each leap second.
    assert.equal(formatTime32(clock.start(26)), '2015-07-07T08:59:59Z');
    assert.equal(clock.at(time32FromUnix(Date.parse('2015-07-07T08:59:58Z'))), 25);
  });

  test('may begin elsewhere and last any number of hours', () => {
    const hours = new IPeriodClock(100, 3600);
    assert.deepEqual([hours.at(99), hours.at(100), hours.at(7299)], [-1, 0, 1]);
    assert.equal(hours.start(2), 7300);
    for (const length of [0, -3600, 60, 3601, Number.NaN]) {
      assert.throws(() => new IPeriodClock(100, length), RangeError);
    }
  });

  test('and an hour of overlap is how long its certificates last: 169 hours for a week', () => {
    assert.deepEqual(clock.certificateLifetime, { type: 'hours', value: 169 });
    assert.deepEqual(new IPeriodClock(0, 3600).certificateLifetime, { type: 'hours', value: 2 });
  });
});
