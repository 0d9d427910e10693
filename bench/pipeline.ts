/**
 * The way of a pseudonym certificate through the RA, from a registered device to its zip on disk: SQLite and a
 * directory, durable as in production, and the shuffle filled before it opens. The authorities run in another process,
 * so that the CPU time of this one is the RA's: all of its threads, and its half of the messages between them.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestScms, hostnameOf, type TestScms, writeTestScms } from '@chrysalis/authorities';
import { Secret, systemRandom } from '@chrysalis/crypto';
import { openBatch } from '@chrysalis/ee';
import { decrypterOf, unixFromTime32 } from '@chrysalis/ieee1609dot2';
import {
  fileKey,
  type Log,
  Pipeline,
  type PipelineOptions,
  RA_MIGRATIONS,
  type RaSchema,
} from '@chrysalis/ra';
import { type Clock, IPeriodClock, timeOf } from '@chrysalis/scms';
import { openDatabase, openDirectoryObjectStore } from '@chrysalis/store';
import { DeviceRegistry } from '../packages/ra/src/device-registry.ts';
import { createDevice, type TestDevice, trustOf } from '../test/support/device.ts';
import { type Measurement, measurementOf, print, printHead } from './measurement.ts';
import { bareOperations, median, type NativeName, opensslCosts, time } from './native.ts';
import type { AuthorityName, FromAuthorities, ToAuthorities } from './pipeline-authorities.ts';
import { freshDeviceRow } from './registered-device.ts';

export interface PipelineBenchOptions {
  readonly json: boolean;
  /** In all rounds together. */
  readonly devices?: number;
  /** Weeks made for each. */
  readonly weeks?: number;
}

/** Each with devices of its own and native costs measured beside them; the median counts. One more before warms up. */
const ROUNDS = 5;
const DEFAULT_DEVICES = 60;
const DEFAULT_WEEKS = 12;
/** CAMP's policy. */
const PER_WEEK = 20;
const SHUFFLE_THRESHOLD = 1000;
const SHUFFLE_MAX_AGE_SEC = 3600;
/** Milliseconds of each native operation in a round. */
const NATIVE_SLICE_MS = 60;
/** Between two looks at how far the devices are: one costs some 100 microseconds. */
const LOOK_MS = 50;

type NativeSum = readonly (readonly [NativeName, number])[];

/** Two cocoon keys, the signature of the request, that of the reply. */
const NATIVE_RA: NativeSum = [
  ['k·G', 2],
  ['sign', 1],
  ['verify', 1],
];
/**
 * At the PCA: the signature of the request verified, both keys decompressed, an ECQV point, ECIES to the device, two
 * signatures (what is sealed, and the reply), two pre-linkage values opened and the certificate sealed. At the LAs: each
 * of the values sealed.
 */
const NATIVE_WHOLE: NativeSum = [
  ['k·G', 2 + 1 + 1],
  ['sign', 1 + 2],
  ['verify', 1 + 1],
  ['decompress', 2],
  ['ECDH', 1],
  ['CCM', 2 + 1 + 2],
];

interface Round {
  readonly wallUs: number;
  readonly raUs: number;
  readonly authoritiesUs: number;
  readonly native: ReadonlyMap<NativeName, number>;
}

/** Measures and prints. @throws when a file is missing, or does not open with its device's keys */
export async function run(options: PipelineBenchOptions): Promise<void> {
  const { devices = DEFAULT_DEVICES, weeks = DEFAULT_WEEKS } = options;
  const inRound = Math.max(1, Math.round(devices / ROUNDS));
  const directory = await mkdtemp(join(tmpdir(), 'chrysalis-bench-'));
  const bench = await PipelineBench.open(directory, inRound, weeks);
  const rounds: Round[] = [];
  try {
    await bench.round();
    for (let round = 0; round < ROUNDS; round += 1) rounds.push(await bench.round());
    await bench.checkFiles();
  } finally {
    await bench.close();
    await rm(directory, { recursive: true });
  }
  const certificates = inRound * weeks * PER_WEEK;
  // In kilobytes.
  const peakRss = process.resourceUsage().maxRSS * 1024;
  const measurements = [
    measurement('ra', NATIVE_RA, rounds, certificates, peakRss),
    measurement('whole', NATIVE_WHOLE, rounds, certificates, peakRss),
  ];
  printHead(options.json);
  for (const line of measurements) print(line, options.json);
  if (!options.json) {
    console.log(
      `${ROUNDS} rounds of ${inRound} devices x ${weeks} weeks x ${PER_WEEK}, all files there`,
    );
  }
}

function measurement(
  variant: 'ra' | 'whole',
  sum: NativeSum,
  rounds: readonly Round[],
  certificates: number,
  peakRss: number,
): Measurement {
  const costs = rounds.map(({ raUs, authoritiesUs, native }) => {
    const cpuUs = (variant === 'ra' ? raUs : raUs + authoritiesUs) / certificates;
    const nativeUs = sum.reduce((us, [name, times]) => us + times * native.get(name)!, 0);
    return { cpuUs, nativeUs, ratio: nativeUs / cpuUs };
  });
  const wallUs = median(rounds.map((round) => round.wallUs)) / certificates;
  const nativeUs = median(costs.map((cost) => cost.nativeUs)).toFixed(1);
  return measurementOf({
    name: 'pipeline',
    variant,
    opsPerSec: 1e6 / wallUs,
    cpuUsPerOp: median(costs.map(({ cpuUs }) => cpuUs)),
    ratioToNative: median(costs.map(({ ratio }) => ratio)),
    rssMb: peakRss / 1e6,
    note: `a certificate, ${variant === 'ra' ? 'RA alone' : 'RA, LAs and PCA'}: ${sum.map(([name, times]) => `${times} x ${name}`).join(' + ')} ${nativeUs} us`,
  });
}

/** An RA's pipeline and the process of its authorities, in a directory of their own. */
class PipelineBench {
  readonly #scms: TestScms;
  readonly #clock: BenchClock;
  readonly #authorities: Authorities;
  readonly #options: PipelineOptions;
  readonly #registry: DeviceRegistry;
  readonly #pipeline: Pipeline;
  readonly #devices = new Map<number, TestDevice>();
  readonly #inRound: number;
  readonly #bare = bareOperations();
  #isStarted = false;

  private constructor(
    scms: TestScms,
    clock: BenchClock,
    authorities: Authorities,
    options: PipelineOptions,
    inRound: number,
  ) {
    this.#scms = scms;
    this.#clock = clock;
    this.#authorities = authorities;
    this.#options = options;
    this.#inRound = inRound;
    this.#registry = new DeviceRegistry(options.database);
    this.#pipeline = new Pipeline(options);
  }

  static async open(directory: string, inRound: number, weeks: number): Promise<PipelineBench> {
    const iPeriod = new IPeriodClock();
    const clock = new BenchClock(iPeriod);
    const random = systemRandom;
    const scms = createTestScms({ now: timeOf(clock), random, raHostname: 'localhost' });
    await writeTestScms(directory, scms);
    const authorities = new Authorities(directory);
    await authorities.setClock(clock.aheadMs);
    const trust = trustOf(scms);
    const peer = (name: AuthorityName) => ({
      hostname: hostnameOf(scms[name].certificate) ?? '',
      certificate: trust.get(scms[name].certificate.id)!,
      port: {
        requestCertificate: (request: Uint8Array) => authorities.ask(name, request),
        requestPreLinkageValues: (request: Uint8Array) => authorities.ask(name, request),
      },
    });
    const options: PipelineOptions = {
      identity: {
        certificate: scms.ra.certificate,
        hostname: 'localhost',
        signer: scms.ra.signingKey,
        decrypter: decrypterOf(scms.ra.encryptionKey!),
      },
      trust,
      pca: peer('pca'),
      la1: peer('la1'),
      la2: peer('la2'),
      database: await openDatabase<RaSchema>(`sqlite:${join(directory, 'ra.db')}`, RA_MIGRATIONS),
      objects: await openDirectoryObjectStore(join(directory, 'objects')),
      policy: {
        certificatesPerPeriod: PER_WEEK,
        weeksAhead: weeks,
        shuffleThreshold: SHUFFLE_THRESHOLD,
        shuffleMaxAgeSec: SHUFFLE_MAX_AGE_SEC,
        shuffleInitial: 'pooled',
        applicationPeriodSec: 0,
        applicationOverlapSec: 0,
      },
      iPeriod,
      clock,
      // As many chains as a round uses up, so that each pays for its own.
      linkageCache: inRound,
      random,
      log: LOG,
    };
    return new PipelineBench(scms, clock, authorities, options, inRound);
  }

  /** Registers devices, waits until all their files are there, and measures native costs on either side. */
  async round(): Promise<Round> {
    const native = this.#nativeCosts();
    await this.#register();
    const authoritiesStart = await this.#authorities.setClock(this.#clock.aheadMs);
    const start = performance.now();
    const cpu = process.cpuUsage();
    if (this.#isStarted) this.#pipeline.wake();
    else await this.#pipeline.start();
    this.#isStarted = true;
    await this.#through('expanded_through');
    // What did not fill the shuffle up goes when it has waited long enough.
    this.#clock.advance(SHUFFLE_MAX_AGE_SEC + 1);
    const authoritiesSet = this.#authorities.setClock(this.#clock.aheadMs);
    this.#pipeline.wake();
    await this.#through('filed_through');
    const { user, system } = process.cpuUsage(cpu);
    const wallUs = (performance.now() - start) * 1000;
    await authoritiesSet;
    const authoritiesEnd = await this.#authorities.setClock(this.#clock.aheadMs);
    return {
      wallUs,
      raUs: user + system,
      authoritiesUs: authoritiesEnd - authoritiesStart,
      native,
    };
  }

  /** Every file of every device holds its certificates, and those of the first week open with the device's keys. */
  async checkFiles(): Promise<void> {
    const { database, objects, iPeriod, policy } = this.#options;
    const rows = await database.query.selectFrom('device').selectAll().execute();
    for (const row of rows) {
      for (let week = 0; week < policy.weeksAhead; week += 1) {
        const i = row.first_i + week;
        const zip = await objects.get(fileKey(row, i, iPeriod));
        if (zip === undefined) throw new Error(`expected the file of device ${row.id} for ${i}`);
        if (week === 0) this.#openWithKeys(zip, i, this.#devices.get(row.id)!);
        if (entryCount(zip) !== PER_WEEK) {
          throw new Error(`expected ${PER_WEEK} certificates in the file of device ${row.id}`);
        }
      }
    }
  }

  #openWithKeys(zip: Uint8Array, i: number, device: TestDevice): void {
    const { iPeriod: iPeriods, trust, clock } = this.#options;
    const keys = {
      verify: { seed: device.verifySeed, expansion: new Secret(device.verifyExpansion) },
      respEnc: { seed: device.encryptionSeed, expansion: new Secret(device.encryptionExpansion) },
    };
    const { certificates, failures } = openBatch(zip, {
      i,
      keys,
      iPeriods,
      trust,
      time: timeOf(clock),
    });
    const [failure] = failures;
    if (failure) throw failure.error;
    if (certificates.length !== PER_WEEK) throw new Error(`expected ${PER_WEEK} certificates`);
  }

  async close(): Promise<void> {
    await this.#pipeline.stop();
    await this.#options.database.close();
    await this.#authorities.close();
  }

  #nativeCosts(): ReadonlyMap<NativeName, number> {
    const costs = new Map<NativeName, number>();
    for (const [name, timed] of this.#bare) {
      const { wallUs } = time(timed, 100);
      costs.set(name, time(timed, Math.ceil((NATIVE_SLICE_MS * 1000) / wallUs)).cpuUs);
    }
    for (const [name, cpuUs] of opensslCosts()) costs.set(name, cpuUs);
    return costs;
  }

  async #register(): Promise<void> {
    const { database, clock, iPeriod, policy, random } = this.#options;
    const now = timeOf(clock);
    const i = iPeriod.at(now);
    for (let n = 0; n < this.#inRound; n += 1) {
      const device = createDevice(this.#scms, random, now);
      const row = freshDeviceRow(device, { now, first: i, weeks: policy.weeksAhead });
      await this.#registry.register(row, now);
      const { id } = await database.query
        .selectFrom('device')
        .select('id')
        .where('request_hash', '=', row.request_hash)
        .executeTakeFirstOrThrow();
      this.#devices.set(id, device);
    }
  }

  /** Waits until no device lacks a period. */
  async #through(column: 'expanded_through' | 'filed_through'): Promise<void> {
    const { database } = this.#options;
    const lagging = database.query
      .selectFrom('device')
      .select('id')
      .whereRef(column, '<', 'last_i')
      .limit(1);
    while ((await lagging.executeTakeFirst()) !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

/** As the end of the central directory says (APPNOTE 4.3.16), in a zip without a comment. */
function entryCount(zip: Uint8Array): number {
  return new DataView(zip.buffer, zip.byteOffset).getUint16(zip.length - 12, true);
}

/** An hour into the i-period of today, and on from there. */
class BenchClock implements Clock {
  aheadMs: number;

  constructor(iPeriod: IPeriodClock) {
    const now = timeOf({ now: () => Date.now() });
    const begin = iPeriod.start(iPeriod.at(now)) + 3600;
    this.aheadMs = unixFromTime32(begin) - Date.now();
  }

  now(): number {
    return Date.now() + this.aheadMs;
  }

  advance(seconds: number): void {
    this.aheadMs += seconds * 1000;
  }
}

/** Says what went wrong, and nothing else. */
const LOG: Log = {
  debug() {},
  info() {},
  warn: (fields, message) => console.error(message, fields),
  error: (fields, message) => console.error(message, fields),
};

/** The other process. What is asked of it in one turn of the event loop travels in one message. */
class Authorities {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (answer: FromAuthorities) => void>();
  #queue: { name: AuthorityName; request: Uint8Array; answer: (octets: Uint8Array) => void }[] = [];
  #messages = 0;

  constructor(directory: string) {
    const path = join(import.meta.dirname, 'pipeline-authorities.ts');
    this.#process = fork(path, [directory], { serialization: 'advanced' });
    this.#process.on('message', (answer: FromAuthorities) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    this.#process.on('exit', (code) => {
      if (this.#waiting.size > 0) throw new Error(`the authorities ended with ${code}`);
    });
  }

  ask(name: AuthorityName, request: Uint8Array): Promise<Uint8Array> {
    if (this.#queue.length === 0) queueMicrotask(() => void this.#flush());
    return new Promise((answer) => this.#queue.push({ name, request, answer }));
  }

  /** @returns microseconds of CPU that the process has used up to now */
  async setClock(aheadMs: number): Promise<number> {
    const { cpuUs } = await this.#send({ type: 'set-clock', id: ++this.#messages, aheadMs });
    return cpuUs;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.disconnect();
    await ended;
  }

  async #flush(): Promise<void> {
    const asked = this.#queue;
    this.#queue = [];
    const { answers } = await this.#send({
      type: 'requests',
      id: ++this.#messages,
      requests: asked.map(({ name, request }) => [name, request] as const),
    });
    for (const [n, { answer }] of asked.entries()) answer(answers[n]!);
  }

  #send(message: ToAuthorities): Promise<FromAuthorities> {
    return new Promise((resolve) => {
      this.#waiting.set(message.id, resolve);
      this.#process.send(message);
    });
  }
}
