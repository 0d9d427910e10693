import type { Random } from '@chrysalis/crypto';
import { type Time32, unixFromTime32 } from '@chrysalis/ieee1609dot2';
import { type Clock, timeOf } from '@chrysalis/scms';
import { type Sleep, waitUntil } from './back-off.ts';
import { type EeError, hasCode } from './error.ts';

/** A device gives up on its RA after this many failed contacts in a row (sheet 3.5, Q15). */
export const DEFAULT_MAX_FAILURES = 5;

/** The first pause after a failed contact; each next one is twice as long. */
const FIRST_PAUSE_MS = 60_000;
/** No pause after a failed contact is longer, but for the share of chance. */
const MAX_PAUSE_MS = 6 * 3_600_000;
/** When what the RA announced for now was not there, it is asked again after so long. */
const OVERDUE_PAUSE_MS = 300_000;
/** How often a long wait looks at the clock, which may be set meanwhile. */
const POLL_MS = 1_000;

export interface StayOptions {
  /** One whole contact; says when the next one is due, or undefined for never. */
  readonly contact: () => Promise<Time32 | undefined>;
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly random: Random;
  readonly maxFailures?: number;
  readonly signal?: AbortSignal;
  /** The next contact will be at this time of the clock, Unix milliseconds; with the error if the last one failed. */
  readonly onPause?: (untilMs: number, reason?: EeError) => void;
}

/**
 * Makes contact whenever it is due. A contact that fails is made again after a pause that doubles and
 * is spread at random over half its length; one that is made sets the count back.
 *
 * @returns when nothing is due any more
 * @throws what the last of too many failed contacts threw; what no later contact will cure; EeError `aborted`
 */
export async function stay(options: StayOptions): Promise<void> {
  const { contact, clock, sleep, signal, maxFailures = DEFAULT_MAX_FAILURES } = options;
  let failures = 0;
  for (;;) {
    let untilMs: number;
    try {
      const due = await contact();
      failures = 0;
      if (due === undefined) return;
      const isAhead = due > timeOf(clock);
      untilMs = isAhead ? unixFromTime32(due) : clock.now() + OVERDUE_PAUSE_MS;
      options.onPause?.(untilMs);
    } catch (error) {
      failures += 1;
      if (!isOfTheContact(error) || failures >= maxFailures) throw error;
      untilMs = clock.now() + pauseAfter(failures, options.random);
      options.onPause?.(untilMs, error);
    }
    await waitUntil(untilMs, clock, sleep, signal, undefined, POLL_MS);
  }
}

function pauseAfter(failures: number, random: Random): number {
  const jitter = (random(1)[0] ?? 0) / 512;
  return Math.round(Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), MAX_PAUSE_MS) * (1 + jitter));
}

/** What may go better with a later contact; not what the RA will refuse for ever, not the profile's own troubles, and not the user's word. */
function isOfTheContact(error: unknown): error is EeError {
  if (hasCode(error, 'refused') && error.refusal?.retry === 'never') return false;
  return hasCode(
    error,
    'unreachable',
    'interrupted',
    'timeout',
    'refused',
    'tls',
    'unexpected-response',
    'too-large',
    'invalid-ack',
    'invalid-url',
    'invalid-info',
    'invalid-batch',
    'profile-locked',
    'crl-overdue',
    'invalid-ra-certificate',
  );
}
