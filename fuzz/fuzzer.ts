/** Changes messages and hands them to targets, for a number of rounds or until a time; what it does follows from its seed. */
import { generator, mutate } from '../test/support/mutate.ts';
import type { Target } from './targets.ts';

/** Rounds before it is looked at the time, and the next target has its turn. */
const ROUNDS_IN_TURN = 200;
const MOST_CHANGES = 4;

export interface Finding {
  readonly target: string;
  readonly seed: string;
  readonly octets: Uint8Array;
  readonly error: unknown;
}

export interface Limits {
  readonly seed: string;
  /** Of each target; all of them have as many. */
  readonly rounds?: number;
  /** Asked after each turn. */
  readonly isOver?: () => boolean;
}

/** Turns of all targets until a limit is reached or something is found; how many inputs that were. */
export function fuzz(
  targets: readonly Target[],
  { seed, rounds = Number.POSITIVE_INFINITY, isOver = () => false }: Limits,
): { readonly inputs: number; readonly finding: Finding | undefined } {
  const draws = targets.map(({ name }) => generator(`${seed} ${name}`));
  let inputs = 0;
  for (let done = 0; done < rounds; done += ROUNDS_IN_TURN) {
    for (const [n, target] of targets.entries()) {
      const draw = draws[n] as (below: number) => number;
      const turn = Math.min(ROUNDS_IN_TURN, rounds - done);
      for (let round = 0; round < turn; round++, inputs++) {
        const octets = mutant(target.corpus, draw);
        try {
          target.run(octets);
        } catch (error) {
          return { inputs, finding: { target: target.name, seed, octets, error } };
        }
      }
      if (isOver()) return { inputs, finding: undefined };
    }
  }
  return { inputs, finding: undefined };
}

/** One of the corpus, changed a few times. */
export function mutant(corpus: readonly Uint8Array[], draw: (below: number) => number): Uint8Array {
  const one = () => corpus[draw(corpus.length)] ?? new Uint8Array(0);
  let octets = one();
  for (let changes = 1 + draw(MOST_CHANGES); changes > 0; changes--) {
    const other = one();
    octets = mutate(octets, other.length > 0 ? other : Uint8Array.of(0), draw);
  }
  return octets;
}
