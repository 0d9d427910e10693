/** The authorities behind an RA, for development and test. */

export {
  createEnrollmentAuthority,
  type EnrollmentAuthority,
  type EnrollmentAuthorityOptions,
  EnrollmentRefusal,
  type EnrollmentRefusalReason,
} from './enrollment-authority.ts';
export { AuthorityError, type AuthorityErrorCode } from './error.ts';
export {
  expectEncryptionKey,
  expectSigningKey,
  parsePrivateKey,
  parseSecret,
  readCertificateFile,
  readPrivateKeyFile,
  readSecretFile,
  writeCertificateFile,
  writeSecretFile,
} from './key-file.ts';
export {
  createLinkageAuthority,
  type LinkageAuthorityOptions,
  MAX_VALUES_PER_REQUEST,
} from './linkage-authority.ts';
export { PcaRefusal, type PcaRefusalCode } from './pca-refusal.ts';
export { type ApplicationScope, CRL_PSID, CRL_SERIES, countryRegion, LIFETIME } from './profile.ts';
export {
  openPseudonymAuthority,
  type PseudonymAuthority,
  type PseudonymAuthorityOptions,
} from './pseudonym-authority.ts';
export type { IssuedPseudonym } from './pseudonym-log.ts';
export {
  AUTHORITY_NAMES,
  type AuthorityName,
  authorityDirectory,
  readAuthority,
  readLinkageAuthority,
  readTestScms,
  type StoredLinkageAuthority,
  writeAuthority,
  writeTestScms,
} from './scms-directory.ts';
export { CrlSsp, ScmsSsp, scmsSspOf } from './scms-ssp.ts';
export {
  type Authority,
  createTestScms,
  hostnameOf,
  laIdOctets,
  type TestScms,
  type TestScmsOptions,
} from './test-scms.ts';
export {
  createX509Root,
  issueX509ClientCertificate,
  issueX509ServerCertificate,
  type X509EndEntityOptions,
  type X509Identity,
  type X509RootOptions,
} from './x509.ts';
