import { AsyncLocalStorage } from 'node:async_hooks';
import { type CompiledQuery, type Dialect, Kysely, type Transaction } from 'kysely';
import type { Database } from './database.ts';
import { StoreError } from './store-error.ts';

/** Runs a SELECT outside a transaction past the query builder. */
type Select = (sql: string, parameters: readonly unknown[]) => Promise<readonly object[]>;

/**
 * The port over a dialect that takes turns at one writer.
 *
 * @param dialectOf is given what to call before a caller waits for the writer: it throws `nested` where that would never end
 * @param select for look-ups, where there is a way that is shorter than the dialect's
 */
export async function startDatabase<Schema>(
  dialectOf: (beforeWaiting: () => void) => Dialect,
  select?: Select,
): Promise<Database<Schema>> {
  const database = new KyselyDatabase<Schema>(dialectOf, select);
  await database.start();
  return database;
}

class KyselyDatabase<Schema> implements Database<Schema> {
  readonly query: Kysely<Schema>;
  readonly #select: Select | undefined;
  /** Follows a transaction's work through its awaits, to see when it would wait for itself. */
  readonly #current = new AsyncLocalStorage<{ open: boolean }>();

  constructor(dialectOf: (beforeWaiting: () => void) => Dialect, select: Select | undefined) {
    this.#select = select;
    this.query = new Kysely<Schema>({ dialect: dialectOf(() => this.#refuseNested()) });
  }

  /** Kysely destroys no driver that was never used: without it, `close` would leave the connections open. */
  async start(): Promise<void> {
    await this.query.connection().execute(async () => {});
  }

  lookUp<Row>(
    compiled: CompiledQuery<Row>,
  ): (parameters: readonly unknown[]) => Promise<readonly Row[]> {
    const select = this.#select;
    if (select === undefined) {
      return async (parameters) =>
        (await this.query.executeQuery<Row>({ ...compiled, parameters })).rows;
    }
    return async (parameters) => {
      this.#refuseNested();
      return (await select(compiled.sql, parameters)) as readonly Row[];
    };
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
