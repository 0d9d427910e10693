import { type CopyDestination, portions, rowsInStatement } from './copy-destination.ts';
import { type CopySource, type Key, keyOf, type SourceView } from './copy-source.ts';
import { octetsOfRow, type Row, RowsDigest } from './rows-digest.ts';
import type { TableShape } from './sqlite-tables.ts';
import { StoreError } from './store-error.ts';

/** What one table has, on both sides. */
export interface CopiedTable {
  readonly name: string;
  readonly rows: number;
  /** SHA-256 over the rows in the order of their keys, hex: when the table was copied whole. */
  readonly sha256?: string;
}

export interface RowsProgress {
  readonly table: string;
  readonly rows: number;
}

/** What a pass has done. */
export interface Pass {
  /** Tables that were copied whole. */
  readonly whole: readonly CopiedTable[];
  /** Rows that were taken over one by one, since they have changed. */
  readonly changes: number;
}

/**
 * Takes the rows of a SQLite database over to another database, pass by pass, while they change. After each pass the
 * destination is what the source was at one moment, row by row, and was read to see that it is.
 */
export class RowsCopy {
  readonly #source: CopySource;
  readonly #destination: CopyDestination;
  readonly #signal: AbortSignal;
  readonly #onProgress: (progress: RowsProgress) => void;

  constructor(
    source: CopySource,
    destination: CopyDestination,
    {
      signal,
      onProgress = () => {},
    }: { signal: AbortSignal; onProgress?: (progress: RowsProgress) => void },
  ) {
    this.#source = source;
    this.#destination = destination;
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  /** @throws StoreError `corrupt` when the destination does not give what was put in */
  pass(): Promise<Pass> {
    return this.#source.snapshot(async (view) => {
      // One that has come since changes are recorded is for the next pass.
      const shapes = view.tables().filter((shape) => view.isRecorded(shape));
      await this.#destination.dropOthers(shapes);
      const done = await this.#destination.wholeTables();
      const whole: CopiedTable[] = [];
      for (const shape of shapes) {
        if (this.#destination.isDerived(shape) || done.has(shape.name)) continue;
        whole.push(await this.#copyWhole(view, shape));
      }
      const changes = await this.#takeChanges(view, shapes);
      for (const shape of shapes) {
        if (this.#destination.isDerived(shape)) await this.#compareWhole(view, shape);
      }
      return { whole, changes };
    });
  }

  /** The last, of a source that is fenced: a pass, and the numbers of all rows on both sides. */
  async finish(): Promise<readonly CopiedTable[]> {
    await this.pass();
    return this.#source.snapshot(async (view) => {
      const tables: CopiedTable[] = [];
      for (const shape of view.tables()) {
        const { name } = shape;
        const rows = view.count(shape);
        const seen = await this.#destination.count(shape);
        if (rows !== seen) throw differs(name, `${rows} rows`, `${seen}`);
        tables.push({ name, rows });
      }
      return tables;
    });
  }

  async #copyWhole(view: SourceView, shape: TableShape): Promise<CopiedTable> {
    await this.#destination.clear(shape);
    const digest = new RowsDigest(shape);
    for (const rows of pagesOf(view, shape)) {
      this.#signal.throwIfAborted();
      digest.add(rows);
      await this.#destination.insert(shape, rows);
      this.#onProgress({ table: shape.name, rows: digest.count });
    }
    const copied = { name: shape.name, rows: digest.count, sha256: digest.digest() };
    await this.#expectDigest(shape, copied.sha256);
    await this.#destination.noteWhole(shape);
    return copied;
  }

  async #compareWhole(view: SourceView, shape: TableShape): Promise<void> {
    const digest = new RowsDigest(shape);
    for (const rows of pagesOf(view, shape)) digest.add(rows);
    await this.#expectDigest(shape, digest.digest());
  }

  async #expectDigest(shape: TableShape, expected: string): Promise<void> {
    const digest = new RowsDigest(shape);
    const limit = rowsInStatement(shape);
    for (let after: Key | undefined; ; ) {
      this.#signal.throwIfAborted();
      const rows = await this.#destination.rowsAfter(shape, after, limit);
      digest.add(rows);
      const last = rows.at(-1);
      if (last === undefined || rows.length < limit) break;
      after = keyOf(shape, last);
    }
    const seen = digest.digest();
    if (seen !== expected) throw differs(shape.name, `rows of SHA-256 ${expected}`, seen);
  }

  async #takeChanges(view: SourceView, shapes: readonly TableShape[]): Promise<number> {
    const through = await this.#destination.through();
    const last = view.lastChange();
    if (last === through) return 0;
    const changed = shapes
      .filter((shape) => !this.#destination.isDerived(shape))
      .map((shape) => ({ shape, keys: view.changedKeys(shape, through) }))
      .filter(({ keys }) => keys.length > 0);
    await this.#destination.replace(
      changed.map(({ shape, keys }) => ({ shape, keys, rows: () => rowsOf(view, shape, keys) })),
      last,
    );
    for (const { shape, keys } of changed) await this.#compareRows(view, shape, keys);
    return changed.reduce((sum, { keys }) => sum + keys.length, 0);
  }

  async #compareRows(view: SourceView, shape: TableShape, keys: readonly Key[]): Promise<void> {
    for (const some of portions(keys)) {
      const expected = setOf(shape, view.rowsWith(shape, some));
      const seen = setOf(shape, await this.#destination.rowsWith(shape, some));
      if (expected.size !== seen.size || [...expected].some((row) => !seen.has(row))) {
        throw differs(shape.name, 'the rows that have changed', 'others');
      }
    }
  }
}

function* pagesOf(view: SourceView, shape: TableShape): Generator<readonly Row[], void> {
  const limit = rowsInStatement(shape);
  for (let after: Key | undefined; ; ) {
    const rows = view.rowsAfter(shape, after, limit);
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    if (rows.length < limit) return;
    after = keyOf(shape, last);
  }
}

function* rowsOf(
  view: SourceView,
  shape: TableShape,
  keys: readonly Key[],
): Generator<readonly Row[], void> {
  for (const some of portions(keys)) yield view.rowsWith(shape, some);
}

function setOf(shape: TableShape, rows: readonly Row[]): ReadonlySet<string> {
  return new Set(rows.map((row) => Buffer.from(octetsOfRow(shape, row)).toString('latin1')));
}

function differs(table: string, expected: string, seen: string): StoreError {
  return new StoreError('corrupt', `expected in the copy of ${table} ${expected}, saw ${seen}`);
}
