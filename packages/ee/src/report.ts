/** A misbehavior report of the device: who signs it, and for whom it is sealed (sheet 4.12). */
import { decode } from '@chrysalis/coer';
import type { Random } from '@chrysalis/crypto';
import {
  Certificate,
  checkValidAt,
  type ThreeDLocation,
  type Time32,
  type TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type ComponentSigner,
  MISBEHAVIOR_REPORTING_PSID,
  type MisbehaviorReportContents,
  secureMisbehaviorReport,
} from '@chrysalis/scms';
import type { StoredCertificate } from './certificate-folder.ts';
import type { DeviceKind } from './device-settings.ts';
import { isDataError } from './enrollment.ts';
import { EeError } from './error.ts';
import type { Profile } from './profile.ts';

/** What a device reports. ee-ma.asn is a draft: all of it but the place are octets without a form of their own. */
export interface ReportWish
  extends Pick<
    MisbehaviorReportContents,
    'misbehavingDeviceInfo' | 'misbehavingDeviceBSMs' | 'reporterDeviceBSMs' | 'sensorInfo'
  > {
  /** Where the device is; unknown when missing. */
  readonly place?: Place;
}

export interface Place {
  /** Degrees, north positive, -90 to 90. */
  readonly latitude: number;
  /** Degrees, east positive, -180 to 180. */
  readonly longitude: number;
  /** Metres above the WGS 84 ellipsoid, -409.5 to 6143.9; unknown when missing. */
  readonly elevation?: number;
}

/** An RA takes 64 KiB. */
const MAX_REPORT_OCTETS = 65_536;

/** Tenths of a microdegree (1609.2 §6.3.12). */
const UNITS_PER_DEGREE = 1e7;
const UNKNOWN_LATITUDE = 900_000_001;
const UNKNOWN_LONGITUDE = 1_800_000_001;
/** Minus 180 degrees is plus 180. */
const MIN_LONGITUDE = -1_799_999_999;

/** Elevations are decimetres above -409.6 m, and that itself is none (1609.2 §6.3.12). */
const ELEVATION_OFFSET = 4_096;
const UNKNOWN_ELEVATION = 0;

/**
 * The generationLocation of a message.
 *
 * @throws EeError `cannot-report` for a place that is none
 */
export function locationOf(place: Place | undefined): ThreeDLocation {
  if (place === undefined) {
    return {
      latitude: UNKNOWN_LATITUDE,
      longitude: UNKNOWN_LONGITUDE,
      elevation: UNKNOWN_ELEVATION,
    };
  }
  const { latitude, longitude, elevation } = place;
  expectBetween('latitude', latitude, -90, 90);
  expectBetween('longitude', longitude, -180, 180);
  if (elevation !== undefined) expectBetween('elevation', elevation, -409.5, 6143.9);
  return {
    latitude: Math.round(latitude * UNITS_PER_DEGREE),
    longitude: Math.max(Math.round(longitude * UNITS_PER_DEGREE), MIN_LONGITUDE),
    elevation:
      elevation === undefined ? UNKNOWN_ELEVATION : Math.round(elevation * 10) + ELEVATION_OFFSET,
  };
}

export interface ReportParts {
  readonly wish: ReportWish;
  readonly reporter: ComponentSigner;
  readonly ma: VerifiedCertificate;
  readonly time: Time32;
  readonly random: Random;
}

/**
 * A SecuredMisbehaviorReport, COER. Pure.
 *
 * @throws EeError `cannot-report` when the MA's certificate is not valid now or takes nothing encrypted,
 *   `too-large`
 */
export function composeReport({ wish, reporter, ma, time, random }: ReportParts): Uint8Array {
  const { place, ...contents } = wish;
  const generationLocation = locationOf(place);
  let octets: Uint8Array;
  try {
    checkValidAt(ma, time);
    octets = secureMisbehaviorReport(
      { contents: { version: 1, ...contents }, generationTime: time, generationLocation },
      reporter,
      ma,
      random,
    );
  } catch (cause) {
    if (!isDataError(cause)) throw cause;
    throw new EeError('cannot-report', `the MA: ${cause.message}`, { cause });
  }
  if (octets.length <= MAX_REPORT_OCTETS) return octets;
  throw new EeError(
    'too-large',
    `expected a report of at most ${MAX_REPORT_OCTETS} octets, saw ${octets.length}`,
  );
}

export interface ReporterOptions {
  readonly kind: DeviceKind;
  /** The i-period of now. */
  readonly currentI: number;
  /** Knows the PCA. */
  readonly trust: TrustStore;
  readonly time: Time32;
  readonly random: Random;
}

/**
 * A certificate with which the device may report now: one of its current pseudonym certificates, at
 * random, and of a roadside unit, which has none, its application certificate. Either has to carry PSID
 * 0x26. An identification certificate would name the vehicle, and is not used.
 *
 * @throws EeError `cannot-report`
 */
export async function reporterOf(
  profile: Profile,
  options: ReporterOptions,
): Promise<ComponentSigner> {
  const { kind, random } = options;
  const held = await certificatesOfNow(profile, options);
  const suited = held.filter(({ certificate }) => mayReport(certificate));
  const [octet = 0] = random(1);
  const chosen = suited[octet % suited.length];
  if (chosen !== undefined) return chosen;
  const what = kind === 'rse' ? 'an application certificate' : 'a pseudonym certificate';
  throw new EeError(
    'cannot-report',
    held.length === 0
      ? `expected ${what} that is valid now, saw none in the profile`
      : `expected ${what} that may report (PSID 0x26), saw ${held.length} without`,
  );
}

async function certificatesOfNow(
  profile: Profile,
  { kind, currentI, trust, time }: ReporterOptions,
): Promise<ComponentSigner[]> {
  const folder = profile.certificates(kind === 'rse' ? 'application' : 'pseudonym');
  const numbers = kind === 'rse' ? (await folder.openedNumbers()).reverse() : [currentI];
  for (const i of numbers) {
    const { certificates = [] } = (await folder.opened(i)) ?? {};
    const valid = certificates.flatMap((stored) => signerIfValid(stored, trust, time));
    if (valid.length > 0) return valid;
  }
  return [];
}

function signerIfValid(
  { certificate, key }: StoredCertificate,
  trust: TrustStore,
  time: Time32,
): ComponentSigner[] {
  try {
    const verified = trust.verify(decode(Certificate, certificate));
    checkValidAt(verified, time);
    return [{ certificate: verified, key }];
  } catch (error) {
    if (isDataError(error)) return [];
    throw error;
  }
}

function mayReport({ certificate }: ComponentSigner['certificate']): boolean {
  const { appPermissions = [] } = certificate.toBeSigned;
  return appPermissions.some(({ psid }) => psid === MISBEHAVIOR_REPORTING_PSID);
}

function expectBetween(name: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw new EeError('cannot-report', `expected ${name} from ${min} to ${max}, saw ${value}`);
}
