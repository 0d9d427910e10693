/** All kinds of attack at once, each as often as the others, until there were enough. */
import { outcomeOf } from './answers.ts';
import type { Arena } from './arena.ts';
import type { Kind } from './kind.ts';
import { attacking } from './sockets.ts';

/** Findings that are told one by one. */
const MAX_FINDINGS = 100;

export interface Attack {
  readonly kinds: readonly Kind[];
  readonly requests: number;
  /** Attacks at a time of those that are quick, and of those that are slow on purpose. */
  readonly lanes: number;
  readonly slowLanes: number;
  /** Ends it before there were as many. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number) => void;
}

export interface AttackReport {
  readonly requests: number;
  readonly seconds: number;
  /** By kind: how often each outcome. */
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** What should not have been, with its kind. */
  readonly findings: readonly string[];
}

export async function attack(arena: Arena, options: Attack): Promise<AttackReport> {
  const { kinds, requests, lanes, slowLanes, signal, onProgress = () => {} } = options;
  const start = performance.now();
  const outcomes = Object.fromEntries(
    kinds.map(({ name }): [string, Record<string, number>] => [name, {}]),
  );
  const findings: string[] = [];
  let done = 0;
  const once = async (kind: Kind) => {
    const counts = outcomes[kind.name]!;
    const outcome = await attacking
      .run(kind.name, () => kind.attack(arena))
      .then((answer) => outcomeOf(kind, answer))
      .catch((error: Error) => {
        if (findings.length < MAX_FINDINGS) findings.push(`${kind.name}: ${error.message}`);
        return 'wrong';
      });
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    done += 1;
    onProgress(done);
  };
  const share = requests / kinds.length;
  const run = async (some: readonly Kind[], width: number) => {
    let next = 0;
    const total = Math.round(share * some.length);
    const lane = async () => {
      while (next < total && signal?.aborted !== true) await once(some[next++ % some.length]!);
    };
    await Promise.all(Array.from({ length: width }, lane));
  };
  await Promise.all([
    run(
      kinds.filter(({ isSlow }) => isSlow !== true),
      lanes,
    ),
    run(
      kinds.filter(({ isSlow }) => isSlow === true),
      slowLanes,
    ),
  ]);
  return { requests: done, seconds: (performance.now() - start) / 1000, outcomes, findings };
}
