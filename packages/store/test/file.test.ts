import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { readFileIfPresent, removeFileDurably, writeFileDurably } from '../src/file.ts';
import { isStoreError } from '../src/store-error.ts';
import { recordSyncs } from './sync-recorder.ts';

const onLinux = { skip: process.platform !== 'linux' && 'names of open files come from /proc' };
const io = (error: unknown) => isStoreError(error, 'io');

describe('durable files', () => {
  it('writes, replaces and reads whole files', async () => {
    const path = join(temporaryDirectory(), 'key');
    assert.equal(await readFileIfPresent(path), undefined);
    await writeFileDurably(path, Uint8Array.of(1, 2, 3));
    await writeFileDurably(path, Uint8Array.of(4));
    const octets = await readFileIfPresent(path);
    assert.deepEqual(octets, Uint8Array.of(4));
    assert.equal(Object.getPrototypeOf(octets), Uint8Array.prototype);
  });

  it('gives the file the asked mode whatever was there before, private by default', async () => {
    const path = join(temporaryDirectory(), 'key');
    await writeFile(path, 'old');
    await chmod(path, 0o666);
    await writeFileDurably(path, Uint8Array.of(1));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await writeFileDurably(path, Uint8Array.of(1), 0o666);
    assert.equal((await stat(path)).mode & 0o777, 0o666, 'not cut by the umask');
  });

  it('syncs the file, then the directory', onLinux, async (t) => {
    const directory = temporaryDirectory();
    const synced = await recordSyncs(t);
    await writeFileDurably(join(directory, 'key'), Uint8Array.of(1));
    assert.equal(synced.length, 2);
    assert.match(synced[0]!, /\.key\.[0-9a-f]+\.tmp$/);
    assert.equal(synced[1], directory);
  });

  it('leaves the old file and no litter when it fails', onLinux, async (t) => {
    const directory = temporaryDirectory();
    const path = join(directory, 'key');
    await writeFileDurably(path, Uint8Array.of(1));
    await recordSyncs(t, (synced) => synced.endsWith('.tmp'));
    await assert.rejects(writeFileDurably(path, Uint8Array.of(2)), io);
    assert.deepEqual(await readFileIfPresent(path), Uint8Array.of(1));
    assert.deepEqual(await readdir(directory), ['key']);
  });

  it('removes durably, and an absent file is no error', onLinux, async (t) => {
    const directory = temporaryDirectory();
    const path = join(directory, 'key');
    await writeFileDurably(path, Uint8Array.of(1));
    const synced = await recordSyncs(t);
    await removeFileDurably(path);
    await removeFileDurably(path);
    await removeFileDurably(join(directory, 'no', 'such', 'directory'));
    assert.deepEqual(synced, [directory, directory]);
    assert.equal(await readFileIfPresent(path), undefined);
  });

  it('reports what is not a file, or has no directory, as io', async () => {
    const directory = temporaryDirectory();
    await mkdir(join(directory, 'sub'));
    await assert.rejects(readFileIfPresent(join(directory, 'sub')), io);
    await assert.rejects(writeFileDurably(join(directory, 'none', 'key'), Uint8Array.of(1)), io);
    await assert.rejects(removeFileDurably(join(directory, 'sub')), io);
  });
});
