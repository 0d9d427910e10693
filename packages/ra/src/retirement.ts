import { timeOf } from '@chrysalis/scms';
import { Outage } from './back-off.ts';
import type { OperatorsView } from './operators-view.ts';
import type { PipelineOptions } from './options.ts';
import { dropPeriods } from './period-drop.ts';
import { readSetting } from './setting.ts';

/** What is over goes: the files of a period, the index of its requests; and devices that are not heard of any more pause. */
export class Retirement {
  readonly #options: PipelineOptions;
  readonly #view: OperatorsView;
  /** Of the object store, when files that are over cannot be deleted. */
  readonly #outage = new Outage();
  /** What is being dropped, and through which period. */
  #dropping: { readonly last: number; readonly steps: AsyncGenerator<void, void> } | undefined;

  constructor(options: PipelineOptions, view: OperatorsView) {
    this.#options = options;
    this.#view = view;
  }

  /**
   * Drops each period that is over whole, a little in each step. A period's files stay as long as its certificates are
   * valid (Q23).
   *
   * @param last the last period that is over for sure
   * @returns false when nothing is left to drop now
   */
  async step(last: number): Promise<boolean> {
    const { clock, log } = this.#options;
    const now = timeOf(clock);
    if (this.#outage.pausedUntil(now) !== undefined) return false;
    // The clock has taken back what it said.
    if (this.#dropping !== undefined && last < this.#dropping.last) this.#dropping = undefined;
    try {
      this.#dropping ??= await this.#begin(last);
      if (this.#dropping === undefined) return false;
      if ((await this.#dropping.steps.next()).done !== true) return true;
      this.#dropping = undefined;
      this.#outage.succeeded();
      await this.#view.over('objects');
      return true;
    } catch (error) {
      // What is over can wait; devices that lack certificates cannot.
      this.#dropping = undefined;
      this.#outage.failed(now);
      await this.#view.incident('objects', error);
      log.error({ err: error }, 'period not dropped');
      return false;
    }
  }

  /** Somebody else does it from now on. */
  leave(): void {
    this.#dropping = undefined;
  }

  async #begin(last: number) {
    const { database, iPeriod, objects, log, pauseAfterSec, isShared } = this.#options;
    const dropped = await readSetting(database.query, 'dropped_through');
    if (last < 0 || (dropped !== undefined && dropped >= last)) return undefined;
    const end = iPeriod.start(last + 1);
    const steps = dropPeriods({
      database,
      first: dropped === undefined ? last : dropped + 1,
      last,
      end,
      ...(pauseAfterSec !== undefined && { seenBefore: end - pauseAfterSec }),
      async deleteFiles(i) {
        // Another worker may have been writing one when the period before was dropped.
        if (isShared && i > 0) await objects.deleteAll(String(i - 1));
        await objects.deleteAll(String(i));
      },
      onDropped: (i) => log.info({ i }, 'period dropped'),
    });
    return { last, steps };
  }
}
