import type { Time32 } from '@chrysalis/ieee1609dot2';

/** The first pause; each further failure in a row doubles it. */
const FIRST_SEC = 1;
/** An authority that is back is noticed within a minute: one request a minute costs it nothing. */
const OUTAGE_LAST_SEC = 60;

/** Seconds until the next attempt, after so many failures before this one. */
export function backOffSec(failures: number, lastSec: number): number {
  return Math.min(lastSec, FIRST_SEC * 2 ** Math.min(failures, 30));
}

/** When an authority, or a store, that fails is asked again. Kept in memory: after a restart it is asked at once. */
export class Outage {
  #failures = 0;
  #until: Time32 = 0;

  /** Time before which the authority is not asked; undefined when it may be. A clock that was set back counts for nothing. */
  pausedUntil(now: Time32): Time32 | undefined {
    const isPaused = now < this.#until && this.#until <= now + OUTAGE_LAST_SEC;
    return isPaused ? this.#until : undefined;
  }

  /** True from a failure to the next success: one request is enough to try then. */
  get isSuspected(): boolean {
    return this.#failures > 0;
  }

  failed(now: Time32): void {
    this.#until = now + backOffSec(this.#failures, OUTAGE_LAST_SEC);
    this.#failures++;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#until = 0;
  }
}
