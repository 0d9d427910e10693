/**
 * `npm run bench -- --report [NAME...]`: runs benchmarks one after the other and writes what they print into
 * docs/reference/performance.md, each into its own section as soon as it has ended: what was measured before stays until it is
 * measured again.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { writeFileDurably } from '@chrysalis/store/files';
import type { Measurement } from './measurement.ts';

const PAGE = join(import.meta.dirname, '../docs/reference/performance.md');
/** What stands between these two is generated. */
const BEGIN = '<!-- results: npm run bench -- --report -->';
const END = '<!-- end of results -->';
/** Not that of a private file. */
const PUBLIC_MODE = 0o644;
const HEADING = /^### (\S+)$/m;

/**
 * @param names of the benchmarks that are run
 * @param order of all names, in which the page has them
 * @param args that are handed on to each
 */
export async function writeReport(
  names: readonly string[],
  order: readonly string[],
  args: readonly string[],
): Promise<void> {
  for (const name of names) {
    console.error(`bench: ${name}`);
    const [load = 0] = loadavg();
    const started = performance.now();
    const lines = await measurementsOf(name, args);
    const minutes = ((performance.now() - started) / 60_000).toFixed(1);
    const command = ['npm run bench --', name, ...args].join(' ');
    const when = `\`${command}\`: ${minutes} minutes, ${machine()}, load ${load.toFixed(1)} before it.`;
    const page = await readFile(PAGE, 'utf8');
    const written = withSection(page, name, `${when}\n\n${tableOf(lines)}`, order);
    await writeFileDurably(PAGE, new TextEncoder().encode(written), PUBLIC_MODE);
  }
}

/** The page with another text in one section. @throws Error when it has no place for results */
export function withSection(
  page: string,
  name: string,
  section: string,
  order: readonly string[],
): string {
  const [head, rest = ''] = page.split(BEGIN, 2);
  const [results, tail] = rest.split(END, 2);
  if (head === undefined || results === undefined || tail === undefined) {
    throw new Error(`expected ${BEGIN} and ${END} in ${PAGE}`);
  }
  // What stands before a heading, its name, what stands after it, the next name, and so on.
  const [, ...parts] = results.split(HEADING);
  const sections = new Map<string, string>();
  for (let n = 0; n < parts.length; n += 2) {
    sections.set(parts[n] as string, (parts[n + 1] as string).trim());
  }
  sections.set(name, section);
  const all = order.flatMap((one) => {
    const found = sections.get(one);
    return found === undefined ? [] : [`### ${one}\n\n${found}`];
  });
  return `${head}${BEGIN}\n\n${all.join('\n\n')}\n\n${END}${tail}`;
}

async function measurementsOf(
  name: string,
  args: readonly string[],
): Promise<readonly Measurement[]> {
  const main = join(import.meta.dirname, 'main.ts');
  const child = spawn(process.execPath, [main, name, '--json', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [code]] = await Promise.all([
    text(child.stdout),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  if (code !== 0) throw new Error(`expected ${name} to end well, saw exit ${code}`);
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Measurement);
}

function machine(): string {
  const [cpu] = cpus();
  const processor = `${cpus().length} x ${cpu?.model.trim() ?? 'unknown processor'}`;
  const memory = `${Math.round(totalmem() / 1e9)} GB`;
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, Node ${process.version}, ${processor}, ${memory}, Linux ${release()}`;
}

function tableOf(lines: readonly Measurement[]): string {
  const head = '| variant | ops/s | CPU µs | ratio to native | p50 ms | p99 ms | MB | beside it |';
  const rows = lines.map((line) => {
    const { opsPerSec, cpuUsPerOp, ratioToNative, p50Ms, p99Ms, rssMb } = line;
    const figures = [opsPerSec, cpuUsPerOp, ratioToNative, p50Ms, p99Ms, rssMb];
    const cells = [line.variant, ...figures.map((figure) => figure ?? ''), line.note ?? ''];
    return `| ${cells.join(' | ')} |`;
  });
  return [head, '| --- | --- | --- | --- | --- | --- | --- | --- |', ...rows].join('\n');
}
