/** A process of an RA as its supervisor sees it, from its fork to its end. */
import cluster, { type Worker } from 'node:cluster';
import { CliError } from './context.ts';
import { PASSPHRASE } from './passphrase.ts';
import { ProcessChannel } from './process-channel.ts';
import {
  type Ending,
  environmentOf,
  type ProcessBeginning,
  type ProcessOrder,
  type ProcessPlace,
  type ProcessRole,
  type ProcessUrls,
} from './process-orders.ts';

/** LAs that are away, a large database and a slow machine are waited for; a process that hangs is not. */
const BEGIN_MS = 600_000;
/** A device that leaves may take 30 seconds, and the step of the pipeline some. */
const END_MS = 60_000;

export type ChildState = 'starting' | 'serving' | 'ending' | 'ended';

export class RaChild {
  readonly role: ProcessRole;
  readonly channel: ProcessChannel;
  readonly writer: ProcessOrder['writer'];
  /** Resolves when the process is gone, with what it left behind. */
  readonly ended: Promise<string>;
  readonly #worker: Worker;
  #state: ChildState = 'starting';
  /** Whether it was told to begin. */
  #isTold = false;

  constructor({ role, writer }: Pick<ProcessOrder, 'role' | 'writer'>, place: ProcessPlace) {
    this.role = role;
    this.writer = writer;
    // It is handed what it needs by the pipe: the environment of a process can be read as long as it lives.
    this.#worker = cluster.fork({ ...environmentOf(place), [PASSPHRASE]: '' });
    this.channel = new ProcessChannel(this.#worker);
    this.ended = new Promise((resolve) => {
      this.#worker.once('exit', (code, signal) => {
        this.#state = 'ended';
        this.channel.close();
        resolve(signal ?? `status ${code}`);
      });
      // A process that was not to be had at all.
      this.#worker.on('error', () => {});
    });
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  get state(): ChildState {
    return this.#state;
  }

  /** @throws CliError with what the process found wrong; it has ended then */
  async begin(order: ProcessOrder): Promise<ProcessUrls> {
    let beginning: ProcessBeginning;
    this.#isTold = true;
    try {
      beginning = await this.channel.ask<ProcessBeginning>('begin', order, BEGIN_MS);
    } catch (error) {
      await this.end('close');
      throw error;
    }
    if (beginning.type === 'begun') {
      if (this.#state === 'starting') this.#state = 'serving';
      return beginning.urls;
    }
    await this.end('close');
    const { message, hint } = beginning;
    throw new CliError(message, hint === undefined ? {} : { hint });
  }

  /** Resolves when it is gone: by itself, or after a minute by force. */
  async end(how: Ending): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'ending';
    if (this.#isTold) this.channel.tell('end', how);
    // It has opened nothing yet, and may not hear us before it has loaded its code.
    else this.#worker.process.kill('SIGKILL');
    const force = setTimeout(() => this.#worker.process.kill('SIGKILL'), END_MS);
    await this.ended;
    clearTimeout(force);
  }
}
