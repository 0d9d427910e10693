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
import { EeError } from './error.ts';
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
import type { RaFile, RaFileAnswer } from './ra-file.ts';
import { RaSession } from './ra-session.ts';
import type { RaTransport } from './ra-transport.ts';
import { expectNotRevoked } from './revocation.ts';
import { type TopUpOptions, type TopUpResult, topUp } from './top-up.ts';

export interface EndEntityOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly sleep?: Sleep;
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
  readonly enrollment: Enrollment;
  readonly settings: DeviceSettings;
  readonly #profile: Profile;
  readonly #transport: RaTransport;
  readonly #session: RaSession;
  readonly #butterfly: Readonly<Record<ButterflyKind, ButterflySupply>>;
  readonly #application: ApplicationSupply;
  #governance: Governance;

  private constructor(
    profile: Profile,
    enrollment: Enrollment,
    settings: DeviceSettings,
    files: HeldFiles,
    options: EndEntityOptions,
  ) {
    const { clock = systemClock, random = systemRandom, sleep = systemSleep } = options;
    this.enrollment = enrollment;
    this.settings = settings;
    this.#profile = profile;
    const { ocsp = false } = settings;
    this.#transport = options.transport ?? httpsTransport({ x509Root: enrollment.x509Root, ocsp });
    this.#session = new RaSession({
      enrollment,
      settings,
      transport: this.#transport,
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
  }

  /** @throws EeError `not-bootstrapped`, `invalid-bundle`, `key-mismatch`, `storage`, `profile-damaged` */
  static async open(profile: Profile, options: EndEntityOptions = {}): Promise<EndEntity> {
    const enrollment = await loadEnrollment(profile, options.clock ?? systemClock);
    const settings = { ...(await profile.settings()), ...options.settings };
    return new EndEntity(profile, enrollment, settings, await profile.raFiles(), options);
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
    await this.#expectNotRevoked();
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
    await this.#expectNotRevoked();
    const batches =
      kind === 'application'
        ? await this.#application.download()
        : await this.#butterfly[kind].download(selection);
    return { batches };
  }

  /**
   * Asks when the next file is expected and keeps the answer.
   *
   * @throws EeError as `download`, `invalid-info`
   */
  async info(kind: ButterflyKind): Promise<Info> {
    return this.#butterfly[kind].info();
  }

  /**
   * Fetches the local policy file, the local certificate chain file and, from its own place, the CRLs,
   * those that are new. What verifies is kept and holds from now on; what does not is told and left.
   *
   * @throws EeError `revoked` when the device finds itself, its RA or an authority of theirs on a CRL;
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
      const answer = await this.#fetchFile(which, held[which]);
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
    const now = this.#session.now();
    this.#governance = adopt(held, fresh, this.enrollment, now, (which, reason) => {
      outcomes[which] = 'refused';
      this.#onRefused(which, reason);
    });
    for (const which of RA_FILE_KINDS) {
      const file = outcomes[which] === 'new' ? this.#governance.files[which] : undefined;
      if (file !== undefined) await this.#profile.saveRaFile(which, file);
    }
    await this.#expectNotRevoked();
    return outcomes;
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
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
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

  async #expectNotRevoked(): Promise<void> {
    const now = this.#session.now();
    await expectNotRevoked(this.#profile, this.enrollment, this.#governance, now);
  }

  #supply(kind: CertificateKind): ButterflySupply | ApplicationSupply {
    return kind === 'application' ? this.#application : this.#butterfly[kind];
  }
}
