/** When refusals leave: on a tick after their request arrived, so that the time until then tells nothing. */

/** 100 ms are some hundred times what a refusal costs, and nothing to a device that has to come again anyway. */
const DEFAULT_TICK_MS = 100;
/**
 * Refusals that wait for their tick. An RA finds some thousand a second, so that hundreds wait; ten times as many and
 * their peers get no answer.
 */
const MAX_HELD = 4096;
/**
 * Timers are late by up to a millisecond, and by how much depends on when the event loop fell asleep, which is when the
 * refusal was ready. So they wake early, and the rest is waited out awake: others are served meanwhile.
 */
const WAKE_EARLY_MS = 2;

/** A clock that nobody sets, and its timers; those of the process unless a test has others. */
export interface TickTime {
  now(): number;
  setTimeout(run: () => void, ms: number): unknown;
  /** Runs after whatever else there is to do now. */
  setImmediate(run: () => void): unknown;
}

const PROCESS_TIME: TickTime = {
  now: () => performance.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  setImmediate: (run) => setImmediate(run),
};

/**
 * When a refusal that is ready at `nowMs` leaves: at the first multiple of the tick after arrival that is not over yet, the
 * first tick at the earliest. At once when the tick is 0. Pure.
 */
export function leaveAt(arrivalMs: number, nowMs: number, tickMs: number): number {
  if (tickMs === 0) return nowMs;
  const ticks = Math.max(1, Math.ceil((nowMs - arrivalMs) / tickMs));
  return arrivalMs + ticks * tickMs;
}

/** A request that has arrived; it leaves at once when it is served. */
export interface Arrival {
  /**
   * More of the request was still to come, and now all of it is here. The tick starts anew: a peer that sends the last octet
   * shortly before a tick would else see on which side of it the refusal was ready.
   */
  complete(): void;
  /**
   * Runs one of the two on the tick.
   *
   * @param answer the refusal
   * @param close when too many others wait: the peer is cut off without an answer
   */
  refuse(answer: () => void, close: () => void): void;
}

/** Holds refusals. O(1) for each: timers of one length, which Node keeps in one list, and those that are about to leave. */
export class RefusalTick {
  readonly #tickMs: number;
  readonly #maxHeld: number;
  readonly #time: TickTime;
  /** Those that leave within two milliseconds. */
  #leaving: { readonly atMs: number; readonly leave: () => void }[] = [];
  #held = 0;
  #dropped = 0;

  /** @param tickMs 100 when missing; 0 holds nothing */
  constructor(tickMs = DEFAULT_TICK_MS, maxHeld = MAX_HELD, time = PROCESS_TIME) {
    this.#tickMs = tickMs;
    this.#maxHeld = maxHeld;
    this.#time = time;
  }

  /** Refusals that wait now. */
  get held(): number {
    return this.#held;
  }

  /** Refusals whose peers were cut off, for too many others waited. */
  get dropped(): number {
    return this.#dropped;
  }

  /** A request is here. */
  arrive(): Arrival {
    if (this.#tickMs === 0) return { complete: () => {}, refuse: (answer) => answer() };
    let arrivedMs = this.#time.now();
    return {
      complete: () => {
        arrivedMs = this.#time.now();
      },
      refuse: (answer, close) => this.#hold(arrivedMs, answer, close),
    };
  }

  #hold(arrivedMs: number, answer: () => void, close: () => void): void {
    const isTooMany = this.#held >= this.#maxHeld;
    if (isTooMany) this.#dropped++;
    else this.#held++;
    const leave = () => {
      if (!isTooMany) this.#held--;
      (isTooMany ? close : answer)();
    };
    const now = this.#time.now();
    const atMs = leaveAt(arrivedMs, now, this.#tickMs);
    const sleepMs = Math.floor(atMs - now) - WAKE_EARLY_MS;
    const wake = () => this.#leaveAt(atMs, leave);
    if (sleepMs > 0) this.#time.setTimeout(wake, sleepMs);
    else wake();
  }

  #leaveAt(atMs: number, leave: () => void): void {
    this.#leaving.push({ atMs, leave });
    if (this.#leaving.length === 1) this.#time.setImmediate(() => this.#look());
  }

  #look(): void {
    const now = this.#time.now();
    const due = this.#leaving.filter(({ atMs }) => atMs <= now);
    if (due.length > 0) this.#leaving = this.#leaving.filter(({ atMs }) => atMs > now);
    if (this.#leaving.length > 0) this.#time.setImmediate(() => this.#look());
    for (const { leave } of due) leave();
  }
}
