import { timeOf } from '@chrysalis/scms';
import type { RaOptions } from './options.ts';
import { writeSetting } from './setting.ts';

/** A write that takes longer than this fails devices too. */
const WRITE_TIMEOUT_MS = 2000;
/** Each probe is a durable write: asking more often gets the last answer. */
const MAX_AGE_MS = 5000;

/** Looks whether the database takes a durable write, as each acknowledgement and each step of the pipeline need one. */
export class DatabaseProbe {
  readonly #options: Pick<RaOptions, 'database' | 'clock'>;
  #last: { readonly atMs: number; readonly reason: Promise<string | undefined> } | undefined;

  constructor(options: Pick<RaOptions, 'database' | 'clock'>) {
    this.#options = options;
  }

  /** Why it takes none; undefined when it does. Never rejects. */
  reason(): Promise<string | undefined> {
    const now = performance.now();
    if (this.#last === undefined || now - this.#last.atMs >= MAX_AGE_MS) {
      this.#last = { atMs: now, reason: this.#write() };
    }
    return this.#last.reason;
  }

  async #write(): Promise<string | undefined> {
    const { database, clock } = this.#options;
    const late = Promise.withResolvers<string>();
    const timer = setTimeout(
      () => late.resolve(`expected a write within ${WRITE_TIMEOUT_MS} ms, saw none`),
      WRITE_TIMEOUT_MS,
    );
    const written = writeSetting(database.query, 'readiness_probed_at', timeOf(clock)).then(
      () => undefined,
      (error: unknown) => messageOf(error),
    );
    const reason = await Promise.race([written, late.promise]);
    clearTimeout(timer);
    return reason;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
