import { Worker } from 'node:worker_threads';
import type { Log, PipelineHost } from '@chrysalis/ra';
import type { LogLevel } from './log.ts';

/** What the thread is started with. */
export interface PipelineThreadData {
  readonly directory: string;
  readonly logLevel: LogLevel;
}

/** What the thread is told. */
export type PipelineThreadMessage = 'wake' | 'stop';

/** The first pause before a thread that died is started again, and the longest. */
const RESTART_FIRST_MS = 1000;
const RESTART_LAST_MS = 60_000;

/**
 * The pipeline in a thread of its own, on its own connections to the same state. A thread that dies is started again: it
 * goes on from the rows, as after a restart of the whole.
 */
export class PipelineThread implements PipelineHost {
  readonly #data: PipelineThreadData;
  readonly #log: Log;
  #worker: Worker | undefined;
  #pauseMs = RESTART_FIRST_MS;
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;

  constructor(data: PipelineThreadData, log: Log) {
    this.#data = data;
    this.#log = log;
  }

  /** @throws the error of a thread that cannot begin: wrong files, wrong keys */
  async start(): Promise<void> {
    const worker = new Worker(new URL('./pipeline-thread.ts', import.meta.url), {
      workerData: this.#data,
      name: 'pipeline',
    });
    this.#worker = worker;
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve());
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('expected the pipeline to start, saw it end')));
    });
    this.#pauseMs = RESTART_FIRST_MS;
    worker.on('error', (error) => {
      this.#log.error({ err: error }, 'the pipeline died');
    });
    worker.once('exit', () => {
      if (!this.#stopping) this.#startAgain();
    });
  }

  wake(): void {
    this.#tell('wake');
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    if (worker === undefined || worker.threadId === -1) return;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    this.#tell('stop');
    await ended;
  }

  #tell(message: PipelineThreadMessage): void {
    this.#worker?.postMessage(message);
  }

  #startAgain(): void {
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(RESTART_LAST_MS, 2 * pauseMs);
    this.#log.error({ pauseMs }, 'the pipeline is started again');
    this.#restart = setTimeout(() => {
      this.start().catch((error: unknown) => {
        this.#log.error({ err: error }, 'the pipeline did not start');
        if (!this.#stopping) this.#startAgain();
      });
    }, pauseMs);
  }
}
