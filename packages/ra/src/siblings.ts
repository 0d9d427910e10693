import type { TriedService } from './tries.ts';

/**
 * What processes that answer devices from one state have to know of each other. What one tells the others, and what it does
 * when the others tell it, is the same.
 */
export interface Siblings {
  /**
   * A registration is about to be replaced: when it resolves, everything that was fetched under it is noted, and nothing more
   * is handed out under it until it is opened.
   *
   * @throws when one that runs does not answer: the registration is not replaced then
   */
  closeRegistration(deviceId: number): Promise<void>;
  /** The request that closed a registration has not replaced it. */
  openRegistration(deviceId: number): void;
  /** A device has spent one of its tries. */
  countFailure(enrollmentHash: Uint8Array, service: TriedService): void;
}
