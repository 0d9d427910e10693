import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { CertificateKind } from './download-url.ts';
import { hasCode } from './error.ts';
import type { TopUpOptions, TopUpResult } from './top-up.ts';

/** A kind that failed while another did not is asked for again after so long. */
const KIND_PAUSE_SEC = 6 * 3600;

interface ToppedUp {
  readonly kinds: readonly CertificateKind[];
  topUp(options: TopUpOptions): Promise<TopUpResult>;
}

/**
 * The contacts of a device that stays (`stay`). A contact that brought one kind is none that failed: a kind that is refused
 * takes nothing from the others. One that will be refused for ever is left out from then on.
 */
export class StayingContact {
  readonly #leftOut = new Set<CertificateKind>();
  readonly #now: () => Time32;

  constructor(now: () => Time32) {
    this.#now = now;
  }

  /**
   * @returns when the next contact is due; undefined for never
   * @throws when no kind brought anything, what may pass of what `topUp` met, else what will not; and what is not about a kind,
   *   a file that was withheld included
   */
  async make(ee: ToppedUp, options: TopUpOptions = {}): Promise<Time32 | undefined> {
    const kinds = (options.kinds ?? ee.kinds).filter((kind) => !this.#leftOut.has(kind));
    let result: TopUpResult | undefined;
    const onResult = (known: TopUpResult) => {
      result = known;
      options.onResult?.(known);
    };
    try {
      return (await ee.topUp({ ...options, kinds, onResult })).due;
    } catch (error) {
      if (result === undefined || !result.failed.some(({ reason }) => reason === error))
        throw error;
      const { withheld, supplies, failed, due } = result;
      const passing = failed.filter(({ reason }) => !isForEver(reason));
      for (const { kind, reason } of failed) if (isForEver(reason)) this.#leftOut.add(kind);
      if (supplies.length === 0) throw passing[0]?.reason ?? error;
      if (withheld !== undefined) throw withheld;
      if (passing.length === 0) return due;
      return Math.min(due ?? Infinity, this.#now() + KIND_PAUSE_SEC);
    }
  }
}

function isForEver(error: unknown): boolean {
  return hasCode(error, 'refused') && error.refusal?.retry === 'never';
}
