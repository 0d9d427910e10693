/** The Registration Authority. */
export type { AuthenticationStep } from './authenticate.ts';
export { fileKey, zipBatch, zipFile } from './batch-file.ts';
export { Blacklist } from './blacklist.ts';
export { type ByteRange, isRangeApplicable, parseRange } from './byte-range.ts';
export { isHeld } from './conditional.ts';
export { type CrlStore, type CrlStoreOptions, startCrlStore } from './crl-store.ts';
export { Door } from './door.ts';
export { FollowedPolicy } from './followed-policy.ts';
export { fixIPeriod, type IPeriodWish } from './i-period-setting.ts';
export { linkageChainsOf, type RequestOrigin } from './linkage-chains-of.ts';
export { RA_MIGRATIONS } from './migrations.ts';
export { MAX_OCSP_RESPONSE, OcspError } from './ocsp-response.ts';
export { isIssuedBy, OcspStaple, type OcspStapleOptions } from './ocsp-staple.ts';
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
export { Pipeline, type PipelineHost } from './pipeline.ts';
export { Refusal } from './refusal.ts';
export {
  type RegistrationAuthority,
  startRegistrationAuthority,
} from './registration-authority.ts';
export { RemoteAuthority, type RemoteAuthorityOptions } from './remote-authority.ts';
export type { RaSchema } from './schema.ts';
export { tlsOptions } from './tls-options.ts';
