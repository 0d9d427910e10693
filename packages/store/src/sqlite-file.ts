import { stat } from 'node:fs/promises';
import { fileError, StoreError, systemCodeOf } from './store-error.ts';

/** SQLite would create it. @throws StoreError `missing` */
export async function expectFile(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    if (systemCodeOf(cause) !== 'ENOENT') throw fileError(cause, `look for database ${path}`);
    throw new StoreError('missing', `expected a database in ${path}, saw no file`, { cause });
  }
}
