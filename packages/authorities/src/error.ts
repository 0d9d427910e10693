/** Why an authority, or the directory it lives in, refused. Stable: callers may switch on it. */
export type AuthorityErrorCode =
  /** A file of the state directory is missing. */
  | 'missing-file'
  /** A key file holds something else than a key. */
  | 'malformed-key'
  /** A key file that group or others can read. */
  | 'insecure-key-file'
  /** A key file is encrypted, and no passphrase was given. */
  | 'encrypted-key'
  /** A passphrase does not open a key file, or somebody changed the file. */
  | 'wrong-passphrase'
  /** A certificate file holds something else than one certificate in COER. */
  | 'malformed-certificate'
  /** A private key does not belong to the certificate beside it. */
  | 'key-mismatch'
  /** A CRL that is to be continued is none of ours. */
  | 'malformed-crl'
  /** A linkage chain that is not of this LA. */
  | 'foreign-chain'
  /** A certificate lacks what its authority needs. */
  | 'unsuitable-certificate'
  /** The ECA refuses to enroll: {@link EnrollmentRefusal} says why. */
  | 'enrollment-refused';

/** What this room throws by itself; `hint` tells what the operator can do, where that is known. */
export class AuthorityError extends Error {
  override readonly name: string = 'AuthorityError';
  readonly code: AuthorityErrorCode;
  readonly hint: string | undefined;

  constructor(
    code: AuthorityErrorCode,
    message: string,
    options: { hint?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}
