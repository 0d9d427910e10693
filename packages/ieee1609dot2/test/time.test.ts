import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  durationSeconds,
  endOfValidity,
  formatTime32,
  time32FromUnix,
  unixFromTime32,
} from '@chrysalis/ieee1609dot2';
import fc from 'fast-check';
import { SEED } from './round-trip.ts';

/** Instants with their TAI seconds since the epoch; TAI - UTC from IERS Bulletin C, 32 at the epoch of 2004. */
const INSTANTS: readonly [string, number][] = [
  ['2004-01-01T00:00:00Z', 0],
  ['2004-01-01T00:00:01Z', 1],
  // The first and last seconds around each leap second since: TAI - UTC becomes 33, 34, 35, 36, 37.
  ['2005-12-31T23:59:59Z', 63_158_399],
  ['2006-01-01T00:00:00Z', 63_158_401],
  ['2008-12-31T23:59:59Z', 157_852_800],
  ['2009-01-01T00:00:00Z', 157_852_802],
  ['2012-06-30T23:59:59Z', 268_185_601],
  ['2012-07-01T00:00:00Z', 268_185_603],
  ['2015-06-30T23:59:59Z', 362_793_602],
  ['2015-07-01T00:00:00Z', 362_793_604],
  ['2016-12-31T23:59:59Z', 410_313_603],
  ['2017-01-01T00:00:00Z', 410_313_605],
  // The start of i-period 0 (CAMP pca-ra.asn): 04:00 US Eastern time.
  ['2015-01-06T09:00:00Z', 347_619_603],
  // A public sample transcript of CAMP 1.2.2 and a recorded device of today.
  ['2017-10-10T15:18:55Z', 434_733_540],
  ['2026-11-21T21:07:52Z', 722_380_077],
];

describe('Time32, 1609.2 §6.3.9', () => {
  for (const [iso, time] of INSTANTS) {
    test(`${iso} is ${time}`, () => {
      assert.equal(time32FromUnix(Date.parse(iso)), time);
      assert.equal(unixFromTime32(time), Date.parse(iso));
      assert.equal(formatTime32(time), iso);
    });
  }

  test('a leap second, which Unix time has no number for, reads as the second after it', () => {
    for (const leap of [63_158_400, 157_852_801, 268_185_602, 362_793_603, 410_313_604]) {
      assert.equal(unixFromTime32(leap), unixFromTime32(leap + 1));
      assert.equal(unixFromTime32(leap) - unixFromTime32(leap - 1), 1000);
    }
  });

  test('parts of a second are cut off', () => {
    assert.equal(time32FromUnix(Date.parse('2015-01-06T09:00:00.999Z')), 347_619_603);
  });

  test('goes to Unix time and back for every second that is no leap second', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (seconds) => {
        const unix = (1_072_915_200 + seconds) * 1000;
        assert.equal(unixFromTime32(time32FromUnix(unix)), unix);
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  test('the last Time32 and what lies beyond it can be written', () => {
    assert.equal(formatTime32(0xffff_ffff), '2140-02-07T06:28:10Z');
    const start = 0xffff_ffff;
    const end = endOfValidity({ start, duration: { type: 'years', value: 0xffff } });
    assert.match(formatTime32(end), /^\+067675-/);
  });
});

describe('Duration, 1609.2 §6.4.15', () => {
  test('in seconds', () => {
    assert.equal(durationSeconds({ type: 'microseconds', value: 500 }), 0.0005);
    assert.equal(durationSeconds({ type: 'milliseconds', value: 2500 }), 2.5);
    assert.equal(durationSeconds({ type: 'seconds', value: 7 }), 7);
    assert.equal(durationSeconds({ type: 'minutes', value: 2 }), 120);
    assert.equal(durationSeconds({ type: 'hours', value: 169 }), 608_400);
    assert.equal(durationSeconds({ type: 'sixtyHours', value: 1 }), 216_000);
    assert.equal(durationSeconds({ type: 'years', value: 1 }), 31_556_952);
  });

  test('a pseudonym certificate of i = 0 ends an hour into i = 1', () => {
    const end = endOfValidity({ start: 347_619_603, duration: { type: 'hours', value: 169 } });
    assert.equal(formatTime32(end), '2015-01-13T10:00:00Z');
  });
});
