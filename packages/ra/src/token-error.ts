/** Why a key in a PKCS #11 token was of no use. */
export type TokenErrorCode =
  /** A URI that names no key, or says more than it may. */
  | 'malformed-uri'
  /** pkcs11js is not installed, or the library of the token cannot be loaded. */
  | 'no-module'
  /** No token that is present fits the URI, or several do. */
  | 'no-token'
  /** The token refused the PIN. It is not tried again: tokens lock themselves. */
  | 'wrong-pin'
  /** No key, or several, of that name; or none that may do what it is for. */
  | 'no-key'
  /** The token did not do what was asked, twice, with a new session in between. */
  | 'token-failed';

/** Ours, never the peer's fault: what was to be opened or signed stays as it is. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
  readonly code: TokenErrorCode;
  readonly hint: string | undefined;

  constructor(
    code: TokenErrorCode,
    message: string,
    options: { hint?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}
