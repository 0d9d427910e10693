import { encode } from '@chrysalis/coer';
import { PublicKey, type Random } from '@chrysalis/crypto';
import {
  asCertificate,
  type CertificateId,
  type Duration,
  durationSeconds,
  endOfValidity,
  Ieee1609Dot2Error,
  issueImplicit,
  isWithinRegion,
  mayIssue,
  type Time32,
  type ToBeSignedCertificate,
  toPoint,
  type ValidityPeriod,
} from '@chrysalis/ieee1609dot2';
import {
  type Clock,
  CRL_SERIES,
  decodeMessage,
  decodeSigned,
  type EeEcaCertRequest,
  requestHash,
  ScmsDataError,
  ScmsPdu122,
  SignedCertificateRequest122,
  signMessage,
  timeOf,
  verifyRequest,
} from '@chrysalis/scms';
import { AuthorityError } from './error.ts';
import { LIFETIME } from './profile.ts';
import type { Authority } from './test-scms.ts';

/** The values of EcaEndEntityError (eca-ee-errors.asn) that this ECA gives. */
export type EnrollmentRefusalReason =
  | 'ecaInvalidCurrentTime'
  | 'ecaInvalidRequestedStartTime'
  | 'ecaInvalidPsid'
  | 'ecaInvalidValidityPeriod'
  | 'ecaInvalidRegion'
  | 'ecaInvalidAssuranceLevel'
  | 'ecaInvalidEncryptionKey'
  | 'ecaInvalidVerifyKey'
  | 'ecaMalformedRequest'
  | 'ecaInternalServerError';

/** Why no enrollment certificate is issued. The response of 1.2.2 has no place for it, so it is thrown. */
export class EnrollmentRefusal extends AuthorityError {
  override readonly name = 'EnrollmentRefusal';
  readonly reason: EnrollmentRefusalReason;

  constructor(reason: EnrollmentRefusalReason, message: string, options?: { cause?: unknown }) {
    super('enrollment-refused', `${reason}: ${message}`, options);
    this.reason = reason;
  }
}

export interface EnrollmentAuthorityOptions {
  readonly eca: Authority;
  readonly clock: Clock;
  readonly random: Random;
  /** How old a request may be, or how far ahead: a day when missing, for requests travel by hand. */
  readonly toleranceSec?: number;
  /** The longest validity; what is asked beyond it, or beyond the ECA's own, is cut. CAMP's 30 years when missing. */
  readonly maxDuration?: Duration;
}

export interface EnrollmentAuthority {
  /**
   * Answers a SignedEeEnrollmentCertRequest with a SignedEeEnrollmentCertResponse.
   *
   * @throws EnrollmentRefusal
   */
  enroll(request: Uint8Array): Uint8Array;
}

const DEFAULT_TOLERANCE_SEC = 86_400;

/** An ECA in this process. It keeps no record: two answers to one request are two certificates for one device. */
export function createEnrollmentAuthority(
  options: EnrollmentAuthorityOptions,
): EnrollmentAuthority {
  return {
    enroll(request) {
      const { request: asked, key } = openRequest(request);
      checkTime(options, asked);
      checkForm(asked.tbsData);
      checkPermissions(options, asked.tbsData);
      const { eca, random } = options;
      const own = eca.certificate.certificate.toBeSigned;
      const { region, certRequestPermissions, canRequestRollover } = asked.tbsData;
      // Built field by field, so that nothing gets in that was not looked at (profile ObeEnrollmentCertificate).
      const { certificate, reconstructionValue } = issueImplicit(
        {
          id: grantId(asked.tbsData.id),
          cracaId: own.cracaId,
          crlSeries: CRL_SERIES.eeEnrollment,
          validityPeriod: grantValidity(options, asked.tbsData.validityPeriod),
          ...(region && { region }),
          ...(certRequestPermissions && { certRequestPermissions }),
          ...(canRequestRollover === null && { canRequestRollover }),
        },
        key.point,
        { certificate: eca.certificate, key: eca.signingKey },
        random,
      );
      const response = encode(ScmsPdu122, {
        version: 1,
        content: {
          type: 'ecaEe',
          value: {
            type: 'ecaEeCertResponse',
            value: {
              version: 1,
              requestHash: requestHash(request),
              ecaCert: asCertificate(eca.certificate),
              enrollmentCert: certificate,
              privKeyReconstruction: reconstructionValue,
            },
          },
        },
      });
      // scms-protocol.asn leaves open how the ECA is named. A recorded response that a fielded device took names it by
      // certificate, so we do.
      return signMessage(response, eca.certificate, eca.signingKey, {
        signerIdentifier: 'certificate',
      });
    },
  };
}

/** Decodes a request and verifies that whoever made it holds the key that it asks a certificate for. */
function openRequest(octets: Uint8Array): { request: EeEcaCertRequest; key: PublicKey } {
  try {
    const signed = decodeMessage(
      SignedCertificateRequest122,
      decodeSigned(octets),
      'SignedCertificateRequest',
    );
    const { content } = signed.tbsRequest.value;
    const pdu = content.type === 'ecaEe' ? content.value : undefined;
    if (pdu?.type !== 'eeEcaCertRequest') {
      throw new EnrollmentRefusal('ecaMalformedRequest', 'expected an EeEcaCertRequest');
    }
    if (signed.signer.type !== 'self') {
      const message = `expected the signer self, saw ${signed.signer.type}`;
      throw new EnrollmentRefusal('ecaMalformedRequest', message);
    }
    const key = requestKey(pdu.value.tbsData);
    const { hashId, signature, tbsRequest } = signed;
    verifyRequest({ hashId, signature, tbsRequest: tbsRequest.octets }, 'self', key);
    return { request: pdu.value, key };
  } catch (cause) {
    if (cause instanceof ScmsDataError) {
      throw new EnrollmentRefusal('ecaMalformedRequest', cause.message, { cause });
    }
    if (!(cause instanceof Ieee1609Dot2Error)) throw cause;
    // CAMP has no value for a wrong signature; then the key is not the one that signed.
    throw new EnrollmentRefusal('ecaInvalidVerifyKey', cause.message, { cause });
  }
}

function requestKey({ verifyKeyIndicator: indicator }: ToBeSignedCertificate): PublicKey {
  if (indicator.type === 'verificationKey' && indicator.value.type === 'ecdsaNistP256') {
    return PublicKey.fromPoint(toPoint(indicator.value.value));
  }
  throw new EnrollmentRefusal('ecaInvalidVerifyKey', 'expected a verification key on P-256');
}

function checkTime(
  { eca, clock, toleranceSec = DEFAULT_TOLERANCE_SEC }: EnrollmentAuthorityOptions,
  { currentTime }: EeEcaCertRequest,
): void {
  const now = timeOf(clock);
  const own = eca.certificate.certificate.toBeSigned.validityPeriod;
  if (now < own.start || now >= endOfValidity(own)) {
    throw new EnrollmentRefusal('ecaInternalServerError', 'expected an ECA that is valid now');
  }
  const away = Math.abs(now - currentTime);
  if (away > toleranceSec) {
    throw new EnrollmentRefusal(
      'ecaInvalidCurrentTime',
      `expected a request of the last ${toleranceSec} seconds, saw one ${away} seconds away`,
    );
  }
}

/** What the profile leaves out of an enrollment certificate is refused rather than dropped. */
function checkForm(asked: ToBeSignedCertificate): void {
  if (asked.appPermissions || asked.certIssuePermissions) {
    throw new EnrollmentRefusal(
      'ecaInvalidPsid',
      'expected neither appPermissions nor certIssuePermissions',
    );
  }
  if (asked.encryptionKey) {
    throw new EnrollmentRefusal('ecaInvalidEncryptionKey', 'expected no encryption key');
  }
  if (asked.assuranceLevel) {
    throw new EnrollmentRefusal('ecaInvalidAssuranceLevel', 'expected no assurance level');
  }
}

function checkPermissions({ eca }: EnrollmentAuthorityOptions, asked: ToBeSignedCertificate): void {
  const own = eca.certificate.certificate.toBeSigned;
  if (!asked.region) throw new EnrollmentRefusal('ecaInvalidRegion', 'expected a region');
  if (own.region && !isWithinRegion(asked.region, own.region)) {
    throw new EnrollmentRefusal('ecaInvalidRegion', "expected a region inside the ECA's");
  }
  const isSome = (asked.certRequestPermissions ?? []).length > 0;
  if (!isSome || !mayIssue(own.certIssuePermissions ?? [], asked)) {
    throw new EnrollmentRefusal(
      'ecaInvalidPsid',
      "expected certRequestPermissions within the ECA's certIssuePermissions",
    );
  }
}

/** CAMP's profile has the empty name. A device may have a name or number of its own, but no linkage data. */
function grantId(asked: CertificateId): CertificateId {
  switch (asked.type) {
    case 'name':
    case 'binaryId':
      return asked;
    case 'none':
      return { type: 'name', value: '' };
    default:
      throw new EnrollmentRefusal(
        'ecaMalformedRequest',
        `expected the id to be a name, saw ${asked.type}`,
      );
  }
}

/** What was asked for, cut to the maximum and to the ECA's own end, in the unit asked for. */
function grantValidity(
  { eca, clock, maxDuration = LIFETIME.obeEnrollment }: EnrollmentAuthorityOptions,
  asked: ValidityPeriod,
): ValidityPeriod {
  const own = eca.certificate.certificate.toBeSigned.validityPeriod;
  const { start, duration } = asked;
  if (start < own.start || start >= endOfValidity(own)) {
    throw new EnrollmentRefusal(
      'ecaInvalidRequestedStartTime',
      `expected a start from ${own.start} and before ${endOfValidity(own)}, saw ${start}`,
    );
  }
  const latest = Math.min(endOfValidity(own), start + durationSeconds(maxDuration));
  const granted = endOfValidity(asked) <= latest ? duration : cutDuration(duration, latest - start);
  if (granted.value === 0 || start + durationSeconds(granted) <= timeOf(clock)) {
    const message = `expected an end in the future, saw ${formatPeriod(start, granted)}`;
    throw new EnrollmentRefusal('ecaInvalidValidityPeriod', message);
  }
  return { start, duration: granted };
}

function cutDuration({ type }: Duration, seconds: number): Duration {
  const value = Math.floor(seconds / durationSeconds({ type, value: 1 }));
  return { type, value };
}

function formatPeriod(start: Time32, { type, value }: Duration): string {
  return `${value} ${type} from ${start}`;
}
