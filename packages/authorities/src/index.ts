/**
 * The authorities behind an RA, for development and test. Two more doors: `keys` is how private keys and
 * certificates lie in files, `x509` is the certificates of TLS and OCSP.
 */

// They moved to `scms`, where RA and EE need them; their names stay here for those who import them so.
export { CRL_PSID, CRL_SERIES, CrlSsp, ScmsSsp, scmsSspOf } from '@chrysalis/scms';

export {
  type AuthorityServer,
  type AuthorityServerOptions,
  type AuthorityServices,
  servicesOf,
  startAuthorityServer,
} from './authority-server.ts';
export {
  type CrlGenerator,
  type CrlGeneratorOptions,
  createCrlGenerator,
  type Revocation,
  revocationOf,
} from './crl-generator.ts';
export { type CrlLog, type CrlLogOptions, type ListedRevocation, openCrlLog } from './crl-log.ts';
export {
  createEnrollmentAuthority,
  type EnrollmentAuthority,
  type EnrollmentAuthorityOptions,
  EnrollmentRefusal,
  type EnrollmentRefusalReason,
} from './enrollment-authority.ts';
export {
  createLinkageAuthority,
  type LinkageAuthorityOptions,
  MAX_VALUES_PER_REQUEST,
} from './linkage-authority.ts';
export { linkageSeedOf } from './linkage-seed.ts';
export {
  type InProcessMisbehaviorAuthority,
  type MisbehaviorAuthorityOptions,
  openMisbehaviorAuthority,
} from './misbehavior-authority.ts';
export type { StoredMisbehaviorReport } from './misbehavior-log.ts';
export { PcaRefusal, type PcaRefusalCode } from './pca-refusal.ts';
export {
  chainPartsOf,
  createPolicyGenerator,
  type PolicyGeneratorOptions,
} from './policy-generator.ts';
export { type ApplicationScope, countryRegion, LIFETIME } from './profile.ts';
export {
  openPseudonymAuthority,
  type PseudonymAuthority,
  type PseudonymAuthorityOptions,
} from './pseudonym-authority.ts';
export { type IssuedPseudonym, openPseudonymLog, type PseudonymLog } from './pseudonym-log.ts';
export {
  keepFormerCertificate,
  type Recipient,
  type RenewalTerms,
  readFormerCertificates,
  readFormerRecipients,
  renewedAuthority,
  replaceAuthority,
  settleRenewal,
} from './renewal.ts';
export {
  AUTHORITY_NAMES,
  type AuthorityName,
  authorityDirectory,
  readAuthority,
  readLinkageAuthority,
  readLinkageKey,
  readTestScms,
  type StoredLinkageAuthority,
  writeAuthority,
  writeTestScms,
} from './scms-directory.ts';
export {
  type Authority,
  createTestScms,
  hostnameOf,
  laIdOctets,
  type TestScms,
  type TestScmsOptions,
} from './test-scms.ts';
