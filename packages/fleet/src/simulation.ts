import { monitorEventLoopDelay } from 'node:perf_hooks';
import { systemRandom } from '@chrysalis/crypto';
import {
  type BundleFiles,
  EeError,
  EndEntity,
  type Enrollment,
  httpsTransport,
  type Profile,
  type RaTransport,
  type Sleep,
  systemSleep,
  type TlsContext,
  tlsContext,
} from '@chrysalis/ee';
import { formatTime32, type Time32, unixFromTime32 } from '@chrysalis/ieee1609dot2';
import { type Clock, timeOf } from '@chrysalis/scms';
import { Agenda } from './agenda.ts';
import { countEntries } from './batch-entries.ts';
import { currentPeriod, type Fleet } from './fleet.ts';
import { caterpillarKeysOf } from './key-stream.ts';
import { type Endpoint, type Latency, latencyOf, Meter, meteredTransport } from './meter.ts';

/** Enrollments at a time: enough to share the disk's syncs. */
const ENROLL_AT_ONCE = 64;
/** Contacts of a device that fail one after the other before it is given up in this run. */
const MAX_FAILED_CONTACTS = 8;
/** The first pause of a device whose batch is not there yet; each next one is twice as long. */
const FIRST_PAUSE_MS = 2_000;
/** The event loop is looked at so often; what node measures has this pause in it. */
const LOOP_RESOLUTION_MS = 10;
/** setTimeout fires at once for more. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface SimulationOptions {
  readonly fleet: Fleet;
  /** Devices 0 to this, less one. */
  readonly devices: number;
  /** Batches for each, from the current i-period on. */
  readonly weeks: number;
  /** Devices that begin in a second, whether those before them are done or not. */
  readonly ratePerSec: number;
  /** Contacts at a time; devices beyond them wait, and `generator.lateMs` tells how long. */
  readonly concurrency: number;
  /** The longest that a device waits before it asks again for what is not there yet. */
  readonly pollSec: number;
  /** A device is put off to another run when the RA expects what it lacks later than so many seconds from now; never when missing. */
  readonly longestWaitSec?: number;
  /** Answers a SignedEeEnrollmentCertRequest with a bundle. */
  readonly enroll: (request: Uint8Array) => Promise<BundleFiles>;
  /** Instead of the RA of the bundles. */
  readonly raUrl?: URL;
  readonly clock: Clock;
  /** How a device waits within a contact, before it tries again what failed. */
  readonly sleep?: Sleep;
  readonly signal?: AbortSignal;
  /** Called whenever something is done: often. */
  readonly onProgress?: (progress: SimulationProgress) => void;
}

export interface SimulationProgress {
  readonly phase: 'enrollment' | 'load';
  /** Devices of this run that are bootstrapped, were acknowledged, have all their batches, were given up. */
  readonly enrolled: number;
  readonly provisioned: number;
  readonly complete: number;
  readonly failed: number;
  /** Put off to another run. */
  readonly putOff: number;
  /** Contacts under way. */
  readonly active: number;
  /** Devices that come again, and what the RA told last of the time when the next batch is there. */
  readonly waiting: number;
  readonly expectedAt?: Time32;
  /** Batches from the current period on that are there for the device that lacks most, of those that were put off. */
  readonly readyWeeks?: number;
  /** Of this run. */
  readonly batches: number;
  readonly certificates: number;
  /** Exchanges that went wrong, a batch that was not ready included. */
  readonly errors: number;
}

export interface SimulationReport {
  /** Stopped by the signal; the same call goes on. */
  readonly isInterrupted: boolean;
  readonly devices: Pick<
    SimulationProgress,
    'enrolled' | 'provisioned' | 'complete' | 'failed' | 'putOff'
  > & { readonly asked: number };
  /** Of the devices that were put off: the batches that are there, and when the next of any is expected, as in ISO 8601. */
  readonly putOff: { readonly readyWeeks: number; readonly expectedAt: string } | null;
  /** What was done in this run. */
  readonly enrollmentSec: number;
  readonly loadSec: number;
  readonly requests: number;
  readonly batches: number;
  readonly certificates: number;
  readonly octets: number;
  /** Over the load, from its beginning to the last batch. */
  readonly certificatesPerSec: number;
  /** Batches whose period was over before they were fetched; nobody waits for them. */
  readonly missed: number;
  readonly latencyMs: Partial<Record<Endpoint, Latency>>;
  /** By service and kind: the codes of the EE SDK, `http-500` for a refusal or a batch that is not ready. */
  readonly errors: Partial<Record<Endpoint, Readonly<Record<string, number>>>>;
  /** Of the devices that were given up, by the code of the last error. */
  readonly failures: Readonly<Record<string, number>>;
  /** Of this program: where it is slow, the latencies above are its own. */
  readonly generator: {
    /** By how much devices began later than the rate had it. */
    readonly lateMs: Latency;
    readonly eventLoopDelayMs: Latency;
    readonly cpuSec: number;
  };
}

interface Visit {
  readonly device: number;
  /** The first contact of the device in this run, whose time the rate has set. */
  readonly isArrival: boolean;
  /** Contacts in a row that failed. */
  readonly failed: number;
  /** Contacts in a row that found nothing new. */
  readonly vain: number;
}

/**
 * Bootstraps the devices that are not yet, then lets them come to the RA at the given rate: each sends its request,
 * comes back at certDLTime, fetches its batches one after the other over one connection, and asks for `.info`. A device
 * that finds a batch missing comes back when `.info` says, or after `pollSec`; when `.info` says later than
 * `longestWaitSec`, in another run.
 *
 * Stop it anywhere and call it again: what was done is not asked for again, and a request that was under way is
 * taken up with the same octets.
 *
 * @throws EeError `invalid-bundle`, `key-mismatch`, `storage` in enrollment, and what `enroll` throws. What a device meets
 *   at the RA is counted, not thrown
 */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #meter = new Meter();
  readonly #late = new Meter();
  readonly #agenda = new Agenda<Visit>();
  readonly #failures: Record<string, number> = {};
  readonly #counts = {
    enrolled: 0,
    provisioned: 0,
    complete: 0,
    failed: 0,
    putOff: 0,
    active: 0,
    waiting: 0,
    requests: 0,
    batches: 0,
    certificates: 0,
    octets: 0,
    errors: 0,
  };
  #provisioned = new Map<number, number>();
  #expectedAt: Time32 | undefined;
  #putOff: { readonly readyWeeks: number; readonly expectedAt: Time32 } | undefined;
  #phase: SimulationProgress['phase'] = 'enrollment';
  #lastBatchAt = 0;
  #tls: { readonly root: string; readonly context: TlsContext } | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #done = Promise.withResolvers<void>();

  constructor(options: SimulationOptions) {
    this.#options = options;
  }

  async run(): Promise<SimulationReport> {
    const cpu = process.cpuUsage();
    const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    const start = performance.now();
    await this.#enrollAll();
    const loadStart = performance.now();
    loop.enable();
    const missed = this.#isStopped ? 0 : await this.#planAll();
    await this.#load();
    loop.disable();
    const { user, system } = process.cpuUsage(cpu);
    const { enrolled, provisioned, complete, failed, putOff, requests, ...done } = this.#counts;
    const loadSec = (performance.now() - loadStart) / 1000;
    const busySec = Math.max(0, this.#lastBatchAt - loadStart) / 1000;
    return {
      isInterrupted: this.#isStopped,
      devices: { asked: this.#options.devices, enrolled, provisioned, complete, failed, putOff },
      putOff: this.#putOff
        ? { ...this.#putOff, expectedAt: formatTime32(this.#putOff.expectedAt) }
        : null,
      enrollmentSec: round((loadStart - start) / 1000),
      loadSec: round(loadSec),
      requests,
      batches: done.batches,
      certificates: done.certificates,
      octets: done.octets,
      certificatesPerSec: busySec === 0 ? 0 : round(done.certificates / busySec),
      missed,
      latencyMs: this.#meter.latencyMs,
      errors: this.#meter.errors,
      failures: this.#failures,
      generator: {
        lateMs: this.#late.latencyMs.other ?? { count: 0, p50: 0, p95: 0, p99: 0, max: 0 },
        eventLoopDelayMs: latencyOf(loop, 1e6, LOOP_RESOLUTION_MS),
        cpuSec: round((user + system) / 1e6),
      },
    };
  }

  get #isStopped(): boolean {
    return this.#options.signal?.aborted === true;
  }

  async #enrollAll(): Promise<void> {
    const { fleet, devices, enroll, clock } = this.#options;
    const enrolled = new Set((await fleet.enrolled()).filter((device) => device < devices));
    const missing = Array.from({ length: devices }, (_, n) => n).filter((n) => !enrolled.has(n));
    this.#counts.enrolled = enrolled.size;
    for (let n = 0; n < missing.length && !this.#isStopped; n += ENROLL_AT_ONCE) {
      const some = missing.slice(n, n + ENROLL_AT_ONCE);
      await Promise.all(some.map((device) => fleet.enroll(device, enroll, clock)));
      this.#counts.enrolled += some.length;
      this.#report();
    }
  }

  /** Puts every device that has something to do on the agenda, at the rate. @returns batches that are over */
  async #planAll(): Promise<number> {
    const { fleet, devices, weeks, clock, ratePerSec } = this.#options;
    const ours = [...(await fleet.provisioned())].filter(([device]) => device < devices);
    this.#provisioned = new Map(ours);
    const [first] = await fleet.enrolled();
    if (first === undefined) return 0;
    const { iPeriods } = await fleet.enrollment(await fleet.profile(first), timeOf(clock));
    const missed = await fleet.wantWeeks(
      this.#provisioned,
      currentPeriod({ iPeriods }, clock),
      weeks,
    );
    const incomplete = await fleet.incomplete();
    const start = clock.now();
    let arrivals = 0;
    for (let device = 0; device < devices; device += 1) {
      if (this.#provisioned.has(device) && !incomplete.has(device)) {
        this.#counts.complete += 1;
        continue;
      }
      const due = start + (arrivals * 1000) / ratePerSec;
      this.#agenda.add(due, { device, isArrival: true, failed: 0, vain: 0 });
      arrivals += 1;
    }
    this.#counts.provisioned = this.#provisioned.size;
    return missed;
  }

  async #load(): Promise<void> {
    this.#phase = 'load';
    const stop = () => this.#pump();
    this.#options.signal?.addEventListener('abort', stop);
    this.#pump();
    await this.#done.promise;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', stop);
  }

  /** Begins what is due, and sees to it that it is called again. */
  #pump(): void {
    clearTimeout(this.#timer);
    const { clock, concurrency } = this.#options;
    const counts = this.#counts;
    while (!this.#isStopped && counts.active < concurrency) {
      const now = clock.now();
      const next = this.#agenda.take(now);
      if (next === undefined) break;
      if (next.item.isArrival) this.#late.record('other', now - next.due);
      else counts.waiting -= 1;
      counts.active += 1;
      this.#visit(next.item).then(
        () => {
          counts.active -= 1;
          this.#report();
          this.#pump();
        },
        // Not what a device met at the RA: a bug, or a disk that is full.
        (error) => this.#done.reject(error),
      );
    }
    if (counts.active === 0 && (this.#isStopped || this.#agenda.size === 0)) {
      this.#done.resolve();
      return;
    }
    const due = this.#agenda.nextDue;
    if (this.#isStopped || due === undefined || counts.active >= concurrency) return;
    const waitMs = Math.min(MAX_TIMER_MS, Math.max(1, due - clock.now()));
    this.#timer = setTimeout(() => this.#pump(), waitMs);
  }

  async #visit(visit: Visit): Promise<void> {
    const { fleet, clock, raUrl, sleep = systemSleep, signal } = this.#options;
    const profile = await fleet.profile(visit.device);
    const enrollment = await fleet.enrollment(profile, timeOf(clock));
    const transport = this.#transport(enrollment);
    await using ee = await EndEntity.open(profile, {
      enrollment,
      clock,
      random: systemRandom,
      sleep,
      transport,
      ...(raUrl && { settings: { raUrl } }),
      ...(signal && { signal }),
    });
    try {
      if (!this.#provisioned.has(visit.device)) await this.#provision(ee, profile, visit);
      else await this.#collect(ee, visit);
    } catch (error) {
      if (!(error instanceof EeError) || error.code === 'storage') throw error;
      if (error.code === 'aborted' && this.#isStopped) return;
      this.#failed(visit, error);
    }
  }

  async #provision(ee: EndEntity, profile: Profile, visit: Visit): Promise<void> {
    const { fleet, clock, weeks } = this.#options;
    const { device } = visit;
    if ((await profile.provisioning('pseudonym')) === undefined) {
      const keys = caterpillarKeysOf(fleet.seed, device);
      await profile.saveProvisioning('pseudonym', { keys, bodies: [] });
    }
    const { certDLTime } = await ee.request('pseudonym');
    const firstI = currentPeriod(ee.enrollment, clock);
    await fleet.saveProvisioned(device, firstI, weeks);
    this.#provisioned.set(device, firstI);
    this.#counts.provisioned += 1;
    this.#counts.requests += 1;
    const due = unixFromTime32(certDLTime);
    this.#awaitFile(certDLTime, due, { ...visit, failed: 0, vain: 0 }, 0);
  }

  /** Fetches what is there; the first batch that is not there ends the contact. */
  async #collect(ee: EndEntity, visit: Visit): Promise<void> {
    const { fleet } = this.#options;
    const missing = (await fleet.batches(visit.device)).filter(({ digest }) => digest === null);
    let fetched = 0;
    for (const { i } of missing) {
      const zip = await this.#fetch(ee, i);
      if (zip === undefined) break;
      this.#lastBatchAt = performance.now();
      fetched += 1;
      this.#counts.batches += 1;
      this.#counts.octets += zip.length;
      this.#counts.certificates += countEntries(zip);
    }
    if (fetched === missing.length) {
      await ee.info('pseudonym');
      this.#counts.complete += 1;
      return;
    }
    const vain = fetched === 0 ? visit.vain + 1 : 0;
    const expectedAt = await this.#askInfo(ee);
    const due = this.#pauseUntil(unixFromTime32(expectedAt), vain);
    const readyWeeks = missing[fetched]!.i - currentPeriod(ee.enrollment, this.#options.clock);
    this.#awaitFile(expectedAt, due, { ...visit, failed: 0, vain }, Math.max(0, readyWeeks));
  }

  /** The device comes again at `due`; in another run, when what it lacks is expected later than this one waits. */
  #awaitFile(expectedAt: Time32, due: number, visit: Visit, readyWeeks: number): void {
    const { clock, longestWaitSec = Number.POSITIVE_INFINITY } = this.#options;
    this.#expectedAt = expectedAt;
    if (expectedAt - timeOf(clock) <= longestWaitSec) {
      this.#again(due, visit);
      return;
    }
    this.#counts.putOff += 1;
    const putOff = this.#putOff ?? { readyWeeks, expectedAt };
    this.#putOff = {
      readyWeeks: Math.min(putOff.readyWeeks, readyWeeks),
      expectedAt: Math.min(putOff.expectedAt, expectedAt),
    };
  }

  /** Undefined when the RA has no such batch yet. */
  async #fetch(ee: EndEntity, i: number): Promise<Uint8Array | undefined> {
    try {
      return await ee.fetch('pseudonym', i);
    } catch (error) {
      if (!(error instanceof EeError) || error.code !== 'refused') throw error;
      this.#counts.errors += 1;
      return undefined;
    }
  }

  /** When the RA expects to have the next batch. */
  async #askInfo(ee: EndEntity): Promise<Time32> {
    const info = await ee.info('pseudonym');
    if (info.type === 'next') return info.time;
    throw new EeError('refused', 'expected the batch, saw an RA that makes no more');
  }

  /** When `.info` says, but after a pause that grows, and no later than `pollSec` from now. */
  #pauseUntil(infoMs: number, vain: number): number {
    const { clock, pollSec } = this.#options;
    // Spread over half its length, so that devices do not come back in step.
    const spread = 1 + (systemRandom(1)[0] ?? 0) / 512;
    const pauseMs = FIRST_PAUSE_MS * 2 ** Math.min(vain, 20);
    const now = clock.now();
    return now + Math.min(Math.max(pauseMs, infoMs - now), pollSec * 1000) * spread;
  }

  #failed(visit: Visit, error: EeError): void {
    this.#counts.errors += 1;
    const failed = visit.failed + 1;
    // The SDK has tried five times. An RA that still refuses a request has its reasons.
    const isPassing = ['unreachable', 'interrupted', 'timeout'].includes(error.code);
    if (isPassing && failed < MAX_FAILED_CONTACTS) {
      this.#again(this.#pauseUntil(0, failed), { ...visit, failed });
      return;
    }
    this.#counts.failed += 1;
    this.#failures[error.code] = (this.#failures[error.code] ?? 0) + 1;
  }

  #again(due: number, visit: Visit): void {
    this.#counts.waiting += 1;
    this.#agenda.add(due, { ...visit, isArrival: false });
  }

  /** Connections of its own for each device, as real ones have; the root is parsed once. */
  #transport({ x509Root }: Enrollment): RaTransport {
    if (this.#tls?.root !== x509Root) {
      // What fielded devices speak.
      this.#tls = { root: x509Root, context: tlsContext(x509Root, 'TLSv1.2') };
    }
    const onConnect = (ms: number) => this.#meter.record('connect', ms);
    const { context } = this.#tls;
    return meteredTransport(httpsTransport({ x509Root, context, onConnect }), this.#meter);
  }

  #report(): void {
    const { requests: _, octets: __, ...counts } = this.#counts;
    this.#options.onProgress?.({
      phase: this.#phase,
      ...counts,
      ...(this.#expectedAt !== undefined && { expectedAt: this.#expectedAt }),
      ...(this.#putOff && { readyWeeks: this.#putOff.readyWeeks }),
    });
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
