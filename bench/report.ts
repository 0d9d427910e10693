/** `npm run bench -- --report`: runs every benchmark in turn and writes docs/reference/performance.md from what they print. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Measurement } from './measurement.ts';

const PAGE = join(import.meta.dirname, '../docs/reference/performance.md');
/** What stands between these two is generated. */
const BEGIN = '<!-- results: npm run bench -- --report -->';
const END = '<!-- end of results -->';

/** @param names of the benchmarks, in the order of the page @param args that are handed on to each */
export async function writeReport(
  names: readonly string[],
  args: readonly string[],
): Promise<void> {
  const sections: string[] = [];
  for (const name of names) {
    console.error(`bench: ${name}`);
    const started = performance.now();
    const lines = await measurementsOf(name, args);
    const minutes = ((performance.now() - started) / 60_000).toFixed(1);
    sections.push(`### ${name} (${minutes} minutes)\n\n${tableOf(lines)}`);
  }
  const page = await readFile(PAGE, 'utf8');
  const [head, tail] = [page.split(BEGIN, 1)[0], page.split(END)[1]];
  if (head === undefined || tail === undefined) {
    throw new Error(`expected ${BEGIN} and ${END} in ${PAGE}`);
  }
  await writeFile(
    PAGE,
    `${head}${BEGIN}\n\n${machine()}\n\n${sections.join('\n\n')}\n\n${END}${tail}`,
  );
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
  return `Measured ${date} with Node ${process.version} on ${processor}, ${memory}, Linux ${release()}.`;
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
