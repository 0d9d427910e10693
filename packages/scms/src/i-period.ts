import type { Time32 } from '@chrysalis/ieee1609dot2';

/**
 * The start of i = 0: 04:00 US Eastern time on Tuesday, 2015-01-06 (pca-ra.asn), which is 09:00 UTC. Later
 * periods start a fixed number of seconds apart, whatever daylight saving time does.
 */
export const I_PERIOD_EPOCH: Time32 = 347_619_603;

/** One week. */
export const I_PERIOD_LENGTH_SEC = 604_800;

/** Which i-period a time lies in, and when a period starts. Immutable. */
export class IPeriodClock {
  readonly epoch: Time32;
  readonly lengthSec: number;

  constructor(epoch: Time32 = I_PERIOD_EPOCH, lengthSec: number = I_PERIOD_LENGTH_SEC) {
    this.epoch = epoch;
    this.lengthSec = lengthSec;
  }

  /** The i of a time; negative before the epoch. */
  at(time: Time32): number {
    return Math.floor((time - this.epoch) / this.lengthSec);
  }

  /** The first second of a period. */
  start(i: number): Time32 {
    return this.epoch + i * this.lengthSec;
  }
}
