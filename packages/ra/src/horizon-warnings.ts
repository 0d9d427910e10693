import { timeOf } from '@chrysalis/scms';
import type { OperatorsView } from './operators-view.ts';
import type { RaOptions } from './options.ts';
import { raStatus } from './status.ts';
import { OF_HORIZON } from './status-warnings.ts';
import { endOfPolicy } from './what-ends.ts';

/** How often it is looked whether a day is over, so that a clock that was set is noticed. */
const LOOK_MS = 3_600_000;
const DAY_SEC = 86_400;

/**
 * Tells operators what runs out, long before it does: at start and once a day the warnings of `chrysalis status` are logged,
 * and what ends stays an open incident until it is renewed.
 */
export class HorizonWarnings {
  readonly #options: RaOptions;
  readonly #view: OperatorsView;
  #day: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: RaOptions, view: OperatorsView) {
    this.#options = options;
    this.#view = view;
  }

  /** Resolves when everything was looked at once. Never rejects. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => void this.wake(), LOOK_MS);
    this.#timer.unref();
    await this.wake();
  }

  /** Looks when a day (UTC, give or take leap seconds) has begun since the last look. Never rejects. */
  wake(): Promise<void> {
    this.#running = this.#running.then(() => this.#lookOncePerDay());
    return this.#running;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  async #lookOncePerDay(): Promise<void> {
    const day = Math.floor(timeOf(this.#options.clock) / DAY_SEC);
    if (day === this.#day) return;
    try {
      await this.#look();
      this.#day = day;
    } catch (error) {
      this.#options.log.error({ err: error }, 'no look at what runs out');
    }
  }

  async #look(): Promise<void> {
    const { database, objects, clock, log } = this.#options;
    const policyEnding = await endOfPolicy(database, objects, this.#options);
    const surroundings = { ...this.#options, policyEnding };
    const { warnings } = await raStatus(database, surroundings, timeOf(clock));
    for (const { code, message } of warnings) log.warn({ code }, message);
    const ofHorizon = warnings.filter(({ code }) => OF_HORIZON.has(code));
    if (ofHorizon.length === 0) await this.#view.over('horizon');
    else await this.#view.incident('horizon', ofHorizon.map(({ message }) => message).join('; '));
  }
}
