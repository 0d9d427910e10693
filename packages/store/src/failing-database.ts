import { setTimeout } from 'node:timers/promises';
import type { Database } from './database.ts';
import { StoreError } from './store-error.ts';

/** What becomes of a transaction: `applied-and-fails` is committed, and the caller is told that it was not. */
export type TransactionOutcome = 'works' | 'fails' | 'applied-and-fails' | 'delays';

const DELAY_MS = 5;

/**
 * Wraps a database for tests: before each transaction `schedule` decides what becomes of it. One that fails throws
 * StoreError `away`, as when the connection to a server is lost. Single statements go through as they are.
 *
 * @param schedule is given the number of transactions before
 */
export function createFailingDatabase<Schema>(
  inner: Database<Schema>,
  schedule: (count: number) => TransactionOutcome,
): Database<Schema> {
  let count = 0;
  return {
    query: inner.query,
    lookUp: (select) => inner.lookUp(select),
    async transaction(work) {
      const outcome = schedule(count++);
      if (outcome === 'delays') await setTimeout(DELAY_MS);
      if (outcome === 'fails') {
        // Everything is done but the commit.
        return inner.transaction(async (query) => {
          await work(query);
          throw injected();
        });
      }
      const result = await inner.transaction(work);
      if (outcome === 'applied-and-fails') throw injected();
      return result;
    },
    close: () => inner.close(),
  };
}

function injected(): StoreError {
  return new StoreError('away', 'failure injected by a test');
}
