/** What an order gives away: tests of positions, for a sequence in which every device stands equally often. */

/** A place in the sequence: the number of the device, in the order of registration, and its j. */
export interface Place {
  readonly device: number;
  readonly j: number;
}

/** Standard normal under a random permutation. */
export interface Statistics {
  /** The worst of the distances at which the same device comes again more, or less, often than by chance. */
  readonly recurrence: number;
  /** Spearman: whether those who came first leave first. */
  readonly registration: number;
  /** Kruskal and Wallis: whether devices have places of their own, or too even a share of all. */
  readonly places: number;
  /** Kendall within each device: whether j stands in order. */
  readonly j: number;
  /** The sizes of the steps from one device number to the next: whether neighbors in registration stay neighbors. */
  readonly steps: number;
}

/** Distances that are looked at: beyond two rounds of fifty devices. */
const DISTANCES = 110;

export function statisticsOf(order: readonly Place[]): Statistics {
  return {
    recurrence: recurrence(order.map(({ device }) => device)),
    registration: registration(order.map(({ device }) => device)),
    places: places(order.map(({ device }) => device)),
    j: orderOfJ(order),
    steps: steps(order.map(({ device }) => device)),
  };
}

export function worst(statistics: Statistics): number {
  return Math.max(...Object.values(statistics).map(Math.abs));
}

/** Pairs of the same device at a distance: Poisson, nearly; its square root is normal, nearly, whatever its mean. */
function recurrence(devices: readonly number[]): number {
  const count = devices.length;
  const each = count / new Set(devices).size;
  let most = 0;
  for (let distance = 1; distance <= DISTANCES; distance++) {
    let pairs = 0;
    for (let n = distance; n < count; n++) if (devices[n] === devices[n - distance]) pairs++;
    const expected = ((count - distance) * (each - 1)) / (count - 1);
    const z = 2 * (Math.sqrt(pairs + 3 / 8) - Math.sqrt(expected + 3 / 8));
    if (Math.abs(z) > Math.abs(most)) most = z;
  }
  return most;
}

function registration(devices: readonly number[]): number {
  return correlation(devices, [...devices.keys()]) * Math.sqrt(devices.length - 1);
}

function steps(devices: readonly number[]): number {
  return correlation(devices.slice(1), devices.slice(0, -1)) * Math.sqrt(devices.length - 1);
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((x, y) => x + y, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (const [n, value] of a.entries()) {
    const [x, y] = [value - meanA, (b[n] as number) - meanB];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Chi-square with one degree of freedom less than there are devices, made normal by Wilson and Hilferty. */
function places(devices: readonly number[]): number {
  const count = devices.length;
  const positions = Map.groupBy(devices.keys(), (n) => devices[n] as number);
  let sum = 0;
  for (const own of positions.values()) {
    const mean = own.reduce((x, y) => x + y + 1, 0) / own.length;
    sum += own.length * (mean - (count + 1) / 2) ** 2;
  }
  const h = (12 * sum) / (count * (count + 1));
  const freedom = positions.size - 1;
  return (Math.cbrt(h / freedom) - (1 - 2 / (9 * freedom))) / Math.sqrt(2 / (9 * freedom));
}

function orderOfJ(order: readonly Place[]): number {
  let [sum, variance] = [0, 0];
  for (const own of Map.groupBy(order, ({ device }) => device).values()) {
    for (const [n, { j }] of own.entries()) {
      for (const later of own.slice(n + 1)) sum += Math.sign(later.j - j);
    }
    const count = own.length;
    variance += (count * (count - 1) * (2 * count + 5)) / 18;
  }
  return sum / Math.sqrt(variance);
}
