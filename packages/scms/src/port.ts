/**
 * Ports of the authorities behind an RA: octets in, octets out. An implementation runs in the same process or behind
 * mutual TLS; the RA sees no difference and no key.
 */

/** A PCA. */
export interface CertificateAuthority {
  /**
   * Answers a SecuredRaPcaCertificateRequest with a SecuredPcaRaCertificateRequestReply.
   *
   * Guarantee: what is issued is on stable storage before the promise resolves, and the same octets are
   * answered with the same octets for as long as the certificate may be asked for, so that a caller may
   * repeat a request whose answer it lost without getting a second certificate.
   *
   * @throws AuthorityUnavailableError when no answer can be had now; the caller may repeat.
   */
  requestCertificate(request: Uint8Array): Promise<Uint8Array>;
}

/** An LA. */
export interface LinkageAuthority {
  /**
   * Answers a SignedRaLaIndividualPreLinkageValueRequest with a SignedLaRaPreLinkageValueResponse.
   *
   * Guarantee: what identifies a fresh chain is inside the answer (its LinkageChainId) and nowhere else, so
   * that an answer which is lost costs a chain that nobody uses, and nothing more.
   *
   * @throws AuthorityUnavailableError when no answer can be had now; the caller may repeat.
   */
  requestPreLinkageValues(request: Uint8Array): Promise<Uint8Array>;
}

/** A PG. */
export interface PolicyGenerator {
  /** Answers a custom policy with its signed form. @throws AuthorityUnavailableError */
  signPolicy(request: Uint8Array): Promise<Uint8Array>;
}

/** The authority did not answer: down, slow, or refusing to talk. */
export class AuthorityUnavailableError extends Error {
  override readonly name = 'AuthorityUnavailableError';
}
