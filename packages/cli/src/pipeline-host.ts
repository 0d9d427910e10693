import { Worker } from 'node:worker_threads';
import type { MasterKey } from '@chrysalis/authorities/keys';
import type { Log, PipelineHost, PipelineState } from '@chrysalis/ra';
import type { ChrysalisConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import type { Explanation } from './explanation.ts';
import type { LogLevel } from './log.ts';

/** What the thread is started with. */
export interface PipelineThreadData {
  readonly directory: string;
  readonly logLevel: LogLevel;
  /** Devices are served already: it loads behind them. */
  readonly isLate?: boolean;
}

/** What opens encrypted keys: for each, scrypt parameters and 32 octets. */
export type MasterOctets = Pick<MasterKey, 'kdf'> & { readonly key: Uint8Array };

/** What the thread is told; keys first of all, and again when the RA has another certificate. */
export type PipelineThreadMessage = 'wake' | 'stop' | { readonly masters: readonly MasterOctets[] };

/** What the thread says, once: that its pipeline has started, or why it cannot. */
export type PipelineThreadAnswer = 'started' | Explanation;

/** The first pause before a thread that died is started again, and the longest. */
const RESTART_FIRST_MS = 1000;
const RESTART_LAST_MS = 60_000;

/** A thread that loads its code, and then waits for its keys. It holds nobody up who gives up before the start. */
export interface LoadingThread {
  readonly worker: Worker;
  /** Resolves when its pipeline has started. */
  readonly started: Promise<void>;
}

/**
 * The pipeline in a thread of its own, on its own connections to the same state. A thread that dies is started again: it
 * goes on from the rows, as after a restart of the whole.
 */
export class PipelineThread implements PipelineHost {
  readonly #data: PipelineThreadData;
  readonly #log: Log;
  readonly #masters: () => Promise<readonly MasterKey[]>;
  #first: LoadingThread | undefined;
  #worker: Worker | undefined;
  #pauseMs = RESTART_FIRST_MS;
  #state: PipelineState = 'starting';
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;

  /**
   * @param masters of the keys, so that scrypt runs once in a process and the thread asks nobody for a passphrase
   * @param first the first thread, when somebody has let it load its code already
   */
  constructor(
    data: PipelineThreadData,
    log: Log,
    masters: () => Promise<readonly MasterKey[]> = async () => [],
    first: LoadingThread = loadPipelineThread(data),
  ) {
    this.#data = data;
    this.#log = log;
    this.#masters = masters;
    this.#first = first;
  }

  get state(): PipelineState {
    return this.#state;
  }

  /** @throws CliError when the thread cannot begin: wrong files, wrong keys, a database that is away; other errors are bugs */
  async start(): Promise<void> {
    const masters = await this.#masterOctets();
    if (this.#stopping) return;
    const { worker, started } = this.#first ?? loadPipelineThread({ ...this.#data, isLate: true });
    this.#first = undefined;
    this.#worker = worker;
    worker.ref();
    this.#tell({ masters });
    await started;
    this.#pauseMs = RESTART_FIRST_MS;
    this.#state = 'running';
    worker.on('error', (error) => {
      this.#log.error({ err: error }, 'the pipeline died');
    });
    worker.once('exit', () => {
      this.#state = this.#stopping ? 'stopped' : 'down';
      if (!this.#stopping) this.#startAgain();
    });
  }

  wake(): void {
    this.#tell('wake');
  }

  renewed(): void {
    this.#masterOctets().then(
      (masters) => this.#tell({ masters }),
      (error: unknown) => this.#log.error({ err: error }, 'the pipeline has no new keys'),
    );
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    await this.#first?.worker.terminate();
    const worker = this.#worker;
    if (worker === undefined || worker.threadId === -1) return;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    this.#tell('stop');
    await ended;
  }

  async #masterOctets(): Promise<MasterOctets[]> {
    return (await this.#masters()).map(({ kdf, key }) => ({ kdf, key: key.reveal() }));
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

/** Starts a thread, which loads its code beside whatever else is loaded and opened before its pipeline may begin. */
export function loadPipelineThread(data: PipelineThreadData): LoadingThread {
  const worker = new Worker(new URL('./pipeline-thread.ts', import.meta.url), {
    workerData: data,
    name: 'pipeline',
  });
  worker.unref();
  const started = new Promise<void>((resolve, reject) => {
    worker.once('message', (answer: PipelineThreadAnswer) => {
      if (answer === 'started') return resolve();
      const { message, hint } = answer;
      reject(new CliError(message, { ...(hint !== undefined && { hint }) }));
    });
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('expected the pipeline to start, saw it end')));
  });
  // Whoever starts it is told.
  started.catch(() => {});
  return { worker, started };
}

/** Whether a process that makes certificates has a thread for it. A clock or randomness that was given is in the first thread alone. */
export function hasPipelineThread(
  { pipeline }: ChrysalisConfig,
  { hasThreads = false }: Pick<CliContext, 'hasThreads'>,
): boolean {
  return hasThreads && pipeline.threads > 0;
}
