/** Who is killed when, and for how long: a plan that a seed decides, so that a run can be repeated. */
import { seededChance } from './seeded-chance.ts';

export interface StrikeOptions<Name extends string> {
  readonly seed: number;
  readonly names: readonly Name[];
  readonly kills: number;
  /** From one strike to the next, on average. */
  readonly gapMs: number;
  /** The longest that a process is away before it is started again. */
  readonly awayMs: number;
}

/** Milliseconds are those of the plan. */
export interface Step<Name extends string> {
  readonly atMs: number;
  readonly kill: readonly Name[];
  readonly start: readonly Name[];
}

/** Of so many strikes one hits two processes at once. */
const STRIKES_TO_A_DOUBLE = 5;

/**
 * Strikes after pauses of any length up to twice the average, each at a process that is started, or at two at once; it may
 * still be starting. Each is started again after a pause of its own. Steps in the order of time.
 */
export function planStrikes<Name extends string>(options: StrikeOptions<Name>): Step<Name>[] {
  const { seed, names, kills, gapMs, awayMs } = options;
  const chance = seededChance(seed);
  const steps: Step<Name>[] = [];
  const startedAt = new Map(names.map((name) => [name, 0]));
  let atMs = 0;
  for (let done = 0; done < kills; ) {
    atMs += Math.round(chance() * 2 * gapMs);
    const isDouble = chance() * STRIKES_TO_A_DOUBLE < 1 && done + 1 < kills;
    const up = names.filter((name) => startedAt.get(name)! <= atMs);
    const kill: Name[] = [];
    while (up.length > 0 && kill.length < (isDouble ? 2 : 1)) {
      kill.push(...up.splice(Math.floor(chance() * up.length), 1));
    }
    if (kill.length === 0) continue;
    steps.push({ atMs, kill, start: [] });
    for (const name of kill) {
      const backMs = atMs + 1 + Math.round(chance() * awayMs);
      startedAt.set(name, backMs);
      steps.push({ atMs: backMs, kill: [], start: [name] });
    }
    done += kill.length;
  }
  return steps.toSorted((a, b) => a.atMs - b.atMs);
}
