/** IEEE 1609.2-2016 types as CAMP uses them, and what one does with them. */
export * from './base-types.ts';
export {
  asCertificate,
  canonicalCertificate,
  type HashedCertificate,
  hashCertificate,
  hashedId3,
  hashedId8,
  hashedId10,
} from './canonical.ts';
export * from './certificate.ts';
export {
  checkValidAt,
  effectiveRegion,
  endOfChain,
  signatureInput,
  TrustStore,
  type VerifiedCertificate,
  verifyIssued,
} from './chain.ts';
export * from './data.ts';
export {
  type Decrypter,
  decrypterOf,
  decryptForCertificate,
  decryptForKey,
  decryptSymmetric,
  encryptForCertificate,
  encryptForKey,
  encryptionPointOf,
  encryptSymmetric,
  recipientIdOf,
} from './encrypted-data.ts';
export { Ieee1609Dot2Error, type Ieee1609Dot2ErrorCode } from './error.ts';
export {
  type CertificateContent,
  type ImplicitIssue,
  type ImplicitOrder,
  type Issuer,
  issueExplicit,
  issueImplicit,
  issueImplicitAll,
} from './issue.ts';
export { isSspInRange, mayIssue } from './permissions.ts';
export { fromEcdsaSignature, fromPoint, toEcdsaSignature, toPoint } from './point.ts';
export { isWithinRegion } from './region.ts';
export {
  type Signer,
  type SignOptions,
  signData,
  signedPayload,
  verifySignedData,
} from './signed-data.ts';
export {
  durationSeconds,
  endOfValidity,
  formatTime32,
  time32FromUnix,
  unixFromTime32,
} from './time.ts';
