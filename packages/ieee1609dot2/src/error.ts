/** Why an operation on 1609.2 data was refused. Stable: callers may switch on it. */
export type Ieee1609Dot2ErrorCode =
  /** The form is not one that this profile of 1609.2 has (curve, hash, kind of signer, number of recipients). */
  | 'unsupported'
  /** No certificate with the issuer's or signer's hashed id is known and trusted. */
  | 'unknown-issuer'
  | 'invalid-signature'
  | 'not-yet-valid'
  | 'expired'
  | 'outside-issuer-region'
  | 'outside-issuer-permissions'
  | 'outside-issuer-assurance'
  | 'chain-too-long'
  /** The data are encrypted, but to somebody else. */
  | 'wrong-recipient'
  | 'decryption-failed';

/** The peer's data were refused: the message says what was expected and what was seen. */
export class Ieee1609Dot2Error extends Error {
  override readonly name = 'Ieee1609Dot2Error';
  readonly code: Ieee1609Dot2ErrorCode;

  constructor(code: Ieee1609Dot2ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
