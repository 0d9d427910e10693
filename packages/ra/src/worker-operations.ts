/** What operators see of a worker: docs/reference/metrics.md. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { DatabaseProbe } from './database-probe.ts';
import type { Metrics } from './metrics.ts';
import { type OpsServer, startOpsServer } from './ops-server.ts';
import type { PipelineOptions } from './options.ts';
import type { PipelineFigures } from './pipeline.ts';
import {
  missingOf,
  type NotReady,
  type Readiness,
  whyPipelineIsMissing,
  whyRaCertificateIsMissing,
} from './readiness.ts';
import { StatusFigures, statusReader } from './status-figures.ts';

export interface WorkerOperationsOptions extends PipelineOptions {
  /** 0 takes one that is free. */
  readonly port: number;
  readonly pipeline: PipelineFigures;
  readonly isStopping: () => boolean;
}

/**
 * The operators' port of a worker: as that of an RA, of the pipeline alone.
 *
 * @throws Error of Node when the port is taken
 */
export function startWorkerOperations(options: WorkerOperationsOptions): Promise<OpsServer> {
  const { port, log } = options;
  return startOpsServer({
    ...{ port, log },
    readiness: new WorkerReadiness(options),
    metrics: new WorkerMetrics(options),
  });
}

/** Looks whether a worker can do its share of the certificates. */
class WorkerReadiness implements Pick<Readiness, 'missing'> {
  readonly #options: WorkerOperationsOptions;
  readonly #probe: DatabaseProbe;

  constructor(options: WorkerOperationsOptions) {
    this.#options = options;
    this.#probe = new DatabaseProbe(options);
  }

  async missing(): Promise<readonly NotReady[]> {
    const { pipeline, isStopping } = this.#options;
    return missingOf({
      database: await this.#probe.reason(),
      pipeline: whyPipelineIsMissing(pipeline),
      share: pipeline.share ? undefined : 'expected a share of the work, saw none: no lease',
      'ra-certificate': whyRaCertificateIsMissing(this.#options),
      stopping: isStopping() ? 'the worker stops' : undefined,
    });
  }
}

class WorkerMetrics implements Pick<Metrics, 'text' | 'contentType'> {
  readonly #registry = new Registry();
  readonly #status: StatusFigures;

  constructor(options: WorkerOperationsOptions) {
    // Devices are answered elsewhere: what ends of theirs, the nodes tell.
    const read = statusReader({ ...options, ecas: [] });
    this.#status = new StatusFigures(this.#registry, read, () => performance.now());
    addOwn(this.#registry, options.pipeline);
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    await this.#status.refresh();
    return this.#registry.metrics();
  }
}

/** What is of this worker alone. */
function addOwn(registry: Registry, pipeline: PipelineFigures): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      ...{ name, help, registers },
      collect() {
        this.set(read());
      },
    });
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      ...{ name, help, registers },
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  gauge(
    'chrysalis_worker_share',
    'The part of the work that is this worker’s, 0 to 1; 0 while it has none',
    () => (pipeline.share ? 1 / pipeline.share.of : 0),
  );
  gauge(
    'chrysalis_worker_first',
    '1 while this worker does what one does for all: periods that are over, the PLV cache',
    () => (pipeline.share?.rank === 0 ? 1 : 0),
  );
  counter(
    'chrysalis_worker_certificates_total',
    'Certificates that this worker had from the PCA',
    () => pipeline.certified,
  );
  counter(
    'chrysalis_worker_failed_steps_total',
    'Steps of this worker that failed by a fault of ours',
    () => pipeline.failedSteps,
  );
  new Gauge({
    name: 'chrysalis_worker_paused',
    help: '1 while this worker does not ask an authority that did not answer it',
    labelNames: ['peer'],
    registers,
    collect() {
      for (const [peer, isPaused] of Object.entries(pipeline.paused)) {
        this.set({ peer }, isPaused ? 1 : 0);
      }
    },
  });
}
