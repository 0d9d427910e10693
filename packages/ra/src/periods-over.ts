import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Database } from '@chrysalis/store';
import type { RaSchema } from './schema.ts';
import { readSetting, writeSetting } from './setting.ts';

/** How long a period is seen to be over before it is dropped. */
export const DROP_GRACE_MS = 3_600_000;
/** Of a clock that moves on as clocks do, no two are within an hour. */
const MOST_CLAIMS = 16;

/**
 * Which i-periods are over for sure: those that the wall clock has said to be over without a break for a while of
 * this process's own time. A clock that is set wrong, and set right within that while, destroys nothing and
 * makes nobody pass a period over.
 */
export class PeriodsOver {
  readonly #graceMs: number;
  /** What the wall clock has said at least since then; the later, the more. */
  readonly #claims: { readonly over: number; readonly since: number }[] = [];
  #sure = Number.NEGATIVE_INFINITY;

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /**
   * @param over the last period that is over by the wall clock
   * @param monotonicMs the process's own time
   * @returns the last period that is over for sure; -Infinity when none is
   */
  look(over: number, monotonicMs: number): number {
    const claims = this.#claims;
    // A clock that was set back takes back what it said.
    while (claims.length > 0 && claims.at(-1)!.over > over) claims.pop();
    this.#sure = Math.min(this.#sure, over);
    const claimed = claims.at(-1)?.over ?? this.#sure;
    if (over > claimed && claims.length < MOST_CLAIMS) claims.push({ over, since: monotonicMs });
    while (claims.length > 0 && monotonicMs - claims[0]!.since >= this.#graceMs) {
      this.#sure = claims.shift()!.over;
    }
    return this.#sure;
  }

  /** When the last period that is over by the wall clock will be so for sure, if it goes on saying so: the process's own time. */
  get sureAtMs(): number | undefined {
    const last = this.#claims.at(-1);
    return last && last.since + this.#graceMs;
  }
}

/** What the pipeline has seen of the wall clock, for those who answer devices. */
export interface OverClaim {
  /** The last period that is over by the clock. */
  readonly period: number;
  /** When that is sure. */
  readonly sureAt: Time32;
}

export async function readOverClaim(
  query: Database<RaSchema>['query'],
): Promise<OverClaim | undefined> {
  const [period, sureAt] = [
    await readSetting(query, 'over_claimed'),
    await readSetting(query, 'over_sure_at'),
  ];
  return period === undefined || sureAt === undefined ? undefined : { period, sureAt };
}

export async function writeOverClaim(
  database: Database<RaSchema>,
  { period, sureAt }: OverClaim,
): Promise<void> {
  await database.transaction(async (query) => {
    await writeSetting(query, 'over_claimed', period);
    await writeSetting(query, 'over_sure_at', sureAt);
  });
}
