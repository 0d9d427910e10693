import { createHistogram } from 'node:perf_hooks';
import { latencyOf } from '@chrysalis/fleet';
import { type Figures, figure, type LiveRa } from '../test/support/live-ra.ts';
import { flatnessOf, type MemorySample } from './flatness.ts';
import { keptMbOf, rssMbOf } from './memory-figures.ts';
import type { SoakReport } from './report.ts';
import type { VisitKind } from './visitors.ts';

const HEALTH_EVERY_MS = 500;
/** How long an RA may take to be itself again when the load has gone. */
const RECOVERY_MS = 120_000;
const CLASSES = ['provisioning', 'download', 'anonymous'] as const;

/** One look at the RA, each second. */
interface Sample extends MemorySample {
  readonly isUnderLoad: boolean;
  readonly descriptors: number;
  readonly lagMs: number;
  readonly shed: Readonly<Record<VisitKind, number>>;
}

/** Looks at the RA from its operators' port, all the while. */
export class Watch {
  readonly #ra: LiveRa;
  readonly #visits: () => number;
  readonly #first: Figures;
  readonly #start = performance.now();
  readonly #samples: Sample[] = [];
  readonly #health = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });
  #healthFailed = 0;
  #missedLooks = 0;
  #isOver = false;
  readonly #watching: Promise<unknown>;
  isUnderLoad = false;

  /** @param visits how many are over */
  static async start(ra: LiveRa, visits: () => number): Promise<Watch> {
    return new Watch(ra, visits, await ra.figures());
  }

  private constructor(ra: LiveRa, visits: () => number, first: Figures) {
    this.#ra = ra;
    this.#visits = visits;
    this.#first = first;
    this.#watching = Promise.all([this.#look(), this.#askHealth()]);
  }

  get elapsedSec(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Resolves when nobody is connected any more. @throws Error when somebody still is */
  async rested(): Promise<Figures> {
    const deadline = performance.now() + RECOVERY_MS;
    for (;;) {
      // One that does not answer now is asked again.
      const figures = await this.#ra.figures().catch(() => undefined);
      if (figures && figure(figures, 'chrysalis_connections') === 0) return figures;
      if (performance.now() > deadline) throw new Error('expected no connections to be left');
      await sleep(100);
    }
  }

  async end() {
    const last = await this.rested();
    this.#isOver = true;
    await this.#watching;
    const loaded = this.#samples.filter(({ isUnderLoad }) => isUnderLoad);
    const difference = (name: string) => figure(last, name) - figure(this.#first, name);
    const lags = loaded.map(({ lagMs }) => lagMs);
    const peak = (values: readonly number[]) => Math.max(0, ...values);
    return {
      seconds: Math.round(this.elapsedSec),
      health: {
        asked: this.#health.count + this.#healthFailed,
        failed: this.#healthFailed,
        ms: latencyOf(this.#health, 1000),
      },
      sheds: shedsOf(difference),
      shedSeconds: orderOf(loaded),
      closedConnections:
        difference('chrysalis_connections_closed_total{limit="connections"}') +
        difference('chrysalis_connections_closed_total{limit="handshakes"}'),
      droppedRefusals: difference('chrysalis_dropped_refusals_total'),
      memoryMb: {
        before: rssMbOf(this.#first),
        peak: peak(loaded.map(({ rssMb }) => rssMb)),
        after: rssMbOf(last),
        keptBefore: keptMbOf(this.#first),
        ...flatnessOf(this.#samples),
      },
      descriptors: {
        before: figure(this.#first, 'process_open_fds'),
        peak: peak(loaded.map(({ descriptors }) => descriptors)),
        after: figure(last, 'process_open_fds'),
      },
      lagMs: { median: median(lags), max: peak(lags) },
      missedLooks: this.#missedLooks,
      memoryEveryMinuteMb: this.#samples.filter((_, n) => n % 60 === 0).map(({ rssMb }) => rssMb),
      cpuSec: { ra: Math.round(difference('process_cpu_seconds_total')) },
    };
  }

  async #look(): Promise<void> {
    while (!this.#isOver) {
      try {
        this.#samples.push(this.#sampleOf(await this.#ra.figures()));
      } catch {
        this.#missedLooks += 1;
      }
      await sleep(1000);
    }
  }

  #sampleOf(figures: Figures): Sample {
    return {
      isUnderLoad: this.isUnderLoad,
      visits: this.#visits(),
      rssMb: rssMbOf(figures),
      keptMb: keptMbOf(figures),
      descriptors: figure(figures, 'process_open_fds'),
      lagMs: Math.round(figure(figures, 'chrysalis_event_loop_lag_seconds') * 1000),
      shed: Object.fromEntries(
        CLASSES.map((name) => [name, figure(figures, shedName(name))]),
      ) as Record<VisitKind, number>,
    };
  }

  async #askHealth(): Promise<void> {
    while (!this.#isOver) {
      try {
        this.#health.record(Math.max(1, Math.round((await this.#ra.health()) * 1000)));
      } catch {
        this.#healthFailed += 1;
      }
      await sleep(HEALTH_EVERY_MS);
    }
  }
}

const ROUTES: Readonly<Record<VisitKind, readonly string[]>> = {
  provisioning: ['/provision-pseudonym-certificate-batch'],
  download: ['/download/info', '/download/batch'],
  anonymous: ['/download/policy/local', '/download/local-certificate-chain'],
};

function shedsOf(difference: (name: string) => number): SoakReport['sheds'] {
  const of = (name: VisitKind) => {
    const all = ROUTES[name].flatMap((route) =>
      ['served', 'refused', 'shed', 'failed'].map((outcome) =>
        difference(`chrysalis_requests_total{route="${route}",outcome="${outcome}"}`),
      ),
    );
    const total = all.reduce((sum, count) => sum + count, 0);
    const shed = difference(shedName(name));
    return { requests: total, shed };
  };
  return {
    provisioning: of('provisioning'),
    download: of('download'),
    anonymous: of('anonymous'),
  };
}

function shedName(name: VisitKind): string {
  return `chrysalis_sheds_total{class="${name}"}`;
}

/** Which class was shed in which second. */
function orderOf(samples: readonly Sample[]): SoakReport['shedSeconds'] {
  const seconds = { provisioningAlone: 0, both: 0, downloadsAlone: 0 };
  for (let n = 1; n < samples.length; n += 1) {
    const [before, now] = [samples[n - 1]!.shed, samples[n]!.shed];
    const provisioning = now.provisioning > before.provisioning;
    const downloads = now.download > before.download;
    if (provisioning && downloads) seconds.both += 1;
    else if (provisioning) seconds.provisioningAlone += 1;
    else if (downloads) seconds.downloadsAlone += 1;
  }
  return seconds;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
