/** The CAMP SCMS on top of IEEE 1609.2: PDUs, envelopes, names, clocks, and the ports of the authorities. */
export { type Clock, systemClock, timeOf } from './clock.ts';
export {
  decodeMessage,
  decodeSecured,
  decodeSigned,
  openSecured,
  openSignedData,
  openSignedMessage,
  SECURITY_MGMT_PSID,
  secureRequest,
  signerCertificate,
  signMessage,
  signRequest,
  type VerifiedMessage,
  verifyRequest,
} from './envelope.ts';
export { ScmsDataError, type ScmsDataErrorCode } from './error.ts';
export {
  type DownloadFile,
  formatEntryName,
  formatFileName,
  formatHex,
  parseEntryName,
  parseFileName,
} from './file-name.ts';
export { I_PERIOD_EPOCH, I_PERIOD_LENGTH_SEC, IPeriodClock } from './i-period.ts';
export * from './pdu/eca-ee.ts';
export * from './pdu/ee-ra.ts';
export * from './pdu/la-ra.ts';
export * from './pdu/linkage.ts';
export * from './pdu/pca-ra.ts';
export * from './pdu/scms-error.ts';
export * from './pdu/scms-pdu.ts';
export {
  AuthorityUnavailableError,
  type CertificateAuthority,
  type LinkageAuthority,
  type PolicyGenerator,
} from './port.ts';
export { RA_EE_ERRORS, type RaEeErrorName } from './ra-ee-error.ts';
export { type RequestHash, requestHash } from './request-hash.ts';
export {
  type ApplicationRequest,
  type Dialect,
  type DownloadRequest,
  decodeSignedRequest,
  type EeRaRequest,
  encodeScopedRequest,
  type IdentificationRequest,
  type PseudonymRequest,
  type SignedRequest,
} from './scoped-request.ts';
