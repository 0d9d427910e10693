import { SQLITE_WORDS } from './sql-words.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { StoreError } from './store-error.ts';

/** What a column of our tables may hold besides NULL. */
export type ColumnKind = 'octets' | 'integer' | 'text';

export interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
}

export interface TableShape {
  readonly name: string;
  readonly columns: readonly Column[];
  /** Columns by which a row is found, and no other: its primary key, or a unique index. */
  readonly key: readonly Column[];
}

const KINDS: Readonly<Record<string, ColumnKind>> = {
  blob: 'octets',
  integer: 'integer',
  text: 'text',
};

/**
 * The tables of a room in a SQLite database, by name; without SQLite's own and this room's.
 *
 * @throws StoreError `query` for one that has no key, or a column of another type
 */
export function tablesOf(connection: SqliteConnection): readonly TableShape[] {
  const { rows } = connection.run(`${SQLITE_WORDS.tables} order by name`, []);
  return rows.map(({ name }) => shapeOf(connection, String(name)));
}

function shapeOf(connection: SqliteConnection, name: string): TableShape {
  const { rows } = connection.run('select name, type, pk from pragma_table_info(?)', [name]);
  const columns = rows.map((row) => ({ name: String(row.name), kind: kindOf(name, row.type) }));
  const primary = rows
    .filter(({ pk }) => Number(pk) > 0)
    .sort((a, b) => Number(a.pk) - Number(b.pk))
    .map((row) => String(row.name));
  const names = primary.length > 0 ? primary : uniqueIndexOf(connection, name);
  const key = names.flatMap((one) => columns.find((column) => column.name === one) ?? []);
  return { name, columns, key };
}

/** The columns of the first unique index that every row is in. */
function uniqueIndexOf(connection: SqliteConnection, table: string): readonly string[] {
  const { rows } = connection.run(
    `select i.name, json_group_array(c.name order by c.seqno) as columns
      from pragma_index_list(?) as i, pragma_index_info(i.name) as c
      where i."unique" = 1 and i.partial = 0 group by i.name order by i.name limit 1`,
    [table],
  );
  const columns = rows[0]?.columns;
  if (typeof columns !== 'string') {
    throw new StoreError('query', `expected a key of the table ${table}, saw none`);
  }
  return JSON.parse(columns) as string[];
}

function kindOf(table: string, type: unknown): ColumnKind {
  const kind = KINDS[String(type).toLowerCase()];
  if (kind !== undefined) return kind;
  throw new StoreError('query', `expected octets, integers and text in ${table}, saw ${type}`);
}
