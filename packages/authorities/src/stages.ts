/**
 * Work on many of a kind in stages: all go through one stage, and then all through the next. The machine's caches hold the
 * code and the tables of one stage, where they do not hold all of them: a certificate costs a fifth less than one after
 * the other. What fails leaves at its stage, and the others go on.
 */

/** One that did not come through, and why. */
export class Failed {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** Does a stage of each, in their order; what failed before stays where it is. */
export function stage<A, B>(
  all: readonly (A | Failed)[],
  work: (one: A, place: number) => B,
): (B | Failed)[] {
  return all.map((one, place) => {
    if (one instanceof Failed) return one;
    try {
      return work(one, place);
    } catch (error) {
      return new Failed(error);
    }
  });
}

/** Those that have not failed. */
export function stillThere<T>(all: readonly (T | Failed)[]): T[] {
  return all.filter((one): one is T => !(one instanceof Failed));
}

/** Does a stage that costs less for many at once. What it throws is thrown, and is the failure of all. */
export function stageTogether<A, B>(
  all: readonly (A | Failed)[],
  work: (those: readonly A[]) => readonly B[],
): (B | Failed)[] {
  const results = work(stillThere(all)).values();
  return all.map((one) => (one instanceof Failed ? one : (results.next().value as B)));
}
