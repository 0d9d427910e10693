import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { lockProfile } from '../src/index.ts';
import { temporaryDirectory } from './device.ts';

describe('lockProfile', () => {
  it('lets one in at a time, and leaves nothing behind', async (t) => {
    const path = await temporaryDirectory(t);
    const lock = await lockProfile(path);
    await assert.rejects(lockProfile(path), { code: 'profile-locked' });
    await lock.release();
    await (await lockProfile(path)).release();
    assert.deepEqual(await readdir(path), []);
  });

  it('takes over from a process that is gone, once', async (t) => {
    const path = await temporaryDirectory(t);
    const { pid } = spawnSync(process.execPath, ['--version']);
    await writeFile(join(path, 'lock'), `${pid}\nabc\n`);
    const taken = await Promise.allSettled([lockProfile(path), lockProfile(path)]);
    const won = taken.filter(({ status }) => status === 'fulfilled');
    assert.equal(won.length, 1);
    assert.deepEqual(await readdir(path), ['lock']);
  });

  it('does not take over from a process that lives', async (t) => {
    const path = await temporaryDirectory(t);
    await writeFile(join(path, 'lock'), `${process.ppid}\nabc\n`);
    await assert.rejects(lockProfile(path), {
      code: 'profile-locked',
      message: new RegExp(`held by process ${process.ppid}`),
    });
  });

  it('takes over a lock that names nobody', async (t) => {
    const path = await temporaryDirectory(t);
    await writeFile(join(path, 'lock'), '');
    await (await lockProfile(path)).release();
  });
});
