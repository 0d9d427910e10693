import { CryptoError } from '@chrysalis/crypto';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { AuthorityUnavailableError, timeOf } from '@chrysalis/scms';
import { StoreError } from '@chrysalis/store';
import { composeAuthorizationRequest, type NumberedDevice } from './authorization-request.ts';
import { backOffSec, Outage } from './back-off.ts';
import { fileKey, zipFile } from './batch-file.ts';
import type { Device } from './device-registry.ts';
import { type ComposedRequest, composeRequests } from './expand.ts';
import { endOfChain, lastPeriodOfAll, OVERLAP_SEC, skipsShuffle, supplySec } from './horizon.ts';
import { type LinkageValues, requestLinkageValues } from './linkage-conversation.ts';
import type { RaOptions } from './options.ts';
import { checkReply } from './pca-conversation.ts';
import { PeriodsOver } from './periods-over.ts';
import { type DueRequest, PipelineStore } from './pipeline-store.ts';
import { endOf, periodOf } from './validity.ts';

/** Periods of pre-linkage values that are fetched at a time: bounds one answer of an LA, and what waits on disk. */
const LINKAGE_PERIODS = 8;
/** Requests at the PCA at a time: enough to share its commits, few enough to yield to devices often. */
const IN_FLIGHT = 32;
/** Requests that wait for the PCA before no more are made: bounds the database when the PCA is down. */
const MAX_WAITING = 20_000;
/** Longest pause before a request that the PCA refused, or a device that failed, is tried again. */
const RETRY_LAST_SEC = 3600;
/** The longest sleep, so that a clock that was set is noticed; and the longest pause after a fault of ours. */
const MAX_SLEEP_SEC = 60;
const MIN_SLEEP_MS = 100;
/** How long a period is seen to be over before it is dropped. */
const DROP_GRACE_MS = 3_600_000;
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
  readonly #periodsOver: PeriodsOver;
  readonly #laOutage = new Outage();
  readonly #pcaOutage = new Outage();
  /** Of the object store, when files that are over cannot be deleted. */
  readonly #dropOutage = new Outage();

  constructor(options: RaOptions) {
    this.#options = options;
    this.#store = new PipelineStore(options.database);
    this.#periodsOver = new PeriodsOver(options.dropGraceMs ?? DROP_GRACE_MS);
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
    let faults = 0;
    while (!this.#stopping) {
      try {
        this.#awake = false;
        if (await this.#step()) await yieldToDevices();
        else await this.#sleepUnlessWoken(await this.#untilNext());
        faults = 0;
      } catch (error) {
        // Ours, not a peer's: the disk is full, or a bug. The rows are as they were; try again later.
        this.#options.log.error({ err: error }, 'pipeline step failed');
        this.#awake = false;
        await this.#sleepUnlessWoken(backOffSec(faults++, MAX_SLEEP_SEC) * 1000);
      }
    }
  }

  /** Does a little of everything; false when there was nothing to do. */
  async #step(): Promise<boolean> {
    const overForSure = this.#overForSure();
    await this.#dropOver(overForSure);
    const sent = await this.#sendDue();
    const filed = await this.#fileComplete();
    const composed = await this.#composeNumbered();
    const expanded = await this.#expandNext(overForSure);
    const released = await this.#openShuffle();
    return sent || filed || composed || expanded || released;
  }

  #overForSure(): number {
    const { iPeriod, clock } = this.#options;
    const over = iPeriod.at(timeOf(clock) - OVERLAP_SEC) - 1;
    return this.#periodsOver.look(over, performance.now());
  }

  async #expandNext(overForSure: number): Promise<boolean> {
    const now = timeOf(this.#options.clock);
    if ((await this.#store.countWaiting()) >= MAX_WAITING) return false;
    const last = lastPeriodOfAll(this.#options, now);
    const current = this.#options.iPeriod.at(now);
    // What is over is not made any more: a device that lags behind goes on with the current period, once that is sure.
    const leastExpanded = overForSure >= current - 1 ? -1 : current - 1;
    const device = await this.#store.nextToExpand(last, leastExpanded, now);
    if (!device) return false;
    const i = Math.max(device.expanded_through + 1, Math.min(current, last));
    if (i > device.last_i) {
      await this.#store.endDevice(device);
      return true;
    }
    if (i <= device.linked_through) {
      await this.#expand(device, i);
      return true;
    }
    if (this.#laOutage.pausedUntil(now) !== undefined) return false;
    return this.#fetchLinkage(device, i, Math.min(last, device.last_i));
  }

  /** Asks both LAs; false when one of them did not give what it should. */
  async #fetchLinkage(device: Device, iMin: number, last: number): Promise<boolean> {
    const { clock, log } = this.#options;
    let values: readonly [LinkageValues, LinkageValues];
    try {
      values = await this.#requestLinkage(device, iMin, last);
    } catch (error) {
      const now = timeOf(clock);
      this.#laOutage.failed(now);
      // An LA that answers, but not as it should, may do so for this device alone: others come first next time.
      if (!(error instanceof AuthorityUnavailableError)) await this.#postponeDevice(device, now);
      log.warn({ err: error, deviceId: device.id }, 'no pre-linkage values');
      return false;
    }
    this.#laOutage.succeeded();
    await this.#store.addLinkage(device, iMin, ...values);
    return true;
  }

  #requestLinkage(
    device: Device,
    iMin: number,
    last: number,
  ): Promise<[LinkageValues, LinkageValues]> {
    const { identity, pca, la1, la2, trust, clock, policy } = this.#options;
    const iMax = Math.min(iMin + LINKAGE_PERIODS - 1, last);
    const jMax = policy.certificatesPerPeriod;
    const conversation = { identity, pcaHostname: pca.hostname, trust, clock };
    return Promise.all([
      requestLinkageValues(la1, { iMin, iMax, jMax, chainId: device.la1_chain }, conversation),
      requestLinkageValues(la2, { iMin, iMax, jMax, chainId: device.la2_chain }, conversation),
    ]);
  }

  async #expand(device: Device, i: number): Promise<void> {
    const { clock, random } = this.#options;
    const now = timeOf(clock);
    const linkage = await this.#store.linkageOf(device.id, i);
    let requests: ComposedRequest[];
    try {
      if (!linkage) throw new RangeError(`expected pre-linkage values of period ${i}`);
      const { la1_values, la2_values } = linkage;
      requests = composeRequests(device, i, la1_values, la2_values, this.#options);
    } catch (error) {
      return this.#giveUp(device, error, now);
    }
    const released = skipsShuffle(device, i, this.#options);
    await this.#store.addRequests(device, i, requests, { at: now, released, period: i }, random);
  }

  /** The next identification or application certificate: no linkage values, no shuffle (sections 1.4, 3.6). */
  async #composeNumbered(): Promise<boolean> {
    const { clock, random, iPeriod, pca } = this.#options;
    const now = timeOf(clock);
    const found = await this.#store.nextNumbered(now + supplySec(this.#options), now);
    if (!found) return false;
    const device = found as NumberedDevice;
    const i = device.expanded_through + 1;
    if (endOf(device, i) > endOfChain(pca.certificate)) {
      // A later certificate of the PCA may allow what this one does not.
      await this.#store.postponeDevice(device, now + RETRY_LAST_SEC);
      return true;
    }
    try {
      const request = composeAuthorizationRequest(device, i, this.#options);
      const period = periodOf(device, i, iPeriod);
      await this.#store.addRequests(
        device,
        i,
        [request],
        { at: now, released: true, period },
        random,
      );
    } catch (error) {
      if (error instanceof StoreError) throw error;
      await this.#giveUp(device, error, now);
    }
    return true;
  }

  /** A device that cannot be expanded: for good when it chose such keys, for now when its row is not as it should be. */
  async #giveUp(device: Device, error: unknown, now: Time32): Promise<void> {
    const { log } = this.#options;
    if (error instanceof CryptoError && error.code === 'point-at-infinity') {
      await this.#store.markFailed(device.id);
      log.warn({ deviceId: device.id }, 'the keys of a device cannot be expanded');
      return;
    }
    await this.#postponeDevice(device, now);
    log.error({ err: error, deviceId: device.id }, 'a device cannot be expanded');
  }

  #postponeDevice(device: Device, now: Time32): Promise<void> {
    return this.#store.postponeDevice(device, now + backOffSec(device.failures, RETRY_LAST_SEC));
  }

  async #openShuffle(): Promise<boolean> {
    const { policy, clock, log } = this.#options;
    const released = await this.#store.releaseShuffle(
      // No more than that are made before some are sent.
      Math.min(policy.shuffleThreshold, MAX_WAITING),
      timeOf(clock) - policy.shuffleMaxAgeSec,
    );
    if (released > 0) log.info({ released }, 'shuffle opened');
    return released > 0;
  }

  async #sendDue(): Promise<boolean> {
    const { clock } = this.#options;
    const now = timeOf(clock);
    if (this.#pcaOutage.pausedUntil(now) !== undefined) return false;
    const limit = this.#pcaOutage.isSuspected ? 1 : IN_FLIGHT;
    const due = await this.#store.due(now, this.#options.iPeriod.at(now), limit);
    if (due.length === 0) return false;
    // Each is waited for, even when one could not be recorded: none is sent again while it is on its way.
    const outcomes = await Promise.allSettled(due.map((request) => this.#send(request)));
    const isSilent = outcomes.every((outcome) => outcome.status === 'fulfilled' && !outcome.value);
    if (isSilent) this.#pcaOutage.failed(timeOf(clock));
    else this.#pcaOutage.succeeded();
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    return true;
  }

  /** Sends a request and records what becomes of it; false when the PCA did not answer at all. */
  async #send(request: DueRequest): Promise<boolean> {
    const { pca, clock, log } = this.#options;
    const retryAt = () => timeOf(clock) + backOffSec(request.attempts, RETRY_LAST_SEC);
    const attempt = { deviceId: request.deviceId, attempts: request.attempts + 1 };
    let reply: Uint8Array;
    try {
      reply = await pca.port.requestCertificate(request.octets);
    } catch (error) {
      await this.#store.postpone(request, retryAt());
      log.warn({ err: error, ...attempt }, 'no certificate from the PCA');
      return false;
    }
    let response: Uint8Array;
    try {
      response = checkReply(reply, request.octets, this.#options);
    } catch (error) {
      await this.#store.refuse(request, retryAt());
      log.warn({ err: error, ...attempt }, 'no certificate from the PCA');
      return true;
    }
    await this.#store.recordResponse(request, response);
    return true;
  }

  async #fileComplete(): Promise<boolean> {
    const complete = await this.#store.complete(FILE_AT_ONCE);
    const { objects, iPeriod } = this.#options;
    for (const batch of complete) {
      const { deviceId, i } = batch;
      const responses = await this.#store.responsesOf(deviceId, i);
      if (responses.length === 0) continue;
      await objects.put(fileKey(batch, i, iPeriod), zipFile(batch, i, responses));
      await this.#store.markFiled(deviceId, i);
      await yieldToDevices();
    }
    return complete.length > 0;
  }

  /**
   * Drops each period that is over whole: the files of all devices, and the index of their requests. A period's files
   * stay as long as its certificates are valid (Q23).
   */
  async #dropOver(last: number): Promise<void> {
    const { iPeriod, clock, objects, log } = this.#options;
    const now = timeOf(clock);
    if (this.#dropOutage.pausedUntil(now) !== undefined) return;
    const dropped = await this.#store.setting('dropped_through');
    if (last < 0 || (dropped !== undefined && dropped >= last)) return;
    try {
      for (let i = dropped === undefined ? last : dropped + 1; i <= last; i++) {
        await objects.deleteAll(String(i));
        await this.#store.dropPeriod(i, iPeriod.start(i + 1));
        log.info({ i }, 'period dropped');
      }
      this.#dropOutage.succeeded();
    } catch (error) {
      // What is over can wait; devices that lack certificates cannot.
      this.#dropOutage.failed(now);
      log.error({ err: error }, 'period not dropped');
    }
  }

  /** Milliseconds until something falls due by itself: a new period, a repetition, the shuffle. */
  async #untilNext(): Promise<number> {
    const { iPeriod, clock, policy } = this.#options;
    const now = timeOf(clock);
    const oldest = await this.#store.oldestInShuffle();
    const times = [
      iPeriod.start(iPeriod.at(now) + 1),
      await this.#store.nextAttempt(now),
      this.#pcaOutage.pausedUntil(now),
      oldest === undefined ? undefined : oldest + policy.shuffleMaxAgeSec,
      this.#laOutage.pausedUntil(now),
    ];
    const next = Math.min(...times.filter((time) => time !== undefined));
    return Math.min(MAX_SLEEP_SEC * 1000, Math.max(MIN_SLEEP_MS, (next - now) * 1000));
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
