import { systemRandom } from '@chrysalis/crypto';
import { systemClock } from '@chrysalis/scms';
import type { CliContext } from './context.ts';

const EXIT_INTERRUPTED = 130;

/** The real streams, clock, randomness and signals around `main`. Called once per process. */
export function systemContext(): CliContext {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // The first asks a long command to end cleanly; whoever asks again means it.
    process.on(signal, () => {
      if (abort.signal.aborted) process.exit(EXIT_INTERRUPTED);
      abort.abort();
    });
  }
  // `chrysalis ... | head` closes our output early: that is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    // Opened only when a command reads it: an open standard input would keep the process alive.
    stdin: { [Symbol.asyncIterator]: () => process.stdin[Symbol.asyncIterator]() },
    env: process.env,
    clock: systemClock,
    random: systemRandom,
    signal: abort.signal,
  };
}
