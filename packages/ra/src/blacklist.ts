import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Database } from '@chrysalis/store';
import type { CompiledQuery, Transaction } from 'kysely';
import type { RaSchema } from './schema.ts';

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

  /** Durable when it resolves; adding twice keeps the first reason. Nothing more is generated for its devices. */
  async add(enrollmentHash: Uint8Array, reason: string, at: Time32): Promise<void> {
    await this.#database.transaction(async (query) => {
      await query
        .insertInto('blacklist')
        .values({ enrollment_hash: enrollmentHash, reason, added_at: at })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      await block(query, enrollmentHash, true);
    });
  }

  async remove(enrollmentHash: Uint8Array): Promise<void> {
    await this.#database.transaction(async (query) => {
      await query.deleteFrom('blacklist').where('enrollment_hash', '=', enrollmentHash).execute();
      await block(query, enrollmentHash, false);
    });
  }
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
