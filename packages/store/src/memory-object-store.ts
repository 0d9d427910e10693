import { checkObjectSize, keySegments } from './object-key.ts';
import type { ObjectStore } from './object-store.ts';

/** An object store for tests: everything the port promises, except that nothing survives the process. */
export function createMemoryObjectStore(): ObjectStore {
  return new MemoryObjectStore();
}

class MemoryObjectStore implements ObjectStore {
  readonly #objects = new Map<string, Uint8Array>();

  async put(key: string, octets: Uint8Array): Promise<void> {
    keySegments(key);
    checkObjectSize(key, octets);
    this.#objects.set(key, new Uint8Array(octets));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    keySegments(key);
    const octets = this.#objects.get(key);
    return octets && new Uint8Array(octets);
  }

  async delete(key: string): Promise<void> {
    keySegments(key);
    this.#objects.delete(key);
  }

  async deleteAll(prefix: string): Promise<void> {
    keySegments(prefix);
    for (const key of this.#objects.keys()) {
      if (key.startsWith(`${prefix}/`)) this.#objects.delete(key);
    }
  }

  /** Nothing is left: it goes with the process. */
  async *removeAbandoned(): AsyncIterable<void> {}

  async *list(prefix: string): AsyncIterable<string> {
    if (prefix !== '') keySegments(prefix);
    const start = prefix === '' ? '' : `${prefix}/`;
    // Sorted beforehand, so that a put during the listing cannot shift what is still to come.
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(start)).sort();
    for (const key of keys) {
      if (this.#objects.has(key)) yield key;
    }
  }
}
