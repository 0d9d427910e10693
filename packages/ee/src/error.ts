import type { RaRefusal } from './ra-refusal.ts';

/** What went wrong, for programs. A code once published keeps its meaning. */
export type EeErrorCode =
  /** There is no profile in the directory that was named. */
  | 'profile-missing'
  /** Another process works on the profile. */
  | 'profile-locked'
  /** A file of the profile does not hold what it should. */
  | 'profile-damaged'
  /** The profile has something already that this call would replace. */
  | 'profile-exists'
  /** The profile's disk refused: full, read-only, broken. */
  | 'storage'
  /** The profile has no enrollment yet. */
  | 'not-bootstrapped'
  /** The certificate of the present request is held and no other is due, or a file is one of a request that was replaced. */
  | 'not-due'
  /** The RA has not acknowledged a request of this profile yet. */
  | 'not-acknowledged'
  /** A bundle of an enrollment authority is incomplete, or something in it does not verify. */
  | 'invalid-bundle'
  /** A private key and a certificate do not belong together. */
  | 'key-mismatch'
  /** The RA's X.509 certificate is not one of the bootstrapped root, not valid now, or for another name. */
  | 'tls'
  /** No connection could be made. Nothing was sent. */
  | 'unreachable'
  /** The connection broke after the request may have been sent. */
  | 'interrupted'
  /** The RA took longer than this SDK waits. */
  | 'timeout'
  /** HTTP 500: the RA refuses or is not ready, and in production says no more. */
  | 'refused'
  /** Any other answer that the interface does not have. */
  | 'unexpected-response'
  /** The answer is larger than its kind can be. */
  | 'too-large'
  /** The acknowledgement is not one of this RA for this request. */
  | 'invalid-ack'
  /** The RA names a download location that is not an https URL. */
  | 'invalid-url'
  /** The .info file is not a Time32. */
  | 'invalid-info'
  /** A batch is not a zip of certificate responses, or a response in it does not open. */
  | 'invalid-batch'
  /** A policy, chain or revocation file that does not verify, or is older than the one that is held. */
  | 'refused-file'
  /** The device, its RA or an authority above them is on a CRL. */
  | 'revoked'
  /** The CRLs that are held are older than the policy tolerates, or do not verify any more: a fresh one first. */
  | 'crl-overdue'
  /** A certificate that is no newer one of the device's RA, or does not verify as one. */
  | 'invalid-ra-certificate'
  /** No certificate is held with which misbehavior could be reported now, or no MA to report to. */
  | 'cannot-report'
  /** As many reports wait as the profile takes. */
  | 'outbox-full'
  /** A file with private keys can be read by others than its owner. */
  | 'insecure-key-file'
  /** The caller gave up. */
  | 'aborted';

/** The one error that this package throws; `cause` holds what lies under it. */
export class EeError extends Error {
  override readonly name = 'EeError';
  readonly code: EeErrorCode;
  /** With `refused`: what it can mean, and what comes next. */
  readonly refusal: RaRefusal | undefined;
  /** What a user can do, where it hangs on more than the code. */
  readonly hint: string | undefined;

  constructor(
    code: EeErrorCode,
    message: string,
    options: { cause?: unknown; refusal?: RaRefusal; hint?: string } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.refusal = options.refusal;
    this.hint = options.hint;
  }
}

/** Whether an error is ours and has one of these codes. */
export function hasCode(error: unknown, ...codes: readonly EeErrorCode[]): error is EeError {
  return error instanceof EeError && codes.includes(error.code);
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
