/** When identification and application certificates begin and end (cert-profile.asn, scms-policy.asn). */
import type { Duration, Time32 } from '@chrysalis/ieee1609dot2';
import { exactDuration, type IPeriodClock } from '@chrysalis/scms';
import type { RaPolicy } from './options.ts';
import type { CertificateKind } from './schema.ts';

const HOUR_SEC = 3600;

/** ObeIdentificationCertExpiration: a month and an hour of overlap, on which no policy has a say. */
const IDENTIFICATION: Terms = { lifetime_sec: 721 * HOUR_SEC, period_sec: 720 * HOUR_SEC };

/** What a device is promised when it is registered, and keeps whatever policy comes later. */
export interface Terms {
  /** From the beginning of a certificate to its end, in seconds. */
  readonly lifetime_sec: number;
  /** From the beginning of a certificate to that of the next: its lifetime less the overlap. */
  readonly period_sec: number;
}

export interface NumberedCertificates extends Terms {
  /** When certificate 0 begins. */
  readonly first_start: Time32;
}

/**
 * The terms of a registration of now. An application certificate lasts for validity and overlap together: a fielded
 * policy has 168 hours and 1, the certificate profile 169.
 */
export function termsOf(
  kind: Exclude<CertificateKind, 'pseudonym'>,
  policy: Pick<RaPolicy, 'applicationPeriodSec' | 'applicationOverlapSec'>,
): Terms {
  if (kind === 'identification') return IDENTIFICATION;
  const { applicationPeriodSec: period_sec, applicationOverlapSec } = policy;
  return { lifetime_sec: period_sec + applicationOverlapSec, period_sec };
}

/** The lifetime as a certificate states it. @throws RangeError when no unit has it whole: `expectUsablePolicy` sees to that */
export function lifetimeOf({ lifetime_sec }: Pick<Terms, 'lifetime_sec'>): Duration {
  const duration = exactDuration(lifetime_sec);
  if (duration) return duration;
  throw new RangeError(`expected a lifetime that a Duration can state, saw ${lifetime_sec} s`);
}

/** When certificate number i begins. */
export function startOf(certificates: NumberedCertificates, i: number): Time32 {
  return certificates.first_start + i * certificates.period_sec;
}

/** The first instant at which certificate number i is over. */
export function endOf(certificates: NumberedCertificates, i: number): Time32 {
  return startOf(certificates, i) + certificates.lifetime_sec;
}

/** The i-period with which file number i is over: its own, or the one in which its certificate ends. */
export function periodOf(
  certificates: NumberedCertificates & { readonly kind: CertificateKind },
  i: number,
  iPeriod: IPeriodClock,
): number {
  return certificates.kind === 'pseudonym' ? i : iPeriod.at(endOf(certificates, i));
}
