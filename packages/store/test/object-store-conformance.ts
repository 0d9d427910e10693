import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { ObjectStore } from '../src/object-store.ts';
import { isStoreError } from '../src/store-error.ts';

/** What every ObjectStore promises; `open` gives an empty one. Where a call costs more, fewer sequences are run. */
export function objectStoreConformance(
  name: string,
  open: (t: TestContext) => Promise<ObjectStore>,
  numRuns = 40,
): void {
  describe(`${name} as an object store`, () => {
    it('gives back what was put, as the reader’s own plain Uint8Array', async (t) => {
      const store = await open(t);
      const octets = Uint8Array.of(1, 2, 3);
      await store.put('a', octets);
      const first = await store.get('a');
      assert.equal(Object.getPrototypeOf(first), Uint8Array.prototype);
      assert.equal(first!.buffer.byteLength, 3, 'no view on somebody else’s memory');
      first![0] = 99;
      assert.deepEqual(await store.get('a'), octets);
    });

    it('is not changed by what the caller does to its octets after put', async (t) => {
      const store = await open(t);
      const octets = new Uint8Array(100_000).fill(1);
      const put = store.put('a', octets);
      octets.fill(2);
      await put;
      assert.deepEqual(await store.get('a'), new Uint8Array(100_000).fill(1));
    });

    it('removes nothing that was put', async (t) => {
      const store = await open(t);
      await store.put('a/b', Uint8Array.of(1));
      await clear(store);
      assert.deepEqual(await store.get('a/b'), Uint8Array.of(1));
    });

    it('tells an empty object from an absent one', async (t) => {
      const store = await open(t);
      await store.put('empty', new Uint8Array(0));
      assert.deepEqual(await store.get('empty'), new Uint8Array(0));
      assert.equal(await store.get('absent'), undefined);
      assert.equal(await store.get('absent/too'), undefined);
    });

    it('replaces on a second put', async (t) => {
      const store = await open(t);
      await store.put('a/b', new Uint8Array(1000));
      await store.put('a/b', Uint8Array.of(7));
      assert.deepEqual(await store.get('a/b'), Uint8Array.of(7));
      assert.deepEqual(await keysOf(store, ''), ['a/b']);
    });

    it('holds a key and a longer key below it side by side', async (t) => {
      const store = await open(t);
      await store.put('a', Uint8Array.of(1));
      await store.put('a/b', Uint8Array.of(2));
      await store.put('a/b/c', Uint8Array.of(3));
      assert.deepEqual(await store.get('a'), Uint8Array.of(1));
      assert.deepEqual(await store.get('a/b'), Uint8Array.of(2));
      await store.deleteAll('a/b');
      assert.deepEqual(await keysOf(store, ''), ['a', 'a/b']);
    });

    it('deletes, and an absent key is no error', async (t) => {
      const store = await open(t);
      await store.put('a/b', Uint8Array.of(1));
      await store.delete('a/b');
      await store.delete('a/b');
      await store.delete('never/was/here');
      assert.equal(await store.get('a/b'), undefined);
      assert.deepEqual(await keysOf(store, ''), []);
    });

    it('drops a prefix whole, and not its neighbours of a similar name', async (t) => {
      const store = await open(t);
      for (const key of ['12', '12/a', '12/b/c', '123/a', '1/12/a']) {
        await store.put(key, Uint8Array.of(1));
      }
      await store.deleteAll('12');
      await store.deleteAll('absent');
      assert.deepEqual(await keysOf(store, ''), ['1/12/a', '12', '123/a']);
      await store.put('12/a', Uint8Array.of(2));
      assert.deepEqual(
        await store.get('12/a'),
        Uint8Array.of(2),
        'a dropped prefix can be used anew',
      );
    });

    it('lists the keys below a prefix in the order of their code units', async (t) => {
      const store = await open(t);
      const keys = ['p/a', 'p/a-b', 'p/a.b', 'p/a/z', 'p/a0', 'p/B/y', 'p/a_b', 'q', 'p'];
      for (const key of keys) await store.put(key, Uint8Array.of(1));
      assert.deepEqual(await keysOf(store, 'p'), keys.slice(0, 7).sort());
      assert.deepEqual(await keysOf(store, ''), keys.toSorted());
      assert.deepEqual(await keysOf(store, 'p/a'), ['p/a/z']);
      assert.deepEqual(await keysOf(store, 'absent'), []);
    });

    it('refuses every key outside the syntax, in every method', async (t) => {
      const store = await open(t);
      const long = `a${'b'.repeat(100)}`;
      const nine = Array(9).fill('a').join('/');
      const escapes = ['../a', 'a/../b', '..', '.', '/etc/passwd', 'a//b', 'a/', '/a', 'a\\b'];
      const others = ['.incoming/x', 'a\0b', 'a b', 'ä', 'a+', '-a', '_a', 'a\n', long, nine];
      for (const key of ['', ...escapes, ...others]) {
        const refused = (error: unknown) => isStoreError(error, 'invalid-key');
        await assert.rejects(store.put(key, Uint8Array.of(1)), refused, `put ${key}`);
        await assert.rejects(store.get(key), refused, `get ${key}`);
        await assert.rejects(store.delete(key), refused, `delete ${key}`);
        await assert.rejects(store.deleteAll(key), refused, `deleteAll ${key}`);
        if (key !== '') await assert.rejects(keysOf(store, key), refused, `list ${key}`);
      }
      assert.deepEqual(await keysOf(store, ''), []);
    });

    it('accepts the longest and deepest key', async (t) => {
      const store = await open(t);
      const key = Array(8)
        .fill(`a${'.'.repeat(99)}`)
        .join('/');
      await store.put(key, Uint8Array.of(1));
      assert.deepEqual(await keysOf(store, ''), [key]);
    });

    it('lets one of many puts of the same key at once win whole', async (t) => {
      const store = await open(t);
      const versions = Array.from({ length: 20 }, (_, i) => new Uint8Array(5000 + i).fill(i));
      let done = false;
      const writing = Promise.all(versions.map((octets) => store.put('a/b', octets)));
      void writing.finally(() => {
        done = true;
      });
      while (!done) {
        const seen = await store.get('a/b');
        if (seen !== undefined) assert.deepEqual(seen, versions[seen[0]!]);
        await new Promise(setImmediate);
      }
      await writing;
      const last = await store.get('a/b');
      assert.deepEqual(last, versions[last![0]!]);
    });

    it('lists every key that was there throughout while others come and go', async (t) => {
      const store = await open(t);
      const lasting = Array.from({ length: 30 }, (_, i) => `p/${i % 3}/lasting-${i}`);
      for (const key of lasting) await store.put(key, Uint8Array.of(1));
      const seen: string[] = [];
      let passing = 0;
      for await (const key of store.list('p')) {
        seen.push(key);
        await store.put(`p/${passing % 3}/passing-${passing++}`, Uint8Array.of(2));
        await store.delete(`p/${passing % 3}/passing-${passing - 2}`);
      }
      assert.equal(new Set(seen).size, seen.length, 'no key twice');
      assert.deepEqual(seen, seen.toSorted());
      assert.deepEqual(
        seen.filter((key) => key.includes('lasting')),
        lasting.toSorted(),
      );
    });

    it('survives puts into a prefix that is dropped at the same time', async (t) => {
      const store = await open(t);
      const puts = Array.from({ length: 20 }, (_, i) => store.put(`p/q/${i}`, Uint8Array.of(i)));
      await Promise.all([...puts, store.deleteAll('p'), store.deleteAll('p/q')]);
      for (const key of await keysOf(store, 'p')) {
        assert.deepEqual(await store.get(key), Uint8Array.of(Number(key.slice(4))));
      }
      await store.deleteAll('p');
      assert.deepEqual(await keysOf(store, ''), []);
    });

    it('behaves like a map under any sequence of calls', async (t) => {
      const segment = fc.constantFrom('a', 'a-b', 'a.b', 'b');
      const key = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
      const step = fc.oneof(
        fc.record({ do: fc.constant('put'), key, octets: fc.uint8Array({ maxLength: 20 }) }),
        fc.record({ do: fc.constantFrom('delete', 'deleteAll', 'list'), key }),
      );
      const sequence = fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const store = await open(t);
        const model = new Map<string, Uint8Array>();
        for (const taken of steps) {
          const below = `${taken.key}/`;
          if ('octets' in taken) {
            await store.put(taken.key, taken.octets);
            model.set(taken.key, taken.octets);
          } else if (taken.do === 'delete') {
            await store.delete(taken.key);
            model.delete(taken.key);
          } else if (taken.do === 'deleteAll') {
            await store.deleteAll(taken.key);
            for (const known of model.keys()) if (known.startsWith(below)) model.delete(known);
          } else {
            const expected = [...model.keys()].filter((known) => known.startsWith(below)).sort();
            assert.deepEqual(await keysOf(store, taken.key), expected);
          }
        }
        assert.deepEqual(await keysOf(store, ''), [...model.keys()].sort());
        for (const [known, octets] of model) assert.deepEqual(await store.get(known), octets);
      });
      await fc.assert(sequence, { numRuns });
    });
  });
}

/** All keys of a listing. */
export async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of store.list(prefix)) keys.push(key);
  return keys;
}

/** Takes every step of it. @returns how many */
export async function clear(store: ObjectStore): Promise<number> {
  let steps = 0;
  for await (const _ of store.removeAbandoned()) steps += 1;
  return steps;
}

/** As a caller that repeats what failed, until it succeeds. */
export function repeating(store: ObjectStore): ObjectStore {
  const repeat = async <T>(call: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!isStoreError(error, 'io') && !isStoreError(error, 'away')) throw error;
      }
    }
  };
  return {
    put: (key, octets) => {
      const copy = new Uint8Array(octets);
      return repeat(() => store.put(key, copy));
    },
    get: (key) => repeat(() => store.get(key)),
    delete: (key) => repeat(() => store.delete(key)),
    deleteAll: (prefix) => repeat(() => store.deleteAll(prefix)),
    async *list(prefix) {
      yield* await repeat(() => keysOf(store, prefix));
    },
    removeAbandoned: () => store.removeAbandoned(),
  };
}
