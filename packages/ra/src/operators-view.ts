import type { Time32 } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import type { Transaction } from 'kysely';
import { change } from './bulk.ts';
import type { RaOptions } from './options.ts';
import type { RaSchema } from './schema.ts';

const HOUR_SEC = 3600;
/** Longer than any page or message shows it. */
const MOST_CHARACTERS = 500;

/** What is counted by the hour. */
export type TallyName = 'certificates' | 'batches' | 'registrations';

const SOURCES = ['linkage authorities', 'pca', 'pipeline', 'objects', 'horizon'] as const;

/** What can go wrong, by whose fault: each is shown with its last message. */
export type IncidentSource = (typeof SOURCES)[number];

/**
 * What the RA writes down for its operators, beside the log: how much was done in each hour, and what went wrong last
 * (`chrysalis status`). Nothing of it names a device.
 */
export class OperatorsView {
  readonly #options: Pick<RaOptions, 'database' | 'clock'>;
  /** Incidents that may be open: an end is written once, and only for these. */
  readonly #open = new Set<IncidentSource>(SOURCES);

  constructor(options: Pick<RaOptions, 'database' | 'clock'>) {
    this.#options = options;
  }

  /** Counts what a transaction does, in that transaction. */
  async tally(query: Transaction<RaSchema>, name: TallyName, count: number): Promise<void> {
    if (count > 0) await tallyAt(query, name, count, timeOf(this.#options.clock));
  }

  /** Something went wrong, again perhaps. */
  async incident(source: IncidentSource, error: unknown): Promise<void> {
    this.#open.add(source);
    const now = timeOf(this.#options.clock);
    const text = error instanceof Error ? error.message : String(error);
    await change(
      this.#options.database.query,
      `insert into incident (source, message, first_at, last_at, count) values (?, ?, ?, ?, 1)
        on conflict (source) do update set
          message = excluded.message,
          first_at = case when incident.count = 0 then excluded.first_at else incident.first_at end,
          last_at = excluded.last_at,
          count = incident.count + 1`,
      [source, text.slice(0, MOST_CHARACTERS).replaceAll('\0', ''), now, now],
    );
  }

  /** Somebody else may have noted incidents, and not their end. */
  mayBeOpen(): void {
    for (const source of SOURCES) this.#open.add(source);
  }

  /** It works again. The last message stays, with a count of 0. */
  async over(source: IncidentSource): Promise<void> {
    if (!this.#open.delete(source)) return;
    await change(
      this.#options.database.query,
      'update incident set count = 0 where source = ? and count > 0',
      [source],
    );
  }
}

/** Counts something of the hour of `now`. */
export async function tallyAt(
  query: Transaction<RaSchema>,
  name: TallyName,
  count: number,
  now: Time32,
): Promise<void> {
  await change(
    query,
    `insert into tally (hour, name, count) values (?, ?, ?)
      on conflict (hour, name) do update set count = tally.count + excluded.count`,
    [now - (now % HOUR_SEC), name, count],
  );
}
