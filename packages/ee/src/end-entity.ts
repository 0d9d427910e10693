import { type Random, systemRandom } from '@chrysalis/crypto';
import { type Clock, parseFileName, systemClock } from '@chrysalis/scms';
import type { Acknowledgement } from './acknowledgement.ts';
import { ApplicationSupply, type ApplicationWishes } from './application-supply.ts';
import { type Sleep, systemSleep } from './back-off.ts';
import { loadEnrollment } from './bootstrap.ts';
import { ButterflySupply, type DownloadSelection } from './butterfly-supply.ts';
import { type DeviceSettings, kindsOf } from './device-settings.ts';
import type { CertificateKind } from './download-url.ts';
import type { Enrollment } from './enrollment.ts';
import { EeError, hasCode } from './error.ts';
import { type FileOutcomes, FollowedFiles } from './followed-files.ts';
import type { HeldFiles } from './governance.ts';
import { httpsTransport } from './https-transport.ts';
import type { Info } from './info.ts';
import type { OpenedBatch } from './open-batch.ts';
import type { ButterflyKind, Profile } from './profile.ts';
import type { Progress } from './progress.ts';
import { RaSession } from './ra-session.ts';
import type { RaTransport } from './ra-transport.ts';
import { composeReport, type ReportWish, reporterOf } from './report.ts';
import { ReportOutbox, type SentReports } from './report-outbox.ts';
import { type TopUpOptions, type TopUpResult, topUp } from './top-up.ts';

export interface EndEntityOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly sleep?: Sleep;
  /** As `loadEnrollment` or `verifyBundle` gave it, instead of verifying the profile's bundle once more. */
  readonly enrollment?: Enrollment;
  /** Instead of HTTPS under the bundle's X.509 root. */
  readonly transport?: RaTransport;
  /** Instead of those of the profile, one by one. */
  readonly settings?: Partial<DeviceSettings>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface ReportOutcome extends SentReports {
  /** Whether the RA has this one. */
  readonly isSent: boolean;
}

export interface KeptReport {
  /** Of its file in the outbox. */
  readonly name: string;
  /** Those that wait now, this one included. */
  readonly waiting: number;
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
 * await ee.request('pseudonym');
 * await ee.waitUntilReady('pseudonym');
 * const { batches } = await ee.download('pseudonym');
 * const next = await ee.info('pseudonym');
 */
export class EndEntity implements AsyncDisposable {
  readonly settings: DeviceSettings;
  readonly #profile: Profile;
  readonly #transport: RaTransport;
  readonly #reportTransport: RaTransport;
  readonly #session: RaSession;
  readonly #butterfly: Readonly<Record<ButterflyKind, ButterflySupply>>;
  readonly #application: ApplicationSupply;
  readonly #outbox: ReportOutbox;
  readonly #files: FollowedFiles;

  private constructor(
    profile: Profile,
    enrollment: Enrollment,
    settings: DeviceSettings,
    files: HeldFiles,
    options: EndEntityOptions,
  ) {
    const { clock = systemClock, random = systemRandom, sleep = systemSleep } = options;
    this.settings = settings;
    this.#profile = profile;
    const { ocsp = false } = settings;
    const { x509Root } = enrollment;
    this.#transport = options.transport ?? httpsTransport({ x509Root, ocsp });
    // A connection of their own: on one that carried an enrollment certificate reports would have a name.
    this.#reportTransport = options.transport ?? httpsTransport({ x509Root, ocsp });
    this.#session = new RaSession({
      enrollment: () => this.#files.enrollment,
      settings,
      transport: this.#transport,
      reportTransport: this.#reportTransport,
      clock,
      random,
      sleep,
      ...(options.signal && { signal: options.signal }),
      report: (progress) => options.onProgress?.(progress),
      governance: () => this.#files.governance,
    });
    this.#files = new FollowedFiles(profile, this.#session, enrollment, files);
    this.#butterfly = {
      pseudonym: new ButterflySupply('pseudonym', profile, this.#session),
      identification: new ButterflySupply('identification', profile, this.#session),
    };
    this.#application = new ApplicationSupply(profile, this.#session);
    this.#outbox = new ReportOutbox(profile, this.#session);
  }

  /** @throws EeError `not-bootstrapped`, `invalid-bundle`, `key-mismatch`, `storage`, `profile-damaged` */
  static async open(profile: Profile, options: EndEntityOptions = {}): Promise<EndEntity> {
    const enrollment =
      options.enrollment ?? (await loadEnrollment(profile, options.clock ?? systemClock));
    const settings = { ...(await profile.settings()), ...options.settings };
    return new EndEntity(profile, enrollment, settings, await profile.raFiles(), options);
  }

  /** With the RA certificate that holds now. */
  get enrollment(): Enrollment {
    return this.#files.enrollment;
  }

  /** The kinds of certificates that the device keeps topped up. */
  get kinds(): readonly CertificateKind[] {
    return kindsOf(this.settings);
  }

  /**
   * Asks for certificates: pseudonym and identification once in the life of the profile (sheet 3.4,
   * 3.6), an application certificate whenever the present one is about to end. Keys and body are on
   * disk before the body is sent, and a contact that broke off is taken up with the same octets, which
   * the RA answers with the same acknowledgement. An acknowledged request is not sent again.
   *
   * A body that is refused may have become too old (the RA allows seconds): the same keys then go out
   * in a new body. Never a second set of keys, but with `anew`: then the acknowledged request goes on until the RA has taken the
   * new one, and for good when the RA refuses it.
   *
   * @param wishes for keys that are made now; those of a request that is taken up stay what they are
   * @throws EeError `tls`, `unreachable`, `interrupted`, `timeout`, `refused` after all retries,
   *   `unexpected-response`, `too-large`, `invalid-ack`, `revoked`, `not-due`, `storage`, `aborted`;
   *   ScmsDataError `dialect`
   */
  async request(kind: CertificateKind, wishes: ApplicationWishes = {}): Promise<Acknowledgement> {
    await this.#files.expectFit();
    return kind === 'application'
      ? this.#application.request(wishes)
      : this.#butterfly[kind].request(wishes);
  }

  /** What the RA promised last. @throws EeError `not-acknowledged` */
  async acknowledgement(kind: CertificateKind): Promise<Acknowledgement> {
    return this.#supply(kind).acknowledgement();
  }

  /** Waits for certDLTime. @throws EeError `not-acknowledged`, `aborted` */
  async waitUntilReady(kind: CertificateKind): Promise<void> {
    const { certDLTime } = await this.acknowledgement(kind);
    await this.#session.waitUntilReady(kind, certDLTime);
  }

  /**
   * Fetches and opens the files that are missing, from the current one on, for as long as the RA has
   * them or until `count` are there. An HTTP 500 for the first is waited out; for a later one it is
   * the end.
   *
   * @param selection for pseudonym and identification certificates: `i` for that file alone, `count`
   *   for at most that many; an application request has one file
   * @throws EeError as `request`, `not-acknowledged`, `invalid-url`, `invalid-batch`
   */
  async download(
    kind: CertificateKind,
    selection: DownloadSelection = {},
  ): Promise<DownloadResult> {
    await this.#files.expectFit();
    const batches =
      kind === 'application'
        ? await this.#application.download()
        : await this.#butterfly[kind].download(selection);
    return { batches };
  }

  /**
   * Fetches one file and keeps it unopened: for who opens it later, or elsewhere. An HTTP 500 is not waited
   * out. {@link download} opens what lies in the profile.
   *
   * @param i the i-period, or the number of an identification file
   * @returns the octets of the zip, those of the profile if it is there already
   * @throws EeError as `request`, `not-acknowledged`, `invalid-url`
   */
  async fetch(kind: ButterflyKind, i: number): Promise<Uint8Array> {
    await this.#files.expectFit();
    return this.#butterfly[kind].fetch(i);
  }

  /**
   * Asks when the next file is expected and keeps the answer.
   *
   * @throws EeError as `download`, `invalid-info`
   */
  async info(kind: ButterflyKind): Promise<Info> {
    await this.#files.expectFit();
    return this.#butterfly[kind].info();
  }

  /**
   * Fetches the local policy file, the local certificate chain file and, from its own place, the CRLs,
   * those that are new. What verifies is kept and holds from now on; what does not is told and left. An HTTP 500 for a policy
   * or chain file of which one is held is waited out.
   *
   * A newer RA certificate in the chain file is taken; one is asked for when the present one has ended,
   * is about to, or is revoked.
   *
   * @throws EeError `revoked` when the device finds itself, its RA or an authority of theirs on a CRL;
   *   `crl-overdue`, `invalid-ra-certificate`;
   *   `tls`, `unreachable`, `interrupted`, `timeout`, `unexpected-response`, `too-large`, `storage`, `aborted`
   */
  async fetchFiles(): Promise<FileOutcomes> {
    return (await this.#files.fetch()).outcomes;
  }

  /**
   * A contact: fetches the files first, as the documented order has it (sheet 3.3), and then does its work. One that was withheld
   * holds up nothing, and fails the contact at its end.
   *
   * @throws what the work throws; EeError `refused` when a file was withheld, and as {@link fetchFiles}
   */
  async afterFiles<T>(
    work: (files: FileOutcomes, withheld: EeError | undefined) => Promise<T>,
  ): Promise<T> {
    const { outcomes, failure } = await this.#files.fetch();
    const result = await work(outcomes, failure);
    if (failure !== undefined) throw failure;
    return result;
  }

  /**
   * Asks the RA for its certificate, and takes it when it succeeds the present one: the same name, a
   * trusted issuer, the permissions of an RA, on no CRL, and no older. From then on requests are sealed
   * to it, those that wait with the same keys anew, and acknowledgements verified by it.
   *
   * @returns false when it is the present one
   * @throws EeError `invalid-ra-certificate`, `refused`, and as the transport throws
   */
  async fetchRaCertificate(): Promise<boolean> {
    return this.#files.fetchRaCertificate();
  }

  /**
   * Reports misbehavior: signed with a certificate of now, sealed to the MA, on disk, and then sent if
   * the RA can be reached. What cannot be sent waits for the next contact.
   *
   * @returns whether it was sent, and what else waits
   * @throws EeError as {@link keepReport}, `aborted`
   */
  async report(wish: ReportWish): Promise<ReportOutcome> {
    const { name } = await this.keepReport(wish);
    const reports = await this.sendReports();
    return { ...reports, isSent: !(await this.#outbox.has(name)) };
  }

  /**
   * Makes a report and keeps it for the next {@link sendReports}. The one thing that may be done beside another process that works
   * on the profile: it adds a file and changes none.
   *
   * @throws EeError `cannot-report`, `revoked`, `too-large`, `outbox-full`, `storage`
   */
  async keepReport(wish: ReportWish): Promise<KeptReport> {
    const { random } = this.#session;
    const { trust, ma } = this.#files.governance;
    const { kind } = this.settings;
    const time = this.#session.now();
    await this.#files.expectNotRevoked();
    if (ma === undefined)
      throw new EeError('cannot-report', 'expected the MA, saw none in the bundle');
    const currentI = this.enrollment.iPeriods.at(time);
    const reporter = await reporterOf(this.#profile, { kind, currentI, trust, time, random });
    const octets = composeReport({ wish, reporter, ma, time, random });
    const name = await this.#outbox.add(octets, time);
    return { name, waiting: await this.#outbox.count() };
  }

  /**
   * Sends the reports that wait; what keeps them is told in the result.
   *
   * @throws EeError `storage`, `aborted`
   */
  async sendReports(): Promise<SentReports> {
    const waiting = await this.#outbox.count();
    const none = { sent: 0, waiting, dropped: 0 };
    if (waiting === 0) return none;
    try {
      // A device that is revoked, or cannot know, reports nothing (sheet 1.14).
      await this.#files.expectMayReport();
    } catch (reason) {
      if (!hasCode(reason, 'revoked', 'crl-overdue')) throw reason;
      return { ...none, reason };
    }
    return this.#outbox.send();
  }

  /**
   * One whole contact in the documented order (sheet 3.3, 3.5): policy and chain files, requests where
   * they are due, new files, `.info`. What is not ready yet is left for a later contact.
   *
   * A kind that fails is told and holds up none of the others, nor does a file that is withheld.
   *
   * @throws EeError as the methods above, the first when there are several; what was done stays done
   */
  async topUp(options: TopUpOptions = {}): Promise<TopUpResult> {
    const parts = {
      now: () => this.#session.now(),
      onFailed: (kind: CertificateKind, reason: Error) =>
        this.#session.report({ type: 'failed', kind, reason }),
    };
    return topUp(this, parts, options);
  }

  /** When an RSE has to ask for its next application certificate; 0 for at once. */
  async renewalTime(): Promise<number> {
    return this.#application.renewalTime();
  }

  /**
   * A fresh value of Download-Req.
   *
   * @param filename in any case; written as CAMP has it, in upper case
   * @throws ScmsDataError `invalid-file-name`
   */
  downloadHeader(filename: string): string {
    return this.#session.header(parseFileName(filename));
  }

  async close(): Promise<void> {
    await this.#transport.close();
    await this.#reportTransport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #supply(kind: CertificateKind): ButterflySupply | ApplicationSupply {
    return kind === 'application' ? this.#application : this.#butterfly[kind];
  }
}
