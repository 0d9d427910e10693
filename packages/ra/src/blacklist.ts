import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Database } from '@chrysalis/store';
import type { CompiledQuery, Transaction } from 'kysely';
import type { BlacklistTable, RaSchema } from './schema.ts';

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
  /** Built once: every request of every device asks it. */
  readonly #entry: CompiledQuery;

  constructor(database: Database<RaSchema>) {
    this.#database = database;
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
    return this.#database.transaction(async (query) => {
      const result = await query
        .insertInto('blacklist')
        .values({ enrollment_hash: enrollmentHash, reason, added_at: at })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirstOrThrow();
      await block(query, enrollmentHash, true);
      return result.numInsertedOrUpdatedRows === 1n;
    });
  }

  /**
   * Durable when it resolves: the device may request and download again, and what waited for it goes on.
   *
   * @returns false when it was not listed
   */
  async remove(enrollmentHash: Uint8Array): Promise<boolean> {
    return this.#database.transaction(async (query) => {
      const { numDeletedRows } = await query
        .deleteFrom('blacklist')
        .where('enrollment_hash', '=', enrollmentHash)
        .executeTakeFirstOrThrow();
      await block(query, enrollmentHash, false);
      return numDeletedRows === 1n;
    });
  }
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
