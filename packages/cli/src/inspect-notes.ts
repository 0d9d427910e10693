/** Values of fields as text, and what stands behind them: times, hashes, numbers that mean something. */
import type { InspectedField } from '@chrysalis/coer';
import {
  type Certificate,
  endOfValidity,
  formatTime32,
  hashCertificate,
  Ieee1609Dot2Error,
  type Time32,
  time32FromUnix,
  type ValidityPeriod,
} from '@chrysalis/ieee1609dot2';
import { formatHex, IPeriodClock } from '@chrysalis/scms';
import { INFO } from './inspect-type.ts';

const iPeriods = new IPeriodClock();
/** Time64 counts microseconds, locations tenths of a microdegree. */
const MICROSECONDS = 1_000_000n;
const UNITS_PER_DEGREE = 1e7;

/** Applications by name: scms-base-types.asn and the 1609.2 module of CRLs. */
const APPLICATIONS: Readonly<Record<number, string>> = {
  32: 'basic safety message',
  35: 'security management',
  38: 'misbehavior reporting',
  39: 'vulnerable road users safety',
  128: 'differential GPS corrections, uncompressed',
  129: 'differential GPS corrections, compressed',
  130: 'intersection safety and awareness',
  131: 'traveller information and roadside signage',
  135: 'WAVE service advertisement',
  256: 'certificate revocation lists',
};

const COUNTRIES: Readonly<Record<number, string>> = {
  124: 'Canada',
  410: 'Republic of Korea',
  484: 'Mexico',
  840: 'United States',
};

const CRL_SERIES: Readonly<Record<number, string>> = {
  1: 'OBE pseudonym certificates',
  2: 'SCMS components',
  3: 'other certificates of end entities',
  4: 'enrollment certificates',
  256: 'special SCMS components',
};

/** The fields that are Time32: on the wire they are numbers like others. */
const TIME32_FIELDS: ReadonlySet<unknown> = new Set([
  'certDLTime',
  'currentTime',
  'expiration',
  'requestedStartTime',
  'start',
  'timestamp',
]);
const TIME64_FIELDS: ReadonlySet<unknown> = new Set(['generationTime', 'expiryTime']);

/** The value of a field without fields. */
export function textOf({ value }: InspectedField): string | number | undefined {
  if (value instanceof Uint8Array) return formatHex(value);
  if (typeof value === 'number' || typeof value === 'string') return value;
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return 'none';
  // NULL says nothing beyond its being there.
  return undefined;
}

/** @param now Unix milliseconds */
export function notesOf({ name, value }: InspectedField, now: number): string[] {
  if (isCertificate(value)) return certificateNotes(value, now);
  if (isValidityPeriod(value)) return [formatPeriod(value)];
  if (typeof value === 'number') return numberNotes(name, value);
  if (typeof value === 'bigint' && TIME64_FIELDS.has(name)) {
    return [formatTime32(Number(value / MICROSECONDS))];
  }
  return [];
}

function numberNotes(name: string | number, value: number): string[] {
  if (TIME32_FIELDS.has(name)) return [formatTime32(value)];
  switch (name) {
    case INFO.name:
      return [value === 0 ? 'the RA has stopped generating' : formatTime32(value)];
    case 'psid':
      return [`0x${hex(value)}`, ...named(APPLICATIONS, value)];
    case 'countryOnly':
    case 'country':
      return named(COUNTRIES, value);
    case 'crlSeries':
      return named(CRL_SERIES, value);
    case 'iCert':
    case 'iValue':
    case 'iMin':
    case 'iMax':
      return [`0x${hex(value)}`, `from ${formatTime32(iPeriods.start(value))}`];
    case 'latitude':
    case 'longitude':
      return [`${value / UNITS_PER_DEGREE} degrees`];
    default:
      return [];
  }
}

function named(names: Readonly<Record<number, string>>, value: number): string[] {
  const name = names[value];
  return name === undefined ? [] : [name];
}

function hex(value: number): string {
  return value.toString(16).toUpperCase();
}

function isCertificate(value: unknown): value is Certificate {
  if (typeof value !== 'object' || value === null || !('octets' in value)) return false;
  const { value: inner } = value as { value?: unknown };
  return typeof inner === 'object' && inner !== null && 'toBeSigned' in inner && 'issuer' in inner;
}

function certificateNotes(certificate: Certificate, now: number): string[] {
  const period = certificate.value.toBeSigned.validityPeriod;
  const validity = `${stateAt(period, time32FromUnix(now))}: ${formatPeriod(period)}`;
  try {
    const { hash, id } = hashCertificate(certificate);
    return [`HashedId8 ${formatHex(id)}`, `SHA-256 ${formatHex(hash)}`, validity];
  } catch (error) {
    if (!(error instanceof Ieee1609Dot2Error)) throw error;
    return [`no HashedId8: ${error.message}`, validity];
  }
}

function isValidityPeriod(value: unknown): value is ValidityPeriod {
  return typeof value === 'object' && value !== null && 'start' in value && 'duration' in value;
}

function stateAt(period: ValidityPeriod, time: Time32): string {
  if (time < period.start) return 'not yet valid';
  return time < endOfValidity(period) ? 'valid now' : 'expired';
}

function formatPeriod(period: ValidityPeriod): string {
  return `${formatTime32(period.start)} until ${formatTime32(endOfValidity(period))}`;
}
