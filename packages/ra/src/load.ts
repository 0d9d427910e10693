import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Refusal } from './refusal.ts';

/**
 * What is given up together when there is too much to do. Devices can wait for new certificates longer than for those that
 * are made already, and fetch the files that are anybody's before any other.
 */
export type LoadClass = 'provisioning' | 'download' | 'anonymous';

/** When the RA stops taking more. 0: never. */
export interface LoadLimits {
  /** Requests of each class whose answers are being made. */
  readonly provisioningUnderWay: number;
  readonly downloadsUnderWay: number;
  readonly anonymousUnderWay: number;
  /** Mean delay of the event loop from which provisioning requests and reports are refused. */
  readonly shedProvisioningMs: number;
  /** And from which everything is. */
  readonly shedDownloadsMs: number;
}

/**
 * A request takes milliseconds, most of them in the database: with as many under way, the last one waits about a second. A
 * device gives up after several; the delays leave it that time.
 */
const DEFAULTS: LoadLimits = {
  provisioningUnderWay: 256,
  downloadsUnderWay: 1024,
  anonymousUnderWay: 256,
  shedProvisioningMs: 250,
  shedDownloadsMs: 1000,
};
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
  #lagMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: Partial<LoadLimits> = {}, delay: LoopDelay = processDelay()) {
    this.#limits = { ...DEFAULTS, ...limits };
    this.#delay = delay;
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
    const { shedProvisioningMs, shedDownloadsMs } = this.#limits;
    const mostMs = kind === 'provisioning' ? shedProvisioningMs : shedDownloadsMs;
    const most = this.#mostUnderWay(kind);
    const isLate = mostMs > 0 && this.#lagMs >= mostMs;
    if (!isLate && (most === 0 || this.#underWay[kind] < most)) return;
    this.#shed[kind]++;
    const seen = isLate ? `a delay of ${Math.round(this.#lagMs)} ms` : `${most} under way`;
    throw new Refusal('chrysalisOverloaded', `expected less to do for ${kind}, saw ${seen}`);
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
