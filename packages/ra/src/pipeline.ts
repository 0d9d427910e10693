import { CryptoError } from '@chrysalis/crypto';
import { timeOf } from '@chrysalis/scms';
import { batchKey, zipBatch } from './batch-file.ts';
import type { Device } from './device-registry.ts';
import { composeRequests } from './expand.ts';
import { lastPeriodOfAll, skipsShuffle } from './horizon.ts';
import { requestLinkageValues } from './linkage-conversation.ts';
import type { RaOptions } from './options.ts';
import { checkReply } from './pca-conversation.ts';
import { type DueRequest, PipelineStore } from './pipeline-store.ts';

/** Periods of pre-linkage values that are fetched at a time: bounds one answer of an LA, and what waits on disk. */
const LINKAGE_PERIODS = 8;
/** Requests at the PCA at a time: enough to share its commits, few enough to yield to devices often. */
const IN_FLIGHT = 32;
/** Requests that wait for the PCA before no more are made: bounds the database when the PCA is down. */
const MAX_WAITING = 20_000;
/** Back-off after a failure of the PCA or an LA: doubles from the first to the last. */
const RETRY_FIRST_SEC = 1;
const RETRY_LAST_SEC = 3600;
/** How long a period's files stay after its end: the overlap of certificates (Q23). */
const KEEP_SEC = 3600;
/** The longest sleep, so that a clock that was set is noticed. */
const MAX_SLEEP_MS = 60_000;
/** Pause after a fault of ours. */
const AFTER_FAULT_MS = 1000;
/** Batches looked for at a time. */
const FILE_AT_ONCE = 64;

/**
 * From acknowledged devices to files: pre-linkage values, expansion, shuffle, PCA, check, zip. Every step starts from
 * durable rows and ends in durable rows, so that a restart goes on wherever it stopped; and each yields, so that devices
 * are answered in between.
 */
export class Pipeline {
  readonly #options: RaOptions;
  readonly #store: PipelineStore;
  #stopping = false;
  #wake: (() => void) | undefined;
  #awake = true;
  #running: Promise<void> | undefined;
  /** Time before which no LA is asked again, and how often in a row asking has failed. */
  #linkageRetryAt = 0;
  #linkageFailures = 0;

  constructor(options: RaOptions) {
    this.#options = options;
    this.#store = new PipelineStore(options.database);
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Something new is there to do. */
  wake(): void {
    this.#awake = true;
    this.#wake?.();
  }

  /** Ends after the step that is under way. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        this.#awake = false;
        if (await this.#step()) await yieldToDevices();
        else await this.#sleepUnlessWoken(await this.#untilNext());
      } catch (error) {
        // Ours, not a peer's: the disk is full, or a bug. The rows are as they were; try again later.
        this.#options.log.error({ err: error }, 'pipeline step failed');
        this.#awake = false;
        await this.#sleepUnlessWoken(AFTER_FAULT_MS);
      }
    }
  }

  /** Does a little of everything; false when there was nothing to do. */
  async #step(): Promise<boolean> {
    const sent = await this.#sendDue();
    const filed = await this.#fileComplete();
    const expanded = await this.#expandNext();
    const released = await this.#openShuffle();
    await this.#dropOver();
    return sent || filed || expanded || released;
  }

  async #expandNext(): Promise<boolean> {
    const { clock, log } = this.#options;
    const now = timeOf(clock);
    if (now < this.#linkageRetryAt || (await this.#store.countWaiting()) >= MAX_WAITING)
      return false;
    const last = lastPeriodOfAll(this.#options, now);
    const device = await this.#store.nextToExpand(last);
    if (!device) return false;
    const i = device.expanded_through + 1;
    try {
      if (i > device.linked_through)
        await this.#fetchLinkage(device, i, Math.min(last, device.last_i));
      else await this.#expand(device, i);
      this.#linkageFailures = 0;
    } catch (error) {
      if (error instanceof CryptoError && error.code === 'point-at-infinity') {
        await this.#store.markFailed(device.id);
        log.warn({ deviceId: device.id }, 'the keys of a device cannot be expanded');
        return true;
      }
      this.#linkageRetryAt = now + backOffSec(this.#linkageFailures++);
      log.warn({ err: error, retryAt: this.#linkageRetryAt }, 'no pre-linkage values');
      return false;
    }
    return true;
  }

  async #fetchLinkage(device: Device, iMin: number, last: number): Promise<void> {
    const { identity, pca, la1, la2, trust, clock, policy } = this.#options;
    const iMax = Math.min(iMin + LINKAGE_PERIODS - 1, last);
    const jMax = policy.certificatesPerPeriod;
    const conversation = { identity, pcaHostname: pca.hostname, trust, clock };
    const [values1, values2] = await Promise.all([
      requestLinkageValues(la1, { iMin, iMax, jMax, chainId: device.la1_chain }, conversation),
      requestLinkageValues(la2, { iMin, iMax, jMax, chainId: device.la2_chain }, conversation),
    ]);
    await this.#store.addLinkage(device, iMin, values1, values2);
  }

  async #expand(device: Device, i: number): Promise<void> {
    const { clock, random, policy } = this.#options;
    const linkage = await this.#store.linkageOf(device.id, i);
    if (!linkage) throw new RangeError(`expected pre-linkage values of period ${i}`);
    const { la1_values, la2_values } = linkage;
    const requests = composeRequests(device, i, la1_values, la2_values, this.#options);
    const released = skipsShuffle(device, i, policy);
    await this.#store.addRequests(device, i, requests, timeOf(clock), released, random);
  }

  async #openShuffle(): Promise<boolean> {
    const { policy, clock, log } = this.#options;
    const released = await this.#store.releaseShuffle(
      policy.shuffleThreshold,
      timeOf(clock) - policy.shuffleMaxAgeSec,
    );
    if (released > 0) log.info({ released }, 'shuffle opened');
    return released > 0;
  }

  async #sendDue(): Promise<boolean> {
    const due = await this.#store.due(timeOf(this.#options.clock), IN_FLIGHT);
    await Promise.all(due.map((request) => this.#send(request)));
    return due.length > 0;
  }

  async #send(request: DueRequest): Promise<void> {
    const { pca, clock, log } = this.#options;
    let response: Uint8Array;
    try {
      const reply = await pca.port.requestCertificate(request.octets);
      response = checkReply(reply, request, this.#options);
    } catch (error) {
      const retryAt = timeOf(clock) + backOffSec(request.attempts);
      await this.#store.postpone(request.hpcr, retryAt);
      log.warn(
        { err: error, attempts: request.attempts + 1, retryAt },
        'no certificate from the PCA',
      );
      return;
    }
    await this.#store.recordResponse(request.hpcr, response);
  }

  async #fileComplete(): Promise<boolean> {
    const complete = await this.#store.complete(FILE_AT_ONCE);
    for (const { deviceId, i } of complete) {
      const device = await this.#store.device(deviceId);
      if (!device) throw new RangeError(`expected device ${deviceId}`);
      const zip = zipBatch(i, await this.#store.responsesOf(deviceId, i));
      await this.#options.objects.put(batchKey(i, device.request_hash), zip);
      await this.#store.markFiled(deviceId, i);
      await yieldToDevices();
    }
    return complete.length > 0;
  }

  /** Drops each period that is over whole: the files of all devices, and the index of their requests. */
  async #dropOver(): Promise<void> {
    const { iPeriod, clock, objects, log } = this.#options;
    const over = iPeriod.at(timeOf(clock) - KEEP_SEC) - 1;
    const dropped = await this.#store.setting('dropped_through');
    if (dropped !== undefined && dropped >= over) return;
    for (let i = dropped === undefined ? over : dropped + 1; i <= over; i++) {
      await objects.deleteAll(String(i));
      await this.#store.dropPeriod(i);
      log.info({ i }, 'period dropped');
    }
  }

  /** Milliseconds until something falls due by itself: a new period, a repetition, the shuffle. */
  async #untilNext(): Promise<number> {
    const { iPeriod, clock, policy } = this.#options;
    const now = timeOf(clock);
    const oldest = await this.#store.oldestInShuffle();
    const times = [
      iPeriod.start(iPeriod.at(now) + 1),
      await this.#store.nextAttempt(),
      oldest === undefined ? undefined : oldest + policy.shuffleMaxAgeSec,
      this.#linkageRetryAt > now ? this.#linkageRetryAt : undefined,
    ];
    const next = Math.min(...times.filter((time) => time !== undefined));
    return Math.min(MAX_SLEEP_MS, Math.max(100, (next - now) * 1000));
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

function backOffSec(failures: number): number {
  return Math.min(RETRY_LAST_SEC, RETRY_FIRST_SEC * 2 ** Math.min(failures, 20));
}

/** Lets requests of devices that have arrived go first. */
function yieldToDevices(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
