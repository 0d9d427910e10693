import { randomBytes } from 'node:crypto';
import { link, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCodeOf } from './directory-storage.ts';
import { EeError } from './error.ts';

const LOCK_NAME = 'lock';

/** Held while one process works on a profile. */
export interface ProfileLock extends AsyncDisposable {
  release(): Promise<void>;
}

/**
 * Takes a profile for this process: a file `lock` with the process id. The lock of a process that
 * is gone, or a zombie, is taken over. Whether a process lives is asked of this machine only: a profile on a disk
 * that several machines write is not protected.
 *
 * @throws EeError `profile-locked`, `storage`
 */
export async function lockProfile(directory: string): Promise<ProfileLock> {
  const path = join(directory, LOCK_NAME);
  // A second line tells our lock from that of another process with the same, reused id.
  const mine = `${process.pid}\n${randomBytes(8).toString('hex')}\n`;
  try {
    if (!(await createLock(path, mine))) {
      await removeStaleLock(path);
      if (!(await createLock(path, mine))) throw locked(path, 'another process');
    }
  } catch (cause) {
    if (cause instanceof EeError) throw cause;
    throw new EeError('storage', `expected to make ${path}`, { cause });
  }
  const release = async () => {
    if ((await readLock(path)) === mine) await rm(path, { force: true });
  };
  return { release, [Symbol.asyncDispose]: release };
}

async function createLock(path: string, content: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.close();
    // Linked with its content in it: nobody ever reads a lock that is still empty.
    await link(temporary, path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function removeStaleLock(path: string): Promise<void> {
  const seen = await readLock(path);
  if (seen === undefined) return;
  const pid = Number.parseInt(seen, 10);
  // Our own id: this process holds it already, or it is what a process of the same id left behind
  // before a reboot; the two cannot be told apart, and a second holder would be the worse mistake.
  if (await isAlive(pid)) throw locked(path, `process ${pid}`);
  const aside = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    await rename(path, aside);
    // Between our look and the rename another process may have taken the stale lock over.
    if ((await readLock(aside)) !== seen) await link(aside, path);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT' && systemCodeOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

async function readLock(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function isAlive(pid: number): Promise<boolean> {
  if (!isKnown(pid)) return false;
  // Whoever vanished while we looked is asked for once more.
  return (await isZombie(pid)) ? false : isKnown(pid);
}

function isKnown(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return systemCodeOf(error) === 'EPERM';
  }
}

/**
 * A process that was killed keeps its id until its parent has asked for its status, which some parents never do. It is
 * gone when all its threads are: the first may have ended while another still writes. Where there is no /proc, nobody is
 * taken for a zombie.
 */
async function isZombie(pid: number): Promise<boolean> {
  const tasks = `/proc/${pid}/task`;
  try {
    const threads = await readdir(tasks);
    const stats = await Promise.all(
      threads.map((id) => readFile(join(tasks, id, 'stat'), 'latin1')),
    );
    // proc(5): "pid (name) state ...", where the name may have parentheses in it.
    return (
      stats.length > 0 && stats.every((stat) => /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2)))
    );
  } catch {
    return false;
  }
}

function locked(path: string, holder: string): EeError {
  return new EeError('profile-locked', `expected a free profile, saw ${path} held by ${holder}`);
}
