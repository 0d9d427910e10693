import { type Random, systemRandom } from '@chrysalis/crypto';
import { endOfValidity, type VerifiedCertificate } from '@chrysalis/ieee1609dot2';
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
import {
  adopt,
  type Governance,
  govern,
  type HeldFiles,
  RA_FILE_KINDS,
  type RaFileKind,
} from './governance.ts';
import { httpsTransport } from './https-transport.ts';
import type { Info } from './info.ts';
import type { OpenedBatch } from './open-batch.ts';
import type { ButterflyKind, Profile } from './profile.ts';
import type { Progress } from './progress.ts';
import {
  encodeRaCertificate,
  endsWithin,
  expectRaInForce,
  openRaCertificate,
  RA_RENEWAL_SEC,
  type RaJudgement,
  successorIn,
  withRa,
} from './ra-certificate.ts';
import type { RaFile, RaFileAnswer } from './ra-file.ts';
import { RaSession } from './ra-session.ts';
import type { RaTransport } from './ra-transport.ts';
import { composeReport, type ReportWish, reporterOf } from './report.ts';
import { ReportOutbox, type SentReports } from './report-outbox.ts';
import { expectCrlsInTime, expectNotRevoked } from './revocation.ts';
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

/** What came of asking for a file; `refused`: it came and does not verify. */
export type FileOutcome = RaFileAnswer['type'] | 'refused';
export type FileOutcomes = Readonly<Record<RaFileKind, FileOutcome>>;

export interface ReportOutcome extends SentReports {
  /** Whether the RA has this one. */
  readonly isSent: boolean;
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
  #enrollment: Enrollment;
  #governance: Governance;

  private constructor(
    profile: Profile,
    enrollment: Enrollment,
    settings: DeviceSettings,
    files: HeldFiles,
    options: EndEntityOptions,
  ) {
    const { clock = systemClock, random = systemRandom, sleep = systemSleep } = options;
    this.#enrollment = enrollment;
    this.settings = settings;
    this.#profile = profile;
    const { ocsp = false } = settings;
    const { x509Root } = enrollment;
    this.#transport = options.transport ?? httpsTransport({ x509Root, ocsp });
    // A connection of their own: on one that carried an enrollment certificate reports would have a name.
    this.#reportTransport = options.transport ?? httpsTransport({ x509Root, ocsp });
    this.#session = new RaSession({
      enrollment: () => this.#enrollment,
      settings,
      transport: this.#transport,
      reportTransport: this.#reportTransport,
      clock,
      random,
      sleep,
      ...(options.signal && { signal: options.signal }),
      report: (progress) => options.onProgress?.(progress),
      governance: () => this.#governance,
    });
    this.#governance = govern(files, enrollment, this.#session.now(), this.#onRefused);
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
    return this.#enrollment;
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
   * in a new body. Never a second set of keys.
   *
   * @param wishes for keys that are made now; those of a request that is taken up stay what they are
   * @throws EeError `tls`, `unreachable`, `interrupted`, `timeout`, `refused` after all retries,
   *   `unexpected-response`, `too-large`, `invalid-ack`, `revoked`, `storage`, `aborted`;
   *   ScmsDataError `dialect`
   */
  async request(kind: CertificateKind, wishes: ApplicationWishes = {}): Promise<Acknowledgement> {
    await this.#expectFit();
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
    await this.#expectFit();
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
    await this.#expectFit();
    return this.#butterfly[kind].fetch(i);
  }

  /**
   * Asks when the next file is expected and keeps the answer.
   *
   * @throws EeError as `download`, `invalid-info`
   */
  async info(kind: ButterflyKind): Promise<Info> {
    await this.#expectFit();
    return this.#butterfly[kind].info();
  }

  /**
   * Fetches the local policy file, the local certificate chain file and, from its own place, the CRLs,
   * those that are new. What verifies is kept and holds from now on; what does not is told and left.
   *
   * A newer RA certificate in the chain file is taken; one is asked for when the present one has ended,
   * is about to, or is revoked.
   *
   * @throws EeError `revoked` when the device finds itself, its RA or an authority of theirs on a CRL;
   *   `crl-overdue`, `invalid-ra-certificate`;
   *   `tls`, `unreachable`, `interrupted`, `timeout`, `unexpected-response`, `too-large`, `storage`, `aborted`
   */
  async fetchFiles(): Promise<FileOutcomes> {
    const { files: held } = this.#governance;
    const outcomes: Record<RaFileKind, FileOutcome> = {
      policy: 'not-offered',
      chains: 'not-offered',
      crl: 'not-offered',
    };
    const fresh: Partial<Record<RaFileKind, RaFile>> = {};
    // The documented order (sheet 3.3); they are taken in when all are there.
    for (const which of ['policy', 'chains', 'crl'] as const) {
      // One that does not verify any more is not what the RA should spare us.
      const known = this.#governance.followed.has(which) ? held[which] : undefined;
      const answer = await this.#fetchFile(which, known);
      outcomes[which] = answer.type;
      if (answer.type === 'new') fresh[which] = answer.file;
      const { name } = fresh[which] ?? held[which] ?? {};
      const { type } = answer;
      this.#session.report({
        type: 'file',
        which,
        answer: type,
        ...(name !== undefined && { name }),
      });
    }
    const refused = await this.#takeIn(fresh, outcomes);
    // The policy may be signed by an RA certificate that has only now come.
    const left = (await this.#followRa()) ? await this.#takeIn(refused.files, outcomes) : refused;
    for (const [which, reason] of left.reasons) this.#onRefused(which, reason);
    await this.#expectFit();
    return outcomes;
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
    const octets = await this.#session.fetchRaCertificate();
    const ra = openRaCertificate(octets, this.#judgement());
    if (ra === undefined) this.#session.report({ type: 'ra-certificate-kept' });
    else await this.#takeRa(ra, 'service');
    return ra !== undefined;
  }

  /**
   * Reports misbehavior: signed with a certificate of now, sealed to the MA, on disk, and then sent if
   * the RA can be reached. What cannot be sent waits for the next contact.
   *
   * @returns whether it was sent, and what else waits
   * @throws EeError `cannot-report`, `revoked`, `too-large`, `outbox-full`, `storage`, `aborted`
   */
  async report(wish: ReportWish): Promise<ReportOutcome> {
    const { random } = this.#session;
    const { trust, ma } = this.#governance;
    const { kind } = this.settings;
    const time = this.#session.now();
    await expectNotRevoked(this.#profile, this.enrollment, this.#governance, time);
    if (ma === undefined)
      throw new EeError('cannot-report', 'expected the MA, saw none in the bundle');
    const currentI = this.enrollment.iPeriods.at(time);
    const reporter = await reporterOf(this.#profile, { kind, currentI, trust, time, random });
    const octets = composeReport({ wish, reporter, ma, time, random });
    const name = await this.#outbox.add(octets, time);
    const reports = await this.sendReports();
    return { ...reports, isSent: !(await this.#outbox.has(name)) };
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
      const now = this.#session.now();
      await expectNotRevoked(this.#profile, this.enrollment, this.#governance, now);
      expectCrlsInTime(this.#governance, now);
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
   * @throws EeError as the methods above; what was done before stays done
   */
  async topUp(options: TopUpOptions = {}): Promise<TopUpResult> {
    return topUp(this, this.#session.now.bind(this.#session), options);
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

  /** Adopts new files as far as they verify, and keeps them; says which do not. */
  async #takeIn(fresh: HeldFiles, outcomes: Record<RaFileKind, FileOutcome>) {
    const reasons = new Map<RaFileKind, EeError>();
    const { files: held } = this.#governance;
    const now = this.#session.now();
    this.#governance = adopt(held, fresh, this.enrollment, now, (which, reason) =>
      reasons.set(which, reason),
    );
    const files: Partial<Record<RaFileKind, RaFile>> = {};
    for (const which of RA_FILE_KINDS) {
      const file = fresh[which];
      if (file === undefined) continue;
      outcomes[which] = reasons.has(which) ? 'refused' : 'new';
      if (reasons.has(which)) files[which] = file;
      else await this.#profile.saveRaFile(which, file);
    }
    return { files, reasons };
  }

  /** A CRL store that is away stops nobody: the list that is held holds on (overdue tolerance, sheet 3.7). */
  async #fetchFile(which: RaFileKind, held: RaFile | undefined): Promise<RaFileAnswer> {
    try {
      return await this.#session.fetchRaFile(which, held);
    } catch (error) {
      if (which !== 'crl' || !(error instanceof EeError) || error.code === 'aborted') throw error;
      this.#onRefused(which, error);
      return { type: 'not-offered' };
    }
  }

  readonly #onRefused = (which: RaFileKind, reason: EeError): void => {
    this.#session.report({ type: 'file-refused', which, reason });
  };

  /**
   * Whether the device may use what it has: it is on no CRL, its CRLs are not overdue, and the RA's
   * certificate is in force.
   *
   * @throws EeError `revoked`, `crl-overdue`, `invalid-ra-certificate`, and as {@link fetchRaCertificate}
   */
  async #expectFit(): Promise<void> {
    const now = this.#session.now();
    await expectNotRevoked(this.#profile, this.enrollment, this.#governance, now);
    expectCrlsInTime(this.#governance, now);
    if (endsWithin(this.enrollment.ra, now, 0)) await this.fetchRaCertificate();
    expectRaInForce(this.enrollment.ra, this.#session.now());
  }

  /**
   * Takes the RA certificate that a chain file brings, or asks for one when the present one has ended,
   * is about to, or is revoked.
   *
   * @returns whether another one holds now
   */
  async #followRa(): Promise<boolean> {
    const successor = successorIn(this.#governance.components, this.#judgement());
    if (successor !== undefined) await this.#takeRa(successor, 'chains');
    const { ra } = this.enrollment;
    const isRevoked = this.#governance.revocations?.find(ra) !== undefined;
    if (!isRevoked && !endsWithin(ra, this.#session.now(), RA_RENEWAL_SEC)) {
      return successor !== undefined;
    }
    try {
      return (await this.fetchRaCertificate()) || successor !== undefined;
    } catch (error) {
      if (!(error instanceof EeError) || hasCode(error, 'aborted', 'storage')) throw error;
      // The present one may do yet; whether it does is looked at before it is used.
      this.#session.report({ type: 'ra-certificate-kept', reason: error });
      return successor !== undefined;
    }
  }

  async #takeRa(ra: VerifiedCertificate, from: 'chains' | 'service'): Promise<void> {
    await this.#profile.saveRaCertificate(encodeRaCertificate(ra));
    this.#enrollment = withRa(this.#enrollment, ra);
    const { files } = this.#governance;
    // Whom the files are signed by is judged anew; what is refused now was told when it came.
    this.#governance = govern(files, this.#enrollment, this.#session.now(), () => {});
    const until = endOfValidity(ra.certificate.toBeSigned.validityPeriod);
    this.#session.report({ type: 'ra-certificate', from, id: ra.id, until });
  }

  #judgement(): RaJudgement {
    const { trust, revocations } = this.#governance;
    return { enrollment: this.enrollment, trust, revocations, time: this.#session.now() };
  }

  #supply(kind: CertificateKind): ButterflySupply | ApplicationSupply {
    return kind === 'application' ? this.#application : this.#butterfly[kind];
  }
}
