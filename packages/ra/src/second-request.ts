/** A device that asks anew with other keys: after it was set up again, or to have its parameters changed (Q17). */

import type { VerifiedCertificate } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import type { KnownDevice } from './device-registry.ts';
import { endOfChain, supplySec } from './horizon.ts';
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
): RequestColumns {
  const { clock, iPeriod, policy } = options;
  const now = timeOf(clock);
  if (columns.kind === 'pseudonym') {
    const first_i = Math.max(columns.first_i, former.fetched_through + 1);
    if (first_i >= iPeriod.at(now) + policy.weeksAhead || first_i > columns.last_i) {
      throw everythingFetched();
    }
    return { ...columns, first_i };
  }
  const first_start = Math.max(columns.first_start, startOf(former, former.fetched_through + 1));
  const end = endOfChain(enrollment);
  if (first_start > now + supplySec(options) || first_start >= end) throw everythingFetched();
  const last_i = Math.floor((end - 1 - first_start) / columns.period_sec);
  return { ...columns, first_start, last_i };
}

function everythingFetched(): Refusal {
  return new Refusal(
    'raDuplicateRequestReceived',
    'expected new keys for periods whose certificates were not fetched under the old ones, saw all fetched',
  );
}
