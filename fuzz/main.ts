/**
 * `npm run fuzz [-- --seconds N] [--seed S]`: changes real messages and hands them to everything that takes octets of anybody.
 * The first finding is printed, its octets are written to a file, and the exit status is 1; `--replay FILE --target NAME` hands
 * such a file to its target again.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Finding, fuzz } from './fuzzer.ts';
import { fuzzServer } from './live-server.ts';
import { targets } from './targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    replay: { type: 'string' },
    target: { type: 'string' },
    findings: { type: 'string', default: join(import.meta.dirname, 'findings') },
  },
});
const seconds = Number(values.seconds);
if (!(seconds > 0)) throw new Error(`expected --seconds above 0, saw ${values.seconds}`);

if (values.replay !== undefined) replay(values.replay, values.target);
else await run();

async function run(): Promise<void> {
  const { seed } = values;
  const started = performance.now();
  const spent = () => (performance.now() - started) / 1000;
  const all = targets();
  process.stdout.write(`seed ${seed}, ${all.length} targets, ${seconds} s\n`);
  // The server has the last third.
  const pure = fuzz(all, { seed, isOver: () => spent() > (seconds * 2) / 3 });
  report(`messages: ${pure.inputs} inputs`, pure.finding);
  const live = await fuzzServer({ seed, isOver: () => spent() > seconds });
  report(`live RA: ${live.inputs} connections`, live.finding);
  process.stdout.write('nothing found\n');
}

function report(line: string, finding: Finding | undefined): void {
  process.stdout.write(`${line}\n`);
  if (finding === undefined) return;
  const { target, seed, octets, error } = finding;
  mkdirSync(values.findings, { recursive: true });
  const file = join(values.findings, `${seed}-${target.replaceAll(/[^a-zA-Z0-9]+/g, '-')}.bin`);
  writeFileSync(file, octets);
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stdout.write(`found: ${target}, seed ${seed}, ${octets.length} octets in ${file}\n`);
  process.stdout.write(`${text.slice(0, 4000)}\n`);
  process.stdout.write(
    `again: npm run fuzz -- --replay ${file} --target ${JSON.stringify(target)}\n`,
  );
  process.exit(1);
}

function replay(file: string, name: string | undefined): void {
  const target = targets().find((candidate) => candidate.name === name);
  if (target === undefined)
    throw new Error(`expected --target with a name of a target, saw ${name}`);
  target.run(new Uint8Array(readFileSync(file)));
  process.stdout.write('nothing found\n');
}
