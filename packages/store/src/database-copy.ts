import { closeSync, openSync } from 'node:fs';
import { PRIVATE_FILE_MODE } from './file.ts';
import { patiently, SqliteConnection } from './sqlite-connection.ts';
import { fileError, StoreError } from './store-error.ts';

/** A database file, and the file that its copy becomes: one that does not exist yet. */
export interface DatabaseCopy {
  readonly from: string;
  readonly to: string;
}

/**
 * Copies SQLite databases while others read and write them, all as they were at one moment: while that moment is taken, a few
 * milliseconds, nobody writes to the first of them. So whatever is written to the others only after it was committed to the
 * first has its counterpart in the copy of the first, and the other way round. Each copy (mode 0600) is read whole afterwards.
 *
 * @returns for each copy the migrations that were applied to it, in their order
 * @throws StoreError `busy`, `corrupt` when a copy is not sound, `full`, `io`
 */
export async function copyDatabases(
  copies: readonly DatabaseCopy[],
): Promise<readonly (readonly string[])[]> {
  const readers: SqliteConnection[] = [];
  try {
    for (const { from } of copies) readers.push(new SqliteConnection(from));
    await seeOneMoment(readers, copies[0]?.from);
    for (const [n, { to }] of copies.entries()) {
      createForOwner(to);
      await readers[n]?.copyTo(to);
    }
  } finally {
    for (const reader of readers) reader.close();
  }
  return copies.map(({ from, to }) => inspectCopy(from, to));
}

/** From here on each reader sees what was committed before, whatever is written meanwhile. */
async function seeOneMoment(
  readers: readonly SqliteConnection[],
  first: string | undefined,
): Promise<void> {
  if (first === undefined) return;
  const lock = new SqliteConnection(first);
  try {
    await patiently(() => lock.exec('begin immediate'));
    for (const reader of readers) {
      reader.exec('begin');
      // A transaction begins to see with its first look.
      await patiently(() => reader.run('select count(*) from sqlite_schema', []));
    }
  } finally {
    // Ends its transaction as well; nothing was written in it.
    lock.close();
  }
}

function createForOwner(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_FILE_MODE));
  } catch (error) {
    throw fileError(error, `create ${path}`);
  }
}

/** A copy of damage is no copy to rely on. */
function inspectCopy(from: string, path: string): readonly string[] {
  const copy = new SqliteConnection(path);
  try {
    const { rows } = copy.run('pragma quick_check(1)', []);
    const seen = String(Object.values(rows[0] ?? {})[0]);
    if (seen !== 'ok') {
      throw new StoreError('corrupt', `expected ${from} to be sound, saw: ${seen}`);
    }
    const table = "select 1 from sqlite_schema where name = 'chrysalis_migration'";
    if (copy.run(table, []).rows.length === 0) return [];
    const names = copy.run('select name from chrysalis_migration order by position', []);
    return names.rows.map(({ name }) => String(name));
  } finally {
    copy.close();
  }
}
