/** From an authenticated request to the row that records it: what a device asked for, checked and made plain. */
import { encode } from '@chrysalis/coer';
import type { Point } from '@chrysalis/crypto';
import {
  type EccP256CurvePoint,
  effectiveRegion,
  endOfChain,
  GeographicRegion,
  Ieee1609Dot2Error,
  isWithinRegion,
  type PublicEncryptionKey,
  type PublicVerificationKey,
  type Time32,
  toPoint,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type ApplicationRequest,
  type IdentificationRequest,
  type PseudonymRequest,
  timeOf,
} from '@chrysalis/scms';
import type { NewDevice } from './device-registry.ts';
import { lastPeriodWithin } from './horizon.ts';
import type { RaOptions } from './options.ts';
import { Refusal } from './refusal.ts';
import { termsOf } from './validity.ts';

/** The columns that a request decides. */
export type RequestColumns = Pick<
  NewDevice,
  | 'kind'
  | 'region'
  | 'verify_seed'
  | 'verify_expansion'
  | 'encryption_seed'
  | 'encryption_expansion'
  | 'cert_encryption_seed'
  | 'cert_encryption_expansion'
  | 'first_start'
  | 'lifetime_sec'
  | 'period_sec'
  | 'first_i'
  | 'last_i'
>;

type Surroundings = Pick<RaOptions, 'clock' | 'iPeriod' | 'policy'>;

/** How far ahead an RSE may ask for its next certificate: it is assumed to be connected often (section 1.4). */
const APPLICATION_AHEAD_SEC = 4 * 604_800;

const NO_EXPANSION = new Uint8Array(0);

/** @throws Refusal */
export function describePseudonym(
  request: PseudonymRequest,
  enrollment: VerifiedCertificate,
  { clock, iPeriod, policy }: Surroundings,
): RequestColumns {
  const now = timeOf(clock);
  const currentI = iPeriod.at(now);
  // Not the device's fault: our clock is wrong, or the epoch was configured too late.
  if (currentI < 0) throw new RangeError(`expected a current i-period from 0, saw ${currentI}`);
  const firstI = Math.max(currentI, iPeriod.at(request.requestedStartTime ?? now));
  if (firstI >= currentI + policy.weeksAhead) {
    throw wrong(
      `expected a start within ${policy.weeksAhead} periods, saw i = ${firstI} at i = ${currentI}`,
    );
  }
  const lastI = lastPeriodWithin(enrollment, iPeriod);
  if (firstI > lastI) {
    throw wrong(
      `expected a start within the enrollment certificate's validity, saw i = ${firstI} after ${lastI}`,
    );
  }
  return {
    kind: 'pseudonym',
    region: null,
    ...caterpillarKeys(request),
    cert_encryption_seed: null,
    cert_encryption_expansion: null,
    first_start: 0,
    lifetime_sec: 0,
    period_sec: 0,
    first_i: firstI,
    last_i: lastI,
  };
}

/** @throws Refusal */
export function describeIdentification(
  request: IdentificationRequest,
  enrollment: VerifiedCertificate,
  surroundings: Surroundings,
): RequestColumns {
  const { iPeriod, policy } = surroundings;
  const mostAheadSec = policy.weeksAhead * iPeriod.lengthSec;
  const start = startWithin(request.requestedStartTime, mostAheadSec, enrollment, surroundings);
  const { certEncKeyInfo } = request;
  const terms = termsOf('identification', policy);
  return {
    kind: 'identification',
    region: regionWithin(request.region, enrollment),
    ...caterpillarKeys(request),
    cert_encryption_seed: certEncKeyInfo
      ? wholePoint(certEncKeyInfo.seedKey, 'cert-enc-key-info')
      : null,
    cert_encryption_expansion: certEncKeyInfo?.expansion ?? null,
    first_start: start,
    ...terms,
    first_i: 0,
    last_i: Math.floor((endOfChain(enrollment) - 1 - start) / terms.period_sec),
  };
}

/** @throws Refusal */
export function describeApplication(
  request: ApplicationRequest,
  enrollment: VerifiedCertificate,
  surroundings: Surroundings,
): RequestColumns {
  const { requestedStartTime, certEncryptionKey } = request;
  return {
    kind: 'application',
    region: regionWithin(request.region, enrollment),
    verify_seed: verificationPoint(request.verifyKey),
    verify_expansion: NO_EXPANSION,
    encryption_seed: encryptionPoint(request.responseEncryptionKey, 'response-encryption-key'),
    encryption_expansion: NO_EXPANSION,
    cert_encryption_seed: certEncryptionKey
      ? encryptionPoint(certEncryptionKey, 'cert-encryption-key')
      : null,
    cert_encryption_expansion: certEncryptionKey ? NO_EXPANSION : null,
    first_start: startWithin(requestedStartTime, APPLICATION_AHEAD_SEC, enrollment, surroundings),
    ...termsOf('application', surroundings.policy),
    first_i: 0,
    last_i: 0,
  };
}

/** Now, or later when a later start was asked for. */
function startWithin(
  requested: Time32 | undefined,
  mostAheadSec: number,
  enrollment: VerifiedCertificate,
  { clock }: Surroundings,
): Time32 {
  const now = timeOf(clock);
  const start = Math.max(now, requested ?? now);
  if (start > now + mostAheadSec) {
    throw wrong(`expected a start within ${mostAheadSec} s, saw one in ${start - now} s`);
  }
  if (start >= endOfChain(enrollment)) {
    throw wrong("expected a start within the enrollment certificate's validity");
  }
  return start;
}

/** Release 1.2.4: the region that is asked for lies in that of the enrollment certificate. */
function regionWithin(
  region: GeographicRegion | undefined,
  enrollment: VerifiedCertificate,
): Uint8Array | null {
  if (region === undefined) return null;
  const outer = effectiveRegion(enrollment);
  if (outer && !isWithinRegion(region, outer)) {
    throw wrong("expected a region inside the enrollment certificate's");
  }
  return encode(GeographicRegion, region);
}

function caterpillarKeys(request: PseudonymRequest | IdentificationRequest) {
  const { verifyKeyInfo, respEncKeyInfo } = request;
  return {
    verify_seed: wholePoint(verifyKeyInfo.seedKey, 'verify-key-info'),
    verify_expansion: verifyKeyInfo.expansion,
    encryption_seed: wholePoint(respEncKeyInfo.seedKey, 'resp-enc-key-info'),
    encryption_expansion: respEncKeyInfo.expansion,
  };
}

function verificationPoint(key: PublicVerificationKey): Point {
  if (key.type === 'ecdsaNistP256') return wholePoint(key.value, 'verify-key');
  throw wrong(`verify-key: expected a key on P-256, saw ${key.type}`);
}

function encryptionPoint(key: PublicEncryptionKey, field: string): Point {
  if (key.supportedSymmAlg === 'aes128Ccm' && key.publicKey.type === 'eciesNistP256') {
    return wholePoint(key.publicKey.value, field);
  }
  throw wrong(`${field}: expected ECIES on P-256 with AES-128-CCM`);
}

/** A public key has to be a whole point on the curve. */
function wholePoint(key: EccP256CurvePoint, field: string): Point {
  try {
    return toPoint(key);
  } catch (cause) {
    if (!(cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new Refusal('raWrongParameters', `${field}: ${cause.message}`, { cause });
  }
}

function wrong(message: string): Refusal {
  return new Refusal('raWrongParameters', message);
}
