import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Database } from '@chrysalis/store';
import type { CompiledQuery, Transaction } from 'kysely';
import type { BlacklistChanges } from './blacklist-changes.ts';
import type { BlacklistTable, RaSchema } from './schema.ts';

/** Entries of one statement. */
const ROWS_AT_A_TIME = 200;

/** An entry: who may neither request nor download, why, since when. */
export interface BlacklistEntry {
  /** SHA-256 of the enrollment certificate in canonical form, 32 octets. */
  readonly enrollmentHash: Uint8Array;
  readonly reason: string;
  readonly addedAt: Time32;
}

/**
 * The internal blacklist: enrollment certificates whose devices may neither request nor download. Every process
 * asks the database each time, so that an entry counts from the moment it is committed.
 */
export class Blacklist {
  readonly #database: Database<RaSchema>;
  readonly #changes: BlacklistChanges | undefined;
  /** Built once: every request of every device asks it. */
  readonly #entry: CompiledQuery;

  /** @param changes where each is written down before whoever asked for it is told; without it, none is */
  constructor(database: Database<RaSchema>, changes?: BlacklistChanges) {
    this.#database = database;
    this.#changes = changes;
    this.#entry = database.query
      .selectFrom('blacklist')
      .select('added_at')
      .where('enrollment_hash', '=', new Uint8Array())
      .compile();
  }

  /** @param enrollmentHash SHA-256 of the certificate in canonical form, 32 octets. */
  async has(enrollmentHash: Uint8Array): Promise<boolean> {
    const query = { ...this.#entry, parameters: [enrollmentHash] };
    const { rows } = await this.#database.query.executeQuery(query);
    return rows.length > 0;
  }

  /** The entry of a certificate; undefined when there is none. */
  async find(enrollmentHash: Uint8Array): Promise<BlacklistEntry | undefined> {
    const row = await this.#database.query
      .selectFrom('blacklist')
      .selectAll()
      .where('enrollment_hash', '=', enrollmentHash)
      .executeTakeFirst();
    return row && entryOf(row);
  }

  /** Every entry, oldest first. */
  async list(): Promise<readonly BlacklistEntry[]> {
    const rows = await this.#database.query
      .selectFrom('blacklist')
      .selectAll()
      .orderBy('added_at')
      .orderBy('enrollment_hash')
      .execute();
    return rows.map(entryOf);
  }

  /**
   * Durable when it resolves; adding twice keeps the first reason. Nothing more is generated for its devices.
   *
   * @returns false when it was listed before
   */
  async add(enrollmentHash: Uint8Array, reason: string, at: Time32): Promise<boolean> {
    await this.#changes?.ready();
    const isNew = await this.#database.transaction(async (query) => {
      const result = await query
        .insertInto('blacklist')
        .values({ enrollment_hash: enrollmentHash, reason, added_at: at })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirstOrThrow();
      await block(query, enrollmentHash, true);
      if (result.numInsertedOrUpdatedRows !== 1n) return false;
      await this.#changes?.add(query, 'added', [enrollmentHash], reason);
      return true;
    });
    await this.recorded();
    return isNew;
  }

  /**
   * As {@link add}, of many in one transaction.
   *
   * @param along is given the certificates that were not listed before, hex; what it writes is durable with them
   */
  async addAll(
    enrollmentHashes: readonly Uint8Array[],
    reason: string,
    at: Time32,
    along: (query: Transaction<RaSchema>, added: ReadonlySet<string>) => Promise<void>,
  ): Promise<void> {
    await this.#changes?.ready();
    const added: Uint8Array[] = [];
    await this.#database.transaction(async (query) => {
      for (let n = 0; n < enrollmentHashes.length; n += ROWS_AT_A_TIME) {
        const some = enrollmentHashes.slice(n, n + ROWS_AT_A_TIME);
        const rows = await query
          .insertInto('blacklist')
          .values(some.map((enrollment_hash) => ({ enrollment_hash, reason, added_at: at })))
          .onConflict((conflict) => conflict.doNothing())
          .returning('enrollment_hash')
          .execute();
        added.push(...rows.map(({ enrollment_hash }) => enrollment_hash));
        await query
          .updateTable('device')
          .set({ blocked: 1 })
          .where('enrollment_hash', 'in', some)
          .execute();
      }
      await this.#changes?.add(query, 'added', added, reason);
      await along(query, new Set(added.map(hex)));
    });
    await this.recorded();
  }

  /**
   * Durable when it resolves: the device may request and download again, and what waited for it goes on.
   *
   * @returns false when it was not listed
   */
  async remove(enrollmentHash: Uint8Array): Promise<boolean> {
    await this.#changes?.ready();
    const isGone = await this.#database.transaction(async (query) => {
      const { numDeletedRows } = await query
        .deleteFrom('blacklist')
        .where('enrollment_hash', '=', enrollmentHash)
        .executeTakeFirstOrThrow();
      await block(query, enrollmentHash, false);
      if (numDeletedRows !== 1n) return false;
      await this.#changes?.add(query, 'removed', [enrollmentHash]);
      return true;
    });
    await this.recorded();
    return isGone;
  }

  /**
   * Resolves when all that was changed before, by whomever, is in the audit log: who asks for the same again is told no sooner than
   * who asked first.
   *
   * @throws StoreError
   */
  async recorded(): Promise<void> {
    await this.#changes?.handOn();
  }
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

function entryOf({ enrollment_hash, reason, added_at }: BlacklistTable): BlacklistEntry {
  return { enrollmentHash: enrollment_hash, reason, addedAt: added_at };
}

/** In the rows of the devices too, so that the pipeline finds those it may work for by an index. */
async function block(
  query: Transaction<RaSchema>,
  enrollmentHash: Uint8Array,
  isBlocked: boolean,
): Promise<void> {
  await query
    .updateTable('device')
    .set({ blocked: isBlocked ? 1 : 0 })
    .where('enrollment_hash', '=', enrollmentHash)
    .execute();
}
