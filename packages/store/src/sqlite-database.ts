import { AsyncLocalStorage } from 'node:async_hooks';
import { open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Kysely, type Transaction } from 'kysely';
import type { Database, DatabaseOptions } from './database.ts';
import { PRIVATE_FILE_MODE, syncDirectory } from './file.ts';
import { expectMigrated, type Migration, migrate } from './migration.ts';
import { patiently, SqliteConnection } from './sqlite-connection.ts';
import { type SqliteConnections, sqliteDialect } from './sqlite-dialect.ts';
import { fileError, StoreError, systemCodeOf } from './store-error.ts';

const MEMORY = ':memory:';

/** See openDatabase; `location` is a path or `:memory:`. */
export async function openSqliteDatabase<Schema>(
  location: string,
  migrations: readonly Migration[],
  { readsOnly = false }: DatabaseOptions,
): Promise<Database<Schema>> {
  // Absolute, because SQLite would read a path that begins with `file:` as a URI with options.
  const path = location === MEMORY ? MEMORY : resolve(location);
  if (readsOnly) return lookAtDatabase(path, migrations);
  if (path !== MEMORY) await createPrivateFile(path);

  const writer = await openConnection(path, false);
  try {
    await migrate(writer, migrations);
    const reader = path === MEMORY ? writer : await openConnection(path, true);
    const database = new SqliteDatabase<Schema>(writer, reader);
    await database.start();
    return database;
  } catch (error) {
    writer.close();
    throw error;
  }
}

async function lookAtDatabase<Schema>(
  path: string,
  migrations: readonly Migration[],
): Promise<Database<Schema>> {
  if (path !== MEMORY) await expectFile(path);
  const connection = new SqliteConnection(path);
  try {
    connection.configureToLook();
    await expectMigrated(connection, migrations);
    const database = new SqliteDatabase<Schema>(connection, connection);
    await database.start();
    return database;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** SQLite would create it. */
async function expectFile(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    if (systemCodeOf(cause) !== 'ENOENT') throw fileError(cause, `look for database ${path}`);
    throw new StoreError('missing', `expected a database in ${path}, saw no file`, { cause });
  }
}

/** SQLite gives its log and its shared memory the mode of the database file. */
async function createPrivateFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'wx', PRIVATE_FILE_MODE);
    await file.close();
    await syncDirectory(dirname(path));
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw fileError(error, `create database ${path}`);
  }
}

async function openConnection(path: string, readsOnly: boolean): Promise<SqliteConnection> {
  const connection = new SqliteConnection(path);
  try {
    await patiently(() => connection.configure(readsOnly));
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

class SqliteDatabase<Schema> implements Database<Schema> {
  readonly query: Kysely<Schema>;
  /** Follows a transaction's work through its awaits, to see when it would wait for itself. */
  readonly #current = new AsyncLocalStorage<{ open: boolean }>();

  constructor(writer: SqliteConnection, reader: SqliteConnection) {
    const connections: SqliteConnections = {
      writer,
      reader,
      beforeWaiting: () => this.#refuseNested(),
    };
    this.query = new Kysely<Schema>({ dialect: sqliteDialect(connections) });
  }

  /** Kysely destroys no driver that was never used: without it, `close` would leave the connections open. */
  async start(): Promise<void> {
    await this.query.connection().execute(async () => {});
  }

  async transaction<T>(work: (query: Transaction<Schema>) => Promise<T>): Promise<T> {
    return this.query.transaction().execute(async (transaction) => {
      const current = { open: true };
      try {
        return await this.#current.run(current, () => work(transaction));
      } finally {
        // What the work started and did not await lives on, and may use the database again.
        current.open = false;
      }
    });
  }

  async close(): Promise<void> {
    await this.query.destroy();
  }

  #refuseNested(): void {
    if (this.#current.getStore()?.open === true) {
      throw new StoreError(
        'nested',
        'expected the query given to the transaction, saw the database used inside its work',
      );
    }
  }
}
