import type { Random } from '@chrysalis/crypto';
import { endOfChain, type Time32 } from '@chrysalis/ieee1609dot2';
import type { CertificateKind } from './download-url.ts';
import type { Enrollment } from './enrollment.ts';
import { hasCode } from './error.ts';
import type { Info } from './info.ts';
import type { ButterflyKind } from './profile.ts';
import { type FailedKind, isOfOneKind, type TopUpOptions, type TopUpResult } from './top-up.ts';

/** A kind that failed while another did not is asked for again after so long. */
const KIND_PAUSE_SEC = 6 * 3600;
/** By this share of an i-period, at most, a device that was told 0 comes earlier or later than once in it: a fleet does not come in step. */
const SPREAD = 0.25;

interface ToppedUp {
  readonly kinds: readonly CertificateKind[];
  readonly enrollment: Pick<Enrollment, 'certificate' | 'iPeriods'>;
  topUp(options: TopUpOptions): Promise<TopUpResult>;
  info(kind: ButterflyKind): Promise<Info>;
}

export interface StayingContactParts {
  readonly now: () => Time32;
  readonly random: Random;
  /** The RA makes no more of these kinds for now; what may be there again is asked for at this time. */
  readonly onStopped?: (kinds: readonly CertificateKind[], again: Time32) => void;
}

/**
 * The contacts of a device that stays (`stay`). A contact that brought one kind is none that failed: a kind that is refused
 * takes nothing from the others. One that will be refused for ever is left out from then on.
 *
 * A kind of which the RA makes no more, `.info` 0, is none of these: a PCA may be renewed late, a policy changed. It is asked for
 * about once in an i-period, until the enrollment certificate is over.
 */
export class StayingContact {
  readonly #leftOut = new Set<CertificateKind>();
  readonly #parts: StayingContactParts;
  #end = Number.POSITIVE_INFINITY;

  constructor(parts: StayingContactParts) {
    this.#parts = parts;
  }

  /** Whether the enrollment certificate of the last contact, or one above it, is over: no contact brings anything any more. */
  get isOver(): boolean {
    return this.#parts.now() >= this.#end;
  }

  /**
   * @returns when the next contact is due, or the enrollment certificate is over ({@link isOver}); undefined for never
   * @throws when no kind brought anything, what may pass of what `topUp` met, else what will not; and what is not about a kind,
   *   a file that was withheld included
   */
  async make(ee: ToppedUp, options: TopUpOptions = {}): Promise<Time32 | undefined> {
    this.#end = endOfChain(ee.enrollment.certificate);
    const kinds = (options.kinds ?? ee.kinds).filter((kind) => !this.#leftOut.has(kind));
    let result: TopUpResult | undefined;
    const onResult = (known: TopUpResult) => {
      result = known;
      options.onResult?.(known);
    };
    try {
      result = await ee.topUp({ ...options, kinds, onResult });
    } catch (error) {
      if (result === undefined || !result.failed.some(({ reason }) => reason === error))
        throw error;
    }
    const dues = await this.#duesOf(ee, result);
    return dues.length === 0 ? undefined : Math.min(...dues, this.#end);
  }

  async #duesOf(ee: ToppedUp, { withheld, supplies, failed, due }: TopUpResult): Promise<Time32[]> {
    const stopped = supplies.flatMap((supply) => (supply.due === undefined ? supply.kind : []));
    const passing: Error[] = [];
    for (const { kind, reason } of failed) {
      if (isForEver(reason)) this.#leftOut.add(kind);
      else if (await hasStopped(ee, { kind, reason })) stopped.push(kind);
      else passing.push(reason);
    }
    const [first] = failed;
    if (first !== undefined && supplies.length + stopped.length === 0)
      throw passing[0] ?? first.reason;
    if (withheld !== undefined) throw withheld;
    return [
      ...(due === undefined ? [] : [due]),
      ...(passing.length === 0 ? [] : [this.#parts.now() + KIND_PAUSE_SEC]),
      ...(stopped.length === 0 ? [] : [this.#again(ee, stopped)]),
    ];
  }

  #again({ enrollment }: ToppedUp, stopped: readonly CertificateKind[]): Time32 {
    const { now, random, onStopped } = this.#parts;
    const share = new DataView(random(4).slice().buffer).getUint32(0) / 2 ** 32;
    const pauseSec = enrollment.iPeriods.lengthSec * (1 + SPREAD * (2 * share - 1));
    const again = Math.min(now() + Math.round(pauseSec), this.#end);
    onStopped?.(stopped, again);
    return again;
  }
}

function isForEver(error: unknown): boolean {
  return hasCode(error, 'refused') && error.refusal?.retry === 'never';
}

/**
 * A device that has used up what it had is refused the file of now, and learns only by `.info` that there will be none: no failure
 * that passes with the next try.
 */
async function hasStopped(ee: ToppedUp, { kind, reason }: FailedKind): Promise<boolean> {
  if (kind === 'application' || !hasCode(reason, 'refused')) return false;
  try {
    return (await ee.info(kind)).type === 'stopped';
  } catch (error) {
    if (!isOfOneKind(error)) throw error;
    return false;
  }
}
