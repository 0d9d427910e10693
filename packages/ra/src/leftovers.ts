import type { PipelineOptions } from './options.ts';

/**
 * What processes that were killed left in the object store: of a period that was being dropped, as many files as the fleet has
 * devices. A little goes in each step, once in the life of a pipeline, so that no start waits for it.
 */
export class Leftovers {
  readonly #options: Pick<PipelineOptions, 'objects' | 'log'>;
  #steps: AsyncIterator<void> | undefined;
  #isOver = false;

  constructor(options: Pick<PipelineOptions, 'objects' | 'log'>) {
    this.#options = options;
  }

  /** @returns false when nothing is left to remove now */
  async step(): Promise<boolean> {
    if (this.#isOver) return false;
    const { objects, log } = this.#options;
    try {
      this.#steps ??= objects.removeAbandoned()[Symbol.asyncIterator]();
      const { done } = await this.#steps.next();
      this.#isOver = done === true;
    } catch (error) {
      // It takes room and nothing else, until the next start tries again.
      log.error({ err: error }, 'what an interrupted process left is not removed');
      this.#isOver = true;
    }
    return !this.#isOver;
  }

  /** The next start goes on. Never rejects. */
  async leave(): Promise<void> {
    this.#isOver = true;
    await this.#steps?.return?.().catch(() => {});
  }
}
