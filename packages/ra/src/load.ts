import { monitorEventLoopDelay } from 'node:perf_hooks';
import { RateLimit } from './rate-limit.ts';
import { Refusal } from './refusal.ts';

/**
 * What is given up together when there is too much to do. Provisioning first: devices can wait for new certificates longer than
 * for those that are made already. Then what anybody may ask for, who needs no key for it: a device goes on with the policy
 * and the chains that it holds. The files of devices last.
 */
export type LoadClass = 'provisioning' | 'download' | 'anonymous';

/** When the RA stops taking more. 0: never. */
export interface LoadLimits {
  /** Requests of each class whose answers are being made. */
  readonly provisioningUnderWay: number;
  readonly downloadsUnderWay: number;
  /** The files are in memory: of these, a CRL alone is made over more than one turn of the event loop. */
  readonly anonymousUnderWay: number;
  /** Calls that need no key, from all together; what was not used in ten seconds is there for a burst. */
  readonly anonymousPerSecond: number;
  /** Mean delay of the event loop from which provisioning requests and reports are refused. */
  readonly shedProvisioningMs: number;
  /** From which what anybody may ask for is. */
  readonly shedAnonymousMs: number;
  /** And from which everything is. */
  readonly shedDownloadsMs: number;
}

/**
 * A request takes milliseconds, most of them in the database: with as many under way, the last one waits about a second. A
 * device gives up after several; the delays leave it that time. A visit has two anonymous calls (sheet 3.3): 2,000 are a
 * thousand visits a second, where 161 million devices that all come in a third of the day make 801 (docs/reference/sizing.md).
 */
const DEFAULTS: LoadLimits = {
  provisioningUnderWay: 256,
  downloadsUnderWay: 1024,
  anonymousUnderWay: 256,
  anonymousPerSecond: 2000,
  shedProvisioningMs: 250,
  shedAnonymousMs: 500,
  shedDownloadsMs: 1000,
};
/** So many seconds' worth of anonymous calls may come in one moment: devices come together when a week begins. */
const ANONYMOUS_BURST_SEC = 10;
/** How often the delay is looked at. */
const LOOK_MS = 500;
const RESOLUTION_MS = 10;

/** Says how late the event loop was on average since it was last asked, in milliseconds. */
export interface LoopDelay {
  takeMeanMs(): number;
  stop(): void;
}

/** Decides what is still taken. One for all that share an event loop. */
export class Load {
  readonly #limits: LoadLimits;
  readonly #delay: LoopDelay;
  readonly #underWay: Record<LoadClass, number> = { provisioning: 0, download: 0, anonymous: 0 };
  readonly #shed: Record<LoadClass, number> = { provisioning: 0, download: 0, anonymous: 0 };
  readonly #nowMs: () => number;
  readonly #anonymous: RateLimit;
  #overBudget = 0;
  #lagMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param nowMs of a clock that nobody sets */
  constructor(
    limits: Partial<LoadLimits> = {},
    delay: LoopDelay = processDelay(),
    nowMs: () => number = () => performance.now(),
  ) {
    this.#limits = { ...DEFAULTS, ...limits };
    this.#delay = delay;
    this.#nowMs = nowMs;
    const { anonymousPerSecond } = this.#limits;
    this.#anonymous = new RateLimit(
      anonymousPerSecond * ANONYMOUS_BURST_SEC,
      ANONYMOUS_BURST_SEC * 1000,
    );
  }

  /** Mean delay of the event loop in the last half second. */
  get lagMs(): number {
    return this.#lagMs;
  }

  /** Requests whose answers are being made. */
  get underWay(): Readonly<Record<LoadClass, number>> {
    return this.#underWay;
  }

  /** Requests that were refused because there was too much to do. */
  get shed(): Readonly<Record<LoadClass, number>> {
    return this.#shed;
  }

  /** Of those, anonymous calls beyond what there may be in a second. */
  get overBudget(): number {
    return this.#overBudget;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#delay.stop();
  }

  /** Measures the delay; by itself twice a second. */
  look(): void {
    this.#lagMs = this.#delay.takeMeanMs();
  }

  /**
   * Makes an answer, unless there is too much to do: asked before anything is decoded, so that a refusal costs next to nothing.
   *
   * @throws Refusal `chrysalisOverloaded`; what the work throws
   */
  async run<T>(kind: LoadClass, work: () => T | Promise<T>): Promise<T> {
    this.#expectRoom(kind);
    this.#underWay[kind]++;
    try {
      return await work();
    } finally {
      this.#underWay[kind]--;
    }
  }

  #expectRoom(kind: LoadClass): void {
    const seen = this.#tooMuch(kind);
    if (seen === undefined) return;
    this.#shed[kind]++;
    throw new Refusal('chrysalisOverloaded', `expected less to do for ${kind}, saw ${seen}`);
  }

  /** What there is too much of. */
  #tooMuch(kind: LoadClass): string | undefined {
    const mostMs = this.#mostLateMs(kind);
    if (mostMs > 0 && this.#lagMs >= mostMs) return `a delay of ${Math.round(this.#lagMs)} ms`;
    const most = this.#mostUnderWay(kind);
    if (most > 0 && this.#underWay[kind] >= most) return `${most} under way`;
    const { anonymousPerSecond } = this.#limits;
    if (kind !== 'anonymous' || anonymousPerSecond === 0) return undefined;
    if (this.#anonymous.take(this.#nowMs())) return undefined;
    this.#overBudget++;
    return `more than ${anonymousPerSecond} a second`;
  }

  #mostLateMs(kind: LoadClass): number {
    const { shedAnonymousMs, shedProvisioningMs, shedDownloadsMs } = this.#limits;
    if (kind === 'anonymous') return shedAnonymousMs;
    return kind === 'provisioning' ? shedProvisioningMs : shedDownloadsMs;
  }

  #mostUnderWay(kind: LoadClass): number {
    const { provisioningUnderWay, downloadsUnderWay, anonymousUnderWay } = this.#limits;
    if (kind === 'provisioning') return provisioningUnderWay;
    return kind === 'download' ? downloadsUnderWay : anonymousUnderWay;
  }
}

function processDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return {
    takeMeanMs() {
      // What is recorded is the time between two looks, which is the resolution when nothing delays them.
      const mean = histogram.count === 0 ? RESOLUTION_MS : histogram.mean / 1e6;
      histogram.reset();
      return Math.max(0, mean - RESOLUTION_MS);
    },
    stop: () => histogram.disable(),
  };
}
