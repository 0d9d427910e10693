import type { DialectAdapter, QueryExecutor } from 'kysely';

/**
 * Where the two databases say the same in different words: all of it is here, and rooms that write SQL take it from here.
 * Everything else of theirs is SQL that both understand: `on conflict`, `returning`, CTEs, `filter (where ...)`, partial
 * indexes; values stand as `?` in text that is run as it is (`CompiledQuery.raw`).
 */
export interface SqlWords {
  readonly database: 'sqlite' | 'postgres';
  /** Types of columns. */
  readonly octets: string;
  readonly integer: string;
  /** After the columns of a table that lies in the order of its key, where there is such a thing. */
  readonly ordered: string;
  /** The larger of two integers, as a function's name. */
  readonly greatest: string;
  readonly least: string;
  /** Unix time in milliseconds, by the clock of the database: the same for all who share it. */
  readonly nowMs: string;
  /** The last so many octets of a column, as an index has them. */
  lastOctets(column: string, count: number): string;
  /** A query of one column of octets: those of a JSON array of hex, which is one value of text. */
  octetsOf(json: string): string;
  /** A query of two columns of integers: those of a JSON array of pairs, which is one value of text. */
  pairsOf(json: string): string;
  /** Text, to be compared and ordered by its octets in UTF-8. */
  byOctets(column: string): string;
  /** A condition: the columns have one of so many rows of values, each a `?`. */
  isOneOf(columns: readonly string[], count: number): string;
  /** A query of one column `name`: the tables whose names are `prefix` and digits. */
  tablesNumbered(prefix: string): string;
  /** A query that gives a row when there is a table of this name. */
  tableNamed(name: string): string;
  /** A query of one column `name`: the tables of the rooms, without this room's. */
  readonly tables: string;
  /** A query of the columns `name` and `field`: where the database counts up by itself, and has to be told of what it did not count. */
  readonly counted?: string;
  /** After a table's name in a query: SQLite plans without statistics, and has to be told. */
  indexedBy(index: string): string;
  /** Names of functions. */
  readonly jsonObject: string;
  readonly jsonArray: string;
  /** An integer as JSON; NULL stays NULL. */
  readonly jsonOf: string;
  /** An aggregate of rows: an empty array of none. */
  jsonArrayOf(value: string): string;
}

export const SQLITE_WORDS: SqlWords = {
  database: 'sqlite',
  octets: 'blob',
  integer: 'integer',
  ordered: 'strict, without rowid',
  greatest: 'max',
  least: 'min',
  nowMs: "cast(unixepoch('subsec') * 1000 as integer)",
  lastOctets: (column, count) => `substr(${column}, -${whole(count)})`,
  octetsOf: (json) => `select unhex(value) from json_each(${json})`,
  pairsOf: (json) => `select value ->> 0, value ->> 1 from json_each(${json})`,
  byOctets: (column) => column,
  isOneOf: (columns, count) =>
    `(${columns.join(', ')}) in (values ${rowsOfMarks(columns.length, count)})`,
  tablesNumbered: (prefix) =>
    `select name from sqlite_master where type = 'table' and name glob '${prefix}[0-9]*'`,
  tableNamed: (name) =>
    `select 1 as n from sqlite_master where type = 'table' and name = '${name}'`,
  tables: `select name from sqlite_master
    where type = 'table' and name not glob 'sqlite_*' and name not glob 'chrysalis_*'`,
  indexedBy: (index) => `indexed by ${index}`,
  jsonObject: 'json_object',
  jsonArray: 'json_array',
  jsonOf: 'json',
  jsonArrayOf: (value) => `json_group_array(${value})`,
};

export const POSTGRES_WORDS: SqlWords = {
  database: 'postgres',
  octets: 'bytea',
  integer: 'bigint',
  ordered: '',
  greatest: 'greatest',
  least: 'least',
  // Of the statement, and not of its transaction, which may have waited for others.
  nowMs: 'cast(extract(epoch from clock_timestamp()) * 1000 as bigint)',
  // Its substr counts from the front only.
  lastOctets: (column, count) => `substr(${column}, length(${column}) - ${whole(count) - 1})`,
  octetsOf: (json) => `select decode(value, 'hex') from json_array_elements_text(${json}::json)`,
  pairsOf: (json) =>
    `select (value ->> 0)::bigint, (value ->> 1)::bigint from json_array_elements(${json}::json)`,
  byOctets: (column) => `${column} collate "C"`,
  // Its VALUES would take the values for text.
  isOneOf: (columns, count) => `(${columns.join(', ')}) in (${rowsOfMarks(columns.length, count)})`,
  tablesNumbered: (prefix) =>
    `select tablename as name from pg_tables
      where schemaname = current_schema() and tablename ~ '^${prefix}[0-9]+$'`,
  tableNamed: (name) =>
    `select 1 as n from pg_tables where schemaname = current_schema() and tablename = '${name}'`,
  tables: `select tablename as name from pg_tables
    where schemaname = current_schema() and tablename !~ '^chrysalis_'`,
  counted: `select table_name as name, column_name as field from information_schema.columns
    where table_schema = current_schema() and is_identity = 'YES' and table_name !~ '^chrysalis_'`,
  indexedBy: () => '',
  jsonObject: 'json_build_object',
  jsonArray: 'json_build_array',
  jsonOf: 'to_json',
  jsonArrayOf: (value) => `coalesce(json_agg(${value}), '[]'::json)`,
};

/** What the adapters of this room have beyond Kysely's. */
export interface SpeakingAdapter extends DialectAdapter {
  readonly words: SqlWords;
}

/** The words of the database behind a query, which may be that of a transaction. */
export function wordsOf(query: { getExecutor(): QueryExecutor }): SqlWords {
  const { adapter } = query.getExecutor();
  if (!isSpeaking(adapter)) throw new TypeError('expected a query of a Database of this room');
  return adapter.words;
}

function isSpeaking(adapter: DialectAdapter): adapter is SpeakingAdapter {
  return 'words' in adapter;
}

/** It becomes SQL. */
function whole(count: number): number {
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new RangeError(`expected a number of octets, saw ${count}`);
  }
  return count;
}

function rowsOfMarks(columns: number, count: number): string {
  const row = `(${Array(columns).fill('?').join(', ')})`;
  return Array(count).fill(row).join(', ');
}
