import { type Random, systemRandom } from '@chrysalis/crypto';
import { unixFromTime32 } from '@chrysalis/ieee1609dot2';
import {
  type Clock,
  formatFileName,
  parseFileName,
  requestHash,
  systemClock,
  timeOf,
} from '@chrysalis/scms';
import { type Acknowledgement, openAcknowledgement } from './acknowledgement.ts';
import { type BackOff, type Sleep, systemSleep, waitUntil, withBackOff } from './back-off.ts';
import { MAX_BATCH_OCTETS } from './batch-zip.ts';
import { loadEnrollment } from './bootstrap.ts';
import { type Answer, contact } from './contact.ts';
import { downloadOnce } from './download.ts';
import { PATHS, resolveDownloadUrl, serviceUrl } from './download-url.ts';
import type { Enrollment } from './enrollment.ts';
import { EeError, hasCode } from './error.ts';
import { httpsTransport } from './https-transport.ts';
import { decodeInfo, type Info } from './info.ts';
import { type OpenedBatch, openBatch } from './open-batch.ts';
import type { Profile, StoredBatch } from './profile.ts';
import type { Progress } from './progress.ts';
import {
  generateCaterpillarKeys,
  makeDownloadHeader,
  makeProvisioningBody,
} from './provisioning-request.ts';
import type { ProvisioningState } from './provisioning-state.ts';
import type { RaTransport } from './ra-transport.ts';
import { expectStatus, readBody } from './response-body.ts';

/** An acknowledgement has 127 octets; a URL of 255 and a signer certificate may come on top. */
const MAX_ACK_OCTETS = 4_096;
/** A .info file has 4 octets, or 8. */
const MAX_INFO_OCTETS = 64;
/** Four years of weekly batches: a device that stays one ahead of the usual three is not stopped. */
const MAX_BATCHES = 208;

export interface EndEntityOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly sleep?: Sleep;
  /** Instead of HTTPS under the bundle's X.509 root. */
  readonly transport?: RaTransport;
  /** Instead of the bundle's URL, and instead of scheme, host and port of certDLURL. */
  readonly raUrl?: URL;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface DownloadResult {
  /** Those that were fetched or opened now, ascending. */
  readonly batches: readonly OpenedBatch[];
}

/**
 * A device that talks to its RA. What it owns is in its profile, at every moment: kill it anywhere,
 * open it again, and call the same method.
 *
 * One process at a time: see `lockProfile`.
 *
 * @example
 * const storage = await DirectoryStorage.open('obu-1');
 * await using lock = await lockProfile(storage.path);
 * await using ee = await EndEntity.open(new Profile(storage));
 * await ee.request();
 * await ee.waitUntilReady();
 * const { batches } = await ee.download();
 * const next = await ee.info();
 */
export class EndEntity implements AsyncDisposable {
  readonly enrollment: Enrollment;
  readonly #profile: Profile;
  readonly #options: EndEntityOptions;
  readonly #transport: RaTransport;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #sleep: Sleep;

  private constructor(profile: Profile, enrollment: Enrollment, options: EndEntityOptions) {
    const { clock = systemClock, random = systemRandom, sleep = systemSleep } = options;
    this.enrollment = enrollment;
    this.#profile = profile;
    this.#options = options;
    this.#transport = options.transport ?? httpsTransport({ x509Root: enrollment.x509Root });
    this.#clock = clock;
    this.#random = random;
    this.#sleep = sleep;
  }

  /** @throws EeError `not-bootstrapped`, `invalid-bundle`, `key-mismatch`, `storage`, `profile-damaged` */
  static async open(profile: Profile, options: EndEntityOptions = {}): Promise<EndEntity> {
    const enrollment = await loadEnrollment(profile, options.clock ?? systemClock);
    return new EndEntity(profile, enrollment, options);
  }

  /**
   * Asks for pseudonym certificates, once in the life of the profile (sheet 3.4): keys and body are on
   * disk before the body is sent, and a contact that broke off is taken up with the same octets, which
   * the RA answers with the same acknowledgement. An acknowledged request is not sent again.
   *
   * A body that is refused may have become too old (the RA allows seconds): the same keys then go out
   * in a new body. Never a second set of keys.
   *
   * @throws EeError `tls`, `unreachable`, `interrupted`, `timeout`, `refused` after all retries,
   *   `unexpected-response`, `too-large`, `invalid-ack`, `storage`, `aborted`
   */
  async request(): Promise<Acknowledgement> {
    const held = await this.#profile.provisioning();
    if (held?.acknowledged !== undefined) return held.acknowledged;
    const state = held ?? (await this.#prepare());
    const newest = state.bodies.at(-1);
    if (newest === undefined) throw new EeError('profile-damaged', 'expected a body, saw none');
    this.#report({
      type: 'prepared',
      requestHash: requestHash(newest),
      resumed: held !== undefined,
    });
    const acknowledgement = await contact(state, held === undefined, {
      send: (body) => this.#send(body),
      save: (next) => this.#profile.saveProvisioning(next),
      newBody: ({ keys }) => this.#newBody(keys),
      backOff: this.#backOff(),
      onRenewed: (hash) => this.#report({ type: 'renewed', requestHash: hash }),
    });
    this.#report({ type: 'acknowledged', ...acknowledgement });
    return acknowledgement;
  }

  /** Waits for certDLTime. @throws EeError `not-acknowledged`, `aborted` */
  async waitUntilReady(): Promise<void> {
    const { certDLTime } = await this.#acknowledged();
    await waitUntil(
      unixFromTime32(certDLTime),
      this.#clock,
      this.#sleep,
      this.#options.signal,
      (remainingMs) => this.#report({ type: 'waiting', until: certDLTime, remainingMs }),
    );
  }

  /**
   * Fetches and opens the batches that are missing, from the current period on, for as long as the RA
   * has them or until `weeks` periods are there. An HTTP 500 for the first is waited out; for a later
   * one it is the end.
   *
   * @param selection `i` for that period alone; `weeks` for at most that many periods
   * @throws EeError as `request`, `not-acknowledged`, `invalid-url`, `invalid-batch`
   */
  async download(selection: { weeks?: number; i?: number } = {}): Promise<DownloadResult> {
    const state = await this.#acknowledgedState();
    const first = selection.i ?? this.enrollment.iPeriods.at(timeOf(this.#clock));
    const count =
      selection.i !== undefined ? 1 : Math.min(selection.weeks ?? MAX_BATCHES, MAX_BATCHES);
    const batches: OpenedBatch[] = [];
    for (let i = first; i < first + count; i += 1) {
      const held = await this.#profile.openedBatch(i);
      if (held?.failures.length === 0) continue;
      const zip = await this.#batchZip(i, state.acknowledged, held !== undefined, i === first);
      if (zip !== undefined) batches.push(await this.#open(i, zip, state, held));
      // What is held may have been taken off the RA since, and says nothing of later periods.
      else if (held === undefined) break;
    }
    return { batches };
  }

  /**
   * Asks when the next batch is expected and keeps the answer.
   *
   * @throws EeError as `download`, `invalid-info`
   */
  async info(): Promise<Info> {
    const { requestHash } = await this.#acknowledged();
    const filename = formatFileName({ type: 'info', requestHash });
    const octets = await withBackOff(async () => {
      const response = await this.#transport.exchange(
        {
          method: 'GET',
          url: serviceUrl(this.#raUrl(), PATHS.info),
          headers: { 'Download-Req': this.#header(filename), 'Accept-Encoding': 'identity' },
        },
        this.#options.signal,
      );
      expectStatus(response, 200);
      return readBody(response, MAX_INFO_OCTETS);
    }, this.#backOff());
    const info = decodeInfo(octets);
    await this.#profile.saveInfo(octets);
    return info;
  }

  /**
   * A fresh value of Download-Req.
   *
   * @param filename in any case; written as CAMP has it, in upper case
   * @throws ScmsDataError `invalid-file-name`
   */
  downloadHeader(filename: string): string {
    return this.#header(formatFileName(parseFileName(filename)));
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #prepare(): Promise<ProvisioningState> {
    const keys = generateCaterpillarKeys(this.#random);
    const state = { keys, bodies: [this.#newBody(keys)] };
    await this.#profile.saveProvisioning(state);
    return state;
  }

  #newBody(keys: ProvisioningState['keys']): Uint8Array {
    return makeProvisioningBody(keys, this.enrollment, timeOf(this.#clock), this.#random);
  }

  async #send(body: Uint8Array): Promise<Answer> {
    const response = await this.#transport.exchange(
      {
        method: 'POST',
        url: serviceUrl(this.#raUrl(), PATHS.pseudonym),
        headers: { 'Content-Type': 'application/octet-stream', 'Accept-Encoding': 'identity' },
        body,
      },
      this.#options.signal,
    );
    expectStatus(response, 200);
    const octets = await readBody(response, MAX_ACK_OCTETS);
    const time = timeOf(this.#clock);
    return { acknowledgement: openAcknowledgement(octets, body, this.enrollment, time), octets };
  }

  /**
   * The zip of a period from the profile or the RA; undefined when the RA has none and that is no fault.
   *
   * @param isOpened with failures: fetched anew then, the RA may have a better one
   */
  async #batchZip(
    i: number,
    ack: Acknowledgement,
    isOpened: boolean,
    isFirst: boolean,
  ): Promise<Uint8Array | undefined> {
    const held = isOpened ? undefined : await this.#profile.batchZip(i);
    if (held !== undefined) return held;
    const waitForIt = isFirst && !isOpened;
    try {
      return await this.#fetchBatch(i, ack, waitForIt);
    } catch (error) {
      if (waitForIt || !hasCode(error, 'refused')) throw error;
      this.#report({ type: 'end', i });
      return undefined;
    }
  }

  async #fetchBatch(i: number, ack: Acknowledgement, waitForIt: boolean): Promise<Uint8Array> {
    const url = resolveDownloadUrl(ack.certDLURL, this.#options.raUrl);
    const filename = formatFileName({ type: 'batch', requestHash: ack.requestHash, i });
    const { signal } = this.#options;
    const zip = await withBackOff(
      () =>
        downloadOnce({
          transport: this.#transport,
          url,
          downloadReq: this.#header(filename),
          partial: this.#profile.partialBatch(i, MAX_BATCH_OCTETS),
          maxOctets: MAX_BATCH_OCTETS,
          ...(signal && { signal }),
        }),
      { ...this.#backOff(), isWorthRetrying: (error) => waitForIt || error.code !== 'refused' },
    );
    await this.#profile.saveBatchZip(i, zip);
    this.#report({ type: 'downloaded', i, octets: zip.length });
    return zip;
  }

  async #open(
    i: number,
    zip: Uint8Array,
    { keys }: ProvisioningState,
    held: StoredBatch | undefined,
  ): Promise<OpenedBatch> {
    const { trust, iPeriods } = this.enrollment;
    let opened: OpenedBatch;
    try {
      opened = openBatch(zip, { i, keys, trust, iPeriods, time: timeOf(this.#clock) });
    } catch (error) {
      // Not to be found again by the next call, which would never get past it.
      await this.#profile.removeBatchZip(i);
      throw error;
    }
    const { certificates, failures } = opened;
    // A batch that got worse does not take away certificates that opened before.
    if (certificates.length >= (held?.certificates.length ?? 0)) {
      await this.#profile.saveOpenedBatch(opened);
    }
    this.#report({
      type: 'opened',
      i,
      certificates: certificates.length,
      failures: failures.length,
    });
    return opened;
  }

  async #acknowledgedState(): Promise<
    ProvisioningState & { readonly acknowledged: Acknowledgement }
  > {
    const state = await this.#profile.provisioning();
    if (state?.acknowledged === undefined) {
      throw new EeError('not-acknowledged', 'expected an acknowledged request, saw none');
    }
    return { ...state, acknowledged: state.acknowledged };
  }

  async #acknowledged(): Promise<Acknowledgement> {
    return (await this.#acknowledgedState()).acknowledged;
  }

  #header(filename: string): string {
    return makeDownloadHeader(filename, this.enrollment, timeOf(this.#clock), this.#random);
  }

  #raUrl(): URL {
    return this.#options.raUrl ?? this.enrollment.raUrl;
  }

  #backOff(): BackOff {
    const { signal } = this.#options;
    return {
      sleep: this.#sleep,
      random: this.#random,
      ...(signal && { signal }),
      onRetry: (pauseMs, reason) => this.#report({ type: 'retry', pauseMs, reason }),
    };
  }

  #report(progress: Progress): void {
    this.#options.onProgress?.(progress);
  }
}
