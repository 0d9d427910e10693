import { copyDatabases, type DatabaseCopy } from './database-copy.ts';
import { patiently, SqliteConnection } from './sqlite-connection.ts';
import { expectFile } from './sqlite-file.ts';
import { StoreError } from './store-error.ts';
import { fence, unfence } from './write-fence.ts';

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
