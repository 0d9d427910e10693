import { formatTime32, type Time32 } from '@chrysalis/ieee1609dot2';
import type { Acknowledgement } from './acknowledgement.ts';
import { type CertificateFolder, validityOf } from './certificate-folder.ts';
import { EeError, hasCode } from './error.ts';
import { openAndKeep } from './open-and-keep.ts';
import { type OpenedBatch, openApplication } from './open-batch.ts';
import type { Profile } from './profile.ts';
import { generatePlainKeys, type PlainKeys, type RequestWishes } from './provisioning-request.ts';
import type { ProvisioningState, Terms } from './provisioning-state.ts';
import type { ProvisionOptions, RaSession } from './ra-session.ts';

export interface ApplicationWishes extends RequestWishes {
  /** When the certificate is to begin; now if it is missing or past. */
  readonly start?: Time32;
}

interface NumberedRequest {
  readonly number: number;
  readonly state: ProvisioningState<PlainKeys>;
}

interface AcknowledgedRequest extends NumberedRequest {
  readonly state: ProvisioningState<PlainKeys> &
    Required<Pick<ProvisioningState<PlainKeys>, 'acknowledged'>>;
}

/**
 * Application certificates of an RSE: one for each request, each request with keys of its own, none
 * made by the RA on its own (sheet 1.4, 3.6).
 */
export class ApplicationSupply {
  readonly #profile: Profile;
  readonly #session: RaSession;
  readonly #folder: CertificateFolder;

  constructor(profile: Profile, session: RaSession) {
    this.#profile = profile;
    this.#session = session;
    this.#folder = profile.certificates('application');
  }

  /**
   * Takes up the present request, or makes a new one when the certificate of the last one is within its overlap of its end.
   *
   * A policy that has another validity or overlap by now, while the certificate is not here yet, has the device skip the
   * download and ask again (sheet 3.3): once, for an RA may hold to what it acknowledged. Then the one before goes on.
   *
   * @throws EeError `not-due` when the wish is for a new one, and the present certificate is here
   */
  async request(wishes: ApplicationWishes): Promise<Acknowledgement> {
    const last = await this.#last();
    const present = await this.#present();
    if (last !== undefined && last.state.acknowledged === undefined) {
      this.#session.report({ type: 'resumed', kind: 'application' });
      return this.#ask({ ...last, state: this.#resumed(last.state) }, present, wishes);
    }
    if (present !== undefined && !(await this.#isToBeAsked(present, wishes))) {
      return present.state.acknowledged;
    }
    const keys = generatePlainKeys(this.#session.random, wishes);
    const state = { keys, bodies: [], terms: this.#terms() };
    return this.#ask({ number: (last?.number ?? -1) + 1, state }, present, wishes);
  }

  async acknowledgement(): Promise<Acknowledgement> {
    return (await this.#acknowledged()).state.acknowledged;
  }

  /** When the device has to ask for another certificate; 0 when it has never had one. */
  async renewalTime(): Promise<Time32> {
    const present = await this.#present();
    if (present !== undefined) return this.#renewalTimeOf(present);
    return (await this.#last()) === undefined ? 0 : Infinity;
  }

  async #renewalTimeOf({ number, state }: AcknowledgedRequest): Promise<Time32> {
    const opened = await this.#folder.opened(number);
    const validity = opened && validityOf(opened);
    // By the policy under which it was requested, as the RA counts it: a later one changes nothing of it.
    const { periodSec, overlapSec } = state.terms ?? this.#terms();
    if (validity !== undefined) return validity.end - overlapSec;
    // A certificate that has not come by the time when it would be over will not come.
    return state.acknowledged.certDLTime + periodSec + overlapSec;
  }

  async #isToBeAsked(present: AcknowledgedRequest, { anew }: ApplicationWishes): Promise<boolean> {
    const renewal = await this.#renewalTimeOf(present);
    if (this.#session.now() >= renewal) return true;
    const isHere = (await this.#folder.opened(present.number)) !== undefined;
    if (anew === true && isHere) {
      const until = formatTime32(renewal);
      throw new EeError('not-due', `expected no certificate that is held, saw one until ${until}`);
    }
    return anew === true || (!isHere && this.#isOvertaken(present.state));
  }

  /** Whether the policy says otherwise than when the request was made, and the RA has not been asked about that yet. */
  #isOvertaken({ terms, refusedTerms }: ProvisioningState<PlainKeys>): boolean {
    const now = this.#terms();
    if (terms === undefined || areSame(terms, now)) return false;
    return refusedTerms === undefined || !areSame(refusedTerms, now);
  }

  async #ask(
    request: NumberedRequest,
    present: AcknowledgedRequest | undefined,
    wishes: ApplicationWishes,
  ): Promise<Acknowledgement> {
    if (present === undefined || this.#session.now() >= (await this.#renewalTimeOf(present))) {
      return this.#provision(request, wishes);
    }
    return this.#askBeforeTime(request, present, wishes);
  }

  /** A second request beside one whose certificate is not over: the RA may take it instead, or refuse it. */
  async #askBeforeTime(
    request: NumberedRequest,
    present: AcknowledgedRequest,
    wishes: ApplicationWishes,
  ): Promise<Acknowledgement> {
    let isInDoubt = request.state.bodies.length > 0;
    const onDoubt = () => {
      isInDoubt = true;
    };
    try {
      return await this.#provision(request, wishes, { isTrial: wishes.anew !== true, onDoubt });
    } catch (error) {
      if (!hasCode(error, 'refused')) throw error;
      if (!isInDoubt) await this.#profile.removeApplicationRequest(request.number);
      if (wishes.anew === true) throw error;
      this.#session.report({ type: 'not-replaced', kind: 'application', reason: error });
      const refused = { ...present.state, refusedTerms: this.#terms() };
      await this.#profile.saveApplicationRequest(present.number, refused);
      return present.state.acknowledged;
    }
  }

  /** Under which of two policies the RA takes up an old request is not known: by these it is not asked too early. */
  #resumed(state: ProvisioningState<PlainKeys>): ProvisioningState<PlainKeys> {
    const [now, then = now] = [this.#terms(), state.terms];
    const periodSec = Math.max(now.periodSec, then.periodSec);
    return {
      ...state,
      terms: { periodSec, overlapSec: Math.min(now.overlapSec, then.overlapSec) },
    };
  }

  #terms(): Terms {
    const { rseApplicationCertValiditySec: periodSec, rseApplicationCertOverlapSec: overlapSec } =
      this.#session.policy;
    return { periodSec, overlapSec };
  }

  /** Fetches and opens the certificate of the present request, unless it is there. */
  async download(): Promise<OpenedBatch[]> {
    const { number: i, state } = await this.#acknowledged();
    const held = await this.#folder.opened(i);
    if (held?.failures.length === 0) return [];
    const stored = held === undefined ? await this.#folder.zip(i) : undefined;
    const { acknowledged } = state;
    const zip =
      stored ??
      (await this.#session.fetchZip('application', { i }, acknowledged, this.#folder, true));
    const { trust } = this.#session;
    const options = { i, keys: state.keys, trust, time: this.#session.now() };
    const opened = await openAndKeep({
      kind: 'application',
      i,
      folder: this.#folder,
      held,
      open: () => openApplication(zip, options),
      report: this.#session.report,
    });
    return [opened];
  }

  async #provision(
    { number, state }: NumberedRequest,
    { start }: ApplicationWishes,
    options?: ProvisionOptions,
  ): Promise<Acknowledgement> {
    const { keys } = state;
    const wish = { type: 'application', keys, ...(start !== undefined && { start }) } as const;
    const save = (next: ProvisioningState<PlainKeys>) =>
      this.#profile.saveApplicationRequest(number, next);
    return this.#session.provision(state, wish, save, options);
  }

  async #acknowledged(): Promise<AcknowledgedRequest> {
    const present = await this.#present();
    if (present !== undefined) return present;
    throw new EeError('not-acknowledged', 'expected an acknowledged request, saw none');
  }

  /** The last one that the RA has acknowledged. */
  async #present(): Promise<AcknowledgedRequest | undefined> {
    for (const number of (await this.#profile.applicationRequests()).reverse()) {
      const state = await this.#profile.applicationRequest(number);
      const { acknowledged } = state ?? {};
      if (state && acknowledged) return { number, state: { ...state, acknowledged } };
    }
    return undefined;
  }

  async #last(): Promise<NumberedRequest | undefined> {
    const number = (await this.#profile.applicationRequests()).at(-1);
    const state = number === undefined ? undefined : await this.#profile.applicationRequest(number);
    return number === undefined || state === undefined ? undefined : { number, state };
  }
}

function areSame(a: Terms, b: Terms): boolean {
  return a.periodSec === b.periodSec && a.overlapSec === b.overlapSec;
}
