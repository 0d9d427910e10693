import { systemRandom } from '@chrysalis/crypto';
import type { CliContext } from '../src/context.ts';
import { main } from '../src/main.ts';

/** 2026-11-21T20:50:00Z. */
export const NOW_MS = Date.UTC(2026, 10, 21, 20, 50);

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line in this process. */
export async function run(
  argv: readonly string[],
  more: Partial<CliContext> & { readonly input?: Uint8Array } = {},
): Promise<Outcome> {
  const written = { stdout: '', stderr: '' };
  const { input = new Uint8Array(0), ...context } = more;
  const status = await main(argv, {
    stdout: { write: (text) => (written.stdout += text) },
    stderr: { write: (text) => (written.stderr += text) },
    stdin: (async function* () {
      yield input;
    })(),
    env: {},
    clock: { now: () => NOW_MS },
    random: systemRandom,
    signal: new AbortController().signal,
    ...context,
  });
  return { status, ...written };
}
