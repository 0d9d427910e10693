/** `npm run bench [-- NAME...] [--json]`: each benchmark beside its native reference, measured in the same run. */
import { parseArgs } from 'node:util';

interface Benchmark {
  run(options: { json: boolean; seconds?: number }): Promise<void>;
}

const BENCHMARKS: Readonly<Record<string, () => Promise<Benchmark>>> = {
  codec: () => import('./codec.ts'),
  crypto: () => import('./crypto.ts'),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, seconds: { type: 'string' } },
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
  const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
  await (await load()).run({ json: values.json, ...(seconds !== undefined && { seconds }) });
}
