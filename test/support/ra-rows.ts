/** What lies in the database of an RA, whichever that is, looked at from outside. */
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { openDatabase, wordsOf } from '@chrysalis/store';
import { CompiledQuery } from 'kysely';

export type Row = Readonly<Record<string, unknown>>;

export interface RaRows {
  all(sql: string): Promise<readonly Row[]>;
  /** How many rows: what stands after `from`. */
  count(from: string): Promise<number>;
  /** Of the requests to the PCA, one for each period. */
  indexTables(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Nothing can be written. @param url of the database; a path is that of a file */
export async function openRaRows(url: string): Promise<RaRows> {
  const place = url.includes(':') ? url : `sqlite:${url}`;
  const database = await openDatabase<RaSchema>(place, RA_MIGRATIONS, { readsOnly: true });
  const all = async (sql: string) =>
    (await database.query.executeQuery<Row>(CompiledQuery.raw(sql))).rows;
  return {
    all,
    count: async (from) => Number((await all(`select count(*) as n from ${from}`))[0]?.n),
    indexTables: async () =>
      (await all(wordsOf(database.query).tablesNumbered('hpcr_'))).map(({ name }) => String(name)),
    close: () => database.close(),
  };
}
