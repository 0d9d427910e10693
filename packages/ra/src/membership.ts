/** Who does which part of what several processes do on one database, without a leader: docs/decisions/0054-shares-of-the-work.md. */
import type { Random } from '@chrysalis/crypto';
import { type Database, wordsOf } from '@chrysalis/store';
import { CompiledQuery, type Expression, type SqlBool, sql } from 'kysely';
import { change } from './bulk.ts';
import type { Log } from './options.ts';
import type { RaSchema } from './schema.ts';

/** How often a lease is renewed, and how long it lasts: a few renewals may fail, or wait for other writers. */
const RENEW_MS = 1000;
const LEASE_MS = 6000;
/** One that comes to others begins when they have had the time to notice it: until then their parts are what they were. */
const SETTLE_MS = 2 * RENEW_MS;
const NAME_OCTETS = 8;

/** What they do together. */
export type Role = 'pipeline' | 'files';

/** One part of so many: whatever leaves the remainder `rank` when it is divided by `of`. */
export interface Share {
  readonly rank: number;
  readonly of: number;
}

/** Of who is alone. */
export const WHOLE: Share = { rank: 0, of: 1 };

/** A condition on an integer column; one that is always true is not to be asked: {@link isWhole}. */
export function isIn({ rank, of }: Share, column: string): Expression<SqlBool> {
  return sql<boolean>`${sql.ref(column)} % ${of} = ${rank}`;
}

export function isWhole({ of }: Share): boolean {
  return of === 1;
}

export interface MembershipOptions {
  readonly database: Database<RaSchema>;
  readonly role: Role;
  readonly random: Random;
  readonly log: Log;
  /** Other times, for tests. */
  readonly renewMs?: number;
  readonly leaseMs?: number;
  readonly settleMs?: number;
}

/**
 * Takes part in a role with a lease in the database, and knows which part of the work that is. Times are those of the
 * database; how long this process may rely on what it has read goes by its own steady clock.
 *
 * Parts overlap for moments: when somebody has stopped and goes on, or has not noticed yet who came. They keep the members
 * from doing the same; that nothing is done twice, or lost, is the matter of the transactions in which it is done.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #name: string;
  readonly #renewMs: number;
  readonly #leaseMs: number;
  readonly #settleMs: number;
  #share: Share | undefined;
  /** The process's own time until which the share holds, and from which it is to be relied on. */
  #validUntil = Number.NEGATIVE_INFINITY;
  #settledAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    const { random, renewMs = RENEW_MS, leaseMs = LEASE_MS, settleMs = SETTLE_MS } = options;
    this.#name = Buffer.from(random(NAME_OCTETS)).toString('hex');
    this.#renewMs = renewMs;
    this.#leaseMs = leaseMs;
    this.#settleMs = settleMs;
  }

  /** The part that is this member's now; undefined while it has none. */
  get share(): Share | undefined {
    const now = performance.now();
    return now < this.#validUntil && now >= this.#settledAt ? this.#share : undefined;
  }

  /** Of what one of them does for all. */
  get isFirst(): boolean {
    return this.share?.rank === 0;
  }

  /** Joins, and goes on renewing. Never rejects: while the database is away it has no part. */
  async start(): Promise<void> {
    await this.#renew();
    this.#schedule();
  }

  /** Leaves: the others need not wait for the end of the lease. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#timer);
    await this.#renewing;
    this.#share = undefined;
    const { database, role } = this.#options;
    const mine = 'delete from member where role = ? and name = ?';
    await change(database.query, mine, [role, this.#name]).catch(() => {});
  }

  #schedule(): void {
    if (this.#isStopping) return;
    this.#timer = setTimeout(() => {
      this.#renewing = this.#renew().then(() => this.#schedule());
    }, this.#renewMs).unref();
  }

  async #renew(): Promise<void> {
    const begun = performance.now();
    const wasIn = begun < this.#validUntil;
    try {
      await this.#extend();
      const names = await this.#present();
      const rank = names.indexOf(this.#name);
      // Its lease is over already: the database has taken too long.
      if (rank === -1) throw new Error('expected the lease just renewed, saw it over');
      this.#share = { rank, of: names.length };
      this.#validUntil = begun + this.#leaseMs;
      if (!wasIn) this.#settledAt = names.length === 1 ? begun : performance.now() + this.#settleMs;
    } catch (error) {
      const { role, log } = this.#options;
      if (!this.#isStopping) log.warn({ err: error, role }, 'a lease is not renewed');
    }
  }

  /** One that was over begins anew, behind those that are there; so does one of a clock that was set back. */
  async #extend(): Promise<void> {
    const { database, role } = this.#options;
    const { nowMs } = wordsOf(database.query);
    await change(
      database.query,
      `insert into member (role, name, joined_at, until) values (?, ?, ${nowMs}, ${nowMs} + ?)
        on conflict (role, name) do update set
          joined_at = case when member.until < ${nowMs} then excluded.joined_at else member.joined_at end,
          until = excluded.until`,
      [role, this.#name, this.#leaseMs],
    );
  }

  /** Members whose leases are not over, the oldest first. A lease longer than any is one of a clock that was set back. */
  async #present(): Promise<string[]> {
    const { database, role } = this.#options;
    const { nowMs } = wordsOf(database.query);
    const members = await database.query
      .selectFrom('member')
      .select(['name', sql<number>`until - ${sql.raw(nowMs)}`.as('leftMs')])
      .where('role', '=', role)
      .orderBy('joined_at')
      .orderBy('name')
      .execute();
    const gone = members.filter(({ leftMs }) => leftMs <= -this.#leaseMs);
    for (const { name } of gone) await this.#forget(name);
    return members
      .filter(({ leftMs }) => leftMs > 0 && leftMs <= 2 * this.#leaseMs)
      .map(({ name }) => name);
  }

  /** One that died: its name never comes back. Unless it has: the condition looks again. */
  async #forget(name: string): Promise<void> {
    const { database, role } = this.#options;
    const { nowMs } = wordsOf(database.query);
    await database.query.executeQuery(
      CompiledQuery.raw(`delete from member where role = ? and name = ? and until < ${nowMs}`, [
        role,
        name,
      ]),
    );
  }
}
