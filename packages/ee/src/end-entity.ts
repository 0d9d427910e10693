import { type Random, systemRandom } from '@chrysalis/crypto';
import { type Clock, parseFileName, systemClock } from '@chrysalis/scms';
import type { Acknowledgement } from './acknowledgement.ts';
import { ApplicationSupply, type ApplicationWishes } from './application-supply.ts';
import { type Sleep, systemSleep } from './back-off.ts';
import { loadEnrollment } from './bootstrap.ts';
import { ButterflySupply, type DownloadSelection } from './butterfly-supply.ts';
import { DEFAULT_POLICY } from './device-policy.ts';
import { type DeviceSettings, kindsOf } from './device-settings.ts';
import type { CertificateKind } from './download-url.ts';
import type { Enrollment } from './enrollment.ts';
import { httpsTransport } from './https-transport.ts';
import type { Info } from './info.ts';
import type { OpenedBatch } from './open-batch.ts';
import type { ButterflyKind, Profile } from './profile.ts';
import type { Progress } from './progress.ts';
import type { RaFileAnswer } from './ra-file.ts';
import { RaSession } from './ra-session.ts';
import type { RaTransport } from './ra-transport.ts';
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

  private constructor(
    profile: Profile,
    enrollment: Enrollment,
    settings: DeviceSettings,
    options: EndEntityOptions,
  ) {
    const { clock = systemClock, random = systemRandom, sleep = systemSleep } = options;
    this.enrollment = enrollment;
    this.settings = settings;
    this.#profile = profile;
    this.#transport = options.transport ?? httpsTransport({ x509Root: enrollment.x509Root });
    this.#session = new RaSession({
      enrollment,
      settings,
      transport: this.#transport,
      clock,
      random,
      sleep,
      ...(options.signal && { signal: options.signal }),
      report: (progress) => options.onProgress?.(progress),
    });
    this.#butterfly = {
      pseudonym: new ButterflySupply('pseudonym', profile, this.#session),
      identification: new ButterflySupply('identification', profile, this.#session),
    };
    this.#application = new ApplicationSupply(profile, this.#session, DEFAULT_POLICY);
  }

  /** @throws EeError `not-bootstrapped`, `invalid-bundle`, `key-mismatch`, `storage`, `profile-damaged` */
  static async open(profile: Profile, options: EndEntityOptions = {}): Promise<EndEntity> {
    const enrollment = await loadEnrollment(profile, options.clock ?? systemClock);
    const settings = { ...(await profile.settings()), ...options.settings };
    return new EndEntity(profile, enrollment, settings, options);
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
   *   `unexpected-response`, `too-large`, `invalid-ack`, `storage`, `aborted`; ScmsDataError `dialect`
   */
  async request(kind: CertificateKind, wishes: ApplicationWishes = {}): Promise<Acknowledgement> {
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
   * Fetches the local policy file or the local certificate chain file if it is a new one, and keeps it.
   *
   * @throws EeError `tls`, `unreachable`, `interrupted`, `timeout`, `unexpected-response`, `too-large`,
   *   `storage`, `aborted`
   */
  async fetchFile(which: 'policy' | 'chains'): Promise<RaFileAnswer['type']> {
    const held = await this.#profile.raFile(which);
    const answer = await this.#session.fetchRaFile(which, held);
    if (answer.type === 'new') await this.#profile.saveRaFile(which, answer.file);
    const { name } = (answer.type === 'new' ? answer.file : held) ?? {};
    this.#session.report({
      type: 'file',
      which,
      answer: answer.type,
      ...(name !== undefined && { name }),
    });
    return answer.type;
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

  #supply(kind: CertificateKind): ButterflySupply | ApplicationSupply {
    return kind === 'application' ? this.#application : this.#butterfly[kind];
  }
}
