import assert from 'node:assert/strict';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type S3Stub, startS3Stub } from '../../../test/support/s3-stub.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { openDirectoryObjectStore } from '../src/directory-object-store.ts';
import { createMemoryObjectStore } from '../src/memory-object-store.ts';
import type { ObjectStore } from '../src/object-store.ts';
import { ObjectsCopy } from '../src/objects-copy.ts';
import { openS3ObjectStore } from '../src/s3-object-store.ts';
import { isStoreError } from '../src/store-error.ts';

const NEVER = new AbortController().signal;

describe('objects that are copied while they change', () => {
  objectsCopy('to memory', async () => createMemoryObjectStore());
  objectsCopy('to a directory', () => openDirectoryObjectStore(temporaryDirectory()));

  describe('to a service', () => {
    let s3: S3Stub;
    let count = 0;
    before(async () => {
      s3 = await startS3Stub();
      Object.assign(process.env, s3.env);
    });
    after(async () => {
      for (const name of Object.keys(s3.env)) delete process.env[name];
      await s3.close();
    });
    objectsCopy('to S3', () =>
      openS3ObjectStore(`s3://${s3.bucket}/copy${count++}?endpoint=${s3.endpoint}`),
    );
  });
});

function objectsCopy(name: string, open: () => Promise<ObjectStore>): void {
  describe(name, () => {
    it('has what is there, and what comes, goes and changes', async () => {
      const { directory, from } = await filled();
      const to = await open();
      await to.put('left/behind', octets(1));
      const copy = new ObjectsCopy(directory, from, to, { signal: NEVER });
      const first = await copy.pass();
      assert.deepEqual(first, { put: 63, same: 0, deleted: 1 });
      await expectTheSame(from, to);

      await from.put('572/a/1', octets(99));
      await from.put('574/new/1', octets(5));
      await from.delete('572/b/2');
      await from.deleteAll('570');
      await from.put('single', octets(7));
      await copy.pass();
      await expectTheSame(from, to);
      await copy.pass();
      await expectTheSame(from, to);
    });

    it('goes on in another process, and puts nothing twice', async () => {
      const { directory, from } = await filled();
      const to = await open();
      await new ObjectsCopy(directory, from, to, { signal: NEVER }).pass();
      await from.put('572/a/1', octets(99));
      const again = new ObjectsCopy(directory, from, to, { signal: NEVER });
      assert.deepEqual(await again.pass(), { put: 1, same: 62, deleted: 0 });
      await expectTheSame(from, to);
    });

    it('looks at no object of a directory that has rested', async () => {
      const { directory, from } = await filled();
      const to = await open();
      let gets = 0;
      const counted: ObjectStore = {
        put: (key, value) => from.put(key, value),
        get(key) {
          gets += 1;
          return from.get(key);
        },
        delete: (key) => from.delete(key),
        deleteAll: (prefix) => from.deleteAll(prefix),
        list: (prefix) => from.list(prefix),
        removeAbandoned: () => from.removeAbandoned(),
      };
      // As a state that was there before: what is younger than two seconds may change unseen.
      const before = new Date(Date.now() - 60_000);
      for (const below of [
        '',
        '570+',
        '571+',
        '572+',
        '570+/a+',
        '571+/a+',
        '572+/a+',
        '572+/b+',
      ]) {
        await utimes(join(directory, below), before, before);
      }
      const copy = new ObjectsCopy(directory, counted, to, { signal: NEVER });
      await copy.pass();
      assert.equal(gets, 63);
      await copy.pass();
      assert.equal(gets, 63);
      await from.put('572/b/2', octets(8));
      await copy.pass();
      assert(gets > 63 && gets < 63 + 40);
      await expectTheSame(from, to);
    });

    it('notices a destination that keeps something else', async () => {
      const { directory, from } = await filled();
      const to = await open();
      const bad: ObjectStore = {
        put: (key, value) => to.put(key, key === '572/a/3' ? octets(1) : value),
        get: (key) => to.get(key),
        delete: (key) => to.delete(key),
        deleteAll: (prefix) => to.deleteAll(prefix),
        list: (prefix) => to.list(prefix),
        removeAbandoned: () => to.removeAbandoned(),
      };
      const copy = new ObjectsCopy(directory, from, bad, { signal: NEVER });
      await assert.rejects(copy.pass(), (error) => isStoreError(error, 'corrupt'));
    });
  });
}

async function filled() {
  const directory = temporaryDirectory();
  const from = await openDirectoryObjectStore(directory);
  for (let n = 0; n < 15; n++) {
    for (const below of ['570/a', '571/a', '572/a', '572/b']) {
      await from.put(`${below}/${n}`, octets(n * 37));
    }
  }
  // A name that is a directory's as well, and one without any.
  await from.put('571', octets(3));
  await from.put('572/a.oer', octets(0));
  await from.put('zero', octets(0));
  return { directory, from };
}

function octets(length: number): Uint8Array {
  return new Uint8Array(length).fill(length % 256);
}

async function expectTheSame(from: ObjectStore, to: ObjectStore): Promise<void> {
  const keys = await Array.fromAsync(from.list(''));
  assert.deepEqual(await Array.fromAsync(to.list('')), keys);
  for (const key of keys) assert.deepEqual(await to.get(key), await from.get(key), key);
}
