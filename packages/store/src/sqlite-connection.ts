import { closeSync, openSync } from 'node:fs';
import { backup, DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout } from 'node:timers/promises';
import { PRIVATE_FILE_MODE } from './file.ts';
import { expectParameter } from './parameters.ts';
import { StoreError, type StoreErrorCode, systemCodeOf } from './store-error.ts';

/**
 * How long SQLite itself waits for another process's lock. It waits with the whole thread, so this
 * is short; the longer patience is `patiently`, which lets the event loop run.
 */
const BUSY_TIMEOUT_MS = 5;

/** How long a caller waits for other processes' locks. A transaction here takes milliseconds. */
const LOCK_PATIENCE_MS = 10_000;
const LOCK_RETRY_MAX_MS = 20;

/** Prepared statements kept. The rooms together have about a hundred; group inserts add some. */
const MAX_STATEMENTS = 256;

/** The write-ahead log is cut back to this after a checkpoint, so that one burst does not stay. */
const WAL_SIZE_LIMIT_OCTETS = 64 * 1024 * 1024;

/** Pages that a copy reads at a time: 4 MB, after which others have their turn. */
const PAGES_IN_STEP = 1000;

/** What a statement gave: its rows, or what it changed when it gives no rows. */
export interface StatementResult {
  readonly rows: Record<string, unknown>[];
  readonly changes: number | undefined;
  readonly lastInsertRowid: number | undefined;
}

interface Prepared {
  readonly statement: StatementSync;
  readonly givesRows: boolean;
  /** Of its columns, where they are the same whatever becomes of the schema. */
  readonly names: readonly string[] | undefined;
}

/**
 * One connection of node:sqlite with its prepared statements. Integers are numbers (one beyond
 * 2^53 is refused rather than rounded), BLOBs are Uint8Array both ways.
 * Every method throws StoreError.
 */
export class SqliteConnection {
  readonly #database: DatabaseSync;
  /** In the order of last use: a Map keeps insertion order, and a used statement is put in anew. */
  readonly #statements = new Map<string, Prepared>();

  /** Opens or creates the database at `path`, or `:memory:`; nothing is read from it yet. */
  constructor(path: string) {
    if (path !== ':memory:') createForOwner(path);
    this.#database = guarded(`open ${path}`, () => {
      return new DatabaseSync(path, {
        timeout: BUSY_TIMEOUT_MS,
        enableForeignKeyConstraints: true,
      });
    });
  }

  /** Sets what makes a commit durable; the first touch of the file, so it finds a corrupt one. */
  configure(readsOnly: boolean): void {
    this.exec('pragma journal_mode = wal');
    // FULL: every commit is synced. NORMAL in WAL mode may lose the last commits at a power cut.
    this.exec('pragma synchronous = full');
    // On macOS fsync does not reach the platter without it; elsewhere it changes nothing.
    this.exec('pragma fullfsync = on');
    this.exec(`pragma journal_size_limit = ${WAL_SIZE_LIMIT_OCTETS}`);
    if (readsOnly) this.exec('pragma query_only = on');
  }

  /** For a look at what others write: no octet of the file changes, not even its journal mode. */
  configureToLook(): void {
    this.exec('pragma query_only = on');
  }

  /** False as well when SQLite rolled back by itself, as it does on a full disk. */
  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  /** Runs SQL without parameters and without results. */
  exec(sql: string): void {
    guarded(sql, () => this.#database.exec(sql));
  }

  run(sql: string, parameters: readonly unknown[]): StatementResult {
    return guarded(sql, () => {
      const { statement, givesRows, names } = this.#prepare(sql);
      const values = parameters.map(toSqliteValue);
      if (givesRows) {
        const seen: readonly unknown[] = statement.all(...values);
        const rows =
          names === undefined
            ? // node:sqlite's rows have no prototype, which strict equality in tests trips over.
              seen.map((row) => ({ ...(row as Record<string, unknown>) }))
            : seen.map((row) => rowOf(names, row as readonly unknown[]));
        return { rows, changes: undefined, lastInsertRowid: undefined };
      }
      const { changes, lastInsertRowid } = statement.run(...values);
      return { rows: [], changes: Number(changes), lastInsertRowid: Number(lastInsertRowid) };
    });
  }

  /** Copies the whole database to the file at `path`, page by page, off this thread; as it is seen by the transaction that is open. */
  async copyTo(path: string): Promise<void> {
    try {
      await backup(this.#database, path, { rate: PAGES_IN_STEP });
    } catch (error) {
      throw sqliteError(error, `copy to ${path}`);
    }
  }

  close(): void {
    this.#statements.clear();
    if (this.#database.isOpen) guarded('close', () => this.#database.close());
  }

  #prepare(sql: string): Prepared {
    let prepared = this.#statements.get(sql);
    if (prepared === undefined) {
      const statement = this.#database.prepare(sql);
      const columns = statement.columns().map(({ name }) => name);
      const names = sql.includes('*') ? undefined : columns;
      statement.setReturnArrays(names !== undefined);
      prepared = { statement, givesRows: columns.length > 0, names };
      if (this.#statements.size >= MAX_STATEMENTS) {
        this.#statements.delete(this.#statements.keys().next().value!);
      }
    } else {
      this.#statements.delete(sql);
    }
    this.#statements.set(sql, prepared);
    return prepared;
  }
}

/** In one shape for all rows of a statement, which costs half of what node:sqlite's own rows do: each of those is a table of its own. */
function rowOf(names: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (let n = 0; n < names.length; n += 1) row[names[n]!] = values[n];
  return row;
}

/**
 * SQLite creates files by the umask, for all to read; its log takes the mode of the database. Only a new file is opened here:
 * closing one that SQLite has open in this process would drop its locks (POSIX fcntl).
 */
function createForOwner(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_FILE_MODE));
  } catch {
    // It is there, or cannot be made: SQLite says what is the matter.
  }
}

/**
 * Repeats what another process's lock refused, until it passes or 10 s are over. The attempt must
 * be one that leaves nothing behind when it is refused: BEGIN, or a single statement.
 */
export async function patiently<T>(attempt: () => T): Promise<T> {
  const deadline = performance.now() + LOCK_PATIENCE_MS;
  for (let delay = 1; ; delay = Math.min(2 * delay, LOCK_RETRY_MAX_MS)) {
    try {
      return attempt();
    } catch (error) {
      const busy = error instanceof StoreError && error.code === 'busy';
      if (!busy || performance.now() > deadline) throw error;
    }
    await setTimeout(delay);
  }
}

/**
 * Checked because node:sqlite does not refuse everything: an object in the first place is taken for named parameters and
 * moves all others by one, NaN becomes NULL, and every number is bound as a REAL, so that `x / 7` with a bound 7 would not
 * be a division of integers.
 */
function toSqliteValue(value: unknown, index: number): SQLInputValue {
  const parameter = expectParameter(value, index);
  return Number.isSafeInteger(parameter) ? BigInt(parameter as number) : parameter;
}

function guarded<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw sqliteError(error, doing);
  }
}

/** SQLite's primary result codes, https://www.sqlite.org/rescode.html; the rest is `query`. */
const CODES: ReadonlyMap<number, StoreErrorCode> = new Map([
  [3, 'io'], // PERM
  [5, 'busy'],
  [6, 'busy'], // LOCKED
  [8, 'io'], // READONLY
  [10, 'io'], // IOERR
  [11, 'corrupt'],
  [13, 'full'],
  [14, 'io'], // CANTOPEN
  [15, 'busy'], // PROTOCOL: the locking race of WAL was lost too often
  [19, 'constraint'],
  [26, 'corrupt'], // NOTADB
]);

/** SQLITE_CONSTRAINT_TRIGGER: what `raise(abort)` says, which `write-fence.ts` has and nothing else of ours. */
const REFUSED_BY_TRIGGER = 1811;

/** The longest piece of a statement that a message shows; parameters are never shown. */
const MAX_SHOWN_SQL = 200;

function sqliteError(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  return new StoreError(code, `${message}, in: ${doing.slice(0, MAX_SHOWN_SQL)}`, { cause: error });
}

function codeOf(error: unknown): StoreErrorCode {
  // node:sqlite says ERR_INVALID_STATE for a closed database and for nothing else that we do.
  if (systemCodeOf(error) === 'ERR_INVALID_STATE') return 'closed';
  if (!(error instanceof Error) || !('errcode' in error)) return 'query';
  if (Number(error.errcode) === REFUSED_BY_TRIGGER) return 'moved';
  // The low octet is the primary code; above it lies the extended one.
  return CODES.get(Number(error.errcode) & 0xff) ?? 'query';
}
