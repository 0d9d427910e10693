import type { Duration, Time32, ValidityPeriod } from './base-types.ts';

/** 2004-01-01T00:00:00 UTC, the epoch of Time32 and Time64, in Unix seconds. */
const EPOCH_UNIX = 1_072_915_200;

/**
 * Unix seconds at which each leap second since the epoch has passed (IERS Bulletin C): TAI counts them, Unix
 * time does not. None has been announced after 2017; the table grows when one is.
 */
const LEAP_SECONDS_UNIX: readonly number[] = [
  Date.UTC(2006, 0, 1) / 1000,
  Date.UTC(2009, 0, 1) / 1000,
  Date.UTC(2012, 6, 1) / 1000,
  Date.UTC(2015, 6, 1) / 1000,
  Date.UTC(2017, 0, 1) / 1000,
];

/** Unix milliseconds, as `Date.now()` gives them, to Time32 (1609.2 §6.3.9). */
export function time32FromUnix(unixMilliseconds: number): Time32 {
  const unix = Math.floor(unixMilliseconds / 1000);
  const leaps = LEAP_SECONDS_UNIX.filter((instant) => unix >= instant).length;
  return unix - EPOCH_UNIX + leaps;
}

/** Time32 to Unix milliseconds. A leap second itself maps to the second after it, as Unix time has it. */
export function unixFromTime32(time: Time32): number {
  const leaps = LEAP_SECONDS_UNIX.filter(
    (instant, i) => time >= instant - EPOCH_UNIX + i + 1,
  ).length;
  return (time + EPOCH_UNIX - leaps) * 1000;
}

/** As `2026-11-21T20:51:01Z`. */
export function formatTime32(time: Time32): string {
  return new Date(unixFromTime32(time)).toISOString().replace('.000Z', 'Z');
}

/** Seconds in each unit, 1609.2 §6.4.15; a year is the mean Gregorian one. */
const SECONDS_PER_UNIT: Record<Duration['type'], number> = {
  microseconds: 1e-6,
  milliseconds: 1e-3,
  seconds: 1,
  minutes: 60,
  hours: 3600,
  sixtyHours: 216_000,
  years: 31_556_952,
};

export function durationSeconds(duration: Duration): number {
  return duration.value * SECONDS_PER_UNIT[duration.type];
}

/** The first instant at which a period is over. May lie beyond the range of Time32. */
export function endOfValidity(period: ValidityPeriod): number {
  return period.start + durationSeconds(period.duration);
}
