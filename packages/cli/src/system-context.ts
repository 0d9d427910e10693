import { isatty } from 'node:tty';
import { systemRandom } from '@chrysalis/crypto';
import { type Clock, systemClock } from '@chrysalis/scms';
import type { CliContext } from './context.ts';
import { askHidden } from './hidden-prompt.ts';

const EXIT_INTERRUPTED = 130;

/**
 * FOR TESTS ONLY: by how many seconds our clock runs ahead of the machine's, or behind it when negative. For RA and
 * devices alike it makes weeks pass; TLS certificates are still judged by the machine's clock.
 */
export const CLOCK_OFFSET = 'CHRYSALIS_TEST_CLOCK_OFFSET_SEC';

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
  const isAtTerminal = isatty(0);
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    // Opened only when a command reads it: an open standard input would keep the process alive.
    stdin: { [Symbol.asyncIterator]: () => process.stdin[Symbol.asyncIterator]() },
    ...(isatty(0) &&
      isatty(2) && {
        askSecret: (prompt: string) => askHidden(prompt, process.stdin, process.stderr),
      }),
    env: process.env,
    ...systemClockAndRandom(),
    hasThreads: true,
    // Other commands end when their terminal does.
    onRenewal: (listener) => {
      process.on('SIGHUP', () => {
        if (isAtTerminal && !isatty(0)) abort.abort();
        else listener();
      });
    },
    onReplacement: (listener) => {
      process.on('SIGUSR2', listener);
    },
    signal: abort.signal,
  };
}

/** Those of this machine, for every thread alike. */
export function systemClockAndRandom(): Pick<CliContext, 'clock' | 'random'> {
  return { clock: clockOf(process.env[CLOCK_OFFSET]), random: systemRandom };
}

/** @throws RangeError: whoever sets an offset that is none must not run at another time than they believe */
function clockOf(offset: string | undefined): Clock {
  if (offset === undefined || offset === '') return systemClock;
  if (!/^-?\d{1,9}$/.test(offset)) {
    throw new RangeError(`${CLOCK_OFFSET}: expected a whole number of seconds, saw ${offset}`);
  }
  const offsetMs = Number(offset) * 1000;
  return { now: () => Date.now() + offsetMs };
}
