/** A device that asks anew with other keys: after it was set up again, or to have its parameters changed (Q17). */

import { equalConstantTime } from '@chrysalis/crypto';
import { endOfChain, type VerifiedCertificate } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import type { Device, KnownDevice, NewDevice } from './device-registry.ts';
import { supplySec } from './horizon.ts';
import type { RaOptions } from './options.ts';
import { Refusal } from './refusal.ts';
import type { RequestColumns } from './registration.ts';
import { startOf } from './validity.ts';

/**
 * One set of certificates for a period, whatever a device asks: the new keys count from the first period whose file
 * was not fetched under the old ones.
 *
 * @throws Refusal when that period lies beyond the supply, or the enrollment certificate
 */
export function columnsAfter(
  former: KnownDevice,
  columns: RequestColumns,
  enrollment: VerifiedCertificate,
  options: Pick<RaOptions, 'clock' | 'iPeriod' | 'policy'>,
): RequestColumns & Pick<NewDevice, 'fetched_through'> {
  const { clock, iPeriod, policy } = options;
  const now = timeOf(clock);
  if (columns.kind === 'pseudonym') {
    const first_i = Math.max(columns.first_i, former.fetched_through + 1);
    if (first_i >= iPeriod.at(now) + policy.weeksAhead || first_i > columns.last_i) {
      throw everythingFetched();
    }
    // What was fetched stays fetched, however often a device asks anew.
    return { ...columns, first_i, fetched_through: former.fetched_through };
  }
  const first_start = Math.max(columns.first_start, startOf(former, former.fetched_through + 1));
  const end = endOfChain(enrollment);
  if (first_start > now + supplySec(options) || first_start >= end) throw everythingFetched();
  const last_i = Math.floor((end - 1 - first_start) / columns.period_sec);
  return { ...columns, first_start, last_i };
}

/**
 * Whether a request asks for what a registration has already: the same keys, in a body of another time. So does a device
 * whose acknowledgement was lost when the RA changed its key: it seals the same keys to the new one.
 */
export function asksForTheSame(former: Device, columns: RequestColumns): boolean {
  return KEY_COLUMNS.every((name) => areSame(former[name], columns[name]));
}

/** Cocoon keys come of these: the PCA certifies none of them twice, whatever else a request says. */
export function hasKeysOf(former: Device, columns: RequestColumns): boolean {
  return areSame(former.verify_seed, columns.verify_seed);
}

const KEY_COLUMNS = [
  'verify_seed',
  'verify_expansion',
  'encryption_seed',
  'encryption_expansion',
  'cert_encryption_seed',
  'cert_encryption_expansion',
  'region',
] as const;

function areSame(a: Uint8Array | null, b: Uint8Array | null | undefined): boolean {
  return a === null || b == null ? a === (b ?? null) : equalConstantTime(a, b);
}

function everythingFetched(): Refusal {
  return new Refusal(
    'raDuplicateRequestReceived',
    'expected new keys for periods whose certificates were not fetched under the old ones, saw all fetched',
  );
}
