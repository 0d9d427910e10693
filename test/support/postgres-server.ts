/** A real PostgreSQL for tests: from the machine's binaries, in a directory of its own, on loopback and a socket. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, globSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { setTimeout } from 'node:timers/promises';

/** What CI sets: a test that cannot have its server fails. */
const REQUIRE = 'CHRYSALIS_REQUIRE_POSTGRES';
/** Debian's places, newest first, and the path. */
const BINARIES = [
  ...globSync('/usr/lib/postgresql/*/bin').toSorted().toReversed(),
  ...(process.env.PATH ?? '').split(':'),
];
const START_MS = 60_000;
const LOOK_MS = 50;
/** PostgreSQL refuses to run as root: Debian has a user for it, and every Unix has one with no rights. */
const UNPRIVILEGED = ['postgres', 'nobody'];

const bin = BINARIES.find((directory) => existsSync(join(directory, 'initdb')));

/** For `skip` of node:test: why there is no server; false when there is one, or has to be. */
export const withoutPostgres: string | false =
  bin === undefined && process.env[REQUIRE] !== '1' && 'no PostgreSQL on this machine: initdb';

export interface PostgresServer {
  /** The URL of a schema that nobody else has, and that is not there yet. */
  newUrl(): string;
  readonly port: number;
  /** Of its first process: those of its connections are below it. */
  readonly pid: number;
  /** The directory of its socket. */
  readonly socketDirectory: string;
  /** Runs SQL as its owner, by psql; what it prints. */
  psql(sql: string, database?: string): string;
  /** Runs another of its programs as its owner, with the place of the server in the environment; files in `socketDirectory`. */
  program(name: string, ...args: string[]): string;
  /** What it has written down. */
  log(): string;
  /** From now on this role is asked for its password. */
  demandPassword(role: string): void;
  /** Ends it at once, as a crash does, or in order; then `start` has it answer again, in the same place. */
  stop(how: 'immediate' | 'fast'): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a server with synced commits. End it with `close`. */
export async function startPostgres(
  more: Readonly<Record<string, string | number>> = {},
): Promise<PostgresServer> {
  if (bin === undefined) throw new Error(`${REQUIRE} is set: expected initdb, saw none`);
  const user = unprivileged();
  const directory = await mkdtemp(join(tmpdir(), 'chrysalis-pg-'));
  if (user) await chown(directory, user.uid, user.gid);
  await chmod(directory, 0o755);
  const data = join(directory, 'data');
  const run = (program: string, args: readonly string[], input?: string, env = {}) => {
    const { status, stdout, stderr } = spawnSync(join(bin, program), [...args], {
      ...user,
      cwd: directory,
      env: { ...process.env, ...env },
      encoding: 'utf8',
      ...(input !== undefined && { input }),
    });
    if (status !== 0) throw new Error(`expected ${program} to do it, saw ${stderr}`);
    return stdout;
  };
  // The template is synced by the first checkpoint; what the tests write is synced by the server.
  const quick = ['--locale=C', '--no-sync', '--wal-segsize=1'];
  run('initdb', ['-D', data, '-U', 'owner', '-A', 'trust', '-E', 'UTF8', ...quick]);
  const port = await freePort();
  const logFile = join(directory, 'log');
  const log = openSync(logFile, 'a');
  let server: ChildProcess | undefined;
  let schemas = 0;

  const start = async () => {
    server = spawn(join(bin, 'postgres'), ['-D', data, ...settings(directory, port, more)], {
      ...user,
      cwd: directory,
      stdio: ['ignore', 'ignore', log],
    });
    await ready(bin, directory, port, server);
  };
  const stop = async (how: 'immediate' | 'fast') => {
    const ending = server;
    server = undefined;
    if (ending === undefined || ending.exitCode !== null) return;
    const ended = new Promise((resolve) => ending.once('exit', resolve));
    ending.kill(how === 'immediate' ? 'SIGQUIT' : 'SIGINT');
    await ended;
  };
  const psql = (sql: string, database = 'postgres') => {
    const place = ['-h', directory, '-p', String(port), '-U', 'owner', '-d', database];
    return run('psql', [...place, '-v', 'ON_ERROR_STOP=1', '-XqAt', '-f', '-'], sql);
  };
  try {
    await start();
  } catch (error) {
    await stop('immediate');
    closeSync(log);
    await rm(directory, { recursive: true });
    throw error;
  }
  return {
    port,
    socketDirectory: directory,
    psql,
    program(name, ...args) {
      const place = { PGHOST: directory, PGPORT: String(port), PGUSER: 'owner' };
      return run(name, args, undefined, place);
    },
    log: () => readFileSync(logFile, 'utf8'),
    start,
    stop,
    demandPassword(role) {
      const file = join(data, 'pg_hba.conf');
      writeFileSync(file, `host all ${role} all scram-sha-256\n${readFileSync(file, 'utf8')}`);
      psql('select pg_reload_conf()');
    },
    get pid() {
      if (server?.pid === undefined) throw new Error('expected a server that runs');
      return server.pid;
    },
    newUrl: () => `postgres://owner@127.0.0.1:${port}/postgres?schema=test_${schemas++}`,
    async close() {
      await stop('immediate');
      closeSync(log);
      await rm(directory, { recursive: true });
    },
  };
}

function settings(
  directory: string,
  port: number,
  more: Readonly<Record<string, string | number>>,
): string[] {
  const values = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: directory,
    fsync: 'on',
    synchronous_commit: 'on',
    shared_buffers: '32MB',
    dynamic_shared_memory_type: 'mmap',
    max_connections: 60,
    autovacuum: 'off',
    ...more,
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function ready(
  binaries: string,
  directory: string,
  port: number,
  server: ChildProcess,
): Promise<void> {
  const until = performance.now() + START_MS;
  const args = ['-q', '-h', directory, '-p', String(port), '-U', 'owner', '-d', 'postgres'];
  while (spawnSync(join(binaries, 'pg_isready'), args).status !== 0) {
    if (server.exitCode !== null) throw new Error(`expected a server, saw it end`);
    if (performance.now() > until) throw new Error('expected a server, saw none that answers');
    await setTimeout(LOOK_MS);
  }
}

function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const user of UNPRIVILEGED) {
    const [uid, gid] = ['-u', '-g'].map((which) => {
      const { status, stdout } = spawnSync('id', [which, user], { encoding: 'utf8' });
      return status === 0 ? Number(stdout) : undefined;
    });
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  }
  throw new Error(`expected a user without privileges, ${UNPRIVILEGED.join(' or ')}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('expected a port');
  return address.port;
}

const isOnPostgres = process.env.CHRYSALIS_TEST_DATABASE === 'postgres';
let shared: Promise<PostgresServer> | undefined;

/**
 * The URL of a new database for a fixture: with CHRYSALIS_TEST_DATABASE=postgres (`npm run test:postgres`) one of PostgreSQL,
 * on a server that the tests of this process share.
 */
export async function newDatabaseUrl(sqlite: string): Promise<string> {
  if (!isOnPostgres) return sqlite;
  shared ??= startPostgres();
  return (await shared).newUrl();
}

// Here, and not at the first use: within a test it would end with that test.
if (isOnPostgres) after(async () => (await shared)?.close());
