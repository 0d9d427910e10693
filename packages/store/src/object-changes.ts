import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { directoryPath, sortedEntries } from './directory-object-store.ts';
import { keySegments } from './object-key.ts';
import { fileError, systemCodeOf } from './store-error.ts';

/** What is known of a directory since it was last read. */
interface Seen {
  readonly changedMs: number;
  readonly readMs: number;
  readonly directories: readonly string[];
  readonly hasFiles: boolean;
}

/** What became of the objects directly below a prefix. */
export interface ChangedDirectory {
  /** Without a slash at its end; '' for the root. */
  readonly prefix: string;
  /** Names of objects that are there, and whether each may be another than before. */
  readonly names: ReadonlyMap<string, boolean>;
  /** Whether there are objects directly below, or were. */
  readonly hasFiles: boolean;
  /** Names of directories that are gone, with everything below. */
  readonly gone: readonly string[];
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
    if (before === undefined || (await this.#mayHaveChanged(prefix, before))) {
      const entries = await this.#read(prefix);
      const now = new Set(entries);
      const names = new Map<string, boolean>();
      for (const name of entries.filter((entry) => !entry.endsWith('/'))) {
        names.set(name, await this.#isOther(prefix, name, before));
      }
      const gone = (before?.directories ?? []).filter((name) => !now.has(`${name}/`));
      for (const name of gone) this.#forget(below(prefix, name));
      yield { prefix, names, hasFiles: names.size > 0 || before?.hasFiles === true, gone };
    }
    for (const name of this.#seen.get(prefix)?.directories ?? []) {
      yield* this.#changedBelow(below(prefix, name));
    }
  }

  /** Its time first: what changes while it is read is seen again. */
  async #read(prefix: string): Promise<readonly string[]> {
    const readMs = Date.now();
    const changedMs = await timeOf(this.#path(prefix), 'mtimeMs');
    const entries = await sortedEntries(this.#path(prefix));
    const directories = entries.filter((entry) => entry.endsWith('/')).map((e) => e.slice(0, -1));
    const hasFiles = directories.length < entries.length;
    this.#seen.set(prefix, { changedMs, readMs, directories, hasFiles });
    return entries;
  }

  async #mayHaveChanged(prefix: string, { changedMs, readMs }: Seen): Promise<boolean> {
    if (changedMs > readMs - YOUNG_MS) return true;
    return (await timeOf(this.#path(prefix), 'mtimeMs')) !== changedMs;
  }

  /** A file that gets its name by a rename changes then (ctime). */
  async #isOther(prefix: string, name: string, before: Seen | undefined): Promise<boolean> {
    if (before === undefined) return true;
    const changedMs = await timeOf(join(this.#path(prefix), name), 'ctimeMs');
    return changedMs > before.readMs - YOUNG_MS;
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

/** The end of time when it is gone, so that it counts as changed. */
async function timeOf(path: string, which: 'mtimeMs' | 'ctimeMs'): Promise<number> {
  try {
    return (await stat(path))[which];
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return Number.POSITIVE_INFINITY;
    throw fileError(error, `look at ${path}`);
  }
}
