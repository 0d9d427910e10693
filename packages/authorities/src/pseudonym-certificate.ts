/** The pure part of the PCA: from a request to what its certificate says, and from there to a sealed certificate. */
import { type Captured, CoerError, decode, encode, encoded } from '@chrysalis/coer';
import {
  CryptoError,
  linkageValue,
  type Point,
  type Random,
  type Secret,
  sha256,
} from '@chrysalis/crypto';
import {
  type CertificateContent,
  decryptSymmetric,
  type EccP256CurvePoint,
  encryptForKey,
  endOfValidity,
  type HashedId8,
  hashCertificate,
  hashedId8,
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  type ImplicitIssue,
  issueImplicitAll,
  isWithinRegion,
  mayIssue,
  PublicEncryptionKey,
  type Time32,
  toPoint,
} from '@chrysalis/ieee1609dot2';
import {
  CRL_SERIES,
  type EncryptedIndividualPlv,
  type IPeriodClock,
  PlaintextCertificateResponse,
  type PseudonymCertRequestInfo,
  signMessage,
  ToBeEncryptedIndividualPlv,
  ToBeSignedEncryptedCertificateResponse,
} from '@chrysalis/scms';
import { PcaRefusal, type PcaRefusalCode } from './pca-refusal.ts';
import { publicEncryptionKey } from './profile.ts';
import { type Failed, stage, stageTogether } from './stages.ts';
import type { Authority } from './test-scms.ts';

/** The key that one LA shares with the PCA. */
export interface SharedLaKey {
  /** AES-128. */
  readonly key: Secret;
  /** How the LA names the key: `symmetricKeyId`. */
  readonly keyId: HashedId8;
  /** Two octets. */
  readonly laId: Uint8Array;
}

export interface PseudonymIssuer {
  readonly pca: Authority;
  /** By hostname. */
  readonly laKeys: ReadonlyMap<string, SharedLaKey>;
  readonly iPeriods: IPeriodClock;
  readonly random: Random;
}

/** A request that the PCA is willing to answer. */
export interface PseudonymOrder {
  readonly content: CertificateContent;
  /** B, which the certificate is made for. */
  readonly requestKey: Point;
  /** J, called H in pca-ra.asn, which the answer is encrypted to. */
  readonly responseKey: Point;
  /** Whether the keys were expanded from a device's seeds, which tells the device how to reconstruct its own. */
  readonly isButterfly: boolean;
}

/**
 * Checks one request of pca-ra.asn and works out what its certificate says (profile ObePseudonymCertificate).
 *
 * @throws PcaRefusal with the code of the check that failed.
 */
export function takeOrder(
  issuer: PseudonymIssuer,
  info: PseudonymCertRequestInfo,
  now: Time32,
): PseudonymOrder {
  const requestKey = pointOr('invalidSignaturePublicKey', info.sigButterflyKeyB);
  const responseKey = pointOr('invalidEncryptionPublicKey', info.encButterflyKeyH);
  const own = issuer.pca.certificate.certificate.toBeSigned;
  const region = info.region ?? own.region;
  const content: CertificateContent = {
    id: {
      type: 'linkageData',
      value: { iCert: info.iValue, linkageValue: openLinkageValue(issuer, info) },
    },
    cracaId: own.cracaId,
    crlSeries: CRL_SERIES.obePseudonym,
    validityPeriod: {
      start: issuer.iPeriods.start(info.iValue),
      duration: issuer.iPeriods.certificateLifetime,
    },
    ...(region && { region }),
    appPermissions: info.psidSsp,
  };
  checkAssurance(info);
  checkRegion(issuer, content);
  checkPermissions(issuer, content, info.sigButterflyKeyB);
  checkValidity(issuer, content, now);
  return { content, requestKey, responseKey, isButterfly: true };
}

/** What came of an order. */
export interface SealedPseudonym {
  readonly certificateId: HashedId8;
  /** The SignedEncryptedCertificateResponse; only the device can open what is inside. */
  readonly response: Captured<Ieee1609Dot2Data>;
}

/**
 * Issues implicit certificates and seals them: PlaintextCertificateResponse, encrypted to the device's cocoon key, then
 * signed by the PCA, so that the RA can neither read it nor put another key in its place.
 *
 * @returns what came of each order, in its place; an order that failed before stays as it is
 */
export function issuePseudonyms(
  issuer: PseudonymIssuer,
  orders: readonly (PseudonymOrder | Failed)[],
): (SealedPseudonym | Failed)[] {
  const { pca, random } = issuer;
  const issued = stageTogether(orders, (those) => {
    const key = { certificate: pca.certificate, key: pca.signingKey };
    const issues = issueImplicitAll(those, key, random);
    return those.map((order, n) => ({ order, issue: issues[n]! }));
  });
  const sealed = stage(issued, ({ order, issue }) => ({
    certificateId: hashCertificate(issue.certificate).id,
    toBeSigned: sealForDevice(order, issue, random),
  }));
  return stage(sealed, ({ certificateId, toBeSigned }) => ({
    certificateId,
    response: encoded(Ieee1609Dot2Data, signMessage(toBeSigned, pca.certificate, pca.signingKey)),
  }));
}

/** ToBeSignedEncryptedCertificateResponse, COER: what the RA may read, and the certificate that only the device can. */
function sealForDevice(
  { content, responseKey, isButterfly }: PseudonymOrder,
  { certificate, reconstructionValue }: ImplicitIssue,
  random: Random,
): Uint8Array {
  const plaintext = encode(PlaintextCertificateResponse, {
    type: isButterfly ? 'implicitButterfly' : 'implicit',
    value: { certificate, privKeyReconstructionS: reconstructionValue },
  });
  const encrypted = encryptForKey(
    encode(Ieee1609Dot2Data, unsecured(plaintext)),
    responseKey,
    responseKeyId(responseKey),
    random,
  );
  const { validityPeriod, appPermissions = [] } = content;
  return encode(ToBeSignedEncryptedCertificateResponse, {
    psidSsp: appPermissions,
    expiration: endOfValidity(validityPeriod),
    lifetime: validityPeriod.duration,
    encryptedCert: encoded(Ieee1609Dot2Data, encrypted),
  });
}

/**
 * Names the recipient by the hash of its public key, which is what 1609.2 §6.3.34 asks of a rekRecipInfo. Fielded PCAs
 * put the RA's certificate there; devices look at neither.
 */
function responseKeyId(responseKey: Point): HashedId8 {
  return hashedId8(sha256(encode(PublicEncryptionKey, publicEncryptionKey(responseKey))));
}

/** lv = plv1 XOR plv2. Neither LA knows the other's value, and the RA knows none. */
function openLinkageValue(issuer: PseudonymIssuer, info: PseudonymCertRequestInfo): Uint8Array {
  if (info.groupLinkageInfo !== undefined) {
    // Deprecated in 1.2.2, gone in 1.2.4.
    throw new PcaRefusal('invalidEncryptedGroupPreLinkageValue', 'expected no group linkage');
  }
  if (info.la1Id === info.la2Id) {
    throw new PcaRefusal('invalidEncryptedPreLinkageValue', 'expected two LAs, saw one twice');
  }
  return linkageValue(
    openPreLinkageValue(issuer, info.la1Id, info.encPlv1, info.iValue),
    openPreLinkageValue(issuer, info.la2Id, info.encPlv2, info.iValue),
  );
}

function openPreLinkageValue(
  { laKeys }: PseudonymIssuer,
  hostname: string,
  encrypted: EncryptedIndividualPlv,
  iValue: number,
): Uint8Array {
  const code = 'invalidEncryptedPreLinkageValue';
  const la = laKeys.get(hostname);
  if (la === undefined) throw new PcaRefusal(code, `expected an LA that is known, saw ${hostname}`);
  if (Buffer.compare(encrypted.laId, la.laId) !== 0) {
    throw new PcaRefusal(code, `expected the number of ${hostname}, saw another`);
  }
  const inner = refuseIfBroken(code, () =>
    decode(
      ToBeEncryptedIndividualPlv,
      decryptSymmetric(encrypted.encPlv, la.key.reveal(), la.keyId),
    ),
  );
  // Otherwise the RA could give one week's values to another week, and a revocation would miss the certificate.
  if (inner.iValue !== iValue) {
    throw new PcaRefusal(code, `expected a value for i ${iValue}, saw one for ${inner.iValue}`);
  }
  return inner.plv;
}

/** The profile has no assurance level; one that is asked for goes nowhere, so it is refused rather than dropped. */
function checkAssurance(info: PseudonymCertRequestInfo): void {
  if (info.performanceAssuranceLevel !== undefined) {
    throw new PcaRefusal('unknownError', 'expected no performance assurance level');
  }
}

export function checkRegion({ pca }: PseudonymIssuer, { region }: CertificateContent): void {
  const own = pca.certificate.certificate.toBeSigned.region;
  if (region && own && !isWithinRegion(region, own)) {
    throw new PcaRefusal('invalidRegion', "expected a region inside the PCA's");
  }
}

export function checkPermissions(
  { pca }: PseudonymIssuer,
  content: CertificateContent,
  key: EccP256CurvePoint,
): void {
  const permitted = pca.certificate.certificate.toBeSigned.certIssuePermissions ?? [];
  const subject = {
    ...content,
    verifyKeyIndicator: { type: 'reconstructionValue' as const, value: key },
  };
  if (content.appPermissions?.length === 0 || !mayIssue(permitted, subject)) {
    throw new PcaRefusal(
      'invalidPsidSsp',
      "expected permissions within the PCA's certIssuePermissions",
    );
  }
}

/**
 * A certificate must not outlive the PCA's, and one that is over is not issued. It may have begun before the PCA's own
 * did: that of the current period has, when the PCA is new.
 */
export function checkValidity(
  { pca }: PseudonymIssuer,
  { validityPeriod }: CertificateContent,
  now: Time32,
): void {
  const own = pca.certificate.certificate.toBeSigned.validityPeriod;
  const end = endOfValidity(validityPeriod);
  if (now < own.start || now >= endOfValidity(own)) {
    throw new PcaRefusal('invalidValidity', "expected to be asked within the PCA's validity");
  }
  if (end <= now || end > endOfValidity(own)) {
    throw new PcaRefusal(
      'invalidValidity',
      `expected an end after ${now} and up to ${endOfValidity(own)}, saw ${end}`,
    );
  }
}

export function pointOr(code: PcaRefusalCode, point: EccP256CurvePoint): Point {
  return refuseIfBroken(code, () => toPoint(point));
}

/** Turns what is wrong with the peer's octets into a refusal; a bug of ours stays a bug. */
function refuseIfBroken<T>(code: PcaRefusalCode, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const isTheirs =
      cause instanceof Ieee1609Dot2Error ||
      cause instanceof CoerError ||
      cause instanceof CryptoError;
    if (!isTheirs) throw cause;
    throw new PcaRefusal(code, cause.message, { cause });
  }
}

function unsecured(value: Uint8Array): Ieee1609Dot2Data {
  return { protocolVersion: 3, content: { type: 'unsecuredData', value } };
}
