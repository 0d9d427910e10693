import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** What a write that was interrupted may leave: anything under .incoming, and names that are not final. */
export async function temporaryFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => /\.incoming|\.tmp|~$|-journal$/.test(path) || basename(path).startsWith('.'));
}
