import type { Duration, Time32 } from '@chrysalis/ieee1609dot2';

/**
 * The start of i = 0: 04:00 US Eastern time on Tuesday, 2015-01-06 (pca-ra.asn), which is 09:00 UTC. Later
 * periods start a fixed number of seconds apart, whatever daylight saving time does.
 */
export const I_PERIOD_EPOCH: Time32 = 347_619_603;

/** One week. */
export const I_PERIOD_LENGTH_SEC = 604_800;

const SECONDS_PER_HOUR = 3600;

/** Which i-period a time lies in, and when a period starts. Immutable. */
export class IPeriodClock {
  readonly epoch: Time32;
  readonly lengthSec: number;

  constructor(epoch: Time32 = I_PERIOD_EPOCH, lengthSec: number = I_PERIOD_LENGTH_SEC) {
    if (!(lengthSec > 0) || lengthSec % SECONDS_PER_HOUR !== 0) {
      throw new RangeError(`expected a period of whole hours, saw ${lengthSec} s`);
    }
    this.epoch = epoch;
    this.lengthSec = lengthSec;
  }

  /** The i of a time; negative before the epoch. */
  at(time: Time32): number {
    return Math.floor((time - this.epoch) / this.lengthSec);
  }

  /**
   * How long the certificates of a period are valid: the period and an hour of overlap, which is
   * ObePseudonymCertExpiration (169 hours) for a week (scms-base-types.asn).
   */
  get certificateLifetime(): Duration {
    return { type: 'hours', value: this.lengthSec / SECONDS_PER_HOUR + 1 };
  }

  /** The first second of a period. */
  start(i: number): Time32 {
    return this.epoch + i * this.lengthSec;
  }
}
