import { endOfValidity, type Time32, type VerifiedCertificate } from '@chrysalis/ieee1609dot2';
import type { IPeriodClock } from '@chrysalis/scms';
import type { Device } from './device-registry.ts';
import type { RaOptions } from './options.ts';
import { endOf, startOf } from './validity.ts';

/** What decides how far certificates reach. */
export interface Horizon extends Pick<RaOptions, 'iPeriod' | 'policy'> {
  readonly pca: Pick<RaOptions['pca'], 'certificate'>;
}

/** The part of a device's row that decides what it gets, and when. */
export type Schedule = Pick<
  Device,
  | 'kind'
  | 'status'
  | 'registered_at'
  | 'available_at'
  | 'first_start'
  | 'lifetime_sec'
  | 'period_sec'
  | 'first_i'
  | 'last_i'
  | 'filed_through'
>;

/** Certificates of a period are valid this long beyond its end (cert-profile.asn: a week and an hour). */
export const OVERLAP_SEC = 3600;
/** IValue is a Uint16. */
export const LAST_I = 0xffff;
/** Seconds that a batch which is being made is expected to need still. */
const IN_THE_MAKING_SEC = 60;

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

export function endOfChain(certificate: VerifiedCertificate): Time32 {
  let end = Number.POSITIVE_INFINITY;
  for (let c: VerifiedCertificate | undefined = certificate; c; c = c.issuer) {
    end = Math.min(end, endOfValidity(c.certificate.toBeSigned.validityPeriod));
  }
  return end;
}

/**
 * What `.info` tells: when the first batch that is not there yet will be; 0 when there will be none. A batch is
 * begun when its period comes within the supply, and may wait in the shuffle as long as the policy lets it.
 */
export function nextBatchTime(device: Schedule, horizon: Horizon, now: Time32): Time32 {
  const { iPeriod, policy, pca } = horizon;
  const next = device.filed_through + 1;
  if (device.kind !== 'pseudonym') return nextNumberedTime(device, next, horizon, now);
  const last = Math.min(device.last_i, lastPeriodIssuedBy(pca.certificate, iPeriod));
  // What was not made in its period is not made any more.
  if (device.status !== 'active' || Math.max(next, iPeriod.at(now)) > last) return 0;
  if (device.filed_through < device.first_i && now < device.available_at)
    return device.available_at;
  const begun = Math.max(device.registered_at, iPeriod.start(next - policy.weeksAhead + 1));
  const wait = skipsShuffle(device, next, horizon) ? 0 : policy.shuffleMaxAgeSec;
  return Math.max(now, begun + wait) + IN_THE_MAKING_SEC;
}

/** The same for identification certificates; an application certificate is followed by none. */
function nextNumberedTime(
  device: Schedule,
  next: number,
  { iPeriod, policy, pca }: Horizon,
  now: Time32,
): Time32 {
  const isPossible = next <= device.last_i && endOf(device, next) <= endOfChain(pca.certificate);
  if (device.status !== 'active' || !isPossible) return 0;
  if (device.filed_through < device.first_i && now < device.available_at)
    return device.available_at;
  const begun = startOf(device, next) - supplySec({ iPeriod, policy });
  return Math.max(now, begun) + IN_THE_MAKING_SEC;
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
  device: Pick<Schedule, 'registered_at'>,
  i: number,
  { iPeriod, policy }: Horizon,
): boolean {
  const isFirstSupply = i < iPeriod.at(device.registered_at) + policy.weeksAhead;
  return policy.shuffleInitial === 'immediate' && isFirstSupply;
}
