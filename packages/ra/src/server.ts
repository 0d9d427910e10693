/** What answers: devices, operators, whoever wants CRLs. */
export { type CrlStore, type CrlStoreOptions, startCrlStore } from './crl-store.ts';
export { Door } from './door.ts';
export { MAX_OCSP_RESPONSE, OcspError } from './ocsp-response.ts';
export { isIssuedBy, OcspStaple, type OcspStapleOptions } from './ocsp-staple.ts';
export { OcspStaples } from './ocsp-staples.ts';
export {
  type RaBack,
  type RaFront,
  type RegistrationAuthority,
  startRaBack,
  startRaFront,
  startRegistrationAuthority,
} from './registration-authority.ts';
export { tlsOptions } from './tls-options.ts';
