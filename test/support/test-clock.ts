import { type Time32, unixFromTime32 } from '@chrysalis/ieee1609dot2';
import type { Clock } from '@chrysalis/scms';

/** A clock that stands still until a test sets it. */
export class TestClock implements Clock {
  #now: number;

  constructor(time: Time32) {
    this.#now = unixFromTime32(time);
  }

  now(): number {
    return this.#now;
  }

  set(time: Time32): void {
    this.#now = unixFromTime32(time);
  }

  advance(seconds: number): void {
    this.#now += seconds * 1000;
  }
}
