import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { directoryPath, sortedEntries } from './directory-object-store.ts';
import { keySegments } from './object-key.ts';
import { fileError, systemCodeOf } from './store-error.ts';

/** What is known of a directory since it was last read. */
interface Seen {
  readonly changedMs: number;
  readonly readMs: number;
  readonly directories: readonly string[];
  /** Names of objects, with slashes between them: a string of each would be a hundred times the memory. */
  readonly names: string;
}

/** What became of the objects directly below a prefix. */
export interface ChangedDirectory {
  /** Without a slash at its end; '' for the root. */
  readonly prefix: string;
  /** Names of objects that are new, or may be others than before. */
  readonly others: readonly string[];
  /** Names of objects that are gone. */
  readonly gone: readonly string[];
  /** Names of directories that are gone, with everything below. */
  readonly goneDirectories: readonly string[];
}

/** Clocks of files tick in milliseconds: what is as young as this when it is read may change within the same tick. */
const YOUNG_MS = 2_000;

/** Finds what has changed in a directory of objects, without reading the objects, or the directories that are as they were. */
export class ObjectChanges {
  readonly #root: string;
  readonly #seen = new Map<string, Seen>();

  constructor(directory: string) {
    this.#root = resolve(directory);
  }

  /** All keys, in the order of their code units; from here on changes are known. */
  async *all(): AsyncGenerator<string> {
    this.#seen.clear();
    yield* this.#keysBelow('');
  }

  /** What is new, other or gone since the last call, or since `all`. */
  async *changed(): AsyncGenerator<ChangedDirectory> {
    yield* this.#changedBelow('');
  }

  async *#keysBelow(prefix: string): AsyncGenerator<string> {
    const entries = await this.#read(prefix);
    for (const entry of entries) {
      const key = below(prefix, entry);
      if (entry.endsWith('/')) yield* this.#keysBelow(key.slice(0, -1));
      else yield key;
    }
  }

  async *#changedBelow(prefix: string): AsyncGenerator<ChangedDirectory> {
    const before = this.#seen.get(prefix);
    if (before === undefined || this.#mayHaveChanged(prefix, before)) {
      const now = new Set(await this.#read(prefix));
      const names = [...now].filter((entry) => !entry.endsWith('/'));
      const known = new Set(before?.names.split('/'));
      const goneDirectories = (before?.directories ?? []).filter((name) => !now.has(`${name}/`));
      for (const name of goneDirectories) this.#forget(below(prefix, name));
      yield {
        prefix,
        others: names.filter((name) => !known.has(name) || this.#isOther(prefix, name, before)),
        gone: [...known].filter((name) => name !== '' && !now.has(name)),
        goneDirectories,
      };
    }
    for (const name of this.#seen.get(prefix)?.directories ?? []) {
      yield* this.#changedBelow(below(prefix, name));
    }
  }

  /** Its time first: what changes while it is read is seen again. */
  async #read(prefix: string): Promise<readonly string[]> {
    const readMs = Date.now();
    const changedMs = timeOf(this.#path(prefix), 'mtimeMs');
    const entries = await sortedEntries(this.#path(prefix));
    const directories = entries.filter((entry) => entry.endsWith('/')).map((e) => e.slice(0, -1));
    const names = entries.filter((entry) => !entry.endsWith('/')).join('/');
    this.#seen.set(prefix, { changedMs, readMs, directories, names });
    return entries;
  }

  #mayHaveChanged(prefix: string, { changedMs, readMs }: Seen): boolean {
    if (changedMs > readMs - YOUNG_MS) return true;
    return timeOf(this.#path(prefix), 'mtimeMs') !== changedMs;
  }

  /** A file that gets its name by a rename changes then (ctime). */
  #isOther(prefix: string, name: string, before: Seen | undefined): boolean {
    if (before === undefined) return true;
    return timeOf(join(this.#path(prefix), name), 'ctimeMs') > before.readMs - YOUNG_MS;
  }

  #forget(prefix: string): void {
    for (const known of this.#seen.keys()) {
      if (known === prefix || known.startsWith(`${prefix}/`)) this.#seen.delete(known);
    }
  }

  #path(prefix: string): string {
    return directoryPath(this.#root, prefix === '' ? [] : keySegments(prefix));
  }
}

function below(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}/${name}`;
}

/**
 * The end of time when it is gone, so that it counts as changed. Synchronous: a look at each of many files, while nothing is
 * served, takes microseconds so.
 */
function timeOf(path: string, which: 'mtimeMs' | 'ctimeMs'): number {
  try {
    return statSync(path)[which];
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return Number.POSITIVE_INFINITY;
    throw fileError(error, `look at ${path}`);
  }
}
