/**
 * What a fleet that grows costs an RA that answers: the CPU of a look-up by enrollment certificate, at random among so many, the octets
 * of a registration, the time until the RA is up, and its memory. The last ten thousand of each size go through the registry, durably,
 * as many in a commit as come together; those before them are copied in SQL, under other hashes.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createTestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { type Database, openDatabase } from '@chrysalis/store';
import { DeviceRegistry } from '../packages/ra/src/device-registry.ts';
import { copyRows } from './copied-rows.ts';
import type { StartedRa } from './growth-start.ts';
import { measurementOf, percentile, print, printHead } from './measurement.ts';
import { deviceRows } from './registered-device.ts';

const SIZES = [10_000, 100_000, 1_000_000];
const LOOKUPS = 20_000;
const IN_FLIGHT = 1000;
/** Of each size, so many are registered one by one. */
const REGISTERED = 10_000;

/** Measures and prints. @param options.devices instead of the largest size: 10,000,000 take a quarter of an hour and 15 GB */
export async function run(options: {
  readonly json: boolean;
  readonly devices?: number;
}): Promise<void> {
  const largest = options.devices ?? (SIZES.at(-1) as number);
  const sizes = [...SIZES.filter((size) => size < largest), largest];
  const directory = await mkdtemp(join(tmpdir(), 'chrysalis-growth-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(directory, { recursive: true }));
  printHead(options.json);
  let registered = 0;
  let first: number | undefined;
  for (const size of sizes) {
    const grown = await grow(directory, registered, size);
    registered = size;
    const { cpuUs, latenciesMs } = grown.lookUps;
    first ??= cpuUs;
    const line = measurementOf({
      name: 'growth',
      variant: `look-up among ${size} devices`,
      opsPerSec: (1000 * LOOKUPS) / latenciesMs.reduce((sum, ms) => sum + ms, 0),
      cpuUsPerOp: cpuUs,
      p50Ms: percentile(latenciesMs, 0.5),
      p99Ms: percentile(latenciesMs, 0.99),
      rssMb: grown.rssMb,
      note: [
        `${(cpuUs / first).toFixed(2)} times the first`,
        `${grown.octetsPerDevice} octets each`,
        `${grown.registrationsPerSec} durable registrations/s`,
        `start ${grown.startMs} ms`,
      ].join(', '),
    });
    print(line, options.json);
  }
}

async function grow(directory: string, registered: number, size: number) {
  const path = join(directory, 'ra.db');
  const copied = Math.max(registered, size - REGISTERED);
  if (registered > 0) copyRows(path, registered, copied);
  const database = await openDatabase<RaSchema>(`sqlite:${path}`, RA_MIGRATIONS);
  const seconds = await register(database, size - copied);
  const [some, others] = [randomHashes(path, size), randomHashes(path, size)];
  // Not those that count: the compiler has seen it all then.
  await lookUp(database, some);
  const lookUps = await lookUp(database, others);
  await database.close();
  const { size: octets } = await stat(path);
  const ra = await startAlone(directory);
  return {
    lookUps,
    registrationsPerSec: Math.round((size - copied) / seconds),
    octetsPerDevice: Math.round(octets / size),
    startMs: Math.round(ra.startMs),
    rssMb: ra.rssOctets / 1e6,
  };
}

/** Registers devices; the seconds that it took. */
async function register(database: Database<RaSchema>, count: number): Promise<number> {
  const now = time32FromUnix(Date.now());
  const scms = createTestScms({ now, random: systemRandom, raHostname: 'localhost' });
  const rowOf = deviceRows(scms, now);
  const registry = new DeviceRegistry(database);
  const rows = Array.from({ length: count }, () => rowOf());
  const started = performance.now();
  for (let n = 0; n < count; n += IN_FLIGHT) {
    const some = rows.slice(n, n + IN_FLIGHT);
    await Promise.all(some.map((device) => registry.register(device, device.registered_at)));
  }
  return (performance.now() - started) / 1000;
}

/** Enrollment hashes of rows that lie anywhere. */
function randomHashes(path: string, devices: number): readonly Uint8Array[] {
  using database = new DatabaseSync(path, { readOnly: true });
  const hashOf = database.prepare('select enrollment_hash from device where id = ?');
  return Array.from({ length: LOOKUPS }, () => {
    const row = hashOf.get(1 + Math.floor(Math.random() * devices));
    return row?.enrollment_hash as Uint8Array;
  });
}

/** Look-ups one after the other: the CPU of each in microseconds, and how long each took. */
async function lookUp(
  database: Database<RaSchema>,
  hashes: readonly Uint8Array[],
): Promise<{ readonly cpuUs: number; readonly latenciesMs: readonly number[] }> {
  const registry = new DeviceRegistry(database);
  const latenciesMs: number[] = [];
  const before = process.cpuUsage();
  for (const hash of hashes) {
    const started = performance.now();
    const { devices } = await registry.lookUp(hash);
    latenciesMs.push(performance.now() - started);
    if (devices.length !== 1) throw new RangeError(`expected one row, saw ${devices.length}`);
  }
  const { user, system } = process.cpuUsage(before);
  return { cpuUs: (user + system) / hashes.length, latenciesMs };
}

/** An RA on this database in a process of its own, which measures itself. */
function startAlone(directory: string): Promise<StartedRa> {
  const child: ChildProcess = fork(new URL('./growth-start.ts', import.meta.url), [directory]);
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as StartedRa));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`expected an RA that starts, saw exit ${code}`)));
  });
}
