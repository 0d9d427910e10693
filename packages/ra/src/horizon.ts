import { endOfValidity, type Time32, type VerifiedCertificate } from '@chrysalis/ieee1609dot2';
import type { IPeriodClock } from '@chrysalis/scms';
import type { Device } from './device-registry.ts';
import type { RaOptions, RaPolicy } from './options.ts';

type Horizon = Pick<RaOptions, 'iPeriod' | 'policy' | 'pca'>;

/** Seconds that a batch which is being made is expected to need still. */
const IN_THE_MAKING_SEC = 60;

/** The last period that may be made for any device at a time: the policy's supply, cut where the PCA's chain ends. */
export function lastPeriodOfAll({ iPeriod, policy, pca }: Horizon, now: Time32): number {
  return Math.min(
    iPeriod.at(now) + policy.weeksAhead - 1,
    lastPeriodWithin(pca.certificate, iPeriod),
  );
}

/** The last period whose first second lies within the validity of a certificate and of all above it. */
export function lastPeriodWithin(certificate: VerifiedCertificate, iPeriod: IPeriodClock): number {
  let end = Number.POSITIVE_INFINITY;
  for (let c: VerifiedCertificate | undefined = certificate; c; c = c.issuer) {
    end = Math.min(end, endOfValidity(c.certificate.toBeSigned.validityPeriod));
  }
  return iPeriod.at(end - 1);
}

/**
 * What `.info` tells: when the first batch that is not there yet will be; 0 when there will be none. A batch is
 * begun when its period comes within the supply, and may wait in the shuffle as long as the policy lets it.
 */
export function nextBatchTime(device: Device, horizon: Horizon, now: Time32): Time32 {
  const { iPeriod, policy } = horizon;
  const next = device.filed_through + 1;
  const last = Math.min(device.last_i, lastPeriodWithin(horizon.pca.certificate, iPeriod));
  if (device.status !== 'active' || next > last) return 0;
  if (device.filed_through < device.first_i && now < device.available_at)
    return device.available_at;
  const begun = Math.max(device.registered_at, iPeriod.start(next - policy.weeksAhead + 1));
  const wait = skipsShuffle(device, next, policy) ? 0 : policy.shuffleMaxAgeSec;
  return Math.max(now, begun + wait) + IN_THE_MAKING_SEC;
}

/** Only the first supply of a device may skip the shuffle: what is added each week is mixed with others'. */
export function skipsShuffle(device: Device, i: number, policy: RaPolicy): boolean {
  return policy.shuffleInitial === 'immediate' && i < device.first_i + policy.weeksAhead;
}
