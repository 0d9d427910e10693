import { randomBytes } from 'node:crypto';
import { closeSync, type Dir, fstatSync, openSync, readSync } from 'node:fs';
import { mkdir, opendir, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  createDirectoryDurably,
  PRIVATE_DIRECTORY_MODE,
  PRIVATE_FILE_MODE,
  syncDirectory,
  writeNewFile,
} from './file.ts';
import { checkObjectSize, isKeySegment, keySegments } from './object-key.ts';
import type { ObjectStore } from './object-store.ts';
import { fileError, StoreError, systemCodeOf } from './store-error.ts';

/** Unfinished files lie here: on the same file system, so that rename works; no key can name it. */
const INCOMING = '.incoming';

/**
 * Closes the name of a directory. No segment holds it, so that the object `a` and the directory of
 * `a/b` are different names: without it one of the two could not exist.
 */
const DIRECTORY_MARK = '+';

/**
 * How often put begins again when a directory vanishes under it, which deleteAll of another caller
 * does. More than a few times in a row means that something else removes our directories.
 */
const MAX_PUT_ATTEMPTS = 5;

/** Directories remembered as durable; when there are more, all are forgotten and synced once more. */
const MAX_SETTLED_DIRECTORIES = 10_000;

/** A temporary older than this is left over, whoever wrote it: no put takes an hour. */
const ABANDONED_AFTER_MS = 60 * 60 * 1000;

/** Leftovers that go in one step, and how long it takes at most: a disk may be slow. */
const FILES_IN_STEP = 100;
const STEP_MS = 10;

/** Names this process among those that share the directory; with it, two with the same pid differ. */
const PROCESS_MARK = `${process.pid}.${randomBytes(6).toString('hex')}`;
let temporaryCount = 0;

/**
 * Objects as files below `directory`, which is created when missing (files 0600, directories 0700).
 * The object `a/b/c` is the file `a+/b+/c`. A put writes to `.incoming`, syncs, renames, and syncs
 * the directories it touched. Several processes may share the directory. What interrupted
 * processes left stays in `.incoming` until `removeAbandoned`: to open waits for none of it.
 * Wants a file system that is case-sensitive.
 * @throws StoreError `io`
 */
export async function openDirectoryObjectStore(directory: string): Promise<ObjectStore> {
  const root = resolve(directory);
  try {
    await createDirectoryDurably(join(root, INCOMING));
  } catch (error) {
    throw fileError(error, `open object directory ${root}`);
  }
  return new DirectoryObjectStore(root);
}

class DirectoryObjectStore implements ObjectStore {
  readonly #root: string;
  /** Directories whose own names, up to the root, this process has seen onto stable storage. */
  readonly #settled = new Set<string>();
  /** The last sync of a directory that is under way or waits, and whether it has begun. */
  readonly #syncs = new Map<string, { readonly done: Promise<void>; hasBegun: boolean }>();

  constructor(root: string) {
    this.#root = root;
  }

  async put(key: string, octets: Uint8Array): Promise<void> {
    const path = this.#filePath(key);
    checkObjectSize(key, octets);
    const copy = new Uint8Array(octets);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#putOnce(path, copy);
      } catch (error) {
        if (systemCodeOf(error) !== 'ENOENT' || attempt === MAX_PUT_ATTEMPTS) {
          throw fileError(error, `put object ${key}`);
        }
      }
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const path = this.#filePath(key);
    try {
      return readWhole(path);
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw fileError(error, `get object ${key}`);
    }
  }

  async delete(key: string): Promise<void> {
    const path = this.#filePath(key);
    try {
      await rm(path, { force: true });
      await syncIfPresent(dirname(path));
    } catch (error) {
      throw fileError(error, `delete object ${key}`);
    }
  }

  async deleteAll(prefix: string): Promise<void> {
    const path = this.#directoryPath(keySegments(prefix));
    const doomed = this.#temporaryPath();
    this.#settled.clear();
    try {
      // One rename drops the whole tree at once; a crash after it leaves only what removeAbandoned clears away.
      await rename(path, doomed);
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw fileError(error, `delete objects of ${prefix}`);
    }
    try {
      await syncIfPresent(dirname(path));
      await rm(doomed, { recursive: true, force: true });
    } catch (error) {
      throw fileError(error, `delete objects of ${prefix}`);
    }
  }

  async *list(prefix: string): AsyncIterable<string> {
    const segments = prefix === '' ? [] : keySegments(prefix);
    yield* listTree(this.#directoryPath(segments), prefix === '' ? '' : `${prefix}/`);
  }

  removeAbandoned(): AsyncIterable<void> {
    return removeAbandoned(join(this.#root, INCOMING));
  }

  async #putOnce(path: string, octets: Uint8Array): Promise<void> {
    const temporary = this.#temporaryPath();
    try {
      await writeNewFile(temporary, octets, PRIVATE_FILE_MODE);
      await renameInto(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
    await this.#settle(dirname(path));
  }

  /** Makes the names in a directory durable, and the first time the way to it as well. */
  async #settle(directory: string): Promise<void> {
    // When deleteAll took the directory away meanwhile, it took the object too: both are done.
    await this.#sync(directory);
    if (this.#settled.has(directory)) return;
    // Whoever created the directories may not have synced them yet, so each process does it anew.
    for (let above = directory; above !== this.#root; ) {
      above = dirname(above);
      await this.#sync(above);
    }
    if (this.#settled.size >= MAX_SETTLED_DIRECTORIES) this.#settled.clear();
    this.#settled.add(directory);
  }

  /**
   * Makes the names that are in a directory now durable. Those who ask while one sync is under way share the next one: many
   * files at a time have directories in common.
   */
  #sync(directory: string): Promise<void> {
    const last = this.#syncs.get(directory);
    if (last && !last.hasBegun) return last.done;
    const sync = { done: Promise.resolve(), hasBegun: false };
    const run = async () => {
      await last?.done.catch(() => {});
      sync.hasBegun = true;
      try {
        await syncIfPresent(directory);
      } finally {
        if (this.#syncs.get(directory) === sync) this.#syncs.delete(directory);
      }
    };
    sync.done = run();
    this.#syncs.set(directory, sync);
    return sync.done;
  }

  #filePath(key: string): string {
    const segments = keySegments(key);
    const name = segments.pop();
    return join(this.#directoryPath(segments), name!);
  }

  #directoryPath(segments: string[]): string {
    return directoryPath(this.#root, segments);
  }

  #temporaryPath(): string {
    temporaryCount += 1;
    return join(this.#root, INCOMING, `${PROCESS_MARK}.${temporaryCount}`);
  }
}

/** Where objects lie whose keys begin with these segments. */
export function directoryPath(root: string, segments: readonly string[]): string {
  return join(root, ...segments.map((segment) => segment + DIRECTORY_MARK));
}

/** Renames into a directory that mostly exists: looking for it first would cost every put. */
async function renameInto(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
    await mkdir(dirname(to), { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    await rename(from, to);
  }
}

async function syncIfPresent(directory: string): Promise<void> {
  try {
    await syncDirectory(directory);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
  }
}

/**
 * Synchronous on purpose: 12 µs for 10 kB against 114 µs through the thread pool, and this is what answers a device's download.
 */
function readWhole(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const octets = new Uint8Array(fstatSync(file).size);
    let length = 0;
    while (length < octets.length) {
      const count = readSync(file, octets, length, octets.length - length, length);
      // A file under its final name is never written again: a short one was damaged from outside.
      if (count === 0) {
        throw new StoreError('io', `expected ${octets.length} octets in ${path}, saw ${length}`);
      }
      length += count;
    }
    return octets;
  } finally {
    closeSync(file);
  }
}

async function* listTree(directory: string, start: string): AsyncIterable<string> {
  // A directory sorts as `name/`: then walking the tree gives the keys in order of their code units.
  for (const entry of await sortedEntries(directory)) {
    if (entry.endsWith('/')) {
      const child = join(directory, entry.slice(0, -1) + DIRECTORY_MARK);
      yield* listTree(child, start + entry);
    } else {
      yield start + entry;
    }
  }
}

/** Names in a directory of objects, in their order; those of directories end with a slash, and are not marked. */
export async function sortedEntries(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      const segment = entry.isDirectory() ? segmentOfDirectory(entry.name) : entry.name;
      // What no key can name is not ours: `.incoming`, `lost+found`, an editor's backup.
      if (!isKeySegment(segment)) continue;
      names.push(entry.isDirectory() ? `${segment}/` : segment);
    }
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw fileError(error, `list ${directory}`);
  }
  return names.sort();
}

function segmentOfDirectory(name: string): string {
  return name.endsWith(DIRECTORY_MARK) ? name.slice(0, -DIRECTORY_MARK.length) : '';
}

/** Removes what dead processes left. A living one's files stay: it may be in the midst of a put. */
async function* removeAbandoned(incoming: string): AsyncGenerator<void, void> {
  try {
    for (const name of await readdir(incoming)) {
      const path = join(incoming, name);
      if (name.startsWith(`${PROCESS_MARK}.`)) continue;
      if (isOtherLivingProcess(Number.parseInt(name, 10)) && !(await isOld(path))) continue;
      yield* removeInSteps(path);
    }
  } catch (error) {
    throw fileError(error, `remove what was left in ${incoming}`);
  }
}

/** Of a tree, file by file: all at once would keep every put waiting behind them. */
async function* removeInSteps(path: string): AsyncGenerator<void, void> {
  let files = 0;
  let begun = performance.now();
  for await (const file of filesBelow(path)) {
    await unlinkIfPresent(file);
    if (++files < FILES_IN_STEP && performance.now() - begun < STEP_MS) continue;
    yield;
    files = 0;
    begun = performance.now();
  }
  // Directories with nothing in them, or a single file.
  await rm(path, { recursive: true, force: true });
}

/**
 * A directory of a period has as many files as the fleet has devices: their names are not read all at once.
 */
async function* filesBelow(path: string): AsyncGenerator<string, void> {
  let directory: Dir;
  try {
    directory = await opendir(path);
  } catch (error) {
    // A file, or one that another process was quicker to remove.
    if (['ENOTDIR', 'ENOENT'].includes(systemCodeOf(error) ?? '')) return;
    throw error;
  }
  for await (const entry of directory) {
    const below = join(path, entry.name);
    if (entry.isDirectory()) yield* filesBelow(below);
    else yield below;
  }
}

/** A third of what rm takes. */
async function unlinkIfPresent(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
  }
}

function isOtherLivingProcess(pid: number): boolean {
  // Our own pid with another mark is a predecessor: in a container every process may be number 1.
  if (!(pid > 0) || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCodeOf(error) === 'EPERM';
  }
}

async function isOld(path: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(path)).mtimeMs > ABANDONED_AFTER_MS;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return true;
    throw error;
  }
}
