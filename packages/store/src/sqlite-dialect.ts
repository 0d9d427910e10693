import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SelectQueryNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { Mutex } from './mutex.ts';
import { RefusedStatements } from './refused-statements.ts';
import { type SpeakingAdapter, SQLITE_WORDS } from './sql-words.ts';
import { patiently, type SqliteConnection } from './sqlite-connection.ts';
import { StoreError } from './store-error.ts';

/** The connections behind one database. In memory the two are the same one. */
export interface SqliteConnections {
  readonly writer: SqliteConnection;
  readonly reader: SqliteConnection;
  /** Called before a caller waits for the writer; throws `nested` where that would never end. */
  readonly beforeWaiting: () => void;
}

/**
 * Kysely over node:sqlite. A SELECT outside a transaction goes to the reader and waits for nobody:
 * in WAL mode it sees the last commit. Everything else takes turns at the writer.
 */
export function sqliteDialect(connections: SqliteConnections): Dialect {
  return {
    createDriver: () => new SqliteDriver(connections),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createAdapter: () => new Adapter(),
    createIntrospector: (kysely) => new SqliteIntrospector(kysely),
  };
}

class Adapter extends SqliteAdapter implements SpeakingAdapter {
  readonly words = SQLITE_WORDS;

  // Otherwise Kysely locks the one connection it supposes, and readers wait for the writer.
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

class SqliteDriver implements Driver {
  readonly #connections: SqliteConnections;
  readonly #turns = new Mutex();

  constructor(connections: SqliteConnections) {
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
    connection.commit();
  }

  async rollbackTransaction(connection: RoutedConnection): Promise<void> {
    connection.rollback();
  }

  async releaseConnection(connection: RoutedConnection): Promise<void> {
    connection.release();
  }

  async destroy(): Promise<void> {
    // Waits for the transaction under way and for all that asked before.
    const endTurn = await this.#turns.take();
    const { reader, writer } = this.#connections;
    // The writer last: the last connection to close folds the log into the database.
    if (reader !== writer) reader.close();
    writer.close();
    endTurn();
  }
}

/** What Kysely takes for a connection: it finds the real one for each statement. */
class RoutedConnection implements DatabaseConnection {
  readonly #connections: SqliteConnections;
  readonly #turns: Mutex;
  /** While a transaction is under way: what ends our turn at the writer. */
  #endTurn: (() => void) | undefined;
  readonly #refused = new RefusedStatements();

  constructor(connections: SqliteConnections, turns: Mutex) {
    this.#connections = connections;
    this.#turns = turns;
  }

  async begin(): Promise<void> {
    this.#endTurn = await this.#takeTurn();
    this.#refused.forget();
    try {
      // IMMEDIATE takes the write lock now: a transaction that reads first and writes later could
      // otherwise be refused in the middle, when another process wrote in between.
      await patiently(() => this.#connections.writer.exec('begin immediate'));
    } catch (error) {
      this.release();
      throw error;
    }
  }

  commit(): void {
    this.#assertAlive();
    this.#refused.expectNone();
    this.#connections.writer.exec('commit');
    this.release();
  }

  rollback(): void {
    try {
      // A failed COMMIT, or a full disk, may have rolled back already.
      const { writer } = this.#connections;
      if (this.#endTurn !== undefined && writer.inTransaction) writer.exec('rollback');
    } finally {
      this.release();
    }
  }

  release(): void {
    this.#endTurn?.();
    this.#endTurn = undefined;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { reader, writer } = this.#connections;
    if (this.#endTurn !== undefined) {
      this.#assertAlive();
      return this.#refused.watch(query.sql, async () => run<R>(writer, query));
    }
    if (SelectQueryNode.is(query.query) && reader !== writer) {
      this.#connections.beforeWaiting();
      return patiently(() => run<R>(reader, query));
    }
    const endTurn = await this.#takeTurn();
    try {
      return await patiently(() => run<R>(writer, query));
    } finally {
      endTurn();
    }
  }

  // biome-ignore lint/correctness/useYield: it refuses
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    // A statement left open would show every other reader of its connection the same old state.
    throw new StoreError('query', 'expected no stream: read page by page, from key to key');
  }

  async #takeTurn(): Promise<() => void> {
    this.#connections.beforeWaiting();
    return this.#turns.take();
  }

  /** Without it, statements after SQLite's own rollback would each commit by themselves. */
  #assertAlive(): void {
    if (!this.#connections.writer.inTransaction) {
      throw new StoreError('rolled-back', 'expected an open transaction, saw it rolled back');
    }
  }
}

function run<R>(connection: SqliteConnection, query: CompiledQuery): QueryResult<R> {
  const result = connection.run(query.sql, query.parameters);
  const rows = result.rows as R[];
  if (result.changes === undefined || result.lastInsertRowid === undefined) return { rows };
  return {
    rows,
    numAffectedRows: BigInt(result.changes),
    insertId: BigInt(result.lastInsertRowid),
  };
}
