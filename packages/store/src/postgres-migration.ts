import {
  assertDistinct,
  type Migration,
  migrationFailed,
  olderSchema,
  refuseUnknown,
} from './migration.ts';
import type { PostgresSession } from './postgres-connection.ts';
import { StoreError } from './store-error.ts';

/** What was applied; its lock is also the writers' turn, so that nobody writes while a step is made. */
export const MIGRATION_TABLE = 'chrysalis_migration';

const RECORD = `create table if not exists ${MIGRATION_TABLE} (
  position bigint generated always as identity primary key,
  name text not null unique,
  ends_former boolean not null
)`;

/** Of pg_advisory_xact_lock: before there is a table to lock. The octets of "chrysali". */
const FIRST_LOCK = 0x6368_7279_7361_6c69n;

interface Applied {
  readonly name: string;
  readonly endsFormer: boolean;
}

/**
 * Applies, in order, each migration that the database does not have, each in its own transaction together with its record.
 * Several processes may do this at the same time, while others that know fewer steps go on.
 *
 * @throws StoreError `invalid-migration`, `newer-schema`, `migration-failed`, `busy`
 */
export async function migratePostgres(
  session: PostgresSession,
  migrations: readonly Migration[],
  schema: string | undefined,
): Promise<void> {
  const steps = stepsOf(migrations);
  if (schema !== undefined) await session.exec(`create schema if not exists ${schema}`);
  await inTransaction(session, async () => {
    await session.exec(`select pg_advisory_xact_lock(${FIRST_LOCK})`);
    await session.exec(RECORD);
  });
  for (const step of steps) await inTransaction(session, () => apply(session, step, migrations));
}

/**
 * Makes sure that nothing would be left for {@link migratePostgres} to do. Steps that are not known, and do not end the
 * programs before them, are a newer program's that is being rolled out.
 *
 * @throws StoreError `invalid-migration`, `missing`, `older-schema`, `newer-schema`
 */
export async function expectPostgresMigrated(
  session: PostgresSession,
  migrations: readonly Migration[],
): Promise<void> {
  const steps = stepsOf(migrations);
  const applied = await appliedMigrations(session);
  if (applied.length === 0) {
    throw new StoreError('missing', 'expected a database with tables in it, saw none of ours');
  }
  expectKnown(applied, migrations);
  const names = new Set(applied.map(({ name }) => name));
  const lacking = steps.find(({ name }) => !names.has(name));
  if (lacking !== undefined) throw olderSchema(lacking);
}

interface Step extends Migration {
  readonly postgres: readonly string[];
}

function stepsOf(migrations: readonly Migration[]): readonly Step[] {
  assertDistinct(migrations);
  const isStep = (migration: Migration): migration is Step => migration.postgres !== undefined;
  const first = migrations.findIndex(isStep);
  const steps = migrations.slice(first === -1 ? migrations.length : first);
  if (steps.length === 0 || !steps.every(isStep)) {
    throw new StoreError(
      'invalid-migration',
      'expected statements for PostgreSQL in every migration from the first that has them',
    );
  }
  return steps;
}

async function apply(
  session: PostgresSession,
  step: Step,
  migrations: readonly Migration[],
): Promise<void> {
  await session.exec(`lock table ${MIGRATION_TABLE} in exclusive mode`);
  // Read under the lock: another process may have been faster.
  const applied = await appliedMigrations(session);
  expectKnown(applied, migrations);
  if (applied.some(({ name }) => name === step.name)) return;
  for (const [index, statement] of step.postgres.entries()) {
    try {
      await session.exec(statement);
    } catch (cause) {
      throw migrationFailed(step, index, cause);
    }
  }
  const { name, endsFormer = false } = step;
  // Our names are no octets of anybody else's, and have no quotes.
  const values = `'${name}', ${endsFormer}`;
  await session.exec(`insert into ${MIGRATION_TABLE} (name, ends_former) values (${values})`);
}

async function inTransaction(session: PostgresSession, work: () => Promise<void>): Promise<void> {
  await session.exec('begin isolation level read committed');
  try {
    await work();
    await session.exec('commit');
  } catch (error) {
    if (!session.isLost) await session.exec('rollback').catch(() => {});
    throw error;
  }
}

async function appliedMigrations(session: PostgresSession): Promise<readonly Applied[]> {
  const { rows: found } = await session.exec(`select to_regclass('${MIGRATION_TABLE}') as found`);
  if (found[0]?.found === null) return [];
  const { rows } = await session.exec(
    `select name, ends_former from ${MIGRATION_TABLE} order by position`,
  );
  return rows.map(({ name, ends_former }) => ({
    name: String(name),
    endsFormer: ends_former === 1,
  }));
}

function expectKnown(applied: readonly Applied[], migrations: readonly Migration[]): void {
  const known = new Set(migrations.map(({ name }) => name));
  const counting = applied.filter(({ name, endsFormer }) => endsFormer || known.has(name));
  refuseUnknown(
    counting.map(({ name }) => name),
    migrations,
  );
}
