/**
 * Which i-periods are over for sure: those that the wall clock has said to be over without a break for a while of
 * this process's own time. A clock that is set wrong, and set right within that while, destroys nothing and
 * makes nobody pass a period over.
 */
export class PeriodsOver {
  readonly #graceMs: number;
  /** What the wall clock has said at least since then. */
  #claim: { readonly over: number; readonly since: number } | undefined;
  #sure = Number.NEGATIVE_INFINITY;

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /**
   * @param over the last period that is over by the wall clock
   * @param monotonicMs the process's own time
   * @returns the last period that is over for sure; -Infinity when none is
   */
  look(over: number, monotonicMs: number): number {
    if (this.#graceMs === 0) return over;
    const claim = this.#claim;
    if (claim === undefined || over < claim.over) {
      this.#claim = { over, since: monotonicMs };
    } else if (monotonicMs - claim.since >= this.#graceMs) {
      this.#sure = claim.over;
      this.#claim = { over, since: monotonicMs };
    }
    // A clock that was set back takes back what it said.
    this.#sure = Math.min(this.#sure, over);
    return this.#sure;
  }
}
