import { endOfValidity, type VerifiedCertificate } from '@chrysalis/ieee1609dot2';
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
import type { Profile } from './profile.ts';
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
import type { RaSession } from './ra-session.ts';
import { expectCrlsInTime, expectNotRevoked } from './revocation.ts';

/** What came of asking for a file that nothing was found wrong with. */
export type FileAnswer =
  | RaFileAnswer['type']
  /** HTTP 500, and the RA has never given one; or there is no CRL store that answers. */
  | 'not-offered'
  /** HTTP 500 until the device gave up, though the RA has given one before: the one that is held goes on. */
  | 'withheld';

/** `refused`: it came and does not verify. */
export type FileOutcome = FileAnswer | 'refused';
export type FileOutcomes = Readonly<Record<RaFileKind, FileOutcome>>;

export interface FetchedFiles {
  readonly outcomes: FileOutcomes;
  /** Why the first of the files was withheld that was: the contact has failed, whatever else it brings. */
  readonly failure: EeError | undefined;
}

/** The documented order (sheet 3.3); they are taken in when all are there. */
const FETCH_ORDER = ['policy', 'chains', 'crl'] as const;

/**
 * Policy, chains, revocations and the RA's certificate: fetched at each contact, kept when they verify, and from then on
 * what the device lives by.
 */
export class FollowedFiles {
  readonly #profile: Profile;
  readonly #session: RaSession;
  #enrollment: Enrollment;
  #governance: Governance;

  constructor(profile: Profile, session: RaSession, enrollment: Enrollment, held: HeldFiles) {
    this.#profile = profile;
    this.#session = session;
    this.#enrollment = enrollment;
    this.#governance = govern(held, enrollment, session.now(), this.#onRefused);
  }

  /** With the RA certificate that holds now. */
  get enrollment(): Enrollment {
    return this.#enrollment;
  }

  get governance(): Governance {
    return this.#governance;
  }

  /** See `EndEntity.fetchFiles`. */
  async fetch(): Promise<FetchedFiles> {
    const outcomes: Record<RaFileKind, FileOutcome> = {
      policy: 'not-offered',
      chains: 'not-offered',
      crl: 'not-offered',
    };
    const fresh: Partial<Record<RaFileKind, RaFile>> = {};
    let failure: EeError | undefined;
    for (const which of FETCH_ORDER) {
      const { answer, file, reason } = await this.#ask(which);
      outcomes[which] = answer;
      if (file !== undefined) fresh[which] = file;
      failure ??= reason;
      const { name } = file ?? this.#governance.files[which] ?? {};
      this.#session.report({
        type: 'file',
        which,
        answer,
        ...(name !== undefined && { name }),
        ...(reason && { reason }),
      });
    }
    const refused = await this.#takeIn(fresh, outcomes);
    // The policy may be signed by an RA certificate that has only now come.
    const left = (await this.#followRa()) ? await this.#takeIn(refused.files, outcomes) : refused;
    for (const [which, reason] of left.reasons) this.#onRefused(which, reason);
    await this.expectFit();
    return { outcomes, failure };
  }

  /** See `EndEntity.fetchRaCertificate`. */
  async fetchRaCertificate(): Promise<boolean> {
    const octets = await this.#session.fetchRaCertificate();
    const ra = openRaCertificate(octets, this.#judgement());
    if (ra === undefined) this.#session.report({ type: 'ra-certificate-kept' });
    else await this.#takeRa(ra, 'service');
    return ra !== undefined;
  }

  /**
   * Whether the device may use what it has: it is on no CRL, its CRLs are not overdue, and the RA's certificate is in force.
   *
   * @throws EeError `revoked`, `crl-overdue`, `invalid-ra-certificate`, and as {@link fetchRaCertificate}
   */
  async expectFit(): Promise<void> {
    await this.expectMayReport();
    if (endsWithin(this.#enrollment.ra, this.#session.now(), 0)) await this.fetchRaCertificate();
    expectRaInForce(this.#enrollment.ra, this.#session.now());
  }

  /** The same, whatever the RA's certificate. @throws EeError `revoked`, `crl-overdue` */
  async expectMayReport(): Promise<void> {
    const now = this.#session.now();
    await this.expectNotRevoked();
    expectCrlsInTime(this.#governance, now);
  }

  /** @throws EeError `revoked` */
  async expectNotRevoked(): Promise<void> {
    const now = this.#session.now();
    await expectNotRevoked(this.#profile, this.#enrollment, this.#governance, now);
  }

  async #ask(which: RaFileKind): Promise<{ answer: FileAnswer; file?: RaFile; reason?: EeError }> {
    if (which === 'crl' && this.#session.crlUrl === undefined) return { answer: 'not-offered' };
    const { files, followed } = this.#governance;
    const isHeld = files[which] !== undefined;
    // One that does not verify any more is not what the RA should spare us.
    const known = followed.has(which) ? files[which] : undefined;
    try {
      const answer = await this.#session.fetchRaFile(which, known, isHeld);
      return answer.type === 'new' ? { answer: 'new', file: answer.file } : { answer: answer.type };
    } catch (error) {
      if (!(error instanceof EeError) || error.code === 'aborted') throw error;
      if (which === 'crl') {
        // A store that is away stops nobody: the list that is held holds on (overdue tolerance, sheet 3.7).
        if (error.code !== 'refused') this.#onRefused(which, error);
        return { answer: 'not-offered' };
      }
      if (error.code !== 'refused') throw error;
      return isHeld
        ? { answer: 'withheld', reason: withheld(which, error) }
        : { answer: 'not-offered' };
    }
  }

  /** Adopts new files as far as they verify, and keeps them; says which do not. */
  async #takeIn(fresh: HeldFiles, outcomes: Record<RaFileKind, FileOutcome>) {
    const reasons = new Map<RaFileKind, EeError>();
    const { files: held } = this.#governance;
    const now = this.#session.now();
    this.#governance = adopt(held, fresh, this.#enrollment, now, (which, reason) =>
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

  /**
   * Takes the RA certificate that a chain file brings, or asks for one when the present one has ended,
   * is about to, or is revoked.
   *
   * @returns whether another one holds now
   */
  async #followRa(): Promise<boolean> {
    const successor = successorIn(this.#governance.components, this.#judgement());
    if (successor !== undefined) await this.#takeRa(successor, 'chains');
    const { ra } = this.#enrollment;
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
    return { enrollment: this.#enrollment, trust, revocations, time: this.#session.now() };
  }

  readonly #onRefused = (which: RaFileKind, reason: EeError): void => {
    this.#session.report({ type: 'file-refused', which, reason });
  };
}

const NAMES = { policy: 'policy file', chains: 'chain file', crl: 'CRLs' } as const;

/** Whatever the code says of the request: the file was there, and a later contact asks for it. */
function withheld(which: RaFileKind, { message, refusal, cause }: EeError): EeError {
  return new EeError('refused', `${NAMES[which]}: ${message}`, {
    cause,
    ...(refusal && { refusal: { ...refusal, retry: 'later' } }),
  });
}
