import type { Log } from './options.ts';
import type { VersionedFileStore } from './versioned-file-store.ts';

/** How often a process looks whether another node has kept a file: devices of all nodes are to have it within a second. */
const LOOK_MS = 500;

/** Tells when policy or chain file are others, whichever node has made them: one row of the database is read for it. */
export class FileNews {
  readonly #store: VersionedFileStore;
  readonly #onNews: () => Promise<void>;
  readonly #log: Log;
  #seen: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #isFailureLogged = false;

  /** @param onNews looks at the files; called again until it resolves */
  constructor(store: VersionedFileStore, onNews: () => Promise<void>, log: Log) {
    this.#store = store;
    this.#onNews = onNews;
    this.#log = log;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#look().then(() => {
        if (this.#timer !== undefined) this.start();
      });
    }, LOOK_MS).unref();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running;
  }

  async #look(): Promise<void> {
    try {
      const kept = await this.#store.kept();
      if (kept !== this.#seen) await this.#onNews();
      this.#seen = kept;
      this.#isFailureLogged = false;
    } catch (error) {
      // Once: it is looked twice a second, and whatever is away is said by others too.
      if (!this.#isFailureLogged) this.#log.warn({ err: error }, 'no look for newer files');
      this.#isFailureLogged = true;
    }
  }
}
