/**
 * What memory `chrysalis serve` takes before a large fleet, at rest and under a load of downloads: with all authorities in its
 * process, with the PCA and the LAs behind mutual TLS, where an RA of production has them, and then as two processes that
 * answer, one that makes certificates and one that watches. What these share counts in each.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { targetOf } from './device-connection.ts';
import { drive, signedRequests } from './download-load.ts';
import { inTurn } from './info.ts';
import { measurementOf, percentile, print, printHead } from './measurement.ts';
import { rssMbOf } from './process-cost.ts';
import { type KnownDevice, RaState, ServedRa } from './served-ra.ts';

const DEFAULT_DEVICES = 1_000_000;
const KNOWN = 1000;
const TOGETHER = 32;
const LOADS = 10;

/** @param options.devices how many are registered */
export async function run(options: {
  readonly json: boolean;
  readonly devices?: number;
}): Promise<void> {
  const { devices = DEFAULT_DEVICES } = options;
  const parent = await mkdtemp(join(tmpdir(), 'chrysalis-memory-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(parent, { recursive: true }));
  const state = await RaState.make(parent);
  const known = await state.registerKnown(Math.min(KNOWN, devices));
  await state.registerOthers(devices - known.length);
  printHead(options.json);
  await measure(state, known, `${devices} devices, authorities in process`, options.json);
  await state.exportAuthorities(parent);
  await measure(state, known, `${devices} devices, authorities remote`, options.json);
  await state.configure((text) => text.replace(/^processes = 1$/m, 'processes = 2'));
  await measure(state, known, `${devices} devices, authorities remote, 2 processes`, options.json);
}

async function measure(
  state: RaState,
  known: readonly KnownDevice[],
  variant: string,
  json: boolean,
): Promise<void> {
  const served = await ServedRa.start(state);
  try {
    await served.settled();
    const atRest = rssMbOf(served.pid);
    const next = inTurn(known);
    const server = { pid: served.pid, target: targetOf(served.port, state.ca) };
    let peak = atRest;
    const latenciesMs: number[] = [];
    const costs: number[] = [];
    for (let load = 0; load < LOADS; load += 1) {
      const requests = signedRequests(
        next(known.length),
        state.scms.ra.certificate,
        '/download/info',
        ({ requestHash }) => `${requestHash}.info`,
      );
      const answer = { use: 'new-connection', together: TOGETHER, status: 200 } as const;
      const cost = await drive(server, { ...answer, requests, bodyOctets: 4 });
      latenciesMs.push(...cost.latenciesMs);
      costs.push(cost.cpuUs);
      peak = Math.max(peak, rssMbOf(served.pid));
    }
    const cpuUsPerOp = costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
    const line = measurementOf({
      name: 'memory',
      variant,
      opsPerSec: 1e6 / cpuUsPerOp,
      cpuUsPerOp,
      p50Ms: percentile(latenciesMs, 0.5),
      p99Ms: percentile(latenciesMs, 0.99),
      rssMb: peak,
      note: `at rest ${atRest.toFixed(0)} MB; operations are ${LOADS * known.length} new connections, by CPU time`,
    });
    print(line, json);
  } finally {
    await served.stop();
  }
}
