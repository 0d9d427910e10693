import assert from 'node:assert/strict';
import { chmod, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { DirectoryStorage } from '../src/index.ts';

const OCTETS = Uint8Array.of(1, 2, 3);

describe('DirectoryStorage', () => {
  it('keeps files of mode 0600 in a directory of mode 0700', async () => {
    const path = join(temporaryDirectory(), 'obu');
    const storage = await DirectoryStorage.open(path, { create: true });
    await storage.write('batches/1.zip', OCTETS);
    await storage.append('batches/1.part', OCTETS);
    assert.equal((await stat(path)).mode & 0o777, 0o700);
    assert.equal((await stat(join(path, 'batches'))).mode & 0o777, 0o700);
    assert.equal((await stat(join(path, 'batches/1.zip'))).mode & 0o777, 0o600);
    assert.equal((await stat(join(path, 'batches/1.part'))).mode & 0o777, 0o600);
  });

  it('reads no file with keys in it that others could read', async () => {
    const path = join(temporaryDirectory(), 'obu');
    const storage = await DirectoryStorage.open(path, { create: true });
    const names = [
      'enrollment.key',
      'provisioning.json',
      'identification/provisioning.json',
      'certificates/1.json',
      'application/certificates/1.json',
      'application/requests/0.json',
    ];
    for (const name of names) {
      await storage.write(name, OCTETS);
      for (const mode of [0o644, 0o640, 0o602]) {
        await chmod(join(path, name), mode);
        await assert.rejects(storage.read(name), {
          code: 'insecure-key-file',
          message: new RegExp(`saw mode ${mode.toString(8)}$`),
          hint: `chmod 600 ${join(path, name)}`,
        });
      }
      await storage.write(name, OCTETS);
      assert.deepEqual(await storage.read(name), OCTETS);
    }
    await storage.write('bundle/certificates/ra.oer', OCTETS);
    await chmod(join(path, 'bundle/certificates/ra.oer'), 0o644);
    assert.deepEqual(await storage.read('bundle/certificates/ra.oer'), OCTETS);
  });

  it('replaces, appends, lists and removes', async () => {
    const storage = await DirectoryStorage.open(temporaryDirectory(), { create: true });
    assert.equal(await storage.read('a'), undefined);
    await storage.write('a', OCTETS);
    await storage.write('a', Uint8Array.of(9));
    await storage.append('a', OCTETS);
    assert.deepEqual(await storage.read('a'), Uint8Array.of(9, 1, 2, 3));
    await storage.write('batches/B.zip', OCTETS);
    await storage.write('batches/A.zip', OCTETS);
    assert.deepEqual(await storage.list('batches'), ['A.zip', 'B.zip']);
    assert.deepEqual(await storage.list('nowhere'), []);
    await storage.remove('a');
    await storage.remove('a');
    assert.equal(await storage.read('a'), undefined);
  });

  it('refuses a profile that is not there', async () => {
    await assert.rejects(DirectoryStorage.open(join(temporaryDirectory(), 'none')), {
      code: 'profile-missing',
    });
  });

  it('sweeps what interrupted writes left, and nothing else', async () => {
    const path = temporaryDirectory();
    const storage = await DirectoryStorage.open(path, { create: true });
    const left = '.provisioning.json.0123456789abcdef.tmp';
    await storage.write('batches/A.zip', OCTETS);
    await writeFile(join(path, left), 'half');
    await writeFile(join(path, 'batches', '.A.zip.0123456789abcdef.tmp'), 'half');
    await writeFile(join(path, '.tmp'), 'mine');
    assert.deepEqual(await storage.list('batches'), ['A.zip']);
    await storage.sweep();
    const names = await readdir(path);
    assert(!names.includes(left) && names.includes('.tmp'));
    assert.deepEqual(await readdir(join(path, 'batches')), ['A.zip']);
  });

  it('leaves a report that is being written without the lock, for a minute', async () => {
    const path = temporaryDirectory();
    const storage = await DirectoryStorage.open(path, { create: true });
    await storage.write('reports/a.oer', OCTETS);
    const [fresh, stale] = ['0', 'f'].map((digit) => `.b.oer.${digit.repeat(16)}.tmp`);
    await writeFile(join(path, 'reports', fresh!), 'half');
    await writeFile(join(path, 'reports', stale!), 'half');
    const hourAgo = Date.now() / 1_000 - 3_600;
    await utimes(join(path, 'reports', stale!), hourAgo, hourAgo);
    await storage.sweep();
    assert.deepEqual((await readdir(join(path, 'reports'))).sort(), [fresh, 'a.oer']);
  });

  it('says when the disk refuses, and leaves no half of a file', async () => {
    const path = temporaryDirectory();
    const storage = await DirectoryStorage.open(path, { create: true });
    // A folder stands where the file should be.
    await storage.write('batches/A.zip', OCTETS);
    await assert.rejects(storage.write('batches', OCTETS), {
      code: 'storage',
      message: /expected to write batches/,
    });
    assert.deepEqual((await readdir(path)).sort(), ['batches']);
    await assert.rejects(storage.read('batches'), { code: 'storage' });
  });
});
