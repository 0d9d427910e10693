/** An RA in a process of its own, honest devices in another, and an attacker in this one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Flatness, flatnessOf, type MemorySample } from '../soak/flatness.ts';
import { keptMbOf, rssMbOf } from '../soak/memory-figures.ts';
import { type Figures, figure, type LiveRa, startLiveRa } from '../test/support/live-ra.ts';
import { openArena, sleep } from './arena.ts';
import { type AttackReport, attack } from './attack.ts';
import { type HonestReport, honestFailures } from './honest-report.ts';
import type { Kind } from './kind.ts';
import { connectionsOf } from './left.ts';

const WEEKS = 2;
const PER_WEEK = 5;
const HEALTH_EVERY_MS = 500;
const MEMORY_EVERY_MS = 60_000;
/** Until connections that were given up are gone, and what was refused has left. */
const REST_MS = 90_000;

export interface HostileOptions {
  /** New, or empty. */
  readonly directory: string;
  readonly kinds: readonly Kind[];
  readonly requests: number;
  readonly devices: number;
  /** Devices that begin in a second. */
  readonly ratePerSec: number;
  readonly lanes: number;
  readonly slowLanes: number;
  readonly holdMs: number;
  /** Attackers that were enrolled. */
  readonly crowd: number;
  /** See `LiveRaOptions`. */
  readonly processes: number | undefined;
  readonly shedMs?: number | undefined;
  /** Ends the attack, not the report. */
  readonly signal?: AbortSignal;
  readonly say?: (text: string) => void;
}

export interface HostileReport {
  /** That answered devices. */
  readonly processes: number;
  readonly attack: AttackReport;
  readonly honest: HonestReport;
  readonly honestFailures: readonly string[];
  readonly health: { readonly asked: number; readonly failed: number; readonly longestMs: number };
  /** Resident memory of the RA, all of its processes, every minute. */
  readonly rssMb: readonly number[];
  /** What of it stays, the attacks taken for visits. */
  readonly flatness: Flatness;
  readonly before: Standing;
  readonly after: Standing;
  /** Of the connections that are open afterwards, whose they are. */
  readonly left: readonly string[];
  /** By code, as the RA counts them. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly sheds: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
  readonly exitStatus: number | null;
}

/** Sums over all processes of the RA. */
export interface Standing {
  readonly rssMb: number;
  readonly heapMb: number;
  readonly descriptors: number;
  readonly connections: number;
  readonly held: number;
}

export async function runHostile(options: HostileOptions): Promise<HostileReport> {
  const { directory, kinds, requests, lanes, slowLanes, holdMs, crowd, devices } = options;
  const { signal, say = () => {} } = options;
  const ra = await startLiveRa({
    directory: join(directory, 'state'),
    weeksAhead: WEEKS,
    perWeek: PER_WEEK,
    processes: options.processes,
    nodeArguments: ['--import', new URL('./collect.ts', import.meta.url).href],
    shedMs: options.shedMs,
  });
  const arena = await openArena(ra, { holdMs, devices: crowd });
  const honest = startHonest(options, ra.directory, ra.url);
  await honest.loading;
  say(`${devices} devices are enrolled and begin`);
  const before = await ra.figures();
  let attacks = 0;
  const health = watchHealth(ra, () => attacks);
  const onProgress = (done: number) => {
    attacks = done;
    if (done % 1000 === 0) say(`${done} attacks`);
  };
  const width = { lanes, slowLanes };
  const attacked = await attack(arena, { kinds, requests, ...width, signal, onProgress });
  say(`the attack is over after ${Math.round(attacked.seconds)} s`);
  const report = await honest.end();
  const after = await rested(ra.figures);
  const left = await connectionsOf(ra.port, (port) => arena.sockets.kindOf(port) ?? 'no attacker');
  const seen = await health.end();
  return {
    processes: ra.processes,
    attack: attacked,
    honest: report,
    honestFailures: honestFailures(report, devices),
    health: seen.health,
    rssMb: seen.rssMb,
    flatness: flatnessOf(seen.samples),
    before: standingOf(before),
    after: standingOf(after),
    left,
    refusals: labelled(after, 'chrysalis_refusals_total', 'code'),
    sheds: labelled(after, 'chrysalis_sheds_total', 'class'),
    exitStatus: await ra.stop(),
    faults: ra.faults,
  };
}

function startHonest({ directory, devices, ratePerSec }: HostileOptions, state: string, url: URL) {
  const numbers = [devices, WEEKS, PER_WEEK, ratePerSec].map(String);
  const argv = [join(import.meta.dirname, 'honest.ts'), state, join(directory, 'fleet'), url.href];
  const child = spawn(process.execPath, [...argv, ...numbers], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  process.once('exit', () => child.kill('SIGKILL'));
  const loading = Promise.withResolvers<void>();
  const over = Promise.withResolvers<HonestReport>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { phase, report } = JSON.parse(line) as { phase: string; report?: HonestReport };
    if (phase === 'load') loading.resolve();
    if (report !== undefined) over.resolve(report);
  });
  void once(child, 'close').then(([code]) => {
    const error = new Error(`expected the honest devices to go on, saw status ${code}`);
    loading.reject(error);
    over.reject(error);
  });
  over.promise.catch(() => {});
  return {
    loading: loading.promise,
    end() {
      child.stdin.end();
      return over.promise;
    },
  };
}

function watchHealth(ra: Pick<LiveRa, 'health' | 'figures'>, attacks: () => number) {
  const health = { asked: 0, failed: 0, longestMs: 0 };
  const rssMb: number[] = [];
  const samples: MemorySample[] = [];
  let isOver = false;
  const watching = (async () => {
    for (let dueMs = 0; !isOver; ) {
      health.asked += 1;
      try {
        health.longestMs = Math.max(health.longestMs, Math.round(await ra.health()));
        const figures = await ra.figures();
        const sample = { visits: attacks(), rssMb: rssMbOf(figures), keptMb: keptMbOf(figures) };
        samples.push(sample);
        if (performance.now() >= dueMs) {
          rssMb.push(sample.rssMb);
          dueMs = performance.now() + MEMORY_EVERY_MS;
        }
      } catch {
        health.failed += 1;
      }
      await sleep(HEALTH_EVERY_MS);
    }
  })();
  return {
    async end() {
      isOver = true;
      await watching;
      return { health, rssMb, samples };
    },
  };
}

async function rested(figures: () => Promise<Figures>): Promise<Figures> {
  const deadline = performance.now() + REST_MS;
  for (;;) {
    const isLast = performance.now() > deadline;
    // One that does not answer now is asked again, and not for ever.
    const seen = await figures().catch((error: unknown) => {
      if (isLast) throw error;
      return undefined;
    });
    if (seen !== undefined) {
      const { connections, held } = standingOf(seen);
      if ((connections === 0 && held === 0) || isLast) return seen;
    }
    await sleep(HEALTH_EVERY_MS);
  }
}

function standingOf(figures: Figures): Standing {
  const mb = (name: string) => Math.round(figure(figures, name) / 1e6);
  return {
    rssMb: mb('process_resident_memory_bytes'),
    heapMb: mb('nodejs_heap_size_used_bytes'),
    descriptors: figure(figures, 'process_open_fds'),
    connections: figure(figures, 'chrysalis_connections'),
    held: figure(figures, 'chrysalis_held_refusals'),
  };
}

function labelled(figures: Figures, metric: string, label: string): Record<string, number> {
  const pattern = new RegExp(`^${metric}\\{${label}="([^"]+)"\\}$`);
  return Object.fromEntries(
    [...figures].flatMap(([name, value]) => {
      const found = pattern.exec(name)?.[1];
      return found === undefined ? [] : [[found, value]];
    }),
  );
}
