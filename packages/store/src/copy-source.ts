import { randomBytes } from 'node:crypto';
import { MOVED_AWAY } from './copy-marks.ts';
import { type CopyNote, hasTable, isMoved, NOTE, noteIn } from './copy-note.ts';
import { expectMigrated, type Migration } from './migration.ts';
import type { Row } from './rows-digest.ts';
import { SQLITE_WORDS, type SqlWords } from './sql-words.ts';
import { patiently, SqliteConnection } from './sqlite-connection.ts';
import { expectFile } from './sqlite-file.ts';
import { type Column, type TableShape, tablesOf } from './sqlite-tables.ts';
import { StoreError } from './store-error.ts';
import { dropTriggers, fence, unfence } from './write-fence.ts';

/** The values of a row's key, in the order of the key's columns. */
export type Key = readonly unknown[];

const CHANGES = 'chrysalis_change';
/** Of the names of triggers. */
const PREFIX = 'chrysalis_change_';
const ID_OCTETS = 8;

/**
 * A SQLite database that is copied while others write to it. Which rows change meanwhile is recorded by triggers, in the
 * transaction that changes them, so that it is known whatever program does it and whenever it ends.
 */
export class CopySource {
  readonly #writer: SqliteConnection;
  readonly #reader: SqliteConnection;
  /** What was begun here. */
  #begun: CopyNote | undefined;

  private constructor(writer: SqliteConnection, reader: SqliteConnection) {
    this.#writer = writer;
    this.#reader = reader;
  }

  /** @throws StoreError `missing`, `older-schema`, `newer-schema`, `incomplete`, `busy`, `corrupt` */
  static async open(path: string, migrations: readonly Migration[]): Promise<CopySource> {
    await expectFile(path);
    const writer = new SqliteConnection(path);
    try {
      const moved = isMoved(writer) ? [{ name: MOVED_AWAY, statements: [] }] : [];
      await expectMigrated(writer, [...migrations, ...moved]);
      await patiently(() => writer.configure(false));
      const reader = new SqliteConnection(path);
      await patiently(() => reader.configure(true));
      return new CopySource(writer, reader);
    } catch (error) {
      writer.close();
      throw error;
    }
  }

  /** Whether it was fenced: nothing changes any more. */
  get isMoved(): boolean {
    return isMoved(this.#writer);
  }

  /** Of the copy that was begun, if one was. */
  get note(): CopyNote | undefined {
    return noteIn(this.#writer);
  }

  /**
   * Begins a copy, or goes on with the one that was begun, and records changes from here on.
   *
   * @throws StoreError `constraint` when one to another destination was begun
   */
  async begin(destination: string): Promise<CopyNote> {
    await this.#transaction(() => {
      this.#writer.exec(
        `create table if not exists ${NOTE} (
          id text primary key, destination text not null, capture text not null) strict`,
      );
      this.#writer.exec(
        `create table if not exists ${CHANGES} (
          seq integer primary key, name text not null, key text not null) strict`,
      );
      const before = this.note;
      if (before === undefined) {
        const values = [newId(), destination, newId()];
        this.#writer.run(`insert into ${NOTE} values (?, ?, ?)`, values);
      } else if (before.destination !== destination) {
        throw new StoreError(
          'constraint',
          `expected ${before.destination}, to which a copy was begun, saw ${destination}`,
        );
      }
    });
    const { note } = this;
    if (note === undefined) throw new StoreError('query', 'expected the note of a copy, saw none');
    this.#begun = note;
    return note;
  }

  /** Records the changes of all tables that are there now; some may have come since the last call. */
  async capture(): Promise<void> {
    await this.#transaction(() => {
      this.#expectBegun(this.#writer);
      for (const shape of tablesOf(this.#writer)) {
        for (const sql of captureTriggers(shape)) this.#writer.exec(sql);
      }
    });
  }

  /** Records no changes any more, and forgets those that were: whoever goes on copies everything anew. */
  async endCapture(): Promise<void> {
    await this.#transaction(() => {
      dropTriggers(this.#writer, PREFIX);
      if (hasTable(this.#writer, CHANGES)) this.#writer.run(`delete from ${CHANGES}`, []);
      if (hasTable(this.#writer, NOTE)) {
        this.#writer.run(`update ${NOTE} set capture = ?`, [newId()]);
      }
    });
  }

  /** When it resolves, nobody changes a row or opens the database any more, after a power cut either. */
  async fence(): Promise<void> {
    await this.#transaction(() => {
      this.#expectBegun(this.#writer);
      fence(this.#writer);
    });
  }

  /** As if there had been no copy. */
  async takeBack(): Promise<void> {
    await this.#transaction(() => {
      dropTriggers(this.#writer, PREFIX);
      this.#writer.exec(`drop table if exists ${CHANGES}`);
      this.#writer.exec(`drop table if exists ${NOTE}`);
      unfence(this.#writer);
    });
  }

  /** Reads one state of the database, whatever is written meanwhile. */
  async snapshot<T>(work: (view: SourceView) => Promise<T>): Promise<T> {
    this.#reader.exec('begin');
    try {
      // A transaction begins to see with its first look.
      await patiently(() => this.#reader.run('select count(*) from sqlite_schema', []));
      this.#expectBegun(this.#reader);
      return await work(new SourceView(this.#reader));
    } finally {
      this.#reader.exec('rollback');
    }
  }

  /** Another process may have ended the recording, or the copy, meanwhile: what has changed since is not known then. */
  #expectBegun(connection: SqliteConnection): void {
    const note = noteIn(connection);
    if (note !== undefined && note.capture === this.#begun?.capture) return;
    throw new StoreError(
      'constraint',
      'expected the copy that was begun here, saw it ended or begun anew by another program',
    );
  }

  close(): void {
    this.#reader.close();
    this.#writer.close();
  }

  async #transaction(work: () => void): Promise<void> {
    await patiently(() => this.#writer.exec('begin immediate'));
    try {
      work();
      this.#writer.exec('commit');
    } catch (error) {
      if (this.#writer.inTransaction) this.#writer.exec('rollback');
      throw error;
    }
  }
}

/** One state of a database that is copied. */
export class SourceView {
  readonly #connection: SqliteConnection;

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  tables(): readonly TableShape[] {
    return tablesOf(this.#connection);
  }

  /** Whether every change of it is recorded, or there is none any more. */
  isRecorded({ name }: TableShape): boolean {
    const sql = "select 1 from sqlite_schema where type = 'trigger' and name = ?";
    const { rows } = this.#connection.run(sql, [`${PREFIX}insert_${name}`]);
    return rows.length > 0 || isMoved(this.#connection);
  }

  count({ name }: TableShape): number {
    return Number(this.#connection.run(`select count(*) as n from ${name}`, []).rows[0]?.n);
  }

  /** In the order of the key. */
  rowsAfter(shape: TableShape, after: Key | undefined, limit: number): readonly Row[] {
    const sql = selectAfter(SQLITE_WORDS, shape, after !== undefined);
    return this.#connection.run(sql, [...(after ?? []), limit]).rows;
  }

  /** In no order; those that are there. */
  rowsWith(shape: TableShape, keys: readonly Key[]): readonly Row[] {
    const isOneOf = SQLITE_WORDS.isOneOf(namesOf(shape.key), keys.length);
    const sql = `select ${namesOf(shape.columns).join(', ')} from ${shape.name} where ${isOneOf}`;
    return this.#connection.run(sql, keys.flat()).rows;
  }

  /** The number of the last change that is recorded here. */
  lastChange(): number {
    const { rows } = this.#connection.run(`select coalesce(max(seq), 0) as n from ${CHANGES}`, []);
    return Number(rows[0]?.n);
  }

  /** The keys of the rows of a table that have changed since, each once. */
  changedKeys({ name, key }: TableShape, after: number): readonly Key[] {
    const { rows } = this.#connection.run(
      `select distinct key from ${CHANGES} where name = ? and seq > ?`,
      [name, after],
    );
    return rows.map((row) => {
      const values = JSON.parse(String(row.key)) as (string | number)[];
      return values.map((value, n) =>
        key[n]?.kind === 'octets' ? new Uint8Array(Buffer.from(String(value), 'hex')) : value,
      );
    });
  }
}

export function namesOf(columns: readonly Column[]): readonly string[] {
  return columns.map(({ name }) => name);
}

export function keyOf({ key }: TableShape, row: Row): Key {
  return key.map(({ name }) => row[name]);
}

/** Pages of a table, in the same order in either database. */
export function selectAfter(words: SqlWords, shape: TableShape, hasKey: boolean): string {
  const { name, columns, key } = shape;
  const ordered = key.map((column) =>
    column.kind === 'text' ? words.byOctets(column.name) : column.name,
  );
  const places = key.map(() => '?').join(', ');
  const where = hasKey ? `where (${ordered.join(', ')}) > (${places})` : '';
  return `select ${namesOf(columns).join(', ')} from ${name} ${where} order by ${ordered.join(', ')} limit ?`;
}

function captureTriggers(shape: TableShape): readonly string[] {
  const { name } = shape;
  const into = `insert into ${CHANGES} (name, key)`;
  const [now, before] = [jsonKey(shape, 'new'), jsonKey(shape, 'old')];
  const bodies = {
    insert: `${into} values ('${name}', ${now});`,
    delete: `${into} values ('${name}', ${before});`,
    // A row that gets another key is gone under the former one.
    update: `${into} select '${name}', ${before} union select '${name}', ${now};`,
  };
  return Object.entries(bodies).map(
    ([change, body]) =>
      `create trigger if not exists ${PREFIX}${change}_${name} after ${change} on ${name} begin ${body} end`,
  );
}

function jsonKey({ key }: TableShape, row: 'new' | 'old'): string {
  const value = ({ name, kind }: Column) =>
    kind === 'octets' ? `hex(${row}.${name})` : `${row}.${name}`;
  return `json_array(${key.map(value).join(', ')})`;
}

function newId(): string {
  return randomBytes(ID_OCTETS).toString('hex');
}
