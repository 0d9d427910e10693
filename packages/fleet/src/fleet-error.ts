/** What went wrong with a fleet as a whole, for programs. What a single device meets is an `EeError`. */
export type FleetErrorCode =
  /** There is no fleet in the directory that was named. */
  | 'fleet-missing'
  /** What the fleet's database holds is not what this program wrote. */
  | 'fleet-damaged'
  /** A worker thread of the checker ended. */
  | 'worker-failed';

export class FleetError extends Error {
  override readonly name = 'FleetError';
  readonly code: FleetErrorCode;

  constructor(code: FleetErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
