/** What a state directory consists of, as a backup takes it. */
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCodeOf } from '@chrysalis/store/files';
import { CliError } from './context.ts';

/** Names relative to the state directory, with `/`. */
export interface StateFiles {
  readonly databases: readonly string[];
  readonly others: readonly string[];
}

/** A state directory is four deep, and links may lead further; a circle of links has no end. */
const MAX_DEPTH = 16;

/** SQLite's own, beside a database: what is in them is in the copy of the database. */
const OF_SQLITE = /\.db-(?:wal|shm|journal)$/;
/** As the store names what it renames when it is whole. */
const UNFINISHED = /^\.[^/]+\.[0-9a-f]{16}\.tmp$/;
const UNFINISHED_OBJECTS = '.incoming';

/**
 * Everything in a state directory but what is not finished. Links are followed.
 *
 * @throws CliError when it is no tree; the errors of node:fs
 */
export async function stateFiles(directory: string): Promise<StateFiles> {
  const databases: string[] = [];
  const others: string[] = [];
  for await (const name of filesBelow(directory, '', 0)) {
    if (name.endsWith('.db')) databases.push(name);
    else if (!OF_SQLITE.test(name)) others.push(name);
  }
  return { databases, others };
}

async function* filesBelow(
  directory: string,
  prefix: string,
  depth: number,
): AsyncGenerator<string> {
  if (depth > MAX_DEPTH) {
    throw new CliError(`expected at most ${MAX_DEPTH} directories in each other, saw ${prefix}`);
  }
  for (const entry of await entriesOf(join(directory, prefix))) {
    const name = prefix + entry.name;
    const kind = await kindOf(entry, join(directory, name));
    if (kind === 'directory' && entry.name !== UNFINISHED_OBJECTS) {
      yield* filesBelow(directory, `${name}/`, depth + 1);
    } else if (kind === 'file' && !UNFINISHED.test(entry.name)) {
      yield name;
    }
  }
}

/** None of a directory that is gone meanwhile, as a period that was dropped. */
async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function kindOf(entry: Dirent, path: string): Promise<'file' | 'directory' | 'other'> {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'directory';
  if (!entry.isSymbolicLink()) return 'other';
  try {
    const target = await stat(path);
    return target.isFile() ? 'file' : target.isDirectory() ? 'directory' : 'other';
  } catch (cause) {
    throw new CliError(`expected ${path} to lead to a file, saw a link to nothing`, { cause });
  }
}
