import {
  type ButterflyKind,
  type CertificateKind,
  type DeviceKind,
  EeError,
  kindsOf,
  loadEnrollment,
  type Profile,
  validityOf,
} from '@chrysalis/ee';
import { endOfValidity, formatTime32, type Time32 } from '@chrysalis/ieee1609dot2';
import { type Clock, type Dialect, formatHex, timeOf } from '@chrysalis/scms';

/** What a profile holds, in the form of `ee status --json`. Times as in ISO 8601. */
export interface ProfileStatus {
  /** `none`, `requested` (a key and a request), `enrolled`, or `invalid` with a reason. */
  readonly bootstrap: 'none' | 'requested' | 'enrolled' | 'invalid';
  readonly reason?: string;
  readonly kind: DeviceKind;
  readonly dialect: Dialect;
  readonly ra?: string;
  /** The RA certificate that requests are sealed to. */
  readonly raCertificate?: { readonly id: string; readonly until: string };
  /** Where the CRLs come from. */
  readonly crlStore?: string;
  /** Misbehavior reports that wait for the RA. */
  readonly reports: number;
  readonly enrollment?: { readonly id: string; readonly until: string };
  /** Names of the policy, chain and revocation files, where they were given and taken in. */
  readonly policy?: string;
  readonly chains?: string;
  readonly crl?: string;
  /** Those of the device's kind, and others that it has asked for. */
  readonly supplies: readonly SupplyStatus[];
}

export interface SupplyStatus {
  readonly certificates: CertificateKind;
  readonly request: 'none' | 'prepared' | 'acknowledged';
  readonly requestHash?: string;
  readonly ready?: string;
  readonly certDLURL?: string;
  readonly batches: readonly BatchStatus[];
  /** When to come back. Null: the RA has stopped. Absent: not known. */
  readonly next?: string | null;
}

interface BatchStatus {
  readonly i: string;
  readonly certificates: number;
  readonly failures: number;
  readonly from?: string;
  readonly until?: string;
  readonly use: 'past' | 'current' | 'future' | 'none';
}

const KINDS: readonly CertificateKind[] = ['pseudonym', 'identification', 'application'];

/** Reads a profile; asks nobody. @throws EeError `storage`, `profile-damaged` */
export async function profileStatus(profile: Profile, clock: Clock): Promise<ProfileStatus> {
  const settings = await profile.settings();
  const { ra, crlStore: bundled, ...enrollment } = await enrollmentStatus(profile, clock);
  const url = settings.raUrl?.href ?? ra;
  const crlStore = settings.crlUrl?.href ?? bundled;
  const { policy, chains, crl } = await profile.raFiles();
  const supplies: SupplyStatus[] = [];
  for (const kind of KINDS) {
    const supply = await supplyStatus(profile, kind, timeOf(clock));
    if (supply.request !== 'none' || kindsOf(settings).includes(kind)) supplies.push(supply);
  }
  return {
    ...enrollment,
    kind: settings.kind,
    dialect: settings.dialect,
    ...(url !== undefined && { ra: url }),
    ...(crlStore !== undefined && { crlStore }),
    reports: (await profile.reports()).length,
    ...(policy && { policy: policy.name }),
    ...(chains && { chains: chains.name }),
    ...(crl && { crl: crl.name }),
    supplies,
  };
}

export function statusText(status: ProfileStatus): string {
  const lines = [
    `bootstrap: ${status.bootstrap}${status.reason === undefined ? '' : ` (${status.reason})`}`,
    `device: ${status.kind}, requests in ${status.dialect}`,
    status.ra && `ra: ${status.ra}`,
    status.raCertificate &&
      `ra certificate: ${status.raCertificate.id}, until ${status.raCertificate.until}`,
    status.crlStore && `crl store: ${status.crlStore}`,
    status.enrollment && `enrollment: ${status.enrollment.id}, until ${status.enrollment.until}`,
    status.policy && `policy: ${status.policy}`,
    status.chains && `chains: ${status.chains}`,
    status.crl && `crl: ${status.crl}`,
    status.reports > 0 ? `reports waiting: ${status.reports}` : undefined,
    ...status.supplies.flatMap(supplyLines),
  ];
  return lines.filter((line) => line !== undefined).join('\n');
}

function supplyLines({ certificates: kind, batches, ...supply }: SupplyStatus) {
  const sum = (of: 'certificates' | 'failures') =>
    batches.reduce((total, batch) => total + batch[of], 0);
  const [first, last] = [batches[0], batches.at(-1)];
  const failures = sum('failures');
  const [what, when] = kind === 'pseudonym' ? ['periods', 'next batch'] : ['files', 'next'];
  return [
    `${kind} request: ${[supply.request, supply.requestHash].filter(Boolean).join(' ')}`,
    supply.ready && `  ready: ${supply.ready}`,
    `  certificates: ${sum('certificates')}${failures === 0 ? '' : `, ${failures} did not open`}`,
    first && last && `  ${what}: ${first.i} to ${last.i}, ${batches.length} batches`,
    supply.next === undefined
      ? undefined
      : `  ${when}: ${supply.next ?? 'none, the RA has stopped'}`,
  ];
}

type EnrollmentStatus = Pick<
  ProfileStatus,
  'bootstrap' | 'reason' | 'ra' | 'crlStore' | 'raCertificate' | 'enrollment'
>;

async function enrollmentStatus(profile: Profile, clock: Clock): Promise<EnrollmentStatus> {
  try {
    const { certificate, ra, raUrl, crlUrl } = await loadEnrollment(profile, clock);
    const held = ({ id, certificate: { toBeSigned } }: typeof ra) => ({
      id: formatHex(id),
      until: formatTime32(endOfValidity(toBeSigned.validityPeriod)),
    });
    return {
      bootstrap: 'enrolled',
      ra: raUrl.href,
      raCertificate: held(ra),
      ...(crlUrl && { crlStore: crlUrl.href }),
      enrollment: held(certificate),
    };
  } catch (error) {
    if (!(error instanceof EeError)) throw error;
    if (error.code === 'not-bootstrapped') {
      const isRequested = (await profile.enrollmentRequest()) !== undefined;
      return { bootstrap: isRequested ? 'requested' : 'none' };
    }
    return { bootstrap: 'invalid', reason: error.message };
  }
}

async function supplyStatus(
  profile: Profile,
  kind: CertificateKind,
  now: Time32,
): Promise<SupplyStatus> {
  const state = await lastRequest(profile, kind);
  const next = kind === 'application' ? undefined : await nextOf(profile, kind);
  return {
    certificates: kind,
    request:
      state === undefined ? 'none' : state.acknowledged === undefined ? 'prepared' : 'acknowledged',
    ...(state?.acknowledged && {
      requestHash: formatHex(state.acknowledged.requestHash),
      ready: formatTime32(state.acknowledged.certDLTime),
      certDLURL: state.acknowledged.certDLURL,
    }),
    batches: await batchStatus(profile, kind, now),
    ...(next !== undefined && { next }),
  };
}

async function lastRequest(profile: Profile, kind: CertificateKind) {
  if (kind !== 'application') return profile.provisioning(kind);
  const last = (await profile.applicationRequests()).at(-1);
  return last === undefined ? undefined : profile.applicationRequest(last);
}

async function nextOf(profile: Profile, kind: ButterflyKind): Promise<string | null | undefined> {
  const next = await profile.info(kind);
  if (next === undefined) return undefined;
  return next.type === 'stopped' ? null : formatTime32(next.time);
}

async function batchStatus(
  profile: Profile,
  kind: CertificateKind,
  now: Time32,
): Promise<BatchStatus[]> {
  const folder = profile.certificates(kind);
  const found: BatchStatus[] = [];
  for (const i of await folder.openedNumbers()) {
    const batch = await folder.opened(i);
    if (batch === undefined) continue;
    const validity = validityOf(batch);
    found.push({
      i: i.toString(16).toUpperCase(),
      certificates: batch.certificates.length,
      failures: batch.failures.length,
      ...(validity && { from: formatTime32(validity.start), until: formatTime32(validity.end) }),
      use: useOf(validity, now),
    });
  }
  return found;
}

function useOf(validity: { start: Time32; end: Time32 } | undefined, now: Time32) {
  if (validity === undefined) return 'none';
  if (now < validity.start) return 'future';
  return now < validity.end ? 'current' : 'past';
}
