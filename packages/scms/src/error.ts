/** Why a message was refused before or while it was taken apart. Stable: callers may switch on it. */
export type ScmsDataErrorCode =
  /** Not the COER of the message that was expected here. */
  | 'malformed'
  /** Expected encryptedData, saw something else. */
  | 'not-encrypted'
  /** Expected a signed message, saw something else. */
  | 'not-signed'
  /** The signer is not named by exactly one certificate. */
  | 'no-signer-certificate'
  /** Two dialects fit, or none that is enabled. */
  | 'dialect'
  /** A correct message of another kind than belongs here. */
  | 'unexpected-message'
  /** The answer does not belong to the request. */
  | 'wrong-answer'
  /** The other side reported a failure. */
  | 'reported-failure'
  | 'invalid-file-name'
  /** A right signature, but of somebody whose signature does not count here. */
  | 'wrong-signer'
  /** Values of a policy that contradict each other, the policy above them, or sense. */
  | 'policy'
  /** The certificate, or one above it, stands on a CRL. */
  | 'revoked';

/** A message of the peer was refused; the message says what was expected and what was seen. */
export class ScmsDataError extends Error {
  override readonly name = 'ScmsDataError';
  readonly code: ScmsDataErrorCode;

  constructor(code: ScmsDataErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
