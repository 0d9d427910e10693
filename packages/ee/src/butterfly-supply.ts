import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Acknowledgement } from './acknowledgement.ts';
import { isPassing } from './back-off.ts';
import { type CertificateFolder, type StoredBatch, validityOf } from './certificate-folder.ts';
import { EeError, hasCode } from './error.ts';
import { decodeInfo, type Info } from './info.ts';
import { toHex } from './json-record.ts';
import { openAndKeep } from './open-and-keep.ts';
import { type OpenedBatch, openBatch, openIdentification } from './open-batch.ts';
import type { ButterflyKind, Profile } from './profile.ts';
import { generateCaterpillarKeys, type RequestWishes } from './provisioning-request.ts';
import type { ProvisioningState } from './provisioning-state.ts';
import type { RaSession } from './ra-session.ts';

/** Four years of weekly batches: a device that stays one ahead of the usual three is not stopped. */
const MAX_FILES = 208;

/** Identification certificates overlap by an hour (721 h, sheet 3.6). */
const OVERLAP_SEC = 3_600;

type AcknowledgedState = ProvisioningState & Required<Pick<ProvisioningState, 'acknowledged'>>;

export interface DownloadSelection {
  /** This file alone. */
  readonly i?: number;
  /** At most so many files, from the current one on. */
  readonly count?: number;
}

/**
 * Pseudonym or identification certificates: asked for once in the life of a profile, then made by the
 * RA for as long as the device lives (sheet 3.4, 3.6).
 */
export class ButterflySupply {
  readonly #kind: ButterflyKind;
  readonly #profile: Profile;
  readonly #session: RaSession;
  readonly #folder: CertificateFolder;

  constructor(kind: ButterflyKind, profile: Profile, session: RaSession) {
    this.#kind = kind;
    this.#profile = profile;
    this.#session = session;
    this.#folder = profile.certificates(kind);
  }

  async request(wishes: RequestWishes): Promise<Acknowledgement> {
    const held = await this.#profile.provisioning(this.#kind);
    if (held?.acknowledged !== undefined) {
      const begun = await this.#profile.provisioningAnew(this.#kind);
      if (begun === undefined && wishes.anew !== true) return held.acknowledged;
      return this.#requestAnew({ ...held, acknowledged: held.acknowledged }, begun, wishes);
    }
    if (held !== undefined) this.#session.report({ type: 'resumed', kind: this.#kind });
    const keys = held?.keys ?? generateCaterpillarKeys(this.#session.random, wishes);
    const wish = { type: this.#kind, keys };
    return this.#session.provision(held ?? { keys, bodies: [] }, wish, (state) =>
      this.#profile.saveProvisioning(this.#kind, state),
    );
  }

  /**
   * New keys in a request of their own. The one before it goes on until this one is acknowledged, and for good when the RA
   * refuses this one and cannot have taken it.
   */
  async #requestAnew(
    held: AcknowledgedState,
    begun: ProvisioningState | undefined,
    wishes: RequestWishes,
  ): Promise<Acknowledgement> {
    const kind = this.#kind;
    if (begun !== undefined) {
      this.#session.report({ type: 'resumed', kind });
      if (isOneOf(held.bodies, begun.bodies)) {
        // It was taken over, and the power went before it was removed here.
        await this.#profile.removeProvisioningAnew(kind);
        return held.acknowledged;
      }
    }
    const keys = begun?.keys ?? generateCaterpillarKeys(this.#session.random, wishes);
    const save = (state: ProvisioningState) =>
      state.acknowledged === undefined
        ? this.#profile.saveProvisioningAnew(kind, state)
        : this.#replace(held, state);
    let isInDoubt = begun !== undefined;
    const onDoubt = () => {
      isInDoubt = true;
    };
    try {
      const isTrial = wishes.anew !== true;
      const state = begun ?? { keys, bodies: [] };
      return await this.#session.provision(state, { type: kind, keys }, save, { isTrial, onDoubt });
    } catch (error) {
      if (!hasCode(error, 'refused')) throw error;
      if (!isInDoubt) await this.#profile.removeProvisioningAnew(kind);
      if (wishes.anew === true) throw error;
      this.#session.report({ type: 'not-replaced', kind, reason: error });
      return held.acknowledged;
    }
  }

  async #replace(held: AcknowledgedState, next: ProvisioningState): Promise<void> {
    // No other keys open what was fetched under the ones that go.
    for (const i of await this.#folder.held()) {
      if ((await this.#folder.opened(i)) === undefined) await this.#openOrDrop(i, held);
    }
    await this.#folder.removePartials();
    const last = Math.max(-1, ...(await this.#folder.openedNumbers()));
    const files = this.#kind === 'identification' ? { firstFile: last + 1 } : {};
    await this.#profile.saveProvisioning(this.#kind, { ...next, ...files });
    await this.#profile.removeProvisioningAnew(this.#kind);
  }

  async #openOrDrop(i: number, held: AcknowledgedState): Promise<void> {
    const zip = await this.#folder.zip(i);
    try {
      if (zip !== undefined) await this.#open(i, zip, held, undefined);
    } catch (error) {
      if (!hasCode(error, 'invalid-batch')) throw error;
    }
  }

  async acknowledgement(): Promise<Acknowledgement> {
    return (await this.#acknowledged()).acknowledged;
  }

  async download(selection: DownloadSelection): Promise<OpenedBatch[]> {
    const state = await this.#acknowledged();
    const first = selection.i ?? (await this.#first(state));
    const count = selection.i === undefined ? (selection.count ?? this.#supply()) : 1;
    const batches: OpenedBatch[] = [];
    let hasJumped = selection.i !== undefined;
    const end = first + Math.min(count, MAX_FILES);
    for (let i = first; i < end; i += 1) {
      const held = await this.#folder.opened(i);
      if (held?.failures.length === 0) continue;
      const waitForIt = held === undefined && i === first && (await this.#isWaitedFor(i, state));
      const zip = await this.#zip(i, state, held !== undefined, waitForIt);
      if (zip !== undefined) batches.push(await this.#open(i, zip, state, held));
      // What is held may have been taken off the RA since, and says nothing of later files.
      else if (held === undefined) {
        const next = hasJumped ? undefined : await this.#afterGap(i, state);
        if (next === undefined) break;
        hasJumped = true;
        i = next - 1;
      }
    }
    return batches;
  }

  async fetch(i: number): Promise<Uint8Array> {
    const state = await this.#acknowledged();
    return (await this.#folder.zip(i)) ?? this.#fetchZip(i, state, false);
  }

  async info(): Promise<Info> {
    const octets = await this.#session.fetchInfo(await this.acknowledgement());
    const info = decodeInfo(octets);
    await this.#profile.saveInfo(this.#kind, octets);
    return info;
  }

  /** The first file that matters: of the current i-period, or after all that are over. */
  async #first({ firstFile = 0 }: ProvisioningState): Promise<number> {
    const now = this.#session.now();
    if (this.#kind === 'pseudonym') return this.#session.enrollment.iPeriods.at(now);
    // Files are numbered from 0 (Q11), and what period a file is for stands in its certificate.
    const last = await this.#lastOpened((end) => end <= now);
    return Math.max(firstFile, last === undefined ? 0 : last.i + 1);
  }

  /** A device that was away for months may find the files in between gone. Identification only. */
  async #afterGap(
    missing: number,
    { firstFile = 0 }: ProvisioningState,
  ): Promise<number | undefined> {
    if (this.#kind === 'pseudonym') return undefined;
    const last = await this.#lastOpened(() => true);
    if (last === undefined || last.i < firstFile) return undefined;
    const step = last.end - last.start - OVERLAP_SEC;
    const skipped = step > 0 ? Math.floor((this.#session.now() - last.start) / step) : 0;
    return last.i + skipped > missing ? last.i + skipped : undefined;
  }

  async #lastOpened(
    accept: (end: Time32) => boolean,
  ): Promise<{ i: number; start: Time32; end: Time32 } | undefined> {
    for (const i of (await this.#folder.openedNumbers()).reverse()) {
      const batch = await this.#folder.opened(i);
      const validity = batch && validityOf(batch);
      if (validity !== undefined && accept(validity.end)) return { i, ...validity };
    }
    return undefined;
  }

  /** How many files the policy lets the RA have ready, the present one and the next one included. */
  #supply(): number {
    const { maxAvailableCertSupplyPeriods } = this.#session.policy;
    return this.#kind === 'pseudonym' ? maxAvailableCertSupplyPeriods + 2 : MAX_FILES;
  }

  /** An HTTP 500 for what the device needs now is waited out; for a later file it is the end. */
  async #isWaitedFor(i: number, { firstFile = 0 }: ProvisioningState): Promise<boolean> {
    if (this.#kind === 'pseudonym') return true;
    const opened = await this.#folder.openedNumbers();
    return i === firstFile && !opened.some((number) => number >= firstFile);
  }

  /**
   * The zip of a number from the profile or the RA; undefined when the RA has none and that is no fault.
   *
   * @param isOpened with failures: fetched anew then, the RA may have a better one
   */
  async #zip(
    i: number,
    state: AcknowledgedState,
    isOpened: boolean,
    waitForIt: boolean,
  ): Promise<Uint8Array | undefined> {
    const held = isOpened ? undefined : await this.#folder.zip(i);
    if (held !== undefined) return held;
    try {
      return await this.#fetchZip(i, state, waitForIt);
    } catch (error) {
      // A code that says anything but "not there" is no end.
      if (waitForIt || !hasCode(error, 'refused') || !isPassing(error)) throw error;
      this.#session.report({ type: 'end', kind: this.#kind, i });
      return undefined;
    }
  }

  /** @throws EeError `not-due` for a file of a request that was replaced; else as `RaSession.fetchZip` */
  async #fetchZip(
    i: number,
    { firstFile = 0, acknowledged }: AcknowledgedState,
    waitForIt: boolean,
  ): Promise<Uint8Array> {
    if (i < firstFile) {
      throw new EeError('not-due', `expected a file of the present request, saw ${i}`);
    }
    const name = { i, number: i - firstFile };
    return this.#session.fetchZip(this.#kind, name, acknowledged, this.#folder, waitForIt);
  }

  async #open(
    i: number,
    zip: Uint8Array,
    { keys, firstFile = 0 }: ProvisioningState,
    held: StoredBatch | undefined,
  ): Promise<OpenedBatch> {
    const { trust, promisedCertificates: expected } = this.#session;
    const { iPeriods } = this.#session.enrollment;
    const options = { keys, trust, iPeriods, time: this.#session.now() };
    return openAndKeep({
      ...(this.#kind === 'pseudonym' && expected !== undefined && { expected }),
      kind: this.#kind,
      i,
      folder: this.#folder,
      held,
      open: () =>
        this.#kind === 'pseudonym'
          ? openBatch(zip, { ...options, i })
          : numbered(i, openIdentification(zip, { ...options, i: i - firstFile })),
      report: this.#session.report,
    });
  }

  async #acknowledged(): Promise<AcknowledgedState> {
    const state = await this.#profile.provisioning(this.#kind);
    if (state?.acknowledged === undefined) {
      throw new EeError('not-acknowledged', 'expected an acknowledged request, saw none');
    }
    return { ...state, acknowledged: state.acknowledged };
  }
}

/** By its number in the folder, whatever the RA calls it. */
function numbered(i: number, { certificates, failures }: OpenedBatch): OpenedBatch {
  return { i, certificates: certificates.map((opened) => ({ ...opened, i })), failures };
}

function isOneOf(bodies: readonly Uint8Array[], others: readonly Uint8Array[]): boolean {
  const known = new Set(others.map(toHex));
  return bodies.some((body) => known.has(toHex(body)));
}
