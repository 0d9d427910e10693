/**
 * Ports of the authorities behind an RA, and of the RA itself towards an MA: octets in, octets out. An implementation runs in the same process or behind
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
  /** The SignedGlobalPolicyFile that is in force. @throws AuthorityUnavailableError */
  globalPolicyFile(): Promise<Uint8Array>;

  /** The ScopedGlobalCertificateChainFile that is in force. @throws AuthorityUnavailableError */
  globalCertificateChainFile(): Promise<Uint8Array>;

  /**
   * Answers a signed RaPgPolicySignatureRequest with a signed RaPgPolicySignatureRequestReply: the custom policy
   * countersigned, when it is consistent with the global policy in force, or a RaPgError. Nothing is recorded; a request
   * may be repeated.
   *
   * @throws AuthorityUnavailableError
   */
  signPolicy(request: Uint8Array): Promise<Uint8Array>;
}

/** An MA, as far as devices speak to it. */
export interface MisbehaviorAuthority {
  /**
   * Takes a SecuredMisbehaviorReport, as the device sent it.
   *
   * Guarantee: when it resolves, a report that could be opened is on stable storage, and the caller may forget it.
   * The same octets again make no second record. Whether the MA believes the report, or could even read it, is not told:
   * the RA cannot do anything about it, and is not to learn anything from it.
   *
   * @throws AuthorityUnavailableError when it was not taken; the caller may repeat.
   */
  submitReport(report: Uint8Array): Promise<void>;
}

/** An RA, as far as an MA speaks to it. */
export interface RegistrationAuthorityPort {
  /**
   * Answers a Secured request of ma-ra.asn with the Secured response to it.
   *
   * Guarantee: what the answer calls blacklisted is so on stable storage before the promise resolves. The same signed
   * request again changes nothing more, and is answered as before.
   *
   * @throws AuthorityUnavailableError when no answer can be had now; the caller may repeat.
   */
  answerMisbehaviorAuthority(request: Uint8Array): Promise<Uint8Array>;
}

/** The authority did not answer: down, slow, or refusing to talk. */
export class AuthorityUnavailableError extends Error {
  override readonly name = 'AuthorityUnavailableError';
}
