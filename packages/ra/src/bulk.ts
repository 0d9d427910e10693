/** Many rows in few statements: what a fleet writes costs by the statement, not by the row. */
import { CompiledQuery, type Kysely } from 'kysely';
import type { RaSchema } from './schema.ts';

/** Rows in one statement. Sizes are powers of two, so that few shapes are prepared. */
const MOST_ROWS = 32;

/**
 * Inserts rows.
 *
 * @param into table and columns, as SQL of ours: `batch (device_id, i)`
 * @param rows each with a value for every column
 */
export async function insertRows(
  query: Kysely<RaSchema>,
  into: string,
  rows: readonly (readonly unknown[])[],
): Promise<void> {
  for (const some of portions(rows)) {
    const row = `(${some[0]?.map(() => '?').join(', ')})`;
    const values = some.map(() => row).join(', ');
    await query.executeQuery(
      CompiledQuery.raw(`insert into ${into} values ${values}`, some.flat()),
    );
  }
}

/** Of as few sizes as can be, so that few statements are prepared. */
export function* portions<T>(rows: readonly T[]): Generator<readonly T[], void> {
  for (let at = 0; at < rows.length; ) {
    const count = Math.min(MOST_ROWS, 2 ** Math.floor(Math.log2(rows.length - at)));
    yield rows.slice(at, at + count);
    at += count;
  }
}

/** Runs a statement of ours; the number of rows that it changed. */
export async function change(
  query: Kysely<RaSchema>,
  sql: string,
  parameters: readonly unknown[],
): Promise<number> {
  const { numAffectedRows } = await query.executeQuery(CompiledQuery.raw(sql, [...parameters]));
  return Number(numAffectedRows ?? 0n);
}
