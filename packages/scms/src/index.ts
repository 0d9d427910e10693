/** The CAMP SCMS on top of IEEE 1609.2: PDUs, envelopes, names, clocks, and the ports of the authorities. */
export {
  AUTHORITY_SERVICES,
  type AuthorityService,
  type AuthorityServiceName,
  type CertificateAnswer,
  CertificateAnswers,
  CertificateRequests,
  MAX_CERTIFICATE_OCTETS,
  MAX_CERTIFICATE_REQUEST_OCTETS,
  MAX_CERTIFICATE_REQUESTS,
} from './authority-service.ts';
export {
  type AdoptedChainFile,
  type AdoptOptions,
  adoptGlobalChainFile,
  adoptLocalChainFile,
  type ChainFileParts,
  composeGlobalChainFile,
  composeLocalChainFile,
} from './chain-file.ts';
export { type Clock, systemClock, timeOf } from './clock.ts';
export { type ComponentSigner, countersign, verifyCountersignature } from './countersignature.ts';
export { RevocationList, type RevokedCertificate } from './crl-check.ts';
export { openCompositeCrl, openCrl, signCrl, type VerifiedCrl } from './crl-file.ts';
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
export {
  type CountersignaturePolicy,
  type CountersignatureVerdict,
  composeMaRaRequest,
  composeRaMaResponse,
  expectMisbehaviorAuthority,
  type IdentifiedReply,
  identifiersOf,
  judgeCountersignatures,
  MAX_COUNTERSIGNATURES,
  type MaRaRequestParts,
  type MaRaSuccess,
  type OpenedMaRa,
  type OpenMaRaResponseOptions,
  openMaRa,
  openMaRaResponse,
  RESPONSE_TO,
  type ResponseHead,
  repliesOf,
  type SealMaRaOptions,
  type SentMaRaRequest,
  secureMaRa,
} from './ma-ra.ts';
export {
  MISBEHAVIOR_REPORTING_PSID,
  type MisbehaviorReportParts,
  type OpenedMisbehaviorReport,
  type OpenMisbehaviorReportOptions,
  openMisbehaviorReport,
  secureMisbehaviorReport,
} from './misbehavior-report.ts';
export * from './pdu/cert-chain-files.ts';
export * from './pdu/component-cert-management.ts';
export * from './pdu/crl.ts';
export * from './pdu/eca-ee.ts';
export * from './pdu/ee-ma.ts';
export * from './pdu/ee-ra.ts';
export * from './pdu/la-ra.ts';
export * from './pdu/linkage.ts';
export * from './pdu/ma-ra.ts';
export * from './pdu/pca-ra.ts';
export * from './pdu/policy.ts';
export * from './pdu/ra-pg.ts';
export * from './pdu/scms-error.ts';
export * from './pdu/scms-file.ts';
export * from './pdu/scms-pdu.ts';
export {
  changeFrom,
  constantSeries,
  DEFAULT_GLOBAL_POLICY,
  exactDuration,
  expectCustomPolicy,
  expectIPeriod,
  expectUsablePolicy,
  nextPolicyChange,
  type PolicyData,
  type PolicyValues,
  policyAt,
  valueAt,
} from './policy.ts';
export {
  composeGlobalPolicyFile,
  composeLocalPolicyFile,
  countersigned,
  customPolicy,
  type GlobalPolicyParts,
  type LocalPolicyParts,
  localPolicyGenerationTime,
  type OpenPolicyOptions,
  openCustomPolicy,
  openGlobalPolicyFile,
  openLocalPolicyFile,
  type PolicyTimes,
  type VerifiedGlobalPolicy,
  type VerifiedLocalPolicy,
  versionOctets,
} from './policy-file.ts';
export { openPolicySignature, requestPolicySignature, signRaPg } from './policy-signature.ts';
export {
  AuthorityUnavailableError,
  type CertificateAuthority,
  type LinkageAuthority,
  type MisbehaviorAuthority,
  type PolicyGenerator,
  type RegistrationAuthorityPort,
} from './port.ts';
export {
  RA_EE_ERROR_EXPLANATIONS,
  RA_EE_ERRORS,
  type RaEeErrorExplanation,
  type RaEeErrorName,
  type RaEeErrorRetry,
} from './ra-ee-error.ts';
export { type RequestHash, requestHash } from './request-hash.ts';
export {
  CrlSsp,
  crlSsp,
  crlSspOf,
  expectRole,
  hostnameOf,
  LaSsp,
  laSsp,
  MaSsp,
  roleSsp,
  ScmsSsp,
  scmsSspOf,
} from './scms-ssp.ts';
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
export {
  formatVersionedFileName,
  parseVersionedFileName,
  type VersionedFile,
} from './versioned-file-name.ts';
