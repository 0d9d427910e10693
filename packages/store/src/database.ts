import type { CompiledQuery, Kysely, Transaction } from 'kysely';
import type { Migration } from './migration.ts';
import { openPostgresDatabase } from './postgres-database.ts';
import { isPostgresUrl } from './postgres-url.ts';
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
   * A SELECT that is asked over and over, compiled once: it sees what a SELECT of `query` sees, and costs what the database
   * takes and no more. The parameters are in the order of the compiled query.
   */
  lookUp<Row>(
    select: CompiledQuery<Row>,
  ): (parameters: readonly unknown[]) => Promise<readonly Row[]>;
  /**
   * Runs work in one transaction; when it resolves, everything written is on stable storage.
   * Rolled back when work throws. Serialized, over all processes that share the database: one writer
   * at a time, in the order of asking. The work uses the query it is given and nothing else of this
   * database (`nested`), awaits every statement, and waits for nothing slow: all other writers wait
   * with it. After a statement that was refused, only going back to a savepoint saves the rest.
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
  /** Of a PostgreSQL: applies the migrations that it lacks. SQLite's are applied whenever it is opened. */
  readonly migrates?: boolean;
  /** Of a PostgreSQL: asked whenever a connection is made. Without it PGPASSWORD and PGPASSFILE count. */
  readonly password?: () => Promise<string>;
}

/**
 * Opens the database at `url`.
 *
 * - `sqlite:/path/to/file.db` is a file (mode 0600 when created, its directory must exist) that several processes may share;
 *   `sqlite::memory:` is gone when closed. It is created when missing, and the migrations that it lacks are applied.
 * - `postgres://user@host/database` is a PostgreSQL 15 or later: {@link parsePostgresUrl} has what else it may say. One that
 *   lacks a migration is refused, unless the options say that it is to be migrated.
 *
 * @throws StoreError `unsupported-url`, `io`, `corrupt`, `newer-schema`, `migration-failed`; with `readsOnly`, and of a
 *   PostgreSQL, also `missing`, `older-schema`; of a PostgreSQL also `away`, `no-module`, `unsupported-server`
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
  if (isPostgresUrl(url)) return openPostgresDatabase<Schema>(url, migrations, options);
  // Only the scheme is shown: the rest may hold a password.
  throw new StoreError(
    'unsupported-url',
    `expected sqlite:/path/to/file.db, sqlite::memory: or postgres://host/database, saw the scheme ${scheme ?? '(none)'}`,
  );
}
