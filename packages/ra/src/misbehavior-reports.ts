import { equalConstantTime } from '@chrysalis/crypto';
import { AuthorityUnavailableError, decodeSecured, ScmsDataError, timeOf } from '@chrysalis/scms';
import { Outage } from './back-off.ts';
import type { RaOptions, ReportPolicy, ReportSink } from './options.ts';
import { RateLimit } from './rate-limit.ts';
import { Refusal } from './refusal.ts';
import { type PooledReport, ReportStore } from './report-store.ts';

/** CAMP's proof of concept: 10,000 reports or a day (SCMS-765, SCMS-686). The rate is ours: a fleet's, not a flood. */
const DEFAULTS: ReportPolicy = { perMinute: 1000, poolThreshold: 10_000, poolMaxAgeSec: 86_400 };
/** Reports that wait while the MA is down; beyond, none are taken. Of 64 kB each, they fit on a disk. */
const MAX_POOLED = 100_000;
/** How often it is looked whether the pool is due. */
const LOOK_MS = 60_000;
/** Before the first hash. */
const FIRST = new Uint8Array(0);

/**
 * `POST /process-misbehavior-report` and what follows from it. A report is encrypted to the MA: the RA sees neither what
 * it says nor who says it, and takes it from anybody (Q6). It keeps reports until there are many, and hands them on one by
 * one in an order that tells nothing, so that the MA cannot see which came together.
 */
export class MisbehaviorReports {
  readonly #options: RaOptions;
  readonly #ma: ReportSink;
  readonly #policy: ReportPolicy;
  readonly #store: ReportStore;
  readonly #rate: RateLimit;
  readonly #outage = new Outage();
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  readonly #handsOn: () => boolean;

  /** @param handsOn whether this process hands reports on now, and no other */
  constructor(options: RaOptions, ma: ReportSink, handsOn = () => true) {
    this.#handsOn = handsOn;
    this.#options = options;
    this.#ma = ma;
    this.#policy = { ...DEFAULTS, ...options.reports };
    this.#store = new ReportStore(options.database);
    this.#rate = new RateLimit(this.#policy.perMinute);
  }

  /**
   * Takes a report: when it resolves, the report is on stable storage.
   *
   * @param body SecuredMisbehaviorReport, COER
   * @throws Refusal
   */
  async accept(body: Uint8Array): Promise<void> {
    this.#expectForMa(body);
    await this.#expectRoom();
    await this.#store.add(body, timeOf(this.#options.clock));
  }

  start(): void {
    this.#timer = setInterval(() => void this.wake(), LOOK_MS);
    this.#timer.unref();
    void this.wake();
  }

  /** Hands on what is due. Never rejects. */
  async wake(): Promise<void> {
    if (this.#stopping || !this.#handsOn()) return;
    this.#running ??= this.#handOn()
      .catch((error) => {
        // Ours, not the MA's: the reports are as they were; try again later.
        this.#outage.failed(timeOf(this.#options.clock));
        this.#options.log.error({ err: error }, 'reports not handed on');
      })
      .finally(() => {
        this.#running = undefined;
      });
    await this.#running;
  }

  /** Ends after the report that is under way. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  /** The recipient is all that the RA can check; what is for somebody else only the sender can have got wrong. */
  #expectForMa(body: Uint8Array): void {
    const { certificate, former = [] } = this.#ma;
    const isForMa = recipientsOf(body).some(
      ({ type, value }) =>
        type === 'certRecipInfo' &&
        [certificate, ...former].some(({ id }) => equalConstantTime(value.recipientId, id)),
    );
    if (!isForMa) throw new Refusal('raWrongParameters', 'expected a report to our MA');
  }

  async #expectRoom(): Promise<void> {
    if (!this.#rate.take(this.#options.clock.now())) {
      const { perMinute } = this.#policy;
      throw new Refusal(
        'raMoreThanAllowedTries',
        `expected at most ${perMinute} reports in a minute`,
      );
    }
    if ((await this.#store.count()) >= MAX_POOLED) {
      throw new Refusal('raMoreThanAllowedTries', `expected at most ${MAX_POOLED} reports to wait`);
    }
  }

  async #handOn(): Promise<void> {
    const { clock, log } = this.#options;
    const { poolThreshold, poolMaxAgeSec } = this.#policy;
    const released = await this.#store.release(poolThreshold, timeOf(clock) - poolMaxAgeSec);
    if (released > 0) log.info({ released }, 'pool of reports opened');
    if (this.#outage.pausedUntil(timeOf(clock)) !== undefined) return;
    let next = await this.#store.nextReleased(FIRST);
    let faults = 0;
    while (next && !this.#stopping) {
      const outcome = await this.#submit(next);
      if (outcome === 'down') return;
      if (outcome === 'fault') faults++;
      next = await this.#store.nextReleased(next.hash);
    }
    if (faults > 0) this.#outage.failed(timeOf(clock));
  }

  async #submit({ hash, octets }: PooledReport): Promise<'taken' | 'down' | 'fault'> {
    const { clock, log } = this.#options;
    try {
      await this.#ma.port.submitReport(octets);
    } catch (error) {
      log.warn({ err: error }, 'a report was not taken by the MA');
      // Not an MA that is away, but one that stumbles over this report: the others must not wait for it.
      if (!(error instanceof AuthorityUnavailableError)) return 'fault';
      this.#outage.failed(timeOf(clock));
      return 'down';
    }
    this.#outage.succeeded();
    await this.#store.remove(hash);
    return 'taken';
  }
}

/** @throws Refusal */
function recipientsOf(body: Uint8Array) {
  try {
    return decodeSecured(body).recipients;
  } catch (cause) {
    if (!(cause instanceof ScmsDataError)) throw cause;
    const isOpen = cause.code === 'not-encrypted';
    throw new Refusal(isOpen ? 'raRequestNotEncrypted' : 'raWrongParameters', cause.message, {
      cause,
    });
  }
}
