/** Whether two samples may be of one distribution. Both statistics compare ranks: they do not care for outliers. */

/**
 * Mann and Whitney: z of how often a value of one is above one of the other, in standard deviations. Finds another location.
 */
export function mannWhitneyZ(a: readonly number[], b: readonly number[]): number {
  let above = 0;
  for (const x of a) for (const y of b) above += x > y ? 1 : x === y ? 0.5 : 0;
  const pairs = a.length * b.length;
  return (above - pairs / 2) / Math.sqrt((pairs * (a.length + b.length + 1)) / 12);
}

/**
 * Kolmogorov and Smirnov: the largest distance of the distribution functions, times √(nm/(n+m)). Finds another shape as well.
 * Under one distribution it exceeds λ with a probability of 2·exp(-2λ²): 1.36 once in 20 times, 2.7 once in two million.
 */
export function kolmogorovSmirnov(a: readonly number[], b: readonly number[]): number {
  const share = (of: readonly number[], x: number) => of.filter((y) => y <= x).length / of.length;
  const distances = [...a, ...b].map((x) => Math.abs(share(a, x) - share(b, x)));
  return Math.max(...distances) * Math.sqrt((a.length * b.length) / (a.length + b.length));
}

export function median(of: readonly number[]): number {
  return of.toSorted((x, y) => x - y)[Math.floor(of.length / 2)] ?? Number.NaN;
}
