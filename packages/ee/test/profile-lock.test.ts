import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { lockProfile } from '../src/index.ts';

describe('lockProfile', () => {
  it('lets one in at a time, and leaves nothing behind', async () => {
    const path = temporaryDirectory();
    const lock = await lockProfile(path);
    await assert.rejects(lockProfile(path), { code: 'profile-locked' });
    await lock.release();
    await (await lockProfile(path)).release();
    assert.deepEqual(await readdir(path), []);
  });

  it('takes over from a process that is gone, once', async () => {
    const path = temporaryDirectory();
    const { pid } = spawnSync(process.execPath, ['--version']);
    await writeFile(join(path, 'lock'), `${pid}\nabc\n`);
    const taken = await Promise.allSettled([lockProfile(path), lockProfile(path)]);
    const won = taken.filter(({ status }) => status === 'fulfilled');
    assert.equal(won.length, 1);
    assert.deepEqual(await readdir(path), ['lock']);
  });

  it('does not take over from a process that lives', async () => {
    const path = temporaryDirectory();
    await writeFile(join(path, 'lock'), `${process.ppid}\nabc\n`);
    await assert.rejects(lockProfile(path), {
      code: 'profile-locked',
      message: new RegExp(`held by process ${process.ppid}`),
    });
  });

  const skip = existsSync('/proc/self/task') ? false : 'no /proc on this system';
  it('takes over from a process that was killed and that its parent does not ask for', {
    skip,
  }, async (t) => {
    const path = temporaryDirectory();
    // The shell becomes a sleep, which has never heard of the child that it has.
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
    t.after(() => parent.kill());
    const [line] = await once(parent.stdout, 'data');
    const pid = Number(line);
    await writeFile(join(path, 'lock'), `${pid}\nabc\n`);
    await assert.rejects(lockProfile(path), { code: 'profile-locked' });
    process.kill(pid, 'SIGKILL');
    const state = () => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.[0];
    while (state() !== 'Z') await new Promise((resolve) => setTimeout(resolve, 10));
    process.kill(pid, 0);
    await (await lockProfile(path)).release();
  });

  it('takes over a lock that names nobody', async () => {
    const path = temporaryDirectory();
    await writeFile(join(path, 'lock'), '');
    await (await lockProfile(path)).release();
  });
});
