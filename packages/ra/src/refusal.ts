import { RA_EE_ERRORS, type RaEeErrorName } from '@chrysalis/scms';

/**
 * A refusal that is the peer's fault. It carries the code of the CAMP table and a text for operators and QA; in
 * production neither reaches the peer (see {@link ./door.ts}).
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reason: RaEeErrorName;
  /** SHA-256 of the enrollment certificate of a call whose signature was verified: for the audit log. */
  enrollmentHash: Uint8Array | undefined;

  constructor(reason: RaEeErrorName, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }

  /** The number of the reason. */
  get code(): number {
    return RA_EE_ERRORS[this.reason];
  }
}
