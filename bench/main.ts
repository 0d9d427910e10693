/**
 * `npm run bench [-- NAME...] [--json] [--report] [--seconds N] [--devices N] [--weeks N]`: each benchmark beside its native
 * reference, measured in the same run. `--devices` is for the pipeline, nodes, growth, startup and memory, `--weeks` for the
 * pipeline, `--seconds` for the others. `--report` writes each one's section of docs/reference/performance.md.
 */
import { parseArgs } from 'node:util';
import { writeReport } from './report.ts';

interface BenchmarkOptions {
  readonly json: boolean;
  readonly seconds?: number;
  readonly devices?: number;
  readonly weeks?: number;
}

interface Benchmark {
  run(options: BenchmarkOptions): Promise<void>;
}

const BENCHMARKS: Readonly<Record<string, () => Promise<Benchmark>>> = {
  codec: () => import('./codec.ts'),
  crypto: () => import('./crypto.ts'),
  handler: () => import('./handler.ts'),
  info: () => import('./info.ts'),
  batch: () => import('./batch.ts'),
  provision: () => import('./provision.ts'),
  'open-loop': () => import('./open-loop.ts'),
  busy: () => import('./busy.ts'),
  pipeline: () => import('./pipeline.ts'),
  nodes: () => import('./nodes.ts'),
  remote: () => import('./remote.ts'),
  startup: () => import('./startup.ts'),
  growth: () => import('./growth.ts'),
  memory: () => import('./memory.ts'),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    devices: { type: 'string' },
    weeks: { type: 'string' },
  },
});
const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS);
const unknown = names.find((name) => !(name in BENCHMARKS));
if (unknown !== undefined) {
  console.error(`bench: expected one of ${Object.keys(BENCHMARKS).join(', ')}, saw ${unknown}`);
  process.exit(2);
}
const options = { ...count('seconds'), ...count('devices'), ...count('weeks') };
if (values.report) {
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  await writeReport(names, Object.keys(BENCHMARKS), args);
} else {
  for (const name of names) await runOne(name);
}

async function runOne(name: string): Promise<void> {
  const load = BENCHMARKS[name];
  if (!load) return;
  if (!values.json) console.log(`\n# ${name} (node ${process.version})`);
  await (await load()).run({ json: values.json, ...options });
}

function count(option: 'seconds' | 'devices' | 'weeks'): Partial<BenchmarkOptions> {
  const text = values[option];
  if (text === undefined) return {};
  if (Number(text) > 0) return { [option]: Number(text) };
  console.error(`bench: expected a number above 0 for --${option}, saw ${text}`);
  process.exit(2);
}
