/** Identification and application certificates: the PCA's answer to an IdCertRequestInfo of pca-ra.asn. */
import type { CertificateContent, EccP256CurvePoint, Time32 } from '@chrysalis/ieee1609dot2';
import { CRL_SERIES, type IdCertRequestInfo } from '@chrysalis/scms';
import { PcaRefusal } from './pca-refusal.ts';
import {
  checkPermissions,
  checkRegion,
  checkValidity,
  type PseudonymIssuer,
  type PseudonymOrder,
  pointOr,
} from './pseudonym-certificate.ts';

/** What stands in a request where the CRL series will be: only the PCA knows it (pca-ra.asn). */
const CRL_SERIES_PLACEHOLDER = 0;

/** RIF, HashedId8 of the enrollment certificate, is the id of these certificates (cert-profile.asn). */
const RIF_OCTETS = 8;

/**
 * Checks a request and works out what its certificate says (profiles ObeIdentificationCertificate and
 * RseApplicationCertificate). The RA decides everything that it may say; the PCA adds its CRL series.
 *
 * The module has no field for whether the keys are expanded. Here the key indicator says it: a reconstruction
 * value is a cocoon key, a verification key is the device's own.
 *
 * @throws PcaRefusal with the code of the check that failed.
 */
export function takeAuthorizationOrder(
  issuer: PseudonymIssuer,
  info: IdCertRequestInfo,
  now: Time32,
): PseudonymOrder {
  const { verifyKeyIndicator, ...asked } = info.toBeSignedCert;
  if (info.type !== 'implicit') {
    throw new PcaRefusal('invalidType', `expected implicit, saw ${info.type}`);
  }
  if (asked.crlSeries !== CRL_SERIES_PLACEHOLDER) {
    throw new PcaRefusal('unknownError', `expected crlSeries 0, saw ${asked.crlSeries}`);
  }
  checkIdentity(asked);
  const { isButterfly, point } = requestKeyOf(verifyKeyIndicator);
  const own = issuer.pca.certificate.certificate.toBeSigned;
  const region = asked.region ?? own.region;
  const content: CertificateContent = {
    id: asked.id,
    cracaId: own.cracaId,
    crlSeries: CRL_SERIES.eeNonPseudonym,
    validityPeriod: asked.validityPeriod,
    ...(region && { region }),
    ...(asked.appPermissions && { appPermissions: asked.appPermissions }),
    ...(asked.encryptionKey && { encryptionKey: asked.encryptionKey }),
  };
  checkRegion(issuer, content);
  checkPermissions(issuer, content, point);
  checkValidity(issuer, content, now);
  return {
    content,
    requestKey: pointOr('invalidSignaturePublicKey', point),
    responseKey: pointOr('invalidEncryptionPublicKey', info.responseEncryptionKey),
    isButterfly,
  };
}

/** An end entity's certificate, named by the RIF, with application permissions and nothing else. */
function checkIdentity(
  asked: Omit<IdCertRequestInfo['toBeSignedCert'], 'verifyKeyIndicator'>,
): void {
  if (asked.id.type !== 'binaryId' || asked.id.value.length !== RIF_OCTETS) {
    throw new PcaRefusal('unknownError', 'expected a RIF of 8 octets as id');
  }
  const { certIssuePermissions, certRequestPermissions, canRequestRollover, unknownAdditions } =
    asked;
  const extra = [
    certIssuePermissions,
    certRequestPermissions,
    canRequestRollover,
    unknownAdditions,
  ];
  if (extra.some((field) => field !== undefined) || asked.assuranceLevel !== undefined) {
    throw new PcaRefusal('unknownError', 'expected application permissions and nothing else');
  }
  if (!asked.appPermissions?.length) {
    throw new PcaRefusal('invalidPsidSsp', 'expected application permissions');
  }
}

function requestKeyOf(indicator: IdCertRequestInfo['toBeSignedCert']['verifyKeyIndicator']): {
  readonly isButterfly: boolean;
  readonly point: EccP256CurvePoint;
} {
  if (indicator.type === 'reconstructionValue') {
    return { isButterfly: true, point: indicator.value };
  }
  if (indicator.type === 'verificationKey' && indicator.value.type === 'ecdsaNistP256') {
    return { isButterfly: false, point: indicator.value.value };
  }
  throw new PcaRefusal(
    'invalidSignaturePublicKey',
    `expected a key on P-256, saw ${indicator.type}`,
  );
}
