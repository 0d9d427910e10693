import type { Time32 } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import { backOffSec } from './back-off.ts';
import { Pace } from './backlog.ts';
import { Filing } from './filing.ts';
import { OVERLAP_SEC } from './horizon.ts';
import { Leftovers } from './leftovers.ts';
import { LinkageSupply } from './linkage-supply.ts';
import { Membership, type Share, WHOLE } from './membership.ts';
import { NumberedSupply } from './numbered-supply.ts';
import { OperatorsView } from './operators-view.ts';
import type { PipelineOptions } from './options.ts';
import { PcaDispatch } from './pca-dispatch.ts';
import { MAX_WAITING, PcaRequests } from './pca-requests.ts';
import { DROP_GRACE_MS, PeriodsOver, writeOverClaim } from './periods-over.ts';
import { Retirement } from './retirement.ts';
import { WeeksAhead } from './weeks-ahead.ts';

/** The longest sleep, so that a clock that was set is noticed; and the longest pause after a fault of ours. */
const MAX_SLEEP_SEC = 60;
/** Nobody on another machine says that there is something to do. */
const MAX_SLEEP_SHARED_MS = 1000;
const MIN_SLEEP_MS = 100;

/** Whether certificates are made now: `down` between a death and the next start. */
export type PipelineState = 'starting' | 'running' | 'down' | 'stopped';

/** What a pipeline says of itself to operators. */
export interface PipelineFigures {
  readonly state: PipelineState;
  /** Its part of the work; undefined while it has none. */
  readonly share: Share | undefined;
  /** Since its start: certificates that came from the PCA, and steps that failed by a fault of ours. */
  readonly certified: number;
  readonly failedSteps: number;
  /** Whom it does not ask for a while, for they did not answer it. */
  readonly paused: Readonly<Record<'pca' | 'linkage authorities', boolean>>;
}

/** What makes certificates: in this thread, or somewhere else on the same state. */
export interface PipelineHost {
  /** For monitoring; it is taken to run when missing. */
  readonly state?: PipelineState;
  /** Resolves when it has looked at what is due once: the PLV cache is filled by then, if the LAs are there. */
  start(): Promise<void>;
  /** Something new is there to do. */
  wake(): void;
  /** The identity of the RA is another: for one that runs where it is not shared. */
  renewed?(): void;
  /** Ends after the step that is under way. */
  stop(): Promise<void>;
}

/**
 * From acknowledged devices to files: pre-linkage values, expansion, shuffle, PCA, check, zip. Every step starts from
 * durable rows and ends in durable rows, so that a restart goes on wherever it stopped; and each yields, so that devices
 * are answered in between. Several may work on one database: each does its share, and what one of them has begun another
 * may end (docs/decisions/0054-shares-of-the-work.md).
 */
export class Pipeline implements PipelineHost, PipelineFigures {
  readonly #options: PipelineOptions;
  readonly #requests: PcaRequests;
  readonly #view: OperatorsView;
  readonly #linkage: LinkageSupply;
  readonly #weeksAhead: WeeksAhead;
  readonly #numbered: NumberedSupply;
  readonly #dispatch: PcaDispatch;
  readonly #filing: Filing;
  readonly #retirement: Retirement;
  readonly #leftovers: Leftovers;
  readonly #periodsOver: PeriodsOver;
  readonly #pace: Pace;
  /** Among others on the same database; undefined when there are none. */
  readonly #membership: Membership | undefined;
  #lastShare: Share | undefined = WHOLE;
  /** The last that was written down. */
  #claimedOver: number | undefined;
  #state: PipelineState = 'starting';
  #failedSteps = 0;
  #stopping = false;
  #wake: (() => void) | undefined;
  #awake = true;
  #running: Promise<void> | undefined;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#view = new OperatorsView(options);
    this.#requests = new PcaRequests(options.database, options.random);
    this.#linkage = new LinkageSupply(options, this.#view);
    this.#weeksAhead = new WeeksAhead(options, this.#linkage, this.#requests);
    this.#numbered = new NumberedSupply(options, this.#requests);
    this.#dispatch = new PcaDispatch(options, this.#requests, this.#view);
    this.#filing = new Filing(options, this.#view);
    this.#retirement = new Retirement(options, this.#view);
    this.#leftovers = new Leftovers(options);
    this.#periodsOver = new PeriodsOver(options.dropGraceMs ?? DROP_GRACE_MS);
    this.#pace = new Pace(options.database);
    this.#membership = options.isShared
      ? new Membership({ ...options, role: 'pipeline' })
      : undefined;
  }

  get state(): PipelineState {
    return this.#state;
  }

  /** Of the work, among others on the same database; undefined while it has none. */
  get share(): Share | undefined {
    return this.#membership === undefined ? WHOLE : this.#membership.share;
  }

  get certified(): number {
    return this.#dispatch.certified;
  }

  get failedSteps(): number {
    return this.#failedSteps;
  }

  get paused(): PipelineFigures['paused'] {
    const now = timeOf(this.#options.clock);
    const isPaused = (one: { pausedUntil(now: Time32): Time32 | undefined }) =>
      one.pausedUntil(now) !== undefined;
    return { pca: isPaused(this.#dispatch), 'linkage authorities': isPaused(this.#linkage) };
  }

  async start(): Promise<void> {
    const { clock, log } = this.#options;
    await this.#membership?.start();
    try {
      if (this.share?.rank === 0) await this.#linkage.refill(timeOf(clock));
    } catch (error) {
      log.error({ err: error }, 'pipeline step failed');
    }
    this.#state = 'running';
    this.#running = this.#run();
  }

  wake(): void {
    this.#awake = true;
    this.#wake?.();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.wake();
    await this.#running;
    await this.#leftovers.leave();
    await this.#membership?.stop();
    this.#state = 'stopped';
  }

  async #run(): Promise<void> {
    let faults = 0;
    while (!this.#stopping) {
      try {
        this.#awake = false;
        if (await this.#timedStep()) await yieldToDevices();
        else await this.#sleepUnlessWoken(await this.#untilNext());
        if (faults > 0) await this.#view.over('pipeline');
        faults = 0;
      } catch (error) {
        // Ours, not a peer's: the disk is full, or a bug. The rows are as they were; try again later.
        this.#failedSteps += 1;
        this.#options.log.error({ err: error }, 'pipeline step failed');
        await this.#view.incident('pipeline', error).catch(() => {});
        this.#awake = false;
        await this.#sleepUnlessWoken(backOffSec(faults++, MAX_SLEEP_SEC) * 1000);
      }
    }
  }

  async #timedStep(): Promise<boolean> {
    const [begunAt, certified] = [performance.now(), this.#dispatch.certified];
    if (!(await this.step())) return false;
    // The others do as much, give or take: the pace is that of all.
    const workers = this.share?.of ?? 1;
    const count = workers * (this.#dispatch.certified - certified);
    await this.#pace.worked(performance.now() - begunAt, count);
    return true;
  }

  /** Does a little of everything that is its share; false when there was nothing to do. */
  async step(): Promise<boolean> {
    const now = timeOf(this.#options.clock);
    const share = this.#shareOfStep();
    const isFirst = share?.rank === 0;
    const overForSure = await this.#overForSure(now, isFirst);
    if (share === undefined) return false;
    const cleared = isFirst && (await this.#leftovers.step());
    const dropped = isFirst && (await this.#retirement.step(overForSure));
    const sent = await this.#dispatch.step(now, share);
    const filed = await this.#filing.step(share);
    const numbered = await this.#numbered.step(now, share);
    const cached = isFirst && (await this.#linkage.refill(now));
    const hasRoom = await this.#requests.hasRoom(MAX_WAITING, sent);
    const expanded = hasRoom && (await this.#weeksAhead.step(overForSure, now, share));
    const released = await this.#openShuffle(now);
    return cleared || dropped || sent || filed || numbered || cached || expanded || released;
  }

  #shareOfStep(): Share | undefined {
    const { share } = this;
    const before = this.#lastShare;
    if (share?.rank !== before?.rank || share?.of !== before?.of) {
      this.#options.log.info({ ...share }, 'the share of the work is another');
      // Whoever noted what went wrong may be gone.
      this.#view.mayBeOpen();
      if (share?.rank !== 0) this.#retirement.leave();
      this.#lastShare = share;
    }
    return share;
  }

  /** Each looks, so that the next who says so has looked for as long. */
  async #overForSure(now: Time32, saysSo: boolean): Promise<number> {
    const { database, iPeriod } = this.#options;
    const over = iPeriod.at(now - OVERLAP_SEC) - 1;
    const at = performance.now();
    const sure = this.#periodsOver.look(over, at);
    if (saysSo && over !== this.#claimedOver) {
      // Devices that wait for it are told.
      const waitMs = Math.max(0, (this.#periodsOver.sureAtMs ?? at) - at);
      await writeOverClaim(database, { period: over, sureAt: now + Math.ceil(waitMs / 1000) });
      this.#claimedOver = over;
    }
    return sure;
  }

  async #openShuffle(now: Time32): Promise<boolean> {
    const { policy, log } = this.#options;
    // No more than that are made before some are sent.
    const threshold = Math.min(policy.shuffleThreshold, MAX_WAITING);
    const released = await this.#requests.open(threshold, now - policy.shuffleMaxAgeSec);
    if (released > 0) log.info({ released }, 'shuffle opened');
    return released > 0;
  }

  /** Milliseconds until something falls due by itself: a new period, a repetition, the shuffle. */
  async #untilNext(): Promise<number> {
    const { iPeriod, clock, policy } = this.#options;
    const now = timeOf(clock);
    const filling = await this.#requests.filling();
    const times = [
      iPeriod.start(iPeriod.at(now) + 1),
      await this.#requests.nextAttempt(now),
      this.#dispatch.pausedUntil(now),
      filling && filling.size > 0 ? filling.oldest_at + policy.shuffleMaxAgeSec : undefined,
      this.#linkage.pausedUntil(now),
    ];
    const next = Math.min(...times.filter((time) => time !== undefined));
    const longest = this.#membership ? MAX_SLEEP_SHARED_MS : MAX_SLEEP_SEC * 1000;
    return Math.min(longest, Math.max(MIN_SLEEP_MS, (next - now) * 1000));
  }

  #sleepUnlessWoken(milliseconds: number): Promise<void> {
    if (this.#stopping || this.#awake) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

/** Lets requests of devices that have arrived go first. */
function yieldToDevices(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
