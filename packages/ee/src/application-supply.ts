import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Acknowledgement } from './acknowledgement.ts';
import { type CertificateFolder, validityOf } from './certificate-folder.ts';
import { EeError } from './error.ts';
import { openAndKeep } from './open-and-keep.ts';
import { type OpenedBatch, openApplication } from './open-batch.ts';
import type { Profile } from './profile.ts';
import { generatePlainKeys, type KeyWishes, type PlainKeys } from './provisioning-request.ts';
import type { ProvisioningState, Terms } from './provisioning-state.ts';
import type { RaSession } from './ra-session.ts';

export interface ApplicationWishes extends KeyWishes {
  /** When the certificate is to begin; now if it is missing or past. */
  readonly start?: Time32;
}

interface NumberedRequest {
  readonly number: number;
  readonly state: ProvisioningState<PlainKeys>;
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
   * Takes up the present request, or makes a new one when the certificate of the last one is within
   * its overlap of its end.
   */
  async request(wishes: ApplicationWishes): Promise<Acknowledgement> {
    const last = await this.#last();
    if (last !== undefined && last.state.acknowledged === undefined) {
      this.#session.report({ type: 'resumed', kind: 'application' });
      return this.#provision({ ...last, state: this.#resumed(last.state) }, wishes);
    }
    const present = last?.state.acknowledged;
    if (present !== undefined && this.#session.now() < (await this.renewalTime())) return present;
    const keys = generatePlainKeys(this.#session.random, wishes);
    return this.#provision(
      { number: (last?.number ?? -1) + 1, state: { keys, bodies: [], terms: this.#terms() } },
      wishes,
    );
  }

  async acknowledgement(): Promise<Acknowledgement> {
    return (await this.#acknowledged()).state.acknowledged;
  }

  /** When the device has to ask for another certificate; 0 when it has never had one. */
  async renewalTime(): Promise<Time32> {
    const last = await this.#last();
    if (last === undefined) return 0;
    const opened = await this.#folder.opened(last.number);
    const validity = opened && validityOf(opened);
    // By the policy under which it was requested, as the RA counts it: a later one changes nothing of it.
    const { periodSec, overlapSec } = last.state.terms ?? this.#terms();
    if (validity !== undefined) return validity.end - overlapSec;
    // A certificate that has not come by the time when it would be over will not come.
    const { acknowledged } = last.state;
    return acknowledged === undefined ? Infinity : acknowledged.certDLTime + periodSec + overlapSec;
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
      stored ?? (await this.#session.fetchZip('application', i, acknowledged, this.#folder, true));
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
  ): Promise<Acknowledgement> {
    const { keys } = state;
    const wish = { type: 'application', keys, ...(start !== undefined && { start }) } as const;
    return this.#session.provision(state, wish, (next) =>
      this.#profile.saveApplicationRequest(number, next),
    );
  }

  async #acknowledged(): Promise<
    NumberedRequest & { readonly state: { readonly acknowledged: Acknowledgement } }
  > {
    const last = await this.#last();
    const acknowledged = last?.state.acknowledged;
    if (last === undefined || acknowledged === undefined) {
      throw new EeError('not-acknowledged', 'expected an acknowledged request, saw none');
    }
    return { number: last.number, state: { ...last.state, acknowledged } };
  }

  async #last(): Promise<NumberedRequest | undefined> {
    const number = (await this.#profile.applicationRequests()).at(-1);
    const state = number === undefined ? undefined : await this.#profile.applicationRequest(number);
    return number === undefined || state === undefined ? undefined : { number, state };
  }
}
