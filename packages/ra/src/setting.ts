import type { Database } from '@chrysalis/store';
import type { RaSchema } from './schema.ts';

/** Single statements, or those of a transaction. */
type Query = Pick<Database<RaSchema>['query'], 'selectFrom' | 'insertInto'>;

/** A number that the RA has to remember; undefined when it was never written. */
export async function readSetting(query: Query, name: string): Promise<number | undefined> {
  const row = await query
    .selectFrom('setting')
    .select('value')
    .where('name', '=', name)
    .executeTakeFirst();
  return row?.value;
}

export async function writeSetting(query: Query, name: string, value: number): Promise<void> {
  await query
    .insertInto('setting')
    .values({ name, value })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
    .execute();
}
