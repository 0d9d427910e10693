import { Worker } from 'node:worker_threads';
import type { CheckedDevice, CheckOptions } from './check-device.ts';
import { FleetError } from './fleet-error.ts';

/** What a thread is started with; the clock as its distance from the machine's. */
export interface CheckWorkerData {
  readonly path: string;
  readonly perPeriod: number;
  readonly raUrl: string | undefined;
  readonly offsetMs: number;
}

export interface CheckOrder {
  readonly device: number;
}

export type CheckReply =
  | { readonly device: number; readonly checked: CheckedDevice }
  | { readonly device: number; readonly message: string };

/** A thread that checks devices, with a connection of its own to the fleet's database. */
export class CheckWorker implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<CheckedDevice>>();
  #failure: FleetError | undefined;

  constructor({ fleet, perPeriod, raUrl, clock }: CheckOptions) {
    const workerData: CheckWorkerData = {
      path: fleet.path,
      perPeriod,
      raUrl: raUrl?.href,
      offsetMs: clock.now() - Date.now(),
    };
    this.#worker = new Worker(new URL('./check-worker.ts', import.meta.url), { workerData });
    this.#worker.on('message', (reply: CheckReply) => this.#settle(reply));
    this.#worker.on('error', (cause) => this.#fail(cause));
    this.#worker.on('exit', (code) => this.#fail(new Error(`it ended with status ${code}`)));
  }

  /** @throws FleetError `worker-failed`, with the message of what the thread threw */
  async check(device: number): Promise<CheckedDevice> {
    if (this.#failure !== undefined) throw this.#failure;
    const waiting = Promise.withResolvers<CheckedDevice>();
    this.#waiting.set(device, waiting);
    this.#worker.postMessage({ device } satisfies CheckOrder);
    return waiting.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }

  #settle(reply: CheckReply): void {
    const waiting = this.#waiting.get(reply.device);
    this.#waiting.delete(reply.device);
    if ('checked' in reply) waiting?.resolve(reply.checked);
    else waiting?.reject(new FleetError('worker-failed', reply.message));
  }

  #fail(cause: Error): void {
    this.#failure ??= new FleetError('worker-failed', `expected a thread: ${cause.message}`, {
      cause,
    });
    for (const waiting of this.#waiting.values()) waiting.reject(this.#failure);
    this.#waiting.clear();
  }
}
