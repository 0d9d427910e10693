/** One line of any benchmark, and how it is printed. */

export interface Measurement {
  readonly name: string;
  readonly variant: string;
  /** By the clock; what the machine had left for it, so that it says less than the CPU time. */
  readonly opsPerSec: number;
  /** Microseconds of CPU for one operation, user and system, of whoever is measured. */
  readonly cpuUsPerOp: number;
  /** Native cost divided by the measured cost, both of the same run; null where nothing native does the same. */
  readonly ratioToNative: number | null;
  /** Of what a peer waits for; null where nobody does. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Memory of whoever is measured, resident; null where it shares a process with the benchmark. */
  readonly rssMb: number | null;
  /** What was native, and whatever else there is to say. */
  readonly note?: string;
}

type Unmeasured = 'ratioToNative' | 'p50Ms' | 'p99Ms' | 'rssMb';

/** A line with null for what was not measured, its figures rounded to what they can say. */
export function measurementOf(
  line: Omit<Measurement, Unmeasured> & Partial<Pick<Measurement, Unmeasured>>,
): Measurement {
  const { name, variant, opsPerSec, cpuUsPerOp, note } = line;
  const { ratioToNative = null, p50Ms = null, p99Ms = null, rssMb = null } = line;
  return {
    name,
    variant,
    opsPerSec: rounded(opsPerSec, opsPerSec < 10 ? 2 : 0),
    cpuUsPerOp: rounded(cpuUsPerOp, cpuUsPerOp < 10 ? 2 : 1),
    ratioToNative: ratioToNative && rounded(ratioToNative, 3),
    p50Ms: p50Ms && rounded(p50Ms, 2),
    p99Ms: p99Ms && rounded(p99Ms, 2),
    rssMb: rssMb && rounded(rssMb, 0),
    ...(note !== undefined && { note }),
  };
}

/** Prints a line of JSON, or of a table. */
export function print(line: Measurement, json: boolean): void {
  console.log(json ? JSON.stringify(line) : asText(line));
}

/** Whoever reads a table wants to know what its columns are. */
export function printHead(json: boolean): void {
  if (!json) console.log(columns('', 'ops/s', 'CPU us', 'native', 'p50 ms', 'p99 ms', 'MB'));
}

function asText(line: Measurement): string {
  const { variant, opsPerSec, cpuUsPerOp, ratioToNative, p50Ms, p99Ms, rssMb, note } = line;
  const figures = [opsPerSec, cpuUsPerOp, ratioToNative, p50Ms, p99Ms, rssMb];
  const text = columns(variant, ...figures.map((figure) => (figure === null ? '-' : `${figure}`)));
  return note === undefined ? text : `${text}  ${note}`;
}

function columns(first: string, ...others: readonly string[]): string {
  return `${first.padEnd(44)}${others.map((text) => text.padStart(10)).join('')}`;
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** The value that a share of all does not exceed. @param share of 0 to 1 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
