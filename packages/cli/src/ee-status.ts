import { EeError, loadEnrollment, type Profile } from '@chrysalis/ee';
import { endOfValidity, formatTime32 } from '@chrysalis/ieee1609dot2';
import { type Clock, formatHex, timeOf } from '@chrysalis/scms';

/** What a profile holds, in the form of `ee status --json`. Times as in ISO 8601. */
export interface ProfileStatus {
  /** `none`, `requested` (a key and a request), `enrolled`, or `invalid` with a reason. */
  readonly bootstrap: 'none' | 'requested' | 'enrolled' | 'invalid';
  readonly reason?: string;
  readonly ra?: string;
  readonly enrollment?: { readonly id: string; readonly until: string };
  readonly request: 'none' | 'prepared' | 'acknowledged';
  readonly requestHash?: string;
  readonly ready?: string;
  readonly certDLURL?: string;
  readonly batches: readonly BatchStatus[];
  /** Null: the RA has stopped. Absent: never asked. */
  readonly next?: string | null;
}

interface BatchStatus {
  readonly i: string;
  readonly certificates: number;
  readonly failures: number;
  readonly use: 'past' | 'current' | 'future';
}

/** Reads a profile; asks nobody. @throws EeError `storage`, `profile-damaged` */
export async function profileStatus(profile: Profile, clock: Clock): Promise<ProfileStatus> {
  const state = await profile.provisioning();
  const next = await profile.info();
  const enrollment = await enrollmentStatus(profile, clock);
  return {
    ...enrollment.status,
    request:
      state === undefined ? 'none' : state.acknowledged === undefined ? 'prepared' : 'acknowledged',
    ...(state?.acknowledged && {
      requestHash: formatHex(state.acknowledged.requestHash),
      ready: formatTime32(state.acknowledged.certDLTime),
      certDLURL: state.acknowledged.certDLURL,
    }),
    batches: await batchStatus(profile, enrollment.currentPeriod),
    ...(next && { next: next.type === 'stopped' ? null : formatTime32(next.time) }),
  };
}

export function statusText(status: ProfileStatus): string {
  const certificates = status.batches.reduce((sum, batch) => sum + batch.certificates, 0);
  const failures = status.batches.reduce((sum, batch) => sum + batch.failures, 0);
  const [first, last] = [status.batches[0], status.batches.at(-1)];
  const lines = [
    `bootstrap: ${status.bootstrap}${status.reason === undefined ? '' : ` (${status.reason})`}`,
    status.ra === undefined ? undefined : `ra: ${status.ra}`,
    status.enrollment && `enrollment: ${status.enrollment.id}, until ${status.enrollment.until}`,
    `request: ${[status.request, status.requestHash].filter(Boolean).join(' ')}`,
    status.ready === undefined ? undefined : `ready: ${status.ready}`,
    `certificates: ${certificates}${failures === 0 ? '' : `, ${failures} did not open`}`,
    first && last && `periods: ${first.i} to ${last.i}, ${status.batches.length} batches`,
    status.next === undefined
      ? undefined
      : `next batch: ${status.next ?? 'none, the RA has stopped'}`,
  ];
  return lines.filter((line) => line !== undefined).join('\n');
}

async function enrollmentStatus(profile: Profile, clock: Clock) {
  try {
    const { certificate, raUrl, iPeriods } = await loadEnrollment(profile, clock);
    const until = endOfValidity(certificate.certificate.toBeSigned.validityPeriod);
    return {
      currentPeriod: iPeriods.at(timeOf(clock)),
      status: {
        bootstrap: 'enrolled' as const,
        ra: raUrl.href,
        enrollment: { id: formatHex(certificate.id), until: formatTime32(until) },
      },
    };
  } catch (error) {
    if (!(error instanceof EeError)) throw error;
    if (error.code === 'not-bootstrapped') {
      const isRequested = (await profile.enrollmentRequest()) !== undefined;
      return { status: { bootstrap: isRequested ? ('requested' as const) : ('none' as const) } };
    }
    return { status: { bootstrap: 'invalid' as const, reason: error.message } };
  }
}

async function batchStatus(profile: Profile, current: number | undefined): Promise<BatchStatus[]> {
  const found: BatchStatus[] = [];
  for (const i of await profile.openedPeriods()) {
    const batch = await profile.openedBatch(i);
    if (batch === undefined) continue;
    found.push({
      i: i.toString(16).toUpperCase(),
      certificates: batch.certificates.length,
      failures: batch.failures.length,
      use: current === undefined || i === current ? 'current' : i < current ? 'past' : 'future',
    });
  }
  return found;
}
