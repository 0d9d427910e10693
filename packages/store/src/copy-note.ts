import { MOVED_AWAY } from './copy-marks.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

/** What a copy has written down in the database that it copies. */
export interface CopyNote {
  /** Of this copy, for as long as it takes. */
  readonly id: string;
  /** Where it goes. */
  readonly destination: string;
  /** Of this recording of changes: another one knows nothing of what happened before it. */
  readonly capture: string;
}

/** The table of it. */
export const NOTE = 'chrysalis_copy_source';

export function noteIn(connection: SqliteConnection): CopyNote | undefined {
  if (!hasTable(connection, NOTE)) return undefined;
  const [row] = connection.run(`select id, destination, capture from ${NOTE}`, []).rows;
  if (row === undefined) return undefined;
  const { id, destination, capture } = row;
  return { id: String(id), destination: String(destination), capture: String(capture) };
}

export function isMoved(connection: SqliteConnection): boolean {
  if (!hasTable(connection, 'chrysalis_migration')) return false;
  const sql = 'select 1 from chrysalis_migration where name = ?';
  return connection.run(sql, [MOVED_AWAY]).rows.length > 0;
}

export function hasTable(connection: SqliteConnection, name: string): boolean {
  const sql = "select 1 from sqlite_schema where type = 'table' and name = ?";
  return connection.run(sql, [name]).rows.length > 0;
}
