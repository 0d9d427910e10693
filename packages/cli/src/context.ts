import type { Random } from '@chrysalis/crypto';
import type { Clock } from '@chrysalis/scms';

/** Everything that a command touches outside its arguments, so that tests run `main` in process. */
export interface CliContext {
  /** Results go here, and nothing else. */
  readonly stdout: TextOutput;
  /** Progress, warnings and errors go here. */
  readonly stderr: TextOutput;
  /** Octets of standard input, for commands that accept `-`. */
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Asks a person at a terminal, which shows nothing of the answer; missing when there is none. Rejects on Ctrl-C. */
  readonly askSecret?: (prompt: string) => Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /**
   * Says `step` when the clock was set to another time by hand, as tests do: `serve` then looks what is due. Without it a
   * set clock is noticed within a minute.
   */
  readonly clockSteps?: EventTarget;
  readonly random: Random;
  /** Whether clock and randomness are the system's, so that a command may start threads that have the same. */
  readonly hasThreads?: boolean;
  /** Calls when whoever runs the RA wants certificates and keys to be read again. */
  readonly onRenewal?: (listener: () => void) => void;
  /** Calls when whoever runs the RA wants its processes to be replaced. */
  readonly onReplacement?: (listener: () => void) => void;
  /** Aborted on Ctrl-C: long commands stop cleanly. */
  readonly signal: AbortSignal;
}

export interface TextOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

/** A refusal that the user can do something about: one line, and perhaps a hint under it. Exit status 1. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly hint: string | undefined;

  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.hint = options.hint;
  }
}
