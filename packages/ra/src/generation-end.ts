/** When the certificates of the authorities cut what the RA makes. */
import { endOfChain, type Time32 } from '@chrysalis/ieee1609dot2';
import { type Horizon, LAST_I, lastPeriodIssuedBy } from './horizon.ts';
import type { Ending } from './what-ends.ts';

/** When the RA can make nothing more, if nothing is renewed. */
export interface GenerationEnd {
  /** The first i that cannot be made. */
  readonly firstI: number;
  /** From then on a period is missing that the policy wants, or nothing is made at all. */
  readonly stopsAt: Time32;
  readonly because: Ending;
}

/**
 * The PCA, and what is above it, cuts the supply before it ends: no certificate outlives it. Without a valid certificate of the
 * RA or of an LA nothing is made at all.
 */
export function generationEnd(
  { iPeriod, policy, pca }: Horizon,
  endings: readonly Ending[],
): GenerationEnd {
  const firstI = lastPeriodIssuedBy(pca.certificate, iPeriod) + 1;
  const chainEnd = endOfChain(pca.certificate);
  const ofPca: GenerationEnd = {
    firstI,
    stopsAt: iPeriod.start(firstI - policy.weeksAhead + 1),
    because: first(endings, ({ endsAt, role }) => endsAt === chainEnd && ISSUING.has(role)),
  };
  const others = (['la1', 'la2', 'ra'] as const).map((role): GenerationEnd => {
    const because = first(endings, (one) => one.role === role);
    const { endsAt } = because;
    return { firstI: iPeriod.at(endsAt - 1) + policy.weeksAhead, stopsAt: endsAt, because };
  });
  // Where i itself ends, no certificate is to blame.
  const ends = firstI > LAST_I ? others : [ofPca, ...others];
  return ends.reduce((a, b) => (b.stopsAt < a.stopsAt ? b : a));
}

const ISSUING: ReadonlySet<string> = new Set(['pca', 'ica', 'root']);

function first(endings: readonly Ending[], is: (one: Ending) => boolean): Ending {
  const found = endings.find(is);
  if (found === undefined) throw new TypeError('expected every certificate in use among the ends');
  return found;
}
