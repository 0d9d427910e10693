/**
 * The Registration Authority: what whoever makes certificates or looks after them needs. It has more doors, so that a process loads what it runs: `server`
 * opens ports, `operations` and `worker-operations` are what operators read, `pkcs11` is keys in tokens.
 */
export {
  AuditChainError,
  type ChainedLine,
  type ChainLink,
  chainLine,
  type LineSigner,
} from './audit-chain.ts';
export type * from './audit-event.ts';
export { auditWriters } from './audit-files.ts';
export { type AuditLog, type AuditLogOptions, AuditWriter } from './audit-log.ts';
export {
  AuditBrokenError,
  type KnownLine,
  readAuditLines,
  type VerifiedSeries,
  type VerifyOptions,
  verifyAuditLog,
} from './audit-verify.ts';
export type { AuthenticationStep } from './authenticate.ts';
export { fileKey, zipBatch, zipFile } from './batch-file.ts';
export { Blacklist, type BlacklistEntry } from './blacklist.ts';
export { BlacklistChanges, type BlacklistChangesOptions } from './blacklist-changes.ts';
export { type ByteRange, isRangeApplicable, parseRange } from './byte-range.ts';
export { isHeld } from './conditional.ts';
export { RA_TABLES } from './copied-tables.ts';
export {
  type DeviceReport,
  type DeviceReportOptions,
  deviceReport,
  enrollmentsOf,
  type InfoReport,
  type Point as ReportedPoint,
  type RegistrationReport,
} from './device-report.ts';
export { FollowedPolicy } from './followed-policy.ts';
export { withFormerEnds } from './former-certificates.ts';
export { GoneWriters, type GoneWritersOptions } from './gone-writers.ts';
export type { GuardLimits } from './guards.ts';
export { fixIPeriod, type IPeriodWish, recordedIPeriod } from './i-period-setting.ts';
export { IdentityInForce } from './identity-in-force.ts';
export { linkageChainsOf, type RequestOrigin } from './linkage-chains-of.ts';
export { RA_MIGRATIONS } from './migrations.ts';
export {
  EnquiryRefused,
  MisbehaviorEnquiries,
  type MisbehaviorEnquiriesOptions,
} from './misbehavior-enquiries.ts';
export type {
  Log,
  OcspSource,
  Peer,
  PipelineOptions,
  PolicyOverrides,
  PolicySource,
  RaIdentity,
  RaOptions,
  RaPolicy,
  RaSettings,
  ReportPolicy,
  ReportSink,
  TriesPolicy,
} from './options.ts';
export { checkReply } from './pca-conversation.ts';
export { permissionsOf } from './permissions-of-enrollment.ts';
export {
  Pipeline,
  type PipelineFigures,
  type PipelineHost,
  type PipelineState,
} from './pipeline.ts';
export type { NotReady } from './readiness.ts';
export { Refusal } from './refusal.ts';
export { RemoteAuthority, type RemoteAuthorityOptions } from './remote-authority.ts';
export type { RaSchema } from './schema.ts';
export type { Siblings } from './siblings.ts';
export { type RaStatus, type RateStatus, raStatus, type StatusSurroundings } from './status.ts';
export type { Warning, WarningCode } from './status-warnings.ts';
export {
  type ServerTls,
  type TlsFollower,
  TlsInForce,
  type TlsPair,
  type TlsSuccessor,
} from './tls-in-force.ts';
export type { TriedService } from './tries.ts';
export { type Ending, type EndingRole, endOfPolicy } from './what-ends.ts';
