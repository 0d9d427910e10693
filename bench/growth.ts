/**
 * What a fleet that grows costs an RA that answers: the bytes of a registration, the CPU of a look-up and of a whole `.info`
 * handler among so many devices, the time until the RA is up, and its memory. Registrations go through the registry, durably.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestScms } from '@chrysalis/authorities';
import { encode } from '@chrysalis/coer';
import { multiplyGenerator, systemRandom } from '@chrysalis/crypto';
import { SequenceOfPsidSsp, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { IPeriodClock } from '@chrysalis/scms';
import { type Database, openDatabase } from '@chrysalis/store';
import { DeviceRegistry, type NewDevice } from '../packages/ra/src/device-registry.ts';
import { createDevice } from '../test/support/device.ts';
import type { StartedRa } from './growth-start.ts';

/** One line of the result. */
export interface GrowthMeasurement {
  readonly name: 'growth';
  /** The number of devices. */
  readonly variant: string;
  /** Registrations per second by the clock, each durable, a hundred to a commit. */
  readonly opsPerSec: number;
  /** Microseconds of CPU of a look-up by enrollment certificate, at random among all. */
  readonly cpuUsPerOp: number;
  /** The look-up among the first size divided by this one: 1 when growth costs nothing. */
  readonly ratioToNative: number;
  readonly octetsPerDevice: number;
  /** From the call to the answer of the port. */
  readonly startMs: number;
  readonly rssMb: number;
}

const SIZES = [10_000, 100_000, 1_000_000];
const LOOKUPS = 20_000;
/** Caterpillar keys are points; a few are enough, for nobody expands them here. */
const POINTS = 256;
const IN_FLIGHT = 1000;

/** Measures and prints; `devices` instead of the largest size. */
export async function run(options: {
  readonly json: boolean;
  readonly devices?: number;
}): Promise<void> {
  const largest = options.devices ?? (SIZES.at(-1) as number);
  const sizes = [...SIZES.filter((size) => size < largest), largest];
  const directory = await mkdtemp(join(tmpdir(), 'chrysalis-growth-'));
  try {
    let first: number | undefined;
    let registered = 0;
    for (const size of sizes) {
      const measured = await measure(directory, registered, size);
      registered = size;
      first ??= measured.cpuUsPerOp;
      const line = { ...measured, ratioToNative: Number((first / measured.cpuUsPerOp).toFixed(3)) };
      console.log(options.json ? JSON.stringify(line) : asText(line));
    }
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function measure(
  directory: string,
  registered: number,
  size: number,
): Promise<GrowthMeasurement> {
  const url = `sqlite:${join(directory, 'ra.db')}`;
  const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS);
  const started = performance.now();
  const hashes = await register(database, registered, size);
  const seconds = (performance.now() - started) / 1000;
  const cpuUs = await lookUp(database, hashes);
  await database.close();
  const { size: octets } = await stat(join(directory, 'ra.db'));
  const ra = await startAlone(directory);
  return {
    name: 'growth',
    variant: String(size),
    opsPerSec: Math.round((size - registered) / seconds),
    cpuUsPerOp: Number(cpuUs.toFixed(1)),
    ratioToNative: 1,
    octetsPerDevice: Math.round(octets / size),
    startMs: Math.round(ra.startMs),
    rssMb: Math.round(ra.rssOctets / 1e6),
  };
}

/** Registers devices until there are `size`; the enrollment hashes of some of them. */
async function register(
  database: Database<RaSchema>,
  from: number,
  size: number,
): Promise<readonly Uint8Array[]> {
  const template = deviceTemplate();
  const registry = new DeviceRegistry(database);
  const hashes: Uint8Array[] = [];
  for (let n = from; n < size; n += IN_FLIGHT) {
    const some = Array.from({ length: Math.min(IN_FLIGHT, size - n) }, () => template());
    await Promise.all(some.map((device) => registry.register(device, device.registered_at)));
    const [first] = some;
    if (first && hashes.length < LOOKUPS)
      hashes.push(...some.slice(0, 40).map((d) => d.enrollment_hash));
  }
  return hashes;
}

/** Devices that have everything ahead already, so that a pipeline has nothing to do for them. */
function deviceTemplate(): () => NewDevice {
  const now = time32FromUnix(Date.now());
  const scms = createTestScms({ now, random: systemRandom, raHostname: 'localhost' });
  const device = createDevice(scms, systemRandom, now);
  const points = Array.from({ length: POINTS }, () => multiplyGenerator(systemRandom(32)));
  const point = () => points[systemRandom(1)[0] as number] as Uint8Array;
  const i = new IPeriodClock().at(now);
  const permissions = encode(SequenceOfPsidSsp, [{ psid: 0x20 }, { psid: 0x26 }]);
  return () => ({
    kind: 'pseudonym',
    request_hash: systemRandom(8),
    body_hash: systemRandom(32),
    inner_hash: systemRandom(32),
    enrollment_hash: systemRandom(32),
    enrollment_certificate: device.certificate.octets,
    public_key: point(),
    permissions,
    region: null,
    verify_seed: point(),
    verify_expansion: systemRandom(16),
    encryption_seed: point(),
    encryption_expansion: systemRandom(16),
    cert_encryption_seed: null,
    cert_encryption_expansion: null,
    registered_at: now,
    // As long as a real one.
    ack: systemRandom(200),
    available_at: now,
    status: 'active',
    first_start: 0,
    lifetime_sec: 0,
    period_sec: 0,
    first_i: i,
    last_i: i + 1000,
    linked_through: i + 900,
    expanded_through: i + 900,
    filed_through: i + 900,
    la1_chain: systemRandom(60),
    la2_chain: systemRandom(60),
  });
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

function asText(line: GrowthMeasurement): string {
  return [
    `${line.variant.padStart(9)} devices:`,
    `${line.octetsPerDevice} octets each,`,
    `${line.opsPerSec} registrations/s,`,
    `look-up ${line.cpuUsPerOp} us (${line.ratioToNative} of the first),`,
    `start ${line.startMs} ms, ${line.rssMb} MB`,
  ].join(' ');
}
