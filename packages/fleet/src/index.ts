/**
 * Virtual devices, by the thousand: `simulate` lets them come to an RA over HTTPS, `checkFleet` makes sure of what
 * they were given.
 */
export { type CheckBatchOptions, type CheckedBatch, checkBatch } from './check-batch.ts';
export type { CheckedDevice, Finding } from './check-device.ts';
export {
  type CheckProgress,
  type CheckReport,
  checkFleet,
  type FleetCheckOptions,
} from './checker.ts';
export {
  DISTINCT,
  type DistinctThing,
  type Duplicate,
  FINGERPRINT_OCTETS,
  Fingerprints,
  type Place,
} from './fingerprint.ts';
export { Fleet, type FleetOptions, type WantedBatch } from './fleet.ts';
export { FleetError, type FleetErrorCode } from './fleet-error.ts';
export { caterpillarKeysOf, type KeyPurpose, keyStream } from './key-stream.ts';
export { type Endpoint, type Latency, latencyOf, Meter, meteredTransport } from './meter.ts';
export {
  type SimulationOptions,
  type SimulationProgress,
  type SimulationReport,
  simulate,
} from './simulation.ts';
