/**
 * `npm run bench [-- NAME...] [--json] [--seconds N] [--devices N] [--weeks N]`: each benchmark beside its native
 * reference, measured in the same run. `--devices` and `--weeks` are for the pipeline, `--seconds` for the others.
 */
import { parseArgs } from 'node:util';

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
  growth: () => import('./growth.ts'),
  info: () => import('./info.ts'),
  pipeline: () => import('./pipeline.ts'),
  remote: () => import('./remote.ts'),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
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
for (const name of names) {
  const load = BENCHMARKS[name];
  if (!load) continue;
  if (!values.json) console.log(`\n# ${name} (node ${process.version})`);
  await (await load()).run({
    json: values.json,
    ...count('seconds'),
    ...count('devices'),
    ...count('weeks'),
  });
}

function count(option: 'seconds' | 'devices' | 'weeks'): Partial<BenchmarkOptions> {
  const text = values[option];
  if (text === undefined) return {};
  if (Number(text) > 0) return { [option]: Number(text) };
  console.error(`bench: expected a number above 0 for --${option}, saw ${text}`);
  process.exit(2);
}
