/** The Registration Authority. */
export type { AuthenticationStep } from './authenticate.ts';
export { fileKey, zipBatch, zipFile } from './batch-file.ts';
export { Blacklist } from './blacklist.ts';
export { type ByteRange, isRangeApplicable, parseRange } from './byte-range.ts';
export { isHeld } from './conditional.ts';
export { Door } from './door.ts';
export type {
  Log,
  Peer,
  PolicySource,
  RaIdentity,
  RaOptions,
  RaPolicy,
  ReportSink,
} from './options.ts';
export { checkReply } from './pca-conversation.ts';
export { permissionsOf } from './permissions-of-enrollment.ts';
export { Refusal } from './refusal.ts';
export {
  type RegistrationAuthority,
  startRegistrationAuthority,
} from './registration-authority.ts';
export { RA_MIGRATIONS, type RaSchema } from './schema.ts';
export { tlsOptions } from './tls-options.ts';
