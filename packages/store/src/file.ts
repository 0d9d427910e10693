import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileError, systemCodeOf } from './store-error.ts';

/** Keys and devices' data lie in these files: nobody but the owner reads them. */
export const PRIVATE_FILE_MODE = 0o600;
export const PRIVATE_DIRECTORY_MODE = 0o700;

/**
 * Replaces the file at `path`. When it resolves, the octets survive a power cut; a reader, and
 * whoever looks after a crash, sees the old file whole or the new one whole. A crash may leave a
 * `.<name>.<random>.tmp` beside it. The directory must exist.
 * @throws StoreError `full`, `io`
 */
export async function writeFileDurably(
  path: string,
  octets: Uint8Array,
  mode: number = PRIVATE_FILE_MODE,
): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${randomBytes(8).toString('hex')}.tmp`);
  try {
    await writeNewFile(temporary, octets, mode);
    await rename(temporary, path);
    await syncDirectory(directory);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(error, `write ${path}`);
  }
}

/**
 * The octets of the file at `path`, undefined when there is none.
 * @throws StoreError `io`
 */
export async function readFileIfPresent(path: string): Promise<Uint8Array | undefined> {
  try {
    // Copied out of the Buffer, which may be a slice of node's pool.
    return new Uint8Array(await readFile(path));
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw fileError(error, `read ${path}`);
  }
}

/**
 * The names in a directory; none when there is no such directory.
 * @throws StoreError `io`
 */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw fileError(error, `list ${directory}`);
  }
}

/**
 * Removes the file at `path`; when it resolves, the file stays gone after a power cut. That it
 * was absent is no error.
 * @throws StoreError `io`
 */
export async function removeFileDurably(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
    // Also when the file was absent: an earlier removal may have been interrupted before its sync.
    await syncDirectory(dirname(path));
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return;
    throw fileError(error, `remove ${path}`);
  }
}

/** Writes a file that does not exist yet, down to stable storage. Its name is not durable yet. */
export async function writeNewFile(path: string, octets: Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(octets);
    // The mode given to open is cut by the umask, and the caller means what it says.
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the names in a directory durable: what was created, renamed or removed in it. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Creates the directory and those above it where they are missing, each made durable in turn. */
export async function createDirectoryDurably(path: string): Promise<void> {
  const whole = resolve(path);
  try {
    await mkdir(whole, { mode: PRIVATE_DIRECTORY_MODE });
  } catch (error) {
    const systemCode = systemCodeOf(error);
    if (systemCode === 'EEXIST' && (await stat(whole)).isDirectory()) return;
    if (systemCode !== 'ENOENT' || dirname(whole) === whole) throw error;
    await createDirectoryDurably(dirname(whole));
    return createDirectoryDurably(whole);
  }
  await syncDirectory(dirname(whole));
}
