import { sha256 } from '@chrysalis/crypto';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { type Database, GroupCommit, type Migration } from '@chrysalis/store';
import type { RaSchema } from './schema.ts';

/**
 * Reports on their way to the MA. The key is a hash of what is encrypted, and the rows lie in its order: nothing tells in
 * which they came, but the second of arrival, which goes when the report does.
 */
export interface MisbehaviorReportTable {
  /** SHA-256 of the SecuredMisbehaviorReport. */
  readonly report_hash: Uint8Array;
  readonly octets: Uint8Array;
  readonly received_at: number;
  /** 1 when it may leave the pool. */
  readonly released: number;
}

export interface ReportSchema extends RaSchema {
  readonly misbehavior_report: MisbehaviorReportTable;
}

export const REPORT_MIGRATIONS: readonly Migration[] = [
  {
    name: 'ra-reports-0001-pool',
    statements: [
      `create table misbehavior_report (
        report_hash blob primary key,
        octets blob not null,
        received_at integer not null,
        released integer not null
      ) strict, without rowid`,
      'create index misbehavior_report_to_release on misbehavior_report (released, received_at)',
    ],
    postgres: [
      `create table misbehavior_report (
        report_hash bytea primary key,
        octets bytea not null,
        received_at bigint not null,
        released bigint not null
      )`,
      'create index misbehavior_report_to_release on misbehavior_report (released, received_at)',
    ],
  },
];

/** A report that may leave. */
export interface PooledReport {
  readonly hash: Uint8Array;
  readonly octets: Uint8Array;
}

/** The pool. */
export class ReportStore {
  readonly #database: Database<ReportSchema>;
  readonly #writes: GroupCommit<ReportSchema>;

  constructor(database: Database<RaSchema>) {
    // The same database: its schema has more tables than the pipeline knows.
    this.#database = database as unknown as Database<ReportSchema>;
    this.#writes = new GroupCommit(this.#database);
  }

  /** Durable when it resolves. The same octets again are the same report. */
  add(octets: Uint8Array, now: Time32): Promise<void> {
    const row = { report_hash: sha256(octets), octets, received_at: now, released: 0 };
    return this.#writes.run(async (query) => {
      await query
        .insertInto('misbehavior_report')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    });
  }

  async count(): Promise<number> {
    const { count } = await this.#database.query
      .selectFrom('misbehavior_report')
      .select((of) => of.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    return count;
  }

  /** Lets all leave that wait, when there are so many or the oldest came before `oldest`; how many that were. */
  async release(threshold: number, oldest: Time32): Promise<number> {
    const { waiting, first } = await this.#database.query
      .selectFrom('misbehavior_report')
      .select((of) => [
        of.fn.countAll<number>().as('waiting'),
        of.fn.min<number | null>('received_at').as('first'),
      ])
      .where('released', '=', 0)
      .executeTakeFirstOrThrow();
    if (first === null || (waiting < threshold && first > oldest)) return 0;
    return this.#writes.run(async (query) => {
      const { numUpdatedRows } = await query
        .updateTable('misbehavior_report')
        .set({ released: 1 })
        .where('released', '=', 0)
        .executeTakeFirst();
      return Number(numUpdatedRows);
    });
  }

  /**
   * The next that may leave, in the order of their hashes: it depends on the key that a device drew for its envelope,
   * and on nothing of when or from where it came.
   */
  async nextReleased(after: Uint8Array): Promise<PooledReport | undefined> {
    const row = await this.#database.query
      .selectFrom('misbehavior_report')
      .select(['report_hash', 'octets'])
      .where('released', '=', 1)
      .where('report_hash', '>', after)
      .orderBy('report_hash')
      .limit(1)
      .executeTakeFirst();
    return row && { hash: row.report_hash, octets: row.octets };
  }

  async remove(hash: Uint8Array): Promise<void> {
    await this.#writes.run(async (query) => {
      await query.deleteFrom('misbehavior_report').where('report_hash', '=', hash).execute();
    });
  }
}
