/** When identification and application certificates begin and end (cert-profile.asn, scms-base-types.asn). */
import type { Duration, Time32 } from '@chrysalis/ieee1609dot2';
import type { IPeriodClock } from '@chrysalis/scms';
import type { CertificateKind } from './schema.ts';

const HOUR_SEC = 3600;

/** ObeIdentificationCertExpiration and RseApplicationCertExpiration: the period, and an hour of overlap. */
const LIFETIME_HOURS = { identification: 721, application: 169 } as const;
const OVERLAP_HOURS = 1;

type NumberedKind = Exclude<CertificateKind, 'pseudonym'>;

export interface NumberedCertificates {
  readonly kind: NumberedKind;
  /** When certificate 0 begins. */
  readonly first_start: Time32;
}

export function lifetimeOf(kind: NumberedKind): Duration {
  return { type: 'hours', value: LIFETIME_HOURS[kind] };
}

export function lifetimeSecOf(kind: NumberedKind): number {
  return LIFETIME_HOURS[kind] * HOUR_SEC;
}

/** Seconds from the beginning of one certificate to that of the next. */
export function periodSecOf(kind: NumberedKind): number {
  return (LIFETIME_HOURS[kind] - OVERLAP_HOURS) * HOUR_SEC;
}

/** When certificate number i begins. */
export function startOf({ kind, first_start }: NumberedCertificates, i: number): Time32 {
  return first_start + i * periodSecOf(kind);
}

/** The first instant at which certificate number i is over. */
export function endOf(certificates: NumberedCertificates, i: number): Time32 {
  return startOf(certificates, i) + lifetimeSecOf(certificates.kind);
}

/** The i-period with which file number i is over: its own, or the one in which its certificate ends. */
export function periodOf(
  certificates: { readonly kind: CertificateKind; readonly first_start: Time32 },
  i: number,
  iPeriod: IPeriodClock,
): number {
  const { kind, first_start } = certificates;
  return kind === 'pseudonym' ? i : iPeriod.at(endOf({ kind, first_start }, i));
}
