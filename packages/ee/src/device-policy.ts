/** What of a local policy file governs a device (sheet 6.5). */
export interface DevicePolicy {
  /** How long before its end an RSE asks for the next application certificate. */
  readonly rseOverlapSec: number;
  /** How long an application certificate lives. */
  readonly rseValiditySec: number;
}

const HOUR_SEC = 3_600;

/** The defaults of the global policy: a week and an hour, and that hour (sheet 3.6, 6.5). */
export const DEFAULT_POLICY: DevicePolicy = {
  rseOverlapSec: HOUR_SEC,
  rseValiditySec: 169 * HOUR_SEC,
};
