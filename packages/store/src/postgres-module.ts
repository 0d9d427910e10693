/** The package `pg`, which need not be installed: it is loaded when a URL of PostgreSQL is opened, and not before. */
import type pg from 'pg';
import { StoreError } from './store-error.ts';

export type PostgresModule = typeof pg;
export type PostgresClient = pg.Client;
export type PostgresClientConfig = pg.ClientConfig;
export type PostgresResult = pg.QueryResult<Record<string, unknown>>;

/** @throws StoreError `no-module` */
export async function loadPostgres(): Promise<PostgresModule> {
  try {
    return (await import('pg')).default;
  } catch (cause) {
    throw new StoreError(
      'no-module',
      'expected the package pg beside chrysalis, could not load it: npm install pg@8 brings it',
      { cause },
    );
  }
}
