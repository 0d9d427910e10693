import { setImmediate } from 'node:timers/promises';
import { CompiledQuery, type Transaction } from 'kysely';
import type { Database } from './database.ts';
import { StoreError } from './store-error.ts';

/** Items in one commit. Beyond a hundred the sync is no longer what costs. */
const MAX_GROUP = 100;

/** Items that may wait: about a second's worth. More means that the disk does not keep up. */
const MAX_WAITING = 10_000;

interface Item<Schema> {
  /** Does the work inside the open transaction, within its own savepoint. */
  attempt(query: Transaction<Schema>): Promise<void>;
  /** Tells the caller, after the commit. */
  settle(): void;
  fail(error: unknown): void;
}

/**
 * Shares one sync of the disk among many small writes: those that arrive while a transaction is
 * under way wait and go together into the next one.
 *
 * @example
 * const writes = new GroupCommit(database);
 * await writes.run((query) => query.insertInto('device').values(row).execute());
 */
export class GroupCommit<Schema> {
  readonly #database: Database<Schema>;
  readonly #waiting: Item<Schema>[] = [];
  #running = false;

  constructor(database: Database<Schema>) {
    this.#database = database;
  }

  /**
   * Runs work in a transaction shared with others, in the order of asking; when it resolves, what
   * the work wrote is on stable storage. When the work throws, its own writes are undone, the
   * others' stay, and the error comes out. When the shared commit fails, every member's promise is
   * rejected with that error.
   * The work waits for nothing slow: the whole group waits with it.
   * @throws StoreError `overloaded` when 10,000 wait already; what the work throws
   */
  run<T>(work: (query: Transaction<Schema>) => Promise<T>): Promise<T> {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `expected fewer than ${MAX_WAITING} writes waiting, saw ${this.#waiting.length}`;
      return Promise.reject(new StoreError('overloaded', message));
    }
    const promise = new Promise<T>((resolve, reject) => {
      this.#waiting.push(createItem(work, resolve, reject));
    });
    if (!this.#running) void this.#drain();
    return promise;
  }

  async #drain(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      // SQLite commits without giving the event loop a turn, so nothing could arrive meanwhile: the
      // turn is given here, and whatever the network brought in comes along.
      await setImmediate();
      await commitTogether(this.#database, this.#waiting.splice(0, MAX_GROUP));
    }
    this.#running = false;
  }
}

async function commitTogether<Schema>(
  database: Database<Schema>,
  items: readonly Item<Schema>[],
): Promise<void> {
  try {
    await database.transaction(async (query) => {
      for (const item of items) await item.attempt(query);
    });
  } catch (error) {
    for (const item of items) item.fail(error);
    return;
  }
  for (const item of items) item.settle();
}

const SAVEPOINT = CompiledQuery.raw('savepoint group_item');
const ROLLBACK_TO = CompiledQuery.raw('rollback to group_item');
const RELEASE = CompiledQuery.raw('release group_item');

function createItem<Schema, T>(
  work: (query: Transaction<Schema>) => Promise<T>,
  resolve: (result: T) => void,
  reject: (error: unknown) => void,
): Item<Schema> {
  let settle = (): void => {};
  return {
    async attempt(query) {
      await query.executeQuery(SAVEPOINT);
      try {
        const result = await work(query);
        await query.executeQuery(RELEASE);
        settle = () => resolve(result);
      } catch (error) {
        await undo(query, error);
        await query.executeQuery(RELEASE);
        settle = () => reject(error);
      }
    },
    settle: () => settle(),
    fail: reject,
  };
}

async function undo<Schema>(query: Transaction<Schema>, reason: unknown): Promise<void> {
  try {
    await query.executeQuery(ROLLBACK_TO);
  } catch {
    // The engine gave up the whole transaction over this error; it says more than the failed rollback.
    throw reason;
  }
}
