import type { Kysely, Transaction } from 'kysely';
import type { Migration } from './migration.ts';
import { openSqliteDatabase } from './sqlite-database.ts';
import { StoreError } from './store-error.ts';

export type { Migration } from './migration.ts';

/**
 * The rows: devices, requests that wait, what must not be forgotten.
 *
 * Everything rejects with StoreError (`constraint`, `busy`, `full`, `io`, `closed`, `query`, ...),
 * except that an error thrown by the work of a transaction comes out as it is.
 */
export interface Database<Schema> {
  /**
   * Single statements outside a transaction. A SELECT sees every transaction that has resolved and
   * does not wait for one under way; any other statement takes its turn among the writers and is
   * durable when it resolves.
   */
  readonly query: Kysely<Schema>;
  /**
   * Runs work in one transaction; when it resolves, everything written is on stable storage.
   * Rolled back when work throws. Serialized: one writer at a time, in the order of asking. The
   * work uses the query it is given and nothing else of this database (`nested`), awaits every
   * statement, and waits for nothing slow: all other writers wait with it.
   */
  transaction<T>(work: (query: Transaction<Schema>) => Promise<T>): Promise<T>;
  /** Lets what has begun end, then closes; everything afterwards is refused with an error. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /**
   * To look at a database that another program may be serving from: it is neither created nor migrated, and every write
   * is refused (`io`).
   */
  readonly readsOnly?: boolean;
}

/**
 * Opens the database at `url`, creating it when missing, and applies the migrations it lacks.
 * `sqlite:/path/to/file.db` is a file (mode 0600 when created, its directory must exist) that
 * several processes may share; `sqlite::memory:` is gone when closed.
 * @throws StoreError `unsupported-url`, `io`, `corrupt`, `newer-schema`, `migration-failed`; with `readsOnly` also
 *   `missing`, `older-schema`
 */
export async function openDatabase<Schema>(
  url: string,
  migrations: readonly Migration[],
  options: DatabaseOptions = {},
): Promise<Database<Schema>> {
  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(url)?.[1];
  if (scheme === 'sqlite' && url.length > 'sqlite:'.length) {
    return openSqliteDatabase<Schema>(url.slice('sqlite:'.length), migrations, options);
  }
  if (scheme === 'postgres' || scheme === 'postgresql') {
    throw new StoreError(
      'unsupported-url',
      'expected sqlite:..., saw postgres: PostgreSQL is planned and not here yet',
    );
  }
  // Only the scheme is shown: the rest may hold a password.
  throw new StoreError(
    'unsupported-url',
    `expected sqlite:/path/to/file.db or sqlite::memory:, saw the scheme ${scheme ?? '(none)'}`,
  );
}
