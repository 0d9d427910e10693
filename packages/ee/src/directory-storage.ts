import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { EeError, messageOf } from './error.ts';
import type { ProfileStorage } from './profile-storage.ts';

/** Private keys lie in these files: nobody but the owner reads them. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** What an interrupted write leaves behind: `.<name>.<random>.tmp`. */
const TEMPORARY = /^\..*\.[0-9a-f]{16}\.tmp$/;

/** No write of a report takes longer. */
const WRITE_MS = 60_000;

const REPORTS = 'reports';

/** The folders of a profile; a fixed list, so that the sweep never walks a directory that is not ours. */
const FOLDERS = [
  'bundle',
  'bundle/certificates',
  'batches',
  'certificates',
  'anew',
  'identification',
  'identification/batches',
  'identification/certificates',
  'identification/anew',
  'application',
  'application/requests',
  'application/batches',
  'application/certificates',
  REPORTS,
] as const;

/** Files with private keys in them, by their names. */
const HOLDS_KEYS =
  /(?:^|\/)(?:[^/]*\.key|provisioning\.json|(?:certificates|requests)\/[^/]*\.json)$/;

/** The mode bits that let anyone but the owner touch a file. */
const GROUP_AND_OTHERS = 0o077;

/**
 * The profile in a directory of mode 0700, files of mode 0600, each replaced by temporary file,
 * fsync, rename and fsync of the directory.
 */
export class DirectoryStorage implements ProfileStorage {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** @throws EeError `profile-missing` unless `create` is set, `storage` */
  static async open(path: string, options: { create?: boolean } = {}): Promise<DirectoryStorage> {
    const whole = resolve(path);
    return attempt(`open ${whole}`, async () => {
      if (options.create === true) {
        await createDirectory(whole);
      } else if (!(await isDirectory(whole))) {
        throw new EeError('profile-missing', `expected a profile in ${whole}, saw none`);
      }
      return new DirectoryStorage(whole);
    });
  }

  /** Removes what interrupted writes left; keys may be in it. Only under the profile's lock. */
  async sweep(): Promise<void> {
    for (const folder of ['.', ...FOLDERS]) {
      for (const name of await this.#entries(folder)) {
        if (!TEMPORARY.test(name)) continue;
        // A report is written without the lock; it is sealed, and holds no key.
        if (folder === REPORTS && (await this.#isFresh(join(folder, name)))) continue;
        await this.remove(join(folder, name));
      }
    }
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return attempt(`read ${name}`, async () => {
      try {
        if (HOLDS_KEYS.test(name)) await refuseReadableByOthers(join(this.path, name));
        // Copied out of the Buffer, which may be a slice of node's pool.
        return new Uint8Array(await readFile(join(this.path, name)));
      } catch (error) {
        if (systemCodeOf(error) === 'ENOENT') return undefined;
        throw error;
      }
    });
  }

  async write(name: string, octets: Uint8Array): Promise<void> {
    await attempt(`write ${name}`, async () => {
      await this.#createFolderOf(name);
      await replaceFile(join(this.path, name), octets);
    });
  }

  async append(name: string, octets: Uint8Array): Promise<void> {
    await attempt(`append to ${name}`, async () => {
      await this.#createFolderOf(name);
      await appendFile(join(this.path, name), octets, { mode: FILE_MODE });
    });
  }

  async remove(name: string): Promise<void> {
    await attempt(`remove ${name}`, async () => {
      const path = join(this.path, name);
      if (!(await isDirectory(dirname(path)))) return;
      await rm(path, { force: true });
      await syncDirectory(dirname(path));
    });
  }

  async list(folder: string): Promise<string[]> {
    const names = await this.#entries(folder);
    return names.filter((name) => !TEMPORARY.test(name)).sort();
  }

  async #createFolderOf(name: string): Promise<void> {
    let folder = this.path;
    // One level after the other, for each is to be durable in the one above it.
    for (const part of name.split('/').slice(0, -1)) {
      folder = join(folder, part);
      await createDirectory(folder);
    }
  }

  /** Whether a file may be one that is being written. */
  async #isFresh(name: string): Promise<boolean> {
    return attempt(`look at ${name}`, async () => {
      try {
        return Date.now() - (await stat(join(this.path, name))).mtimeMs < WRITE_MS;
      } catch (error) {
        if (systemCodeOf(error) === 'ENOENT') return true;
        throw error;
      }
    });
  }

  async #entries(folder: string): Promise<string[]> {
    return attempt(`list ${folder}`, async () => {
      try {
        const entries = await readdir(join(this.path, folder), { withFileTypes: true });
        return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
      } catch (error) {
        if (systemCodeOf(error) === 'ENOENT') return [];
        throw error;
      }
    });
  }
}

/** The code of an error of the operating system, such as `ENOENT`. */
export function systemCodeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/**
 * A key that others can read is no secret: better not to go on than to use one.
 *
 * @throws EeError `insecure-key-file`
 */
export async function refuseReadableByOthers(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & GROUP_AND_OTHERS) === 0) return;
  const seen = (mode & 0o777).toString(8).padStart(3, '0');
  throw new EeError(
    'insecure-key-file',
    `${path}: expected a key file that only its owner can read, saw mode ${seen}`,
    { hint: `chmod 600 ${path}` },
  );
}

async function replaceFile(path: string, octets: Uint8Array): Promise<void> {
  const suffix = randomBytes(8).toString('hex');
  const temporary = join(dirname(path), `.${basename(path)}.${suffix}.tmp`);
  try {
    const file = await open(temporary, 'wx', FILE_MODE);
    try {
      await file.writeFile(octets);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}

/** Makes the names in a directory durable. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function createDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
  if (first !== undefined) await syncDirectory(dirname(first));
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof EeError) throw cause;
    throw new EeError('storage', `expected to ${what}: ${messageOf(cause)}`, { cause });
  }
}
