import { type Time32, time32FromUnix } from '@chrysalis/ieee1609dot2';

/** Port: the wall clock, injected everywhere so that tests can set it. */
export interface Clock {
  /** Unix time in milliseconds, as `Date.now()`. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** The clock's time as Time32. */
export function timeOf(clock: Clock): Time32 {
  return time32FromUnix(clock.now());
}
