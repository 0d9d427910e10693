/** The X.509 certificates of servers and clients in TLS, and what an OCSP responder says of them. */
export {
  createX509Root,
  issueX509ClientCertificate,
  issueX509ServerCertificate,
  type X509EndEntityOptions,
  type X509Identity,
  type X509RootOptions,
} from './x509-certificate.ts';
export {
  createOcspResponder,
  formatSerialNumber,
  OCSP_VALIDITY_MS,
  type OcspResponder,
  type OcspResponderOptions,
  X509_REVOCATION_REASONS,
  type X509Revocation,
  type X509RevocationReason,
} from './x509-ocsp.ts';
