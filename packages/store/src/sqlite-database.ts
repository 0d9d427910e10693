import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Database, DatabaseOptions } from './database.ts';
import { PRIVATE_FILE_MODE, syncDirectory } from './file.ts';
import { startDatabase } from './kysely-database.ts';
import { expectMigrated, type Migration, migrate } from './migration.ts';
import { patiently, SqliteConnection } from './sqlite-connection.ts';
import { sqliteDialect } from './sqlite-dialect.ts';
import { expectFile } from './sqlite-file.ts';
import { fileError, systemCodeOf } from './store-error.ts';

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
    return await databaseOver<Schema>(writer, reader);
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
    return await databaseOver<Schema>(connection, connection);
  } catch (error) {
    connection.close();
    throw error;
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

function databaseOver<Schema>(
  writer: SqliteConnection,
  reader: SqliteConnection,
): Promise<Database<Schema>> {
  return startDatabase<Schema>(
    (beforeWaiting) => sqliteDialect({ writer, reader, beforeWaiting }),
    // In memory it would see what a transaction under way has written: there it takes its turn.
    reader === writer
      ? undefined
      : (sql, parameters) => patiently(() => reader.run(sql, parameters).rows),
  );
}
