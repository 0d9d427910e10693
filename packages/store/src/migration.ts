import { refuseMarked } from './copy-marks.ts';
import { patiently, type SqliteConnection } from './sqlite-connection.ts';
import { StoreError } from './store-error.ts';

/**
 * One step of a schema. Once released it is never changed and never renamed: databases remember
 * it by its name alone.
 */
export interface Migration {
  /** Unique among all migrations of a database, by custom `<room>-0001-what-it-does`. */
  readonly name: string;
  /** SQL statements, run in order in one transaction. */
  readonly statements: readonly string[];
  /**
   * The same for PostgreSQL. The first step that has it makes there the whole schema of its time, and those before it are
   * not taken; every step after it has it too.
   */
  readonly postgres?: readonly string[];
  /**
   * Programs that do not know this step cannot go on with the database. Without it they can: old and new ones share a
   * PostgreSQL while they are exchanged one after the other. SQLite's are exchanged at once, and refuse any step of others.
   */
  readonly endsFormer?: boolean;
}

const RECORD = `create table if not exists chrysalis_migration (
  position integer primary key,
  name text not null unique
) strict`;

/**
 * Applies, in order, each migration which the database does not have, each in its own transaction
 * together with its record. Two processes may do this at the same time.
 * @throws StoreError `invalid-migration`, `newer-schema`, `migration-failed`, `busy`, `corrupt`
 */
export async function migrate(
  connection: SqliteConnection,
  migrations: readonly Migration[],
): Promise<void> {
  assertDistinct(migrations);
  const applied = await patiently(() => appliedMigrations(connection));
  refuseUnknown(applied, migrations);
  for (const migration of migrations) {
    if (!applied.has(migration.name)) await apply(connection, migration, migrations);
  }
}

/**
 * Makes sure that nothing would be left for `migrate` to do. Changes nothing.
 *
 * @throws StoreError `invalid-migration`, `missing` when not one was ever applied, `older-schema`, `newer-schema`, `busy`, `corrupt`
 */
export async function expectMigrated(
  connection: SqliteConnection,
  migrations: readonly Migration[],
): Promise<void> {
  assertDistinct(migrations);
  const applied = await patiently(() => appliedMigrations(connection));
  if (applied.size === 0) {
    throw new StoreError('missing', 'expected a database with tables in it, saw an empty one');
  }
  refuseUnknown(applied, migrations);
  const lacking = migrations.find(({ name }) => !applied.has(name));
  if (lacking !== undefined) throw olderSchema(lacking);
}

async function apply(
  connection: SqliteConnection,
  migration: Migration,
  migrations: readonly Migration[],
): Promise<void> {
  await patiently(() => connection.exec('begin immediate'));
  try {
    // Read again under the lock: another process may have been faster.
    const applied = appliedMigrations(connection);
    refuseUnknown(applied, migrations);
    if (!applied.has(migration.name)) {
      connection.exec(RECORD);
      runStatements(connection, migration);
      connection.run('insert into chrysalis_migration (name) values (?)', [migration.name]);
    }
    connection.exec('commit');
  } catch (error) {
    if (connection.inTransaction) connection.exec('rollback');
    throw error;
  }
}

function runStatements(connection: SqliteConnection, migration: Migration): void {
  for (const [index, statement] of migration.statements.entries()) {
    try {
      connection.exec(statement);
    } catch (cause) {
      throw migrationFailed(migration, index, cause);
    }
  }
}

export function migrationFailed({ name }: Migration, index: number, cause: unknown): StoreError {
  const where = `statement ${index + 1} of migration ${name}`;
  const seen = cause instanceof Error ? cause.message : String(cause);
  return new StoreError('migration-failed', `${where}: ${seen}`, { cause });
}

function appliedMigrations(connection: SqliteConnection): Set<string> {
  const table = "select 1 from sqlite_schema where type = 'table' and name = 'chrysalis_migration'";
  if (connection.run(table, []).rows.length === 0) return new Set();
  const { rows } = connection.run('select name from chrysalis_migration order by position', []);
  return new Set(rows.map((row) => String(row.name)));
}

/** @throws StoreError `newer-schema`, `moved`, `incomplete` */
export function refuseUnknown(applied: Iterable<string>, migrations: readonly Migration[]): void {
  const known = new Set(migrations.map((migration) => migration.name));
  const names = [...applied];
  refuseMarked(new Set(names), known);
  for (const name of names) {
    if (!known.has(name)) {
      throw new StoreError(
        'newer-schema',
        `expected migrations that this program knows, saw ${name}: a newer program made this database`,
      );
    }
  }
}

export function olderSchema(lacking: Migration): StoreError {
  return new StoreError(
    'older-schema',
    `expected all migrations that this program knows, saw none called ${lacking.name}: an older program made this database`,
  );
}

/** @throws StoreError `invalid-migration` when a name stands twice */
export function assertDistinct(migrations: readonly Migration[]): void {
  const names = new Set(migrations.map((migration) => migration.name));
  if (names.size !== migrations.length) {
    throw new StoreError('invalid-migration', 'expected each migration once, saw a name repeated');
  }
}
