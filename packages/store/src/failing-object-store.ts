import type { ObjectStore } from './object-store.ts';
import { StoreError } from './store-error.ts';

/** One call of an object store, as a schedule sees it; `count` is 0 for the first call. */
export interface ObjectStoreCall {
  readonly method: 'put' | 'get' | 'delete' | 'deleteAll' | 'list';
  /** The key, or the prefix. */
  readonly key: string;
  readonly count: number;
}

/**
 * What becomes of a call. `applied-and-fails` is the case that real disks and networks have and
 * that tests forget: the write took place, and the caller is told that it did not.
 */
export type Outcome = 'works' | 'fails' | 'applied-and-fails';

/**
 * Wraps a store for tests: before each call `schedule` decides what becomes of it. A call that
 * fails throws StoreError `io`.
 *
 * @example
 * const store = createFailingObjectStore(createMemoryObjectStore(), ({ method, count }) =>
 *   method === 'put' && count === 2 ? 'applied-and-fails' : 'works');
 */
export function createFailingObjectStore(
  inner: ObjectStore,
  schedule: (call: ObjectStoreCall) => Outcome,
): ObjectStore {
  let count = 0;
  const next = (method: ObjectStoreCall['method'], key: string): Outcome =>
    schedule({ method, key, count: count++ });

  return {
    put: (key, octets) => act(next('put', key), () => inner.put(key, octets)),
    get: (key) => act(next('get', key), () => inner.get(key)),
    delete: (key) => act(next('delete', key), () => inner.delete(key)),
    deleteAll: (prefix) => act(next('deleteAll', prefix), () => inner.deleteAll(prefix)),
    async *list(prefix) {
      if (next('list', prefix) !== 'works') throw injected();
      yield* inner.list(prefix);
    },
    removeAbandoned: () => inner.removeAbandoned(),
  };
}

async function act<T>(outcome: Outcome, call: () => Promise<T>): Promise<T> {
  if (outcome === 'fails') throw injected();
  const result = await call();
  if (outcome === 'applied-and-fails') throw injected();
  return result;
}

function injected(): StoreError {
  return new StoreError('io', 'failure injected by a test');
}
