/** An RA under twice what it can do, for as long as it is told, and what is to be seen of it meanwhile. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { latencyOf } from '@chrysalis/fleet';
import { LineFactory } from '../test/support/device-line.ts';
import { startLiveRa } from '../test/support/live-ra.ts';
import { Generator } from './generator.ts';
import type { Round, SoakReport } from './report.ts';
import { Visitors } from './visitors.ts';
import { Watch } from './watch.ts';

/** Visits at a time while it is measured what the RA can do: enough that it never waits for one. */
const LANES = 48;
/** Besides: devices that ask in one moment, as when a week begins. So many seconds' work of theirs, and at most so many. */
const HERD_SEC = 3;
const MAX_HERD = 500;
const HERD_EVERY_MS = 30_000;
const LOOP_RESOLUTION_MS = 10;

export interface SoakOptions {
  readonly directory: string;
  /** All rounds together. */
  readonly seconds: number;
  /** After each the RA rests, and it is measured anew what it can do: others share the machine. */
  readonly roundSeconds: number;
  readonly measureSeconds: number;
  readonly devices: number;
  /** Times what it can do. */
  readonly factor: number;
  readonly nice: number;
  /** See `LiveRaOptions`. */
  readonly processes: number | undefined;
  /** The known-bad control: so many octets are lost with each connection. */
  readonly leakOctets?: number;
  readonly say?: (text: string) => void;
}

export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const ra = await startLiveRa({ ...options, ...leaking(options), weeksAhead: 1, perWeek: 5 });
  const lines = new LineFactory(ra.port, ra.ca);
  const visitors = new Visitors(ra);
  await visitors.prepare(options.devices, lines);
  const generator = new Generator(visitors, lines);
  const watch = await Watch.start(ra, () => generator.over);
  const cpu = process.cpuUsage();
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  loop.enable();
  const rounds: Round[] = [];
  while (watch.elapsedSec < options.seconds) {
    rounds.push(await round(options, generator, watch));
    options.say?.(`${Math.round(watch.elapsedSec)} s: ${JSON.stringify(rounds.at(-1))}`);
  }
  loop.disable();
  const seen = await watch.end();
  const { user, system } = process.cpuUsage(cpu);
  const exitStatus = await ra.stop();
  return {
    ...seen,
    processes: ra.processes,
    rounds,
    visits: generator.outcomes,
    acknowledged: visitors.acknowledged,
    servedMs: generator.servedMs,
    refusedMs: generator.refusedMs,
    cpuSec: { ...seen.cpuSec, generator: (user + system) / 1e6 },
    generatorDelayMs: latencyOf(loop, 1e6, LOOP_RESOLUTION_MS),
    unexpected: generator.unexpected,
    faults: ra.faults,
    exitStatus,
  };
}

function leaking({ leakOctets }: SoakOptions) {
  if (leakOctets === undefined) return {};
  process.env.CHRYSALIS_SOAK_LEAK = String(leakOctets);
  return { nodeArguments: ['--import', new URL('./leak.ts', import.meta.url).href] };
}

async function round(options: SoakOptions, generator: Generator, watch: Watch): Promise<Round> {
  const { measureSeconds, roundSeconds, seconds, factor } = options;
  const capacityPerSec = await generator.closedLoop(LANES, measureSeconds);
  const offeredPerSec = capacityPerSec * factor;
  const before = generator.notSent;
  const left = Math.max(1, Math.min(roundSeconds, seconds - watch.elapsedSec));
  watch.isUnderLoad = true;
  const herd = Math.min(MAX_HERD, Math.ceil(capacityPerSec * HERD_SEC));
  const herds = setInterval(() => void generator.herd(herd), HERD_EVERY_MS);
  const begun = await generator.openLoop(offeredPerSec, left);
  clearInterval(herds);
  watch.isUnderLoad = false;
  await watch.rested();
  return {
    capacityPerSec: Math.round(capacityPerSec),
    offeredPerSec: Math.round(offeredPerSec),
    begun,
    notSent: generator.notSent - before,
  };
}
