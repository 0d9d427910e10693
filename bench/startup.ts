/** How long `chrysalis serve` takes until it answers, whatever the fleet, and what that costs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measurementOf, percentile, print, printHead } from './measurement.ts';
import { median } from './native.ts';
import { cpuUsOf, rssMbOf } from './process-cost.ts';
import { RaState, ServedRa } from './served-ra.ts';

const DEFAULT_DEVICES = 1_000_000;
const ROUNDS = 5;

/** @param options.devices of the larger of two fleets */
export async function run(options: {
  readonly json: boolean;
  readonly devices?: number;
}): Promise<void> {
  const parent = await mkdtemp(join(tmpdir(), 'chrysalis-startup-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(parent, { recursive: true }));
  const state = await RaState.make(parent);
  const { devices = DEFAULT_DEVICES } = options;
  printHead(options.json);
  print(await startupOf(state, 0), options.json);
  await state.registerOthers(devices);
  print(await startupOf(state, devices), options.json);
}

async function startupOf(state: RaState, devices: number) {
  const starts: { readonly ms: number; readonly cpuUs: number; readonly rssMb: number }[] = [];
  // The first makes what later ones find.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const served = await ServedRa.start(state);
    const { pid, startMs } = served;
    if (round > 0) starts.push({ ms: startMs, cpuUs: cpuUsOf(pid), rssMb: rssMbOf(pid) });
    await served.stop();
  }
  const ms = starts.map((start) => start.ms);
  return measurementOf({
    name: 'startup',
    variant: `${devices} devices`,
    opsPerSec: 1000 / median(ms),
    cpuUsPerOp: median(starts.map(({ cpuUs }) => cpuUs)),
    p50Ms: median(ms),
    p99Ms: percentile(ms, 0.99),
    rssMb: median(starts.map(({ rssMb }) => rssMb)),
    note: `until it answers, median and longest of ${ROUNDS}`,
  });
}
