import { isMoved, noteIn } from './copy-source.ts';
import { copyDatabases, type DatabaseCopy } from './database-copy.ts';
import { patiently, SqliteConnection } from './sqlite-connection.ts';
import { expectFile } from './sqlite-database.ts';
import { StoreError } from './store-error.ts';
import { fence, unfence } from './write-fence.ts';

/** Sees whether a database is copied, and when it is fenced. */
export class FenceWatch {
  readonly #connection: SqliteConnection;

  private constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  /** @throws StoreError `missing` */
  static async open(path: string): Promise<FenceWatch> {
    await expectFile(path);
    const connection = new SqliteConnection(path);
    connection.configureToLook();
    return new FenceWatch(connection);
  }

  get isMoved(): boolean {
    return isMoved(this.#connection);
  }

  /** Where a copy goes that was begun, as that has noted it. */
  get destination(): string | undefined {
    return noteIn(this.#connection)?.destination;
  }

  close(): void {
    this.#connection.close();
  }
}

/** When it resolves, nobody changes a row of a SQLite database or opens it any more. */
export function fenceDatabase(path: string): Promise<void> {
  return changed(path, fence);
}

/** It is as before. */
export function unfenceDatabase(path: string): Promise<void> {
  return changed(path, unfence);
}

/** Copies databases that are fenced: the copies are not. Whatever is at their places is replaced. */
export async function copyFencedDatabases(copies: readonly DatabaseCopy[]): Promise<void> {
  await copyDatabases(copies);
  for (const { to } of copies) await unfenceDatabase(to);
}

/**
 * Makes sure that no other program has a SQLite database open: SQLite leaves the mode of its log for nobody else.
 *
 * @throws StoreError `busy` after ten seconds
 */
export async function expectUnused(path: string): Promise<void> {
  const connection = new SqliteConnection(path);
  try {
    await patiently(() => connection.exec('pragma journal_mode = delete'));
    const { rows } = connection.run('pragma journal_mode', []);
    const [mode] = Object.values(rows[0] ?? {});
    if (mode !== 'delete') throw new StoreError('busy', `expected nobody to have ${path} open`);
  } finally {
    connection.close();
  }
}

async function changed(
  path: string,
  change: (connection: SqliteConnection) => void,
): Promise<void> {
  await expectFile(path);
  const connection = new SqliteConnection(path);
  try {
    await patiently(() => connection.configure(false));
    await patiently(() => connection.exec('begin immediate'));
    change(connection);
    connection.exec('commit');
  } finally {
    connection.close();
  }
}
