/**
 * The End Entity SDK: what a vehicle or a roadside unit does with an RA of the CAMP SCMS.
 *
 * Start at `EndEntity`; the pure parts (`openBatch`, `openAcknowledgement`, `makeProvisioningBody`,
 * `makeDownloadHeader`, `verifyBundle`) work on octets alone.
 */
export { type Acknowledgement, openAcknowledgement } from './acknowledgement.ts';
export type { ApplicationWishes } from './application-supply.ts';
export { type Sleep, systemSleep, waitUntil } from './back-off.ts';
export {
  installBundle,
  loadEnrollment,
  prepareEnrollment,
  readBundleDirectory,
} from './bootstrap.ts';
export {
  BUNDLE_CERTIFICATES,
  BUNDLE_FILES,
  type Bundle,
  type BundleCertificate,
  type BundleFiles,
  parseBundle,
  parseRaUrl,
} from './bundle.ts';
export type { DownloadSelection } from './butterfly-supply.ts';
export { type StoredBatch, type StoredCertificate, validityOf } from './certificate-folder.ts';
export {
  DEFAULT_SETTINGS,
  DEVICE_KINDS,
  type DeviceKind,
  type DeviceSettings,
  DIALECTS,
  kindsOf,
} from './device-settings.ts';
export { DirectoryStorage, refuseReadableByOthers } from './directory-storage.ts';
export { type CertificateKind, PATHS, RA_PORT, resolveDownloadUrl } from './download-url.ts';
export {
  type DownloadResult,
  EndEntity,
  type EndEntityOptions,
  type KeptReport,
  type ReportOutcome,
} from './end-entity.ts';
export {
  type BundleChains,
  type Enrollment,
  verifyBundle,
  verifyBundleChains,
} from './enrollment.ts';
export { type EnrollmentWishes, makeEnrollmentRequest, RSE_PSIDS } from './enrollment-request.ts';
export { EeError, type EeErrorCode } from './error.ts';
export type { FileAnswer, FileOutcome, FileOutcomes } from './followed-files.ts';
export { adopt, type Governance, govern, type HeldFiles, type RaFileKind } from './governance.ts';
export { type HttpsTimeouts, httpsTransport } from './https-transport.ts';
export { decodeInfo, type Info } from './info.ts';
export { verifyOcspResponse } from './ocsp.ts';
export {
  type EntryFailure,
  type OpenApplicationOptions,
  type OpenBatchOptions,
  type OpenedBatch,
  type OpenedCertificate,
  type OpenIdentificationOptions,
  openApplication,
  openBatch,
  openIdentification,
} from './open-batch.ts';
export { type ButterflyKind, Profile } from './profile.ts';
export { lockProfile, type ProfileLock } from './profile-lock.ts';
export type { ProfileStorage } from './profile-storage.ts';
export type { Progress } from './progress.ts';
export {
  type CaterpillarKey,
  type CaterpillarKeys,
  generateCaterpillarKeys,
  generatePlainKeys,
  type KeyWishes,
  makeDownloadHeader,
  makeProvisioningBody,
  type PlainKeys,
  type ProvisioningWish,
} from './provisioning-request.ts';
export type { ProvisioningState } from './provisioning-state.ts';
export { SECURED_RA_CERT_REQUEST } from './ra-certificate.ts';
export { fetchRaFile, type RaFile, type RaFileAnswer } from './ra-file.ts';
export type { RaRefusal, RaService } from './ra-refusal.ts';
export type { RaMessage, RaRequest, RaResponse, RaTransport } from './ra-transport.ts';
export { locationOf, type Place, type ReportWish } from './report.ts';
export { MAX_REPORTS, type SentReports } from './report-outbox.ts';
export { DEFAULT_MAX_FAILURES, type StayOptions, stay } from './stay.ts';
export { StayingContact, type StayingContactParts } from './staying-contact.ts';
export { type TlsContext, tlsContext } from './tls-connection.ts';
export type { FailedKind, Supply, TopUpOptions, TopUpResult } from './top-up.ts';
