const MINUTE_MS = 60_000;

/**
 * So many in a period, a minute when none is named: a bucket that holds a period's worth and fills steadily, so that a
 * burst after a quiet time is let through and a flood is not.
 */
export class RateLimit {
  readonly #perPeriod: number;
  readonly #periodMs: number;
  #left: number;
  #at: number | undefined;

  constructor(perPeriod: number, periodMs = MINUTE_MS) {
    this.#perPeriod = perPeriod;
    this.#periodMs = periodMs;
    this.#left = perPeriod;
  }

  /** Whether nothing was taken for so long that all is there again. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#left >= this.#perPeriod;
  }

  /** Whether there is one to take. */
  has(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#left >= 1;
  }

  /** Takes one; false when there is none. */
  take(nowMs: number): boolean {
    if (!this.has(nowMs)) return false;
    this.#left--;
    return true;
  }

  /** Takes one, or what there is of one. */
  spend(nowMs: number): void {
    this.#fill(nowMs);
    this.#left = Math.max(0, this.#left - 1);
  }

  /** A clock that was set back fills nothing, and fills on from there. */
  #fill(nowMs: number): void {
    const elapsed = Math.max(0, nowMs - (this.#at ?? nowMs));
    this.#at = nowMs;
    const filled = this.#left + (elapsed * this.#perPeriod) / this.#periodMs;
    this.#left = Math.min(this.#perPeriod, filled);
  }
}
