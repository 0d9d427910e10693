import { StoreError } from './store-error.ts';

/** Undoes everything since a savepoint, a refused statement too. */
const ROLLBACK_TO = /^rollback to /;

/**
 * PostgreSQL gives a transaction up with the first statement that it refuses, and SQLite goes on. Here both do as
 * PostgreSQL does, so that what runs on the one runs on the other: what catches an error inside a transaction cannot
 * commit the rest, unless it goes back to a savepoint.
 */
export class RefusedStatements {
  #isOne = false;

  forget(): void {
    this.#isOne = false;
  }

  /** @throws StoreError `rolled-back` */
  expectNone(): void {
    if (this.#isOne) {
      throw new StoreError(
        'rolled-back',
        'expected a transaction without a refused statement, saw one go on after it',
      );
    }
  }

  /** Runs a statement of the transaction. @throws StoreError `rolled-back`; what the statement throws */
  async watch<T>(sql: string, run: () => Promise<T>): Promise<T> {
    if (ROLLBACK_TO.test(sql)) {
      const result = await run();
      this.forget();
      return result;
    }
    this.expectNone();
    try {
      return await run();
    } catch (error) {
      this.#isOne = true;
      throw error;
    }
  }
}
