/** The RA's own certificate: which newer one a device takes, and how it keeps it (sheet 1.13). */
import { decode, encode } from '@chrysalis/coer';
import {
  asCertificate,
  Certificate,
  encryptionPointOf,
  endOfValidity,
  formatTime32,
  Ieee1609Dot2Data,
  type Time32,
  TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  decodeMessage,
  expectRole,
  hostnameOf,
  type RevocationList,
  ScmsPdu122,
} from '@chrysalis/scms';
import { type Enrollment, isDataError } from './enrollment.ts';
import { EeError } from './error.ts';
import { JsonRecord, jsonOctets, toHex } from './json-record.ts';

/** From so long before its end on a device asks for the next one. A device that comes weekly asks in time. */
export const RA_RENEWAL_SEC = 7 * 86_400;

/** RA and all above it: no chain is longer. */
const MAX_CHAIN = 6;

/** SecuredRACertRequest, COER: the eight octets `03 80 05 01 83 80 00 01`. */
export const SECURED_RA_CERT_REQUEST: Uint8Array = encode(Ieee1609Dot2Data, {
  protocolVersion: 3,
  content: {
    type: 'unsecuredData',
    value: encode(ScmsPdu122, {
      version: 1,
      content: { type: 'eeRa', value: { type: 'eeRaCertRequest', value: { version: 1 } } },
    }),
  },
});

/** By what a device judges a certificate that is said to be its RA's. */
export interface RaJudgement {
  readonly enrollment: Pick<Enrollment, 'ra'>;
  /** The authorities that it trusts, without those whose permissions were not judged. */
  readonly trust: TrustStore;
  readonly revocations: RevocationList | undefined;
  readonly time: Time32;
}

/**
 * The answer to a SecuredRACertRequest: the certificate of the device's own RA by name, of a trusted
 * issuer, with the permissions of an RA, an encryption key, valid now, on no CRL, and not from before
 * the present one. Pure.
 *
 * @returns undefined when it is the present one
 * @throws EeError `invalid-ra-certificate`
 */
export function openRaCertificate(
  octets: Uint8Array,
  judgement: RaJudgement,
): VerifiedCertificate | undefined {
  try {
    // Kept for long, and what is decoded are views of the input.
    const given = decodeMessage(Certificate, Uint8Array.from(octets), 'a certificate');
    const certificate = judgement.trust.verify(given);
    if (isSame(certificate, judgement.enrollment.ra)) return undefined;
    expectNextRa(certificate, judgement);
    return certificate;
  } catch (cause) {
    if (!isDataError(cause)) throw cause;
    throw new EeError('invalid-ra-certificate', cause.message, { cause });
  }
}

/**
 * Of the certificates of a chain file the one that succeeds the present RA certificate; undefined when
 * none does. Of several the newest; one that begins with the present one only replaces it when that is
 * not in the file any more.
 */
export function successorIn(
  certificates: readonly VerifiedCertificate[],
  judgement: RaJudgement,
): VerifiedCertificate | undefined {
  const { ra } = judgement.enrollment;
  const isListed = certificates.some((certificate) => isSame(certificate, ra));
  let best: VerifiedCertificate | undefined;
  for (const certificate of certificates) {
    const start = startOf(certificate);
    if (isListed && start <= startOf(ra)) continue;
    if (best !== undefined && start <= startOf(best)) continue;
    if (isNextRa(certificate, judgement)) best = certificate;
  }
  return best;
}

/** Whether the RA certificate has ended at a time, or ends within so many seconds. */
export function endsWithin({ certificate }: VerifiedCertificate, time: Time32, aheadSec: number) {
  return time + aheadSec >= endOfValidity(certificate.toBeSigned.validityPeriod);
}

/** @throws EeError `invalid-ra-certificate` when it has ended */
export function expectRaInForce(ra: VerifiedCertificate, time: Time32): void {
  if (!endsWithin(ra, time, 0)) return;
  const until = formatTime32(endOfValidity(ra.certificate.toBeSigned.validityPeriod));
  throw new EeError(
    'invalid-ra-certificate',
    `expected an RA certificate that is valid now, saw one until ${until} and no newer one`,
  );
}

/**
 * The same enrollment with another RA certificate: requests are sealed to it, and acknowledgements
 * verified by it. RA and MA of the bundle stay vouched for, the RA for files that it signed before.
 */
export function withRa(enrollment: Enrollment, ra: VerifiedCertificate): Enrollment {
  const pinned = new TrustStore([asCertificate(enrollment.root)]);
  for (const leaf of enrollment.vouchedFor) {
    for (const above of issuersOf(leaf)) pinned.add(asCertificate(above));
    pinned.pin(asCertificate(leaf));
  }
  for (const member of [...issuersOf(ra), ra]) pinned.add(asCertificate(member));
  return { ...enrollment, ra, pinned };
}

/** The file of an RA certificate: itself and all between it and the root, so that it is verified by itself. */
export function encodeRaCertificate(ra: VerifiedCertificate): Uint8Array {
  return jsonOctets({ certificates: [...issuersOf(ra), ra].map(({ octets }) => toHex(octets)) });
}

/**
 * The enrollment with the RA certificate of that file, verified up to the root. Its period is not
 * looked at: whoever uses it does.
 *
 * @throws EeError `profile-damaged`
 */
export function restoreRa(name: string, octets: Uint8Array, enrollment: Enrollment): Enrollment {
  const certificates = JsonRecord.parse(name, octets).octetsList('certificates');
  const trust = new TrustStore([asCertificate(enrollment.root)]);
  try {
    if (certificates.length > MAX_CHAIN) {
      throw new EeError('profile-damaged', `${name}: expected at most ${MAX_CHAIN} certificates`);
    }
    const chain = certificates.map((given) => trust.add(decode(Certificate, given)));
    const ra = chain.at(-1);
    if (ra === undefined) throw new EeError('profile-damaged', `${name}: expected a certificate`);
    expectSuccessor(ra, enrollment.ra);
    expectRole(ra, 'ra', startOf(ra));
    return withRa(enrollment, ra);
  } catch (cause) {
    if (cause instanceof EeError && cause.code === 'profile-damaged') throw cause;
    if (!(cause instanceof EeError) && !isDataError(cause)) throw cause;
    throw new EeError('profile-damaged', `${name}: ${cause.message}`, { cause });
  }
}

function isNextRa(certificate: VerifiedCertificate, judgement: RaJudgement): boolean {
  try {
    expectNextRa(certificate, judgement);
    return true;
  } catch (error) {
    if (error instanceof EeError || isDataError(error)) return false;
    throw error;
  }
}

function expectNextRa(
  certificate: VerifiedCertificate,
  { enrollment, revocations, time }: RaJudgement,
): void {
  expectSuccessor(certificate, enrollment.ra);
  expectRole(certificate, 'ra', time);
  encryptionPointOf(certificate);
  revocations?.expectUnlisted(certificate);
}

/** Whoever has the RA's X.509 key could show an old certificate, whose private key may be known by now. */
function expectSuccessor(certificate: VerifiedCertificate, present: VerifiedCertificate): void {
  const [expected, seen] = [hostnameOf(present), hostnameOf(certificate)];
  if (expected === undefined || seen !== expected) {
    throw new EeError(
      'invalid-ra-certificate',
      `expected a certificate of ${expected ?? 'an RA with a name'}, saw one of ${seen ?? 'none'}`,
    );
  }
  if (startOf(certificate) >= startOf(present)) return;
  throw new EeError(
    'invalid-ra-certificate',
    `expected an RA certificate from ${formatTime32(startOf(present))} or later, saw one from ` +
      formatTime32(startOf(certificate)),
  );
}

function startOf({ certificate }: VerifiedCertificate): Time32 {
  return certificate.toBeSigned.validityPeriod.start;
}

function isSame(a: VerifiedCertificate, b: VerifiedCertificate): boolean {
  return toHex(a.hash) === toHex(b.hash);
}

/** All above a certificate, from below the root down. */
function issuersOf({ issuer }: VerifiedCertificate): VerifiedCertificate[] {
  if (issuer?.issuer === undefined) return [];
  return [...issuersOf(issuer), issuer];
}
