import type { Database, DatabaseOptions } from './database.ts';
import { startDatabase } from './kysely-database.ts';
import type { Migration } from './migration.ts';
import { PostgresConnection, type PostgresSession } from './postgres-connection.ts';
import { postgresDialect } from './postgres-dialect.ts';
import { expectPostgresMigrated, migratePostgres } from './postgres-migration.ts';
import { loadPostgres, type PostgresClient, type PostgresClientConfig } from './postgres-module.ts';
import { getTypeParser } from './postgres-types.ts';
import { type PostgresPlace, parsePostgresUrl, tlsOptionsOf } from './postgres-url.ts';
import { StoreError } from './store-error.ts';

/** Each carries many SELECTs at a time: more connections only keep a slow one from the way of the others. */
const READERS = 4;

/** The first with all that is used: 15. */
const MIN_SERVER_VERSION = 150_000;

const CONNECT_TIMEOUT_MS = 10_000;
/** After this much silence the system asks whether the other side is there. */
const KEEP_ALIVE_MS = 10_000;

/** How long a caller waits for other writers, as with SQLite. */
const LOCK_TIMEOUT_MS = 10_000;
/** A writer that has stopped in the middle, or whose machine has, is rolled back after this: all others wait for it. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** A look-up takes a millisecond, a page for operators a second or two. */
const READ_TIMEOUT_MS = 30_000;
/** What is over is dropped by the period, for a whole fleet in one transaction. */
const WRITE_TIMEOUT_MS = 600_000;
/** The server gives up first, and says so; this is for one that says nothing any more. */
const SILENCE_MS = 5_000;

/** See openDatabase. */
export async function openPostgresDatabase<Schema>(
  url: string,
  migrations: readonly Migration[],
  options: DatabaseOptions,
): Promise<Database<Schema>> {
  const place = parsePostgresUrl(url);
  const create = await clientsOf(place, options);
  const writer = new PostgresConnection(() => create(false));
  const readers = Array.from({ length: READERS }, () => new PostgresConnection(() => create(true)));
  try {
    const session = await writer.session();
    await expectServer(session, options);
    if (options.migrates === true && !options.readsOnly) {
      await migratePostgres(session, migrations, place.schema);
    }
    await expectPostgresMigrated(session, migrations);
    return await startDatabase<Schema>((beforeWaiting) =>
      postgresDialect({ writer, readers, readsOnly: options.readsOnly === true, beforeWaiting }),
    );
  } catch (error) {
    await writer.close();
    throw error;
  }
}

async function clientsOf(
  place: PostgresPlace,
  { readsOnly = false, password }: DatabaseOptions,
): Promise<(isReader: boolean) => PostgresClient> {
  const { Client } = await loadPostgres();
  const ssl = await tlsOptionsOf(place);
  return (isReader) => {
    const timeout = isReader ? READ_TIMEOUT_MS : WRITE_TIMEOUT_MS;
    const config: PostgresClientConfig & { readonly pipeline: boolean } = {
      ...addressOf(place),
      ...(password !== undefined && { password }),
      ssl,
      application_name: 'chrysalis',
      options: settingsOf(place, isReader || readsOnly),
      statement_timeout: timeout,
      query_timeout: timeout + SILENCE_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      pipeline: true,
      types: { getTypeParser },
    };
    return new Client(config);
  };
}

/** What the URL leaves out, PGHOST and its like decide. */
function addressOf({ host, port, user, database }: PostgresPlace): PostgresClientConfig {
  return {
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
    ...(user !== undefined && { user }),
    ...(database !== undefined && { database }),
  };
}

function settingsOf({ schema }: PostgresPlace, readsOnly: boolean): string {
  const settings = {
    bytea_output: 'hex',
    client_min_messages: 'warning',
    ...(schema !== undefined && { search_path: schema }),
    ...(readsOnly && { default_transaction_read_only: 'on' }),
  };
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ');
}

/** What is acknowledged has to be kept, by a server that takes writes. @throws StoreError `unsupported-server`, `away` */
async function expectServer(
  session: PostgresSession,
  { readsOnly = false }: DatabaseOptions,
): Promise<void> {
  const { rows } = await session.exec(
    `select current_setting('server_version_num')::int as version, current_setting('fsync') as fsync,
      current_setting('synchronous_commit') as commit, current_setting('server_encoding') as encoding,
      pg_is_in_recovery() as standby`,
  );
  const { version, fsync, commit, encoding, standby } = rows[0] ?? {};
  if (Number(version) < MIN_SERVER_VERSION) throw unsupported('PostgreSQL 15 or later', version);
  if (encoding !== 'UTF8') throw unsupported('server_encoding UTF8', encoding);
  if (readsOnly) return;
  if (standby === 1) throw new StoreError('away', 'expected the primary, saw a standby');
  if (fsync !== 'on') throw unsupported('fsync on', fsync);
  if (commit === 'off') throw unsupported('synchronous_commit on', commit);
}

function unsupported(expected: string, seen: unknown): StoreError {
  return new StoreError('unsupported-server', `expected a server with ${expected}, saw ${seen}`);
}
