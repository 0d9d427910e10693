import { endOfChain, type Time32, type VerifiedCertificate } from '@chrysalis/ieee1609dot2';
import type { IPeriodClock } from '@chrysalis/scms';
import type { Device } from './device-registry.ts';
import type { RaOptions } from './options.ts';

/** What decides how far certificates reach. */
export interface Horizon extends Pick<RaOptions, 'iPeriod' | 'policy'> {
  readonly pca: Pick<RaOptions['pca'], 'certificate'>;
}

/** Certificates of a period are valid this long beyond its end (cert-profile.asn: a week and an hour). */
export const OVERLAP_SEC = 3600;
/** IValue is a Uint16. */
export const LAST_I = 0xffff;

/** The last period that may be made for any device at a time: the policy's supply, cut where the PCA cannot go on. */
export function lastPeriodOfAll(horizon: Horizon, now: Time32): number {
  const { iPeriod, policy, pca } = horizon;
  return Math.min(
    iPeriod.at(now) + policy.weeksAhead - 1,
    lastPeriodIssuedBy(pca.certificate, iPeriod),
  );
}

/** The last period whose first second lies within the validity of a certificate and of all above it. */
export function lastPeriodWithin(certificate: VerifiedCertificate, iPeriod: IPeriodClock): number {
  return Math.min(LAST_I, iPeriod.at(endOfChain(certificate) - 1));
}

/** The last period whose certificates do not outlive a PCA's, nor any above it: the PCA refuses what comes after. */
export function lastPeriodIssuedBy(pca: VerifiedCertificate, iPeriod: IPeriodClock): number {
  return Math.min(LAST_I, iPeriod.at(endOfChain(pca) - OVERLAP_SEC) - 1);
}

/** How long before it begins a certificate is made: as long as pseudonym certificates are. */
export function supplySec({ iPeriod, policy }: Pick<Horizon, 'iPeriod' | 'policy'>): number {
  return (policy.weeksAhead - 1) * iPeriod.lengthSec;
}

/**
 * Only the first supply of a device may skip the shuffle, that of the week in which it registered: what is added
 * each week is mixed with others'.
 */
export function skipsShuffle(
  device: Pick<Device, 'registered_at'>,
  i: number,
  { iPeriod, policy }: Horizon,
): boolean {
  const isFirstSupply = i < iPeriod.at(device.registered_at) + policy.weeksAhead;
  return policy.shuffleInitial === 'immediate' && isFirstSupply;
}
