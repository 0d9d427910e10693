import { EeError } from '@chrysalis/ee';
import {
  type CheckedDevice,
  type CheckOptions,
  checkDevice,
  type Finding,
  openLane,
} from './check-device.ts';
import { CheckWorker } from './check-worker-client.ts';
import { type Duplicate, Fingerprints } from './fingerprint.ts';

/** Devices that one thread checks at a time: the network waits for one while another is computed. */
const LANES = 3;
/** Findings that are told one by one; the rest is counted. */
const MAX_FINDINGS = 200;

export interface FleetCheckOptions extends CheckOptions {
  /** Devices 0 to this, less one, are expected; all that are bootstrapped when it is missing. */
  readonly devices?: number;
  /** How many batches each device is expected to have been promised at least. */
  readonly weeks?: number;
  /** Threads; 0 checks in this one. */
  readonly workers: number;
  readonly onProgress?: (progress: CheckProgress) => void;
}

export interface CheckProgress {
  readonly devices: number;
  readonly checkedDevices: number;
  readonly certificates: number;
  readonly findings: number;
}

export interface CheckReport {
  readonly isInterrupted: boolean;
  readonly devices: number;
  readonly batches: number;
  /** Certificates that were downloaded now, found in order, and compared with all others. */
  readonly certificates: number;
  /** Of periods that are over, which an earlier check found in order and the RA has dropped: only compared. */
  readonly earlierCertificates: number;
  /** Batches of periods that are over, which the RA has dropped and no check has ever seen. */
  readonly goneBatches: number;
  /** How many there are; 0 when all is well. */
  readonly findingCount: number;
  /** The first of them. */
  readonly findings: readonly Finding[];
  readonly elapsedSec: number;
}

/** Checks one device; the work of a thread. */
type CheckOne = (device: number) => Promise<CheckedDevice>;

/**
 * Downloads all batches of a fleet and checks that every certificate is there, is in order, and belongs to its device
 * (`checkBatch`), and that no certificate, key or linkage value is there twice in the whole fleet. What was found in
 * order is noted, so that later checks compare with it when the RA has dropped it.
 *
 * @throws EeError `unreachable` and others that say nothing of a device; FleetError `worker-failed`
 */
export async function checkFleet(options: FleetCheckOptions): Promise<CheckReport> {
  const { fleet, signal, weeks = 0, onProgress } = options;
  const start = performance.now();
  const enrolled = await fleet.enrolled();
  const present = new Set(enrolled);
  const expected = Array.from({ length: options.devices ?? 0 }, (_, n) => n);
  const missing = expected.filter((device) => !present.has(device));
  const devices = enrolled.filter((device) => device < (options.devices ?? Infinity));
  const findings = new Findings();
  for (const device of missing) {
    findings.add({ device, problem: 'expected a bootstrapped device, saw none' });
  }
  const fingerprints = new Fingerprints();
  const totals = { devices: 0, batches: 0, fresh: 0, earlier: 0, gone: 0 };
  const take = async (checked: CheckedDevice) => {
    for (const finding of checked.findings) findings.add(finding);
    const { device, promised } = checked;
    if (promised !== undefined && promised < weeks) {
      findings.add({ device, problem: `expected ${weeks} batches, saw ${promised} asked for` });
    }
    totals.gone += checked.gone.length;
    for (const batch of checked.batches) {
      const before = fingerprints.size;
      fingerprints.add(checked.device, batch.i, batch.fingerprints);
      totals.batches += 1;
      totals[batch.isFresh ? 'fresh' : 'earlier'] += fingerprints.size - before;
      if (batch.isFresh && batch.isSound) {
        await fleet.saveVerified(checked.device, batch.i, batch.fingerprints);
      }
    }
    totals.devices += 1;
    onProgress?.({
      devices: devices.length,
      checkedDevices: totals.devices,
      certificates: fingerprints.size,
      findings: findings.count,
    });
  };
  await runAll(devices, options, take);
  for (const duplicate of fingerprints.duplicates()) findings.addDuplicate(duplicate);
  return {
    isInterrupted: signal?.aborted === true,
    devices: totals.devices,
    batches: totals.batches,
    certificates: totals.fresh,
    earlierCertificates: totals.earlier,
    goneBatches: totals.gone,
    findingCount: findings.count,
    findings: findings.first,
    elapsedSec: Math.round((performance.now() - start) / 10) / 100,
  };
}

/** Every device once, on as many lanes as there are. Ends early when the signal says so. */
async function runAll(
  devices: readonly number[],
  options: FleetCheckOptions,
  take: (checked: CheckedDevice) => Promise<void>,
): Promise<void> {
  const { signal, workers } = options;
  const lanes = LANES * Math.max(1, workers);
  await using threads = new AsyncDisposableStack();
  const crew = Array.from({ length: workers }, () => threads.use(new CheckWorker(options)));
  const queue = devices.values();
  const runLane = async (n: number) => {
    const thread = crew[n % Math.max(1, crew.length)];
    const lane = openLane();
    const check: CheckOne = (device) =>
      thread === undefined ? checkDevice(device, lane, options) : thread.check(device);
    try {
      for (const device of queue) {
        if (signal?.aborted) return;
        await take(await check(device));
      }
    } catch (error) {
      if (!(error instanceof EeError && error.code === 'aborted')) throw error;
    } finally {
      await lane.close();
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, n) => runLane(n)));
}

class Findings {
  readonly first: Finding[] = [];
  count = 0;

  add(finding: Finding): void {
    this.count += 1;
    if (this.first.length < MAX_FINDINGS) this.first.push(finding);
  }

  addDuplicate({ what, places: [first, ...others] }: Duplicate): void {
    if (first === undefined) return;
    const at = `device ${first.device}, i ${first.i.toString(16).toUpperCase()}, j ${first.j}`;
    for (const { device, i, j } of others) {
      this.add({ device, i, problem: `j ${j}: expected a ${what} of its own, saw that of ${at}` });
    }
  }
}
