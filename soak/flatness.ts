/** Whether the memory of an RA stays as it is once it has found its level: what it loses with each visit shows here. */

/** One look at the RA. */
export interface MemorySample {
  /** Visits that were over by then, however they ended. */
  readonly visits: number;
  readonly rssMb: number;
  /** What V8 keeps: all of the heap but its young generation, and what objects hold outside. */
  readonly keptMb: number;
}

export interface Flatness {
  /** Between the middles of the third and the last quarter. */
  readonly visits: number;
  /** The least of the third and of the last quarter: what is there after a collection. */
  readonly keptMb: readonly [number, number];
  /** The medians: what the process has of the system, libcrypto's and SQLite's memory too. */
  readonly rssMb: readonly [number, number];
  /** Growth by the visits between. */
  readonly keptOctetsPerVisit: number;
  readonly rssOctetsPerVisit: number;
}

/** A leak that has to be seen: a kilobyte with each visit. Half of it is said to be none. */
const LEAK_OCTETS = 1000;
const FLAT_OCTETS = LEAK_OCTETS / 2;
/** By so much the least differs between quarters in which nothing is kept. */
const KEPT_NOISE_MB = 4;
/**
 * And the resident memory: the highest that the young generation, the garbage of libcrypto between two collections and the
 * holes in malloc's arenas have reached so far. It goes on rising for long, by less and less.
 */
const RSS_NOISE_MB = 24;
/** Visits from which a kilobyte for each is more than the noise of what is kept. */
export const TELLING_VISITS = (2 * KEPT_NOISE_MB * 1e6) / LEAK_OCTETS;

/** The first half of the samples is warming up: caches fill, heaps find their sizes. Pure. */
export function flatnessOf(samples: readonly MemorySample[]): Flatness {
  const quarter = samples.length / 4;
  const third = samples.slice(Math.floor(2 * quarter), Math.floor(3 * quarter));
  const last = samples.slice(Math.floor(3 * quarter));
  const kept = (some: readonly MemorySample[]) => least(some.map(({ keptMb }) => keptMb));
  const rss = (some: readonly MemorySample[]) => median(some.map(({ rssMb }) => rssMb));
  const keptMb = [kept(third), kept(last)] as const;
  const rssMb = [rss(third), rss(last)] as const;
  const visits = middleOf(last) - middleOf(third);
  const perVisit = ([before, after]: readonly [number, number]) =>
    visits === 0 ? 0 : Math.round(((after - before) * 1e6) / visits);
  return {
    visits,
    keptMb,
    rssMb,
    keptOctetsPerVisit: perVisit(keptMb),
    rssOctetsPerVisit: perVisit(rssMb),
  };
}

/**
 * Empty when the memory is flat. Pure.
 *
 * @param isToTell whether too few visits to see a leak by are a complaint
 */
export function complaintsOfMemory(flatness: Flatness, isToTell: boolean): string[] {
  const { visits, keptMb, rssMb, keptOctetsPerVisit, rssOctetsPerVisit } = flatness;
  const found: string[] = [];
  const judge = (
    what: string,
    [before, after]: readonly [number, number],
    octetsPerVisit: number,
    noiseMb: number,
  ) => {
    if (after - before <= noiseMb || octetsPerVisit <= FLAT_OCTETS) return;
    found.push(
      `expected flat memory, saw ${what} grow from ${before} to ${after} MB in ${visits} visits, ${octetsPerVisit} octets with each`,
    );
  };
  judge('what V8 keeps', keptMb, keptOctetsPerVisit, KEPT_NOISE_MB);
  judge('the resident memory', rssMb, rssOctetsPerVisit, RSS_NOISE_MB);
  if (isToTell && visits < TELLING_VISITS) {
    found.push(
      `expected ${TELLING_VISITS} visits in a quarter to see a kilobyte with each, saw ${visits}`,
    );
  }
  return found;
}

function middleOf(samples: readonly MemorySample[]): number {
  return samples[samples.length >> 1]?.visits ?? 0;
}

function least(values: readonly number[]): number {
  return values.length === 0 ? 0 : Math.min(...values);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
