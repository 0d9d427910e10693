import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  SelectQueryNode,
} from 'kysely';
import { Mutex } from './mutex.ts';
import type { PostgresConnection, PostgresSession } from './postgres-connection.ts';
import { MIGRATION_TABLE } from './postgres-migration.ts';
import type { PostgresResult } from './postgres-module.ts';
import { RefusedStatements } from './refused-statements.ts';
import { POSTGRES_WORDS, type SpeakingAdapter } from './sql-words.ts';
import { isStoreError, StoreError } from './store-error.ts';

/** The connections behind one database. */
export interface PostgresConnections {
  readonly writer: PostgresConnection;
  readonly readers: readonly PostgresConnection[];
  readonly readsOnly: boolean;
  /** Called before a caller waits for the writer; throws `nested` where that would never end. */
  readonly beforeWaiting: () => void;
}

/**
 * One writer at a time, over all processes that share the database: what SQLite's `begin immediate` gives. With it no
 * transaction is refused for what another does, or has to be done again, and each sees all that were before it; READ
 * COMMITTED is enough. The lock is free again when the transaction, or its connection, ends. It stops no reader.
 */
const BEGIN = `begin isolation level read committed; lock table ${MIGRATION_TABLE} in exclusive mode`;
const BEGIN_TO_LOOK = 'begin isolation level read committed read only';

/** What has no answer that says more than the next statement's does: nobody waits for it. */
const UNANSWERED = /^(savepoint|release) /;

/**
 * Kysely over pg. A SELECT outside a transaction goes to the reader that has least to do, and waits for no writer.
 * Everything else takes turns at the writer.
 */
export function postgresDialect(connections: PostgresConnections): Dialect {
  return {
    createDriver: () => new PostgresDriver(connections),
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createAdapter: () => new Adapter(),
    createIntrospector: (kysely) => new PostgresIntrospector(kysely),
  };
}

class Adapter extends PostgresAdapter implements SpeakingAdapter {
  readonly words = POSTGRES_WORDS;
}

class PostgresDriver implements Driver {
  readonly #connections: PostgresConnections;
  readonly #turns = new Mutex();

  constructor(connections: PostgresConnections) {
    this.#connections = connections;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<RoutedConnection> {
    return new RoutedConnection(this.#connections, this.#turns);
  }

  async beginTransaction(connection: RoutedConnection): Promise<void> {
    await connection.begin();
  }

  async commitTransaction(connection: RoutedConnection): Promise<void> {
    await connection.commit();
  }

  async rollbackTransaction(connection: RoutedConnection): Promise<void> {
    await connection.rollback();
  }

  async releaseConnection(connection: RoutedConnection): Promise<void> {
    connection.release();
  }

  async destroy(): Promise<void> {
    // Waits for the transaction under way and for all that asked before.
    const endTurn = await this.#turns.take();
    const { readers, writer } = this.#connections;
    await Promise.all([...readers, writer].map((connection) => connection.close()));
    endTurn();
  }
}

/** A transaction under way. */
interface Turn {
  readonly session: PostgresSession;
  /** The answer to its beginning, for which nobody waits before there is something else to wait for. */
  readonly begun: Promise<unknown>;
  readonly end: () => void;
}

/** What Kysely takes for a connection: it finds the real one for each statement. */
class RoutedConnection implements DatabaseConnection {
  readonly #connections: PostgresConnections;
  readonly #turns: Mutex;
  #turn: Turn | undefined;
  readonly #refused = new RefusedStatements();

  constructor(connections: PostgresConnections, turns: Mutex) {
    this.#connections = connections;
    this.#turns = turns;
  }

  async begin(): Promise<void> {
    const end = await this.#takeTurn();
    try {
      const session = await this.#connections.writer.session();
      const begun = session.exec(beginOf(this.#connections));
      begun.catch(() => {});
      this.#refused.forget();
      this.#turn = { session, begun, end };
    } catch (error) {
      end();
      throw error;
    }
  }

  async commit(): Promise<void> {
    const { session, begun } = this.#expectTurn();
    this.#refused.expectNone();
    await committed(session, begun);
    this.release();
  }

  async rollback(): Promise<void> {
    try {
      // One that lost its connection is rolled back by the server.
      if (this.#turn && !this.#turn.session.isLost) await this.#turn.session.exec('rollback');
    } catch (error) {
      if (!isStoreError(error, 'away')) throw error;
    } finally {
      this.release();
    }
  }

  release(): void {
    this.#turn?.end();
    this.#turn = undefined;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (this.#turn !== undefined) {
      const { session, begun } = this.#turn;
      return this.#refused.watch(query.sql, () => within<R>(session, begun, query));
    }
    if (SelectQueryNode.is(query.query)) {
      this.#connections.beforeWaiting();
      return resultOf<R>(await this.#read(query));
    }
    const endTurn = await this.#takeTurn();
    try {
      return resultOf<R>(await this.#alone(query));
    } finally {
      endTurn();
    }
  }

  // biome-ignore lint/correctness/useYield: it refuses
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new StoreError('query', 'expected no stream: read page by page, from key to key');
  }

  async #read(query: CompiledQuery): Promise<PostgresResult> {
    const { readers } = this.#connections;
    const reader = readers.reduce((least, next) => (next.underWay < least.underWay ? next : least));
    return (await reader.session()).run(query);
  }

  /** A statement in a transaction of its own, in one round trip. */
  async #alone(query: CompiledQuery): Promise<PostgresResult> {
    const session = await this.#connections.writer.session();
    const begun = session.exec(beginOf(this.#connections));
    const sent = session.run(query);
    const ended = committed(session, begun);
    const [beginning, answer, end] = await Promise.allSettled([begun, sent, ended]);
    if (beginning.status === 'rejected') throw beginning.reason;
    if (answer.status === 'rejected') throw answer.reason;
    if (end.status === 'rejected') throw end.reason;
    return answer.value;
  }

  async #takeTurn(): Promise<() => void> {
    this.#connections.beforeWaiting();
    return this.#turns.take();
  }

  #expectTurn(): Turn {
    if (this.#turn === undefined) {
      throw new StoreError('rolled-back', 'expected an open transaction, saw it ended');
    }
    return this.#turn;
  }
}

function beginOf({ readsOnly }: PostgresConnections): string {
  return readsOnly ? BEGIN_TO_LOOK : BEGIN;
}

async function within<R>(
  session: PostgresSession,
  begun: Promise<unknown>,
  query: CompiledQuery,
): Promise<QueryResult<R>> {
  const sent = session.run(query);
  if (UNANSWERED.test(query.sql)) {
    sent.catch(() => {});
    return { rows: [] };
  }
  // A beginning that failed says more than what was refused after it.
  const [beginning, answer] = await Promise.allSettled([begun, sent]);
  if (beginning.status === 'rejected') throw beginning.reason;
  if (answer.status === 'rejected') throw answer.reason;
  return resultOf<R>(answer.value);
}

async function committed(session: PostgresSession, begun: Promise<unknown>): Promise<void> {
  const [beginning, end] = await Promise.allSettled([begun, session.exec('commit')]);
  if (beginning.status === 'rejected') throw beginning.reason;
  if (end.status === 'rejected') throw end.reason;
  // To commit what was refused is to roll it back, and no error.
  if (end.value.command === 'ROLLBACK') {
    throw new StoreError('rolled-back', 'expected a commit, saw the transaction rolled back');
  }
}

const CHANGES: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

function resultOf<R>({ command, rows, rowCount }: PostgresResult): QueryResult<R> {
  const result = { rows: rows as R[] };
  if (!CHANGES.has(command) || rowCount === null) return result;
  return { ...result, numAffectedRows: BigInt(rowCount) };
}
