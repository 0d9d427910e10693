/** A way to attack an RA, with a name by which it is counted. */
import type { Arena } from './arena.ts';

export interface Kind {
  readonly name: string;
  /** What it does, for the list of `npm run test:hostile`. */
  readonly does: string;
  /** Statuses that it may be answered with; the bare 500 alone when missing. No answer at all is always right. */
  readonly mayGet?: readonly number[];
  /** It takes its time: kept out of the way of those that do not. */
  readonly isSlow?: true;
  /**
   * One attack.
   *
   * @returns what came back, as latin1; nothing when no answer came
   * @throws Error for what should not have been
   */
  attack(arena: Arena): Promise<string>;
}
