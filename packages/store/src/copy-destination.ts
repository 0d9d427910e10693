import { CompiledQuery, type Kysely, type Transaction } from 'kysely';
import { BEING_COPIED, BEING_COPIED_STEP, COPIED_TABLE, COPY_TABLE } from './copy-marks.ts';
import type { CopyNote } from './copy-note.ts';
import { type Key, namesOf, selectAfter } from './copy-source.ts';
import { type Database, type DatabaseOptions, openDatabase } from './database.ts';
import type { Migration } from './migration.ts';
import { isPostgresUrl } from './postgres-url.ts';
import type { Row } from './rows-digest.ts';
import { type SqlWords, wordsOf } from './sql-words.ts';
import type { TableShape } from './sqlite-tables.ts';
import { isStoreError, StoreError } from './store-error.ts';

type Query = Kysely<unknown> | Transaction<unknown>;

/** Of a copy that nobody completes any more. */
const TAKEN_BACK = 'taken back';
/** Values of one statement: PostgreSQL takes 65,535, SQLite 32,766. */
const VALUES_IN_STATEMENT = 30_000;

/** What is known of the tables of a room. */
export interface CopiedTables {
  readonly migrations: readonly Migration[];
  /** SQL that makes a table which no migration makes, when it is of that kind. */
  readonly create: (name: string, words: SqlWords) => string | undefined;
  /** Tables that triggers of the database keep: they are compared, and not written. */
  readonly derived: readonly string[];
}

/** How far a copy is, as it stands in the database that receives it. */
interface CopyProgress {
  readonly id: string;
  readonly objects: string;
  readonly capture: string;
  /** The last change of this capture that has been taken over. */
  readonly through: number;
  readonly isComplete: boolean;
}

/** A database that is filled with a copy of another: nobody serves from it until it is complete. */
export class CopyDestination {
  readonly #database: Database<unknown>;
  readonly #tables: CopiedTables;
  readonly #words: SqlWords;
  readonly #note: CopyNote;

  private constructor(database: Database<unknown>, tables: CopiedTables, note: CopyNote) {
    this.#database = database;
    this.#tables = tables;
    this.#note = note;
    this.#words = wordsOf(database.query);
  }

  /**
   * Opens one that is empty, or that this copy has begun to fill; from here on nobody else opens it. One that this copy has
   * filled is complete, and is left alone.
   *
   * @throws StoreError `constraint` when it holds something else; those of openDatabase
   */
  static async open(
    url: string,
    tables: CopiedTables,
    note: CopyNote,
    objects: string,
    options: Pick<DatabaseOptions, 'password'> = {},
  ): Promise<CopyDestination | 'complete'> {
    const found = await find(url, tables, note.id, options);
    if (found === 'complete') return found;
    if (found === 'other') {
      throw new StoreError('constraint', 'expected an empty database, saw one with rows in it');
    }
    const steps = stepsOf(url, tables);
    const database = await openDatabase<unknown>(url, steps, { ...options, migrates: true });
    const destination = new CopyDestination(database, tables, note);
    try {
      await destination.#begin(objects);
      return destination;
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /**
   * Makes sure that a copy is never completed: its source is served from again. A database that is not there, or that holds
   * something else, is left alone.
   *
   * @throws StoreError `constraint` when it was completed; `away`
   */
  static async abandon(
    url: string,
    tables: CopiedTables,
    { id }: Pick<CopyNote, 'id'>,
    options: Pick<DatabaseOptions, 'password'> = {},
  ): Promise<void> {
    const found = await find(url, tables, id, options);
    if (found === 'complete') {
      throw new StoreError('constraint', 'expected a copy that is not complete, saw one that is');
    }
    if (found !== 'incomplete') return;
    const database = await openDatabase<unknown>(url, stepsOf(url, tables), options);
    try {
      await database.transaction((query) =>
        run(query, `update ${COPY_TABLE} set id = ? where id = ? and is_complete = 0`, [
          TAKEN_BACK,
          id,
        ]),
      );
      const after = await progressOf(database.query);
      if (after?.id === id) throw new StoreError('constraint', 'expected no copy to be completed');
    } finally {
      await database.close();
    }
  }

  /** The number of the last change that has been taken over; 0 when changes are recorded anew since. */
  async through(): Promise<number> {
    const progress = await progressOf(this.#database.query);
    return progress?.capture === this.#note.capture ? progress.through : 0;
  }

  /** The tables that were copied whole since changes are recorded. */
  async wholeTables(): Promise<ReadonlySet<string>> {
    const sql = `select name from ${COPIED_TABLE} where capture = ?`;
    const rows = await select(this.#database.query, sql, [this.#note.capture]);
    return new Set(rows.map(({ name }) => String(name)));
  }

  isDerived({ name }: TableShape): boolean {
    return this.#tables.derived.includes(name);
  }

  /** Makes room for a table that is to be copied whole. */
  async clear({ name }: TableShape): Promise<void> {
    const sql = this.#tables.create(name, this.#words);
    if (sql !== undefined) await this.#run(sql, []);
    await this.#run(`delete from ${COPIED_TABLE} where name = ?`, [name]);
    await this.#run(`delete from ${name}`, []);
  }

  async insert(shape: TableShape, rows: readonly Row[]): Promise<void> {
    await this.#database.transaction((query) => insert(query, shape, rows));
  }

  async noteWhole({ name }: TableShape): Promise<void> {
    const into = `insert into ${COPIED_TABLE} (name, capture) values (?, ?)`;
    await this.#run(`${into} on conflict (name) do update set capture = excluded.capture`, [
      name,
      this.#note.capture,
    ]);
  }

  /** Removes tables that are not in the source any more. */
  async dropOthers(tables: readonly TableShape[]): Promise<void> {
    const names = new Set(tables.map(({ name }) => name));
    const whole = await select(this.#database.query, `select name from ${COPIED_TABLE}`, []);
    for (const { name } of whole) {
      if (names.has(String(name))) continue;
      await this.#run(`drop table if exists ${name}`, []);
      await this.#run(`delete from ${COPIED_TABLE} where name = ?`, [name]);
    }
  }

  /**
   * In one transaction: what was found under the keys goes, the rows come, and the changes count as taken over.
   *
   * @param changes the rows that are there now, and the keys of all that have changed
   */
  async replace(
    changes: readonly {
      readonly shape: TableShape;
      readonly keys: readonly Key[];
      readonly rows: () => Iterable<readonly Row[]>;
    }[],
    through: number,
  ): Promise<void> {
    await this.#database.transaction(async (query) => {
      // All go before any comes: a row may have taken over from another what only one can have.
      for (const { shape, keys } of changes) await this.#deleteRows(query, shape, keys);
      for (const { shape, rows } of changes) {
        for (const some of rows()) await insert(query, shape, some);
      }
      const noted = `update ${COPY_TABLE} set capture = ?, through = ?`;
      await run(query, noted, [this.#note.capture, through]);
    });
  }

  async count({ name }: TableShape): Promise<number> {
    const [row] = await select(this.#database.query, `select count(*) as n from ${name}`, []);
    return Number(row?.n);
  }

  /** In the order of the key. */
  rowsAfter(shape: TableShape, after: Key | undefined, limit: number): Promise<readonly Row[]> {
    const sql = selectAfter(this.#words, shape, after !== undefined);
    return select(this.#database.query, sql, [...(after ?? []), limit]);
  }

  /** In no order; those that are there. */
  rowsWith(shape: TableShape, keys: readonly Key[]): Promise<readonly Row[]> {
    const isOneOf = this.#words.isOneOf(namesOf(shape.key), keys.length);
    const sql = `select ${namesOf(shape.columns).join(', ')} from ${shape.name} where ${isOneOf}`;
    return select(this.#database.query, sql, keys.flat());
  }

  /** When it resolves, whoever opens the database may serve from it. */
  async complete(): Promise<void> {
    await this.#database.transaction(async (query) => {
      const progress = await progressOf(query);
      if (progress?.id !== this.#note.id) {
        throw new StoreError('constraint', 'expected the copy of this source, saw it taken back');
      }
      for (const sql of await this.#identities(query)) await run(query, sql, []);
      await run(query, `update ${COPY_TABLE} set is_complete = 1`, []);
      await run(query, 'delete from chrysalis_migration where name = ?', [BEING_COPIED]);
    });
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  async #begin(objects: string): Promise<void> {
    const { id, capture } = this.#note;
    await this.#database.transaction(async (query) => {
      const before = await progressOf(query);
      if (before === undefined) {
        const into = `insert into ${COPY_TABLE} (id, objects, capture, through, is_complete)`;
        await run(query, `${into} values (?, ?, ?, 0, 0)`, [id, objects, capture]);
      } else if (before.id !== id) {
        throw new StoreError('constraint', 'expected an empty database, saw the copy of another');
      } else if (before.objects !== objects) {
        const message = `expected ${before.objects} for the objects, as it was begun, saw ${objects}`;
        throw new StoreError('constraint', message);
      }
    });
  }

  async #deleteRows(query: Query, shape: TableShape, keys: readonly Key[]): Promise<void> {
    for (const some of portions(keys)) {
      const isOneOf = this.#words.isOneOf(namesOf(shape.key), some.length);
      await run(query, `delete from ${shape.name} where ${isOneOf}`, some.flat());
    }
  }

  /** Numbers that the database gives out go on after those that are there. */
  async #identities(query: Query): Promise<readonly string[]> {
    const { counted } = this.#words;
    if (counted === undefined) return [];
    const rows = await select(query, counted, []);
    return rows.map(
      ({ name, field }) =>
        `select setval(pg_get_serial_sequence('${name}', '${field}'), max(${field})) from ${name}`,
    );
  }

  #run(sql: string, parameters: readonly unknown[]): Promise<void> {
    return run(this.#database.query, sql, parameters);
  }
}

/** The mark first: from there on the database is nobody's but this copy's. */
function stepsOf(url: string, { migrations }: CopiedTables): readonly Migration[] {
  const isStep = isPostgresUrl(url)
    ? ({ postgres }: Migration) => postgres !== undefined
    : () => true;
  return [BEING_COPIED_STEP, ...migrations.filter(isStep)];
}

/** Keys of one statement: of the same number each, so that it is prepared once. */
const KEYS_IN_STATEMENT = 500;

/** The last one is filled up with its last key. */
export function* portions(keys: readonly Key[]): Generator<readonly Key[], void> {
  for (let at = 0; at < keys.length; at += KEYS_IN_STATEMENT) {
    const some = keys.slice(at, at + KEYS_IN_STATEMENT);
    const last = some.at(-1);
    while (last !== undefined && some.length < KEYS_IN_STATEMENT) some.push(last);
    yield some;
  }
}

/** Rows of one statement. */
export function rowsInStatement({ columns }: TableShape): number {
  return Math.min(1000, Math.floor(VALUES_IN_STATEMENT / columns.length));
}

async function insert(query: Query, shape: TableShape, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return;
  const names = namesOf(shape.columns);
  const row = `(${names.map(() => '?').join(', ')})`;
  const values = rows.map(() => row).join(', ');
  const sql = `insert into ${shape.name} (${names.join(', ')}) values ${values}`;
  await run(
    query,
    sql,
    rows.flatMap((one) => names.map((name) => one[name])),
  );
}

async function run(query: Query, sql: string, parameters: readonly unknown[]): Promise<void> {
  await query.executeQuery(CompiledQuery.raw(sql, [...parameters]));
}

async function select(
  query: Query,
  sql: string,
  parameters: readonly unknown[],
): Promise<readonly Row[]> {
  return (await query.executeQuery<Row>(CompiledQuery.raw(sql, [...parameters]))).rows;
}

async function progressOf(query: Query): Promise<CopyProgress | undefined> {
  const sql = `select id, objects, capture, through, is_complete from ${COPY_TABLE}`;
  const [row] = await select(query, sql, []);
  if (row === undefined) return undefined;
  const { id, objects, capture, through, is_complete } = row;
  return {
    id: String(id),
    objects: String(objects),
    capture: String(capture),
    through: Number(through),
    isComplete: is_complete === 1,
  };
}

/** What is at a place: nothing, or no row; the copy, or another one, that is not complete; this copy, complete; something else. */
type Found = 'empty' | 'incomplete' | 'complete' | 'other';

/** A look that changes nothing: a mark would end whoever serves from it. */
async function find(
  url: string,
  { migrations, derived }: CopiedTables,
  id: string,
  options: Pick<DatabaseOptions, 'password'>,
): Promise<Found> {
  let database: Database<unknown>;
  try {
    database = await openDatabase<unknown>(url, migrations, { ...options, readsOnly: true });
  } catch (error) {
    if (isStoreError(error, 'missing')) return 'empty';
    if (isStoreError(error, 'incomplete')) return 'incomplete';
    throw error;
  }
  try {
    const { query } = database;
    const isCopy = (await select(query, wordsOf(query).tableNamed(COPY_TABLE), [])).length > 0;
    const progress = isCopy ? await progressOf(query) : undefined;
    if (progress?.id === id && progress.isComplete) return 'complete';
    return (await hasRows(query, derived)) ? 'other' : 'empty';
  } finally {
    await database.close();
  }
}

/** Whoever has served from a database has written down at least how long its periods are. */
async function hasRows(query: Query, derived: readonly string[]): Promise<boolean> {
  for (const { name } of await select(query, wordsOf(query).tables, [])) {
    if (derived.includes(String(name))) continue;
    if ((await select(query, `select 1 as n from ${name} limit 1`, [])).length > 0) return true;
  }
  return false;
}
