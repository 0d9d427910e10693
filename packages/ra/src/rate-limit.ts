const MINUTE_MS = 60_000;

/**
 * So many in a minute, from all peers together: a bucket that holds a minute's worth and fills steadily, so that a burst
 * after a quiet time is let through and a flood is not.
 */
export class RateLimit {
  readonly #perMinute: number;
  #left: number;
  #at: number | undefined;

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
    this.#left = perMinute;
  }

  /** Takes one; false when there is none. A clock that was set back fills nothing. */
  take(nowMs: number): boolean {
    const elapsed = Math.max(0, nowMs - (this.#at ?? nowMs));
    this.#at = nowMs;
    this.#left = Math.min(this.#perMinute, this.#left + (elapsed * this.#perMinute) / MINUTE_MS);
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
