import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFailingObjectStore, type Outcome } from '../src/failing-object-store.ts';
import { createMemoryObjectStore } from '../src/memory-object-store.ts';
import { isStoreError } from '../src/store-error.ts';
import { keysOf, objectStoreConformance, repeating } from './object-store-conformance.ts';

const OUTCOMES: readonly Outcome[] = ['fails', 'applied-and-fails', 'works'];

objectStoreConformance('failing, with no failure due', async () =>
  createFailingObjectStore(createMemoryObjectStore(), () => 'works'),
);

// Each call fails twice, once without effect and once after it: the port says that repeating is safe.
objectStoreConformance('failing, with a caller that repeats', async () => {
  let count = 0;
  const schedule = (): Outcome => OUTCOMES[count++ % OUTCOMES.length]!;
  return repeating(createFailingObjectStore(createMemoryObjectStore(), schedule));
});

describe('failing object store', () => {
  const failure = (error: unknown) => isStoreError(error, 'io');
  const always = (outcome: Outcome) => {
    const inner = createMemoryObjectStore();
    return { inner, store: createFailingObjectStore(inner, () => outcome) };
  };

  it('fails a write without applying it', async () => {
    const { inner, store } = always('fails');
    await inner.put('a', Uint8Array.of(1));
    await assert.rejects(store.put('a', Uint8Array.of(2)), failure);
    await assert.rejects(store.delete('a'), failure);
    assert.deepEqual(await inner.get('a'), Uint8Array.of(1));
  });

  it('fails a write after applying it', async () => {
    const { inner, store } = always('applied-and-fails');
    await assert.rejects(store.put('a/b', Uint8Array.of(2)), failure);
    assert.deepEqual(await inner.get('a/b'), Uint8Array.of(2));
    await assert.rejects(store.deleteAll('a'), failure);
    assert.deepEqual(await keysOf(inner, ''), []);
  });

  it('fails reads too', async () => {
    const { store } = always('fails');
    await assert.rejects(store.get('a'), failure);
    await assert.rejects(keysOf(store, 'a'), failure);
  });

  it('shows its schedule the method, the key and the number of the call', async () => {
    const calls: string[] = [];
    const store = createFailingObjectStore(createMemoryObjectStore(), (call) => {
      calls.push(`${call.count} ${call.method} ${call.key}`);
      return 'works';
    });
    await store.put('a', Uint8Array.of(1));
    await store.get('b');
    await keysOf(store, 'c');
    assert.deepEqual(calls, ['0 put a', '1 get b', '2 list c']);
  });
});
