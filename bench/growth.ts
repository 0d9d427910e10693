/**
 * What a fleet that grows costs an RA that answers: the CPU of a look-up by enrollment certificate, at random among so many, the octets
 * of a registration, the time until the RA is up, and its memory. Registrations go through the registry, durably, a hundred to a
 * commit.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { type Database, openDatabase } from '@chrysalis/store';
import { DeviceRegistry } from '../packages/ra/src/device-registry.ts';
import type { StartedRa } from './growth-start.ts';
import { measurementOf, print, printHead } from './measurement.ts';
import { deviceRows } from './registered-device.ts';

const SIZES = [10_000, 100_000, 1_000_000];
const LOOKUPS = 20_000;
const IN_FLIGHT = 1000;

/** Measures and prints. @param options.devices instead of the largest size: 10,000,000 take half an hour and 15 GB */
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
    first ??= grown.lookUpUs;
    const line = measurementOf({
      name: 'growth',
      variant: `look-up among ${size} devices`,
      opsPerSec: 1e6 / grown.lookUpUs,
      cpuUsPerOp: grown.lookUpUs,
      rssMb: grown.rssMb,
      note: [
        `${(grown.lookUpUs / first).toFixed(2)} times the first`,
        `${grown.octetsPerDevice} octets each`,
        `${grown.registrationsPerSec} durable registrations/s`,
        `start ${grown.startMs} ms`,
      ].join(', '),
    });
    print(line, options.json);
  }
}

async function grow(directory: string, registered: number, size: number) {
  const url = `sqlite:${join(directory, 'ra.db')}`;
  const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS);
  const started = performance.now();
  const hashes = await register(database, registered, size);
  const seconds = (performance.now() - started) / 1000;
  const lookUpUs = await lookUp(database, hashes);
  await database.close();
  const { size: octets } = await stat(join(directory, 'ra.db'));
  const ra = await startAlone(directory);
  return {
    lookUpUs,
    registrationsPerSec: Math.round((size - registered) / seconds),
    octetsPerDevice: Math.round(octets / size),
    startMs: Math.round(ra.startMs),
    rssMb: ra.rssOctets / 1e6,
  };
}

/** Registers devices until there are `size`; the enrollment hashes of some of them. */
async function register(
  database: Database<RaSchema>,
  from: number,
  size: number,
): Promise<readonly Uint8Array[]> {
  const now = time32FromUnix(Date.now());
  const scms = createTestScms({ now, random: systemRandom, raHostname: 'localhost' });
  const rowOf = deviceRows(scms, now);
  const registry = new DeviceRegistry(database);
  const hashes: Uint8Array[] = [];
  for (let n = from; n < size; n += IN_FLIGHT) {
    const some = Array.from({ length: Math.min(IN_FLIGHT, size - n) }, () => rowOf());
    await Promise.all(some.map((device) => registry.register(device, device.registered_at)));
    const [first] = some;
    if (first && hashes.length < LOOKUPS)
      hashes.push(...some.slice(0, 40).map((d) => d.enrollment_hash));
  }
  return hashes;
}

/** Microseconds of CPU of a look-up, by all callers in turn. */
async function lookUp(
  database: Database<RaSchema>,
  hashes: readonly Uint8Array[],
): Promise<number> {
  const registry = new DeviceRegistry(database);
  const before = process.cpuUsage();
  for (let n = 0; n < LOOKUPS; n += 1) {
    const hash = hashes[(n * 7919) % hashes.length] as Uint8Array;
    const { devices } = await registry.lookUp(hash);
    if (devices.length !== 1) throw new RangeError(`expected one row, saw ${devices.length}`);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / LOOKUPS;
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
