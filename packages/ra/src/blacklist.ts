import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Database } from '@chrysalis/store';
import type { CompiledQuery } from 'kysely';
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

  /** Durable when it resolves; adding twice keeps the first reason. */
  async add(enrollmentHash: Uint8Array, reason: string, at: Time32): Promise<void> {
    await this.#database.query
      .insertInto('blacklist')
      .values({ enrollment_hash: enrollmentHash, reason, added_at: at })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  async remove(enrollmentHash: Uint8Array): Promise<void> {
    await this.#database.query
      .deleteFrom('blacklist')
      .where('enrollment_hash', '=', enrollmentHash)
      .execute();
  }
}
