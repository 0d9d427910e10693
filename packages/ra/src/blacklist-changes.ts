import type { Random } from '@chrysalis/crypto';
import type { Clock } from '@chrysalis/scms';
import type { Database } from '@chrysalis/store';
import { StoreError } from '@chrysalis/store/files';
import type { Transaction } from 'kysely';
import type { BlacklistEvent } from './audit-event.ts';
import type { AuditLog } from './audit-log.ts';
import type { Log } from './options.ts';
import type { BlacklistChangeTable, RaSchema } from './schema.ts';

/** Longest reason in the audit log. */
const MAX_REASON = 500;
/** Rows of one statement, and events of one write of the audit log. */
const ROWS_AT_A_TIME = 200;
/** By which a line that was written twice is known. */
const ID_OCTETS = 8;
/** How often it is looked whether somebody else left one: who was killed, or had no disk to write to. */
const LOOK_MS = 60_000;

export interface BlacklistChangesOptions {
  readonly database: Database<RaSchema>;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Changes of the blacklist on their way to the audit log. Each is a row of the transaction that makes the change, and goes when its
 * line is on stable storage: a kill or a disk that takes nothing puts the line off, and never loses it. Whoever comes next writes
 * it, of whatever process the change was. A kill between the line and the end of its row, or two who come at the same time, write
 * it twice; both have the same `id` (docs/decisions/0066-a-change-and-its-line.md).
 */
export class BlacklistChanges {
  readonly #options: BlacklistChangesOptions;
  #last: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BlacklistChangesOptions) {
    this.#options = options;
  }

  /** Resolves when a change may begin: the audit log takes lines. @throws StoreError */
  ready(): Promise<void> {
    return this.#options.audit.ready();
  }

  /** In the transaction of the change itself. */
  async add(
    query: Transaction<RaSchema>,
    change: BlacklistEvent['change'],
    enrollmentHashes: readonly Uint8Array[],
    reason: string | null = null,
  ): Promise<void> {
    const { clock, random } = this.#options;
    const common = { change, reason, changed_at: clock.now() };
    for (let n = 0; n < enrollmentHashes.length; n += ROWS_AT_A_TIME) {
      const rows = enrollmentHashes
        .slice(n, n + ROWS_AT_A_TIME)
        .map((enrollment_hash) => ({ ...common, enrollment_hash, line_id: random(ID_OCTETS) }));
      await query.insertInto('blacklist_change').values(rows).execute();
    }
  }

  /**
   * Resolves when every change that was committed before has its line on stable storage. One at a time: in one process no line is
   * written twice.
   *
   * @throws StoreError when it has not; the rows stay
   */
  handOn(): Promise<void> {
    const turn = this.#last.then(() => this.#handOn());
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Looks now and then for what others left. */
  start(): void {
    this.#timer = setInterval(() => this.wake(), LOOK_MS).unref();
    this.wake();
  }

  /** Looks now. */
  wake(): void {
    const { log } = this.#options;
    this.handOn().catch((error: unknown) => log.warn({ err: error }, 'the audit log lacks lines'));
  }

  /** Ends after what is under way. Never rejects. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#last;
  }

  async #handOn(): Promise<void> {
    try {
      while (await this.#handOnSome());
    } catch (cause) {
      if (!(cause instanceof StoreError)) throw cause;
      const message = `a change of the blacklist counts, and its line is not in the audit log yet: ${cause.message}`;
      throw new StoreError(cause.code, message, { cause });
    }
  }

  /** @returns whether there were any */
  async #handOnSome(): Promise<boolean> {
    const { database, audit } = this.#options;
    const rows = await database.query
      .selectFrom('blacklist_change')
      .selectAll()
      .orderBy('id')
      .limit(ROWS_AT_A_TIME)
      .execute();
    if (rows.length === 0) return false;
    await audit.record(...rows.map(eventOf));
    const written = rows.map(({ line_id }) => line_id);
    await database.transaction(async (query) => {
      // Not by its number: SQLite gives that to the next row when this one is gone.
      await query.deleteFrom('blacklist_change').where('line_id', 'in', written).execute();
    });
    return true;
  }
}

type Row = Pick<
  BlacklistChangeTable,
  'line_id' | 'change' | 'enrollment_hash' | 'reason' | 'changed_at'
>;

function eventOf({ line_id, change, enrollment_hash, reason, changed_at }: Row): BlacklistEvent {
  return {
    event: 'blacklist',
    change,
    enrollment: hex(enrollment_hash),
    ...(reason !== null && { reason: reason.slice(0, MAX_REASON) }),
    id: hex(line_id),
    at: new Date(changed_at).toISOString(),
  };
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
