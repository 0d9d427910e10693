import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '@chrysalis/crypto';
import type { Clock } from '@chrysalis/scms';
import { EeError, hasCode } from './error.ts';

/** The device gives up after this many tries in one contact (Q15); the RA counts as well, code 5071. */
export const MAX_ATTEMPTS = 5;

/** The first pause; each next one is twice as long. Five tries take half a minute to a minute. */
const FIRST_PAUSE_MS = 2_000;

/** How often a wait looks at the clock: a device's clock may be set while it waits. */
const POLL_MS = 250;

/** Port: lets time pass. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** @throws EeError `aborted` */
export const systemSleep: Sleep = async (ms, signal) => {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (cause) {
    throw new EeError('aborted', 'stopped', { cause });
  }
};

export interface BackOff {
  readonly sleep: Sleep;
  readonly random: Random;
  readonly signal?: AbortSignal;
  /** Narrows down what is tried again; by default all that {@link isPassing} says. */
  readonly isWorthRetrying?: (error: EeError) => boolean;
  readonly onRetry?: (pauseMs: number, reason: EeError) => void;
}

/**
 * What may go better in the same contact. A certificate that does not verify is none of these, nor a refusal whose code says
 * that it will not pass so soon; one without a code may be anything.
 */
export function isPassing(error: unknown): error is EeError {
  if (hasCode(error, 'refused')) return (error.refusal?.retry ?? 'again') === 'again';
  return hasCode(error, 'unreachable', 'interrupted', 'timeout');
}

/**
 * Tries until it works, with pauses that double and are spread at random over half their length, so
 * that a fleet that lost its RA does not come back in step.
 *
 * @param attempt gets the number of the try, from 0
 * @throws what the last try threw, or the first error that does not pass by waiting
 */
export async function withBackOff<T>(
  attempt: (number: number) => Promise<T>,
  { sleep, random, signal, isWorthRetrying = () => true, onRetry }: BackOff,
): Promise<T> {
  for (let number = 0; ; number += 1) {
    try {
      return await attempt(number);
    } catch (error) {
      if (!isPassing(error) || !isWorthRetrying(error)) throw error;
      if (number + 1 >= MAX_ATTEMPTS) throw error;
      const jitter = (random(1)[0] ?? 0) / 512;
      const pauseMs = Math.round(FIRST_PAUSE_MS * 2 ** number * (1 + jitter));
      onRetry?.(pauseMs, error);
      await sleep(pauseMs, signal);
    }
  }
}

/**
 * Waits for a time of the clock.
 *
 * @param until Unix milliseconds
 * @param pollMs how often the clock is looked at
 * @param onWait called before each pause with what is left
 * @throws EeError `aborted`
 */
export async function waitUntil(
  until: number,
  clock: Clock,
  sleep: Sleep,
  signal?: AbortSignal,
  onWait?: (remainingMs: number) => void,
  pollMs = POLL_MS,
): Promise<void> {
  for (;;) {
    const remainingMs = until - clock.now();
    if (remainingMs <= 0) return;
    onWait?.(remainingMs);
    await sleep(Math.min(remainingMs, pollMs), signal);
  }
}
