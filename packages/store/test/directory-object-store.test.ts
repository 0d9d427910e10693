import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { openDirectoryObjectStore } from '../src/directory-object-store.ts';
import { MAX_OBJECT_OCTETS } from '../src/object-store.ts';
import { isStoreError } from '../src/store-error.ts';
import { clear, keysOf, objectStoreConformance } from './object-store-conformance.ts';
import { recordSyncs } from './sync-recorder.ts';

objectStoreConformance('directory', async () =>
  openDirectoryObjectStore(join(temporaryDirectory(), 'objects')),
);

const onLinux = { skip: process.platform !== 'linux' && 'names of open files come from /proc' };

describe('directory object store', () => {
  it('shows what was put to a store opened later, and to one opened before', async () => {
    const directory = temporaryDirectory();
    const early = await openDirectoryObjectStore(directory);
    const store = await openDirectoryObjectStore(directory);
    await store.put('a/b', Uint8Array.of(1));
    assert.deepEqual(await early.get('a/b'), Uint8Array.of(1));
    const late = await openDirectoryObjectStore(directory);
    assert.deepEqual(await late.get('a/b'), Uint8Array.of(1));
  });

  it('lays an object down as a file that only its owner reads', async () => {
    const root = join(temporaryDirectory(), 'x', 'y');
    const store = await openDirectoryObjectStore(root);
    await store.put('7/ab.zip', Uint8Array.of(1, 2));
    const path = join(root, '7+', 'ab.zip');
    assert.deepEqual(new Uint8Array(await readFile(path)), Uint8Array.of(1, 2));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    for (const directory of [join(root, '7+'), join(root, '.incoming'), root, join(root, '..')]) {
      assert.equal((await stat(directory)).mode & 0o777, 0o700, directory);
    }
  });

  it('syncs the file before its name, and the way to a new directory once', onLinux, async (t) => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    const synced = await recordSyncs(t);
    await store.put('a/b/one', Uint8Array.of(1));
    assert.match(synced[0]!, /\.incoming\//);
    assert.deepEqual(synced.slice(1), [join(root, 'a+', 'b+'), join(root, 'a+'), root]);
    synced.length = 0;
    await store.put('a/b/two', Uint8Array.of(2));
    assert.match(synced[0]!, /\.incoming\//);
    assert.deepEqual(synced.slice(1), [join(root, 'a+', 'b+')]);
  });

  it('syncs the way to a directory anew after it was dropped', onLinux, async (t) => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    await store.put('a/one', Uint8Array.of(1));
    const synced = await recordSyncs(t);
    await store.deleteAll('a');
    assert.deepEqual(synced, [root], 'the removal itself is durable');
    await store.put('a/one', Uint8Array.of(1));
    assert.deepEqual(synced.slice(2), [join(root, 'a+'), root]);
  });

  it(
    'shares the sync of a directory among puts, each of which has one that began after it',
    onLinux,
    async (t) => {
      const root = temporaryDirectory();
      const store = await openDirectoryObjectStore(root);
      const directory = join(root, 'a+');
      await store.put('a/first', Uint8Array.of(1));
      const names = Array.from({ length: 16 }, (_, n) => `n${n}`);
      /** What lay in the directory as each of its syncs began. */
      const covered: string[][] = [];
      await recordSyncs(t, async (path) => {
        if (path !== directory) return false;
        covered.push(await readdir(directory));
        // The first is held until all others have been renamed, and could not share it.
        while (covered.length === 1 && (await readdir(directory)).length < 1 + names.length) {
          await setImmediate();
        }
        return false;
      });
      await Promise.all(
        names.map(async (name) => {
          await store.put(`a/${name}`, Uint8Array.of(2));
          assert(
            covered.some((seen) => seen.includes(name)),
            name,
          );
        }),
      );
      assert(covered.length < names.length, `${covered.length} syncs for ${names.length} puts`);
    },
  );

  it(
    'tells every put that shares a sync of its failure, and syncs anew after it',
    onLinux,
    async (t) => {
      const root = temporaryDirectory();
      const store = await openDirectoryObjectStore(root);
      await store.put('a/first', Uint8Array.of(1));
      let isBroken = true;
      await recordSyncs(t, (path) => isBroken && path === join(root, 'a+'));
      const puts = ['one', 'two', 'three'].map((name) => store.put(`a/${name}`, Uint8Array.of(1)));
      for (const put of await Promise.allSettled(puts)) {
        assert(put.status === 'rejected' && isStoreError(put.reason, 'io'));
      }
      isBroken = false;
      await store.put('a/one', Uint8Array.of(2));
      assert.deepEqual(await store.get('a/one'), Uint8Array.of(2));
    },
  );

  it('syncs a deletion', onLinux, async (t) => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    await store.put('a/one', Uint8Array.of(1));
    const synced = await recordSyncs(t);
    await store.delete('a/one');
    assert.deepEqual(synced, [join(root, 'a+')]);
  });

  it('keeps the old octets and no litter when the file cannot be synced', onLinux, async (t) => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    await store.put('a', Uint8Array.of(1));
    await recordSyncs(t, (path) => path.includes('.incoming/'));
    await assert.rejects(store.put('a', Uint8Array.of(2)), (error) => isStoreError(error, 'io'));
    assert.deepEqual(await store.get('a'), Uint8Array.of(1));
    assert.deepEqual(await readdir(join(root, '.incoming')), []);
  });

  it('does not report success when the name cannot be synced', onLinux, async (t) => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    await recordSyncs(t, (path) => path === root);
    await assert.rejects(store.put('a', Uint8Array.of(2)), (error) => isStoreError(error, 'io'));
  });

  it('removes what dead processes left, and nothing that a living one is writing', async () => {
    const root = temporaryDirectory();
    await openDirectoryObjectStore(root);
    const incoming = join(root, '.incoming');
    const dead = spawn(process.execPath, ['-e', '0']);
    await once(dead, 'exit');
    await writeFile(join(incoming, `${dead.pid}.0123456789ab.1`), 'left over');
    await mkdir(join(incoming, `${dead.pid}.0123456789ab.2`, 'tree+'), { recursive: true });
    await writeFile(
      join(incoming, `${process.pid}.000000000000.1`),
      'an earlier process of our pid',
    );
    await writeFile(join(incoming, 'stray'), 'of unknown origin');
    await writeFile(join(incoming, `${process.ppid}.0123456789ab.1`), 'being written');
    await writeFile(join(incoming, `${process.ppid}.0123456789ab.2`), 'written long ago');
    await utimes(join(incoming, `${process.ppid}.0123456789ab.2`), 1, 1);

    const store = await openDirectoryObjectStore(root);
    await clear(store);
    assert.deepEqual(await readdir(incoming), [`${process.ppid}.0123456789ab.1`]);
    assert.deepEqual(await keysOf(store, ''), [], 'what is unfinished is not listed');
  });

  it('does not wait, to open, for what a killed deleteAll left, and removes it in steps', async () => {
    const { root, left } = await withLeftPeriod(350);
    const store = await openDirectoryObjectStore(root);
    assert.equal(await left(), 350, 'none of it is gone yet');
    await store.put('573/a', Uint8Array.of(1));
    const steps = await clear(store);
    assert(steps >= 3, `${steps} steps for 350 files`);
    assert.deepEqual(await readdir(join(root, '.incoming')), []);
    assert.deepEqual(await keysOf(store, ''), ['573/a']);
  });

  it('goes on with the next open where a process ended', async () => {
    const { root, left } = await withLeftPeriod(350);
    for await (const _ of (await openDirectoryObjectStore(root)).removeAbandoned()) break;
    const rest = await left();
    assert(rest > 0 && rest < 350, `${rest} of 350`);
    // Another takes the rest meanwhile: neither minds.
    const [one, two] = [await openDirectoryObjectStore(root), await openDirectoryObjectStore(root)];
    await Promise.all([clear(one), clear(two)]);
    assert.deepEqual(await readdir(join(root, '.incoming')), []);
  });

  it('says when it cannot, and opens all the same', async () => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    await store.put('a', Uint8Array.of(1));
    await rm(join(root, '.incoming'), { recursive: true });
    await assert.rejects(clear(store), (error) => isStoreError(error, 'io'));
    const again = await openDirectoryObjectStore(root);
    assert.deepEqual(await again.get('a'), Uint8Array.of(1));
  });

  it('leaves alone what another store of this process is writing', onLinux, async (t) => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    const stillThere: boolean[] = [];
    await recordSyncs(t, async (path) => {
      if (!path.includes('.incoming/')) return false;
      await clear(await openDirectoryObjectStore(root));
      stillThere.push(existsSync(path));
      return false;
    });
    await store.put('a', Uint8Array.of(1));
    assert.deepEqual(stillThere, [true]);
  });

  it('puts anew what was taken away under it, and gives up in the end', onLinux, async (t) => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    let losses = 3;
    await recordSyncs(t, async (path) => {
      // What an open in another container does, which cannot see that our process lives.
      if (path.includes('.incoming/') && losses-- > 0) await rm(path);
      return false;
    });
    await store.put('a', Uint8Array.of(1));
    assert.deepEqual(await store.get('a'), Uint8Array.of(1));
    losses = Number.POSITIVE_INFINITY;
    await assert.rejects(store.put('a', Uint8Array.of(2)), (error) => isStoreError(error, 'io'));
    assert.deepEqual(await store.get('a'), Uint8Array.of(1));
  });

  it('leaves no litter where it dropped a prefix', async () => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    await store.put('a/b/c', Uint8Array.of(1));
    await store.deleteAll('a');
    assert.deepEqual(await readdir(join(root, '.incoming')), []);
    assert.deepEqual(await readdir(root), ['.incoming']);
  });

  it('syncs the way to the directory it creates', onLinux, async (t) => {
    const directory = temporaryDirectory();
    const synced = await recordSyncs(t);
    await openDirectoryObjectStore(join(directory, 'x', 'y'));
    const way = [directory, join(directory, 'x'), join(directory, 'x', 'y')];
    assert.deepEqual(synced, way);
  });

  it('does not list what no key can name', async () => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    await mkdir(join(root, 'lost+found'));
    await mkdir(join(root, 'plain'));
    await writeFile(join(root, 'plain', 'a'), '');
    await writeFile(join(root, 'backup~'), '');
    const inTheWay = store.put('plain', Uint8Array.of(1));
    await assert.rejects(inTheWay, (error) => isStoreError(error, 'io'));
    assert.deepEqual(await keysOf(store, ''), []);
  });

  it('refuses an object over the limit before it writes anything', async () => {
    const root = temporaryDirectory();
    const store = await openDirectoryObjectStore(root);
    const huge = new Uint8Array(MAX_OBJECT_OCTETS + 1);
    await assert.rejects(store.put('a', huge), (error) => isStoreError(error, 'too-large'));
    assert.deepEqual(await readdir(root), ['.incoming']);
  });

  it('reports a root that is a file as io', async () => {
    const path = join(temporaryDirectory(), 'file');
    await writeFile(path, '');
    await assert.rejects(openDirectoryObjectStore(path), (error) => isStoreError(error, 'io'));
  });

  it('never touches anything outside its directory, whatever the key', async () => {
    const outer = temporaryDirectory();
    const store = await openDirectoryObjectStore(join(outer, 'root'));
    const piece = fc.oneof(
      fc.constantFrom('..', '.', '/', '\\', '\0', '%2e', '+', 'a'),
      fc.string(),
    );
    const key = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(''));
    await fc.assert(
      fc.asyncProperty(key, async (candidate) => {
        try {
          await store.put(candidate, Uint8Array.of(1));
          assert.deepEqual(await store.get(candidate), Uint8Array.of(1));
          await store.delete(candidate);
        } catch (error) {
          assert(isStoreError(error, 'invalid-key'), String(error));
        }
        assert.deepEqual(await readdir(outer), ['root']);
      }),
      { numRuns: 300 },
    );
  });
});

/** The files of a period that a process was removing when it was killed. */
async function withLeftPeriod(files: number) {
  const root = temporaryDirectory();
  const period = join(root, '.incoming', '0.0123456789ab.1', 'below+');
  await mkdir(period, { recursive: true });
  for (let n = 0; n < files; n++) await writeFile(join(period, String(n)), '');
  return { root, left: async () => (await readdir(period)).length };
}
