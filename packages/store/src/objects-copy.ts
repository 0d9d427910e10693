import { type ChangedDirectory, ObjectChanges } from './object-changes.ts';
import type { ObjectStore } from './object-store.ts';
import { StoreError } from './store-error.ts';

/** Objects under way at a time: an object store answers many at once, each after some milliseconds. */
const AT_A_TIME = 16;

/** How many objects a pass has put, found to be there, or deleted. */
export interface ObjectsPass {
  readonly put: number;
  readonly same: number;
  readonly deleted: number;
}

/**
 * Takes a directory of objects over to another object store, pass by pass, while they change. After a pass the destination has
 * what was there when the pass began, and each object was read there to see that it is.
 */
export class ObjectsCopy {
  readonly #changes: ObjectChanges;
  readonly #source: ObjectStore;
  readonly #destination: ObjectStore;
  readonly #signal: AbortSignal;
  readonly #onProgress: (objects: number) => void;
  #isFirst = true;
  #tally = { put: 0, same: 0, deleted: 0 };

  /** @param directory that of the source */
  constructor(
    directory: string,
    source: ObjectStore,
    destination: ObjectStore,
    {
      signal,
      onProgress = () => {},
    }: { signal: AbortSignal; onProgress?: (objects: number) => void },
  ) {
    this.#changes = new ObjectChanges(directory);
    this.#source = source;
    this.#destination = destination;
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  /** @throws StoreError `corrupt` when the destination does not give what was put */
  async pass(): Promise<ObjectsPass> {
    this.#tally = { put: 0, same: 0, deleted: 0 };
    await this.#each(this.#isFirst ? this.#comparedWhole() : this.#compareChanged());
    this.#isFirst = false;
    return { ...this.#tally };
  }

  /** Both have their keys in the same order. */
  async *#comparedWhole(): AsyncGenerator<() => Promise<void>> {
    const there = this.#destination.list('')[Symbol.asyncIterator]();
    let seen = await there.next();
    for await (const key of this.#changes.all()) {
      while (!seen.done && seen.value < key) {
        yield this.#deletion(seen.value);
        seen = await there.next();
      }
      const isThere = !seen.done && seen.value === key;
      yield this.#comparison(key, isThere);
      if (isThere) seen = await there.next();
    }
    for (; !seen.done; seen = await there.next()) yield this.#deletion(seen.value);
  }

  async *#compareChanged(): AsyncGenerator<() => Promise<void>> {
    for await (const directory of this.#changes.changed()) yield* this.#compare(directory);
  }

  *#compare({
    prefix,
    others,
    gone,
    goneDirectories,
  }: ChangedDirectory): Generator<() => Promise<void>> {
    const start = prefix === '' ? '' : `${prefix}/`;
    for (const name of goneDirectories) {
      yield async () => {
        await this.#destination.deleteAll(`${start}${name}`);
        this.#tally.deleted += 1;
      };
    }
    for (const name of gone) yield this.#deletion(`${start}${name}`);
    for (const name of others) yield this.#comparison(`${start}${name}`, true);
  }

  #deletion(key: string): () => Promise<void> {
    return async () => {
      await this.#destination.delete(key);
      this.#tally.deleted += 1;
    };
  }

  #comparison(key: string, isThere: boolean): () => Promise<void> {
    return async () => {
      const octets = await this.#source.get(key);
      // Gone meanwhile: its directory has changed, and the next pass deletes it.
      if (octets === undefined) return;
      if (isThere && (await this.#isThere(key, octets))) {
        this.#tally.same += 1;
      } else {
        await this.#destination.put(key, octets);
        if (!(await this.#isThere(key, octets))) {
          throw new StoreError('corrupt', `expected the object ${key} as it was put, saw another`);
        }
        this.#tally.put += 1;
      }
      this.#onProgress(this.#tally.put + this.#tally.same);
    };
  }

  async #isThere(key: string, octets: Uint8Array): Promise<boolean> {
    const seen = await this.#destination.get(key);
    return seen !== undefined && Buffer.compare(seen, octets) === 0;
  }

  /** So many at a time; the first that fails ends it, when those beside it have ended. */
  async #each(tasks: AsyncGenerator<() => Promise<void>>): Promise<void> {
    let hasFailed = false;
    const run = async () => {
      try {
        while (!hasFailed) {
          this.#signal.throwIfAborted();
          const { value, done } = await tasks.next();
          if (done) return;
          await value();
        }
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: AT_A_TIME }, run));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }
}
