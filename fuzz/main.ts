/**
 * `npm run fuzz [-- --seconds N] [--seed S]`: changes real messages and hands them to everything that takes octets of anybody.
 * The first finding is printed, it is written to a file, and the exit status is 1; `--replay FILE` hands such a file to its
 * target again. CONTRIBUTING.md says how it becomes a test.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Finding, fuzz } from './fuzzer.ts';
import { fuzzServer, LIVE_TARGETS, replayOnServer } from './live-server.ts';
import { parseRegression, regressionText } from './regression.ts';
import { targets } from './targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    replay: { type: 'string' },
    findings: { type: 'string', default: join(import.meta.dirname, 'findings') },
  },
});
const seconds = Number(values.seconds);
if (!(seconds > 0)) throw new Error(`expected --seconds above 0, saw ${values.seconds}`);

if (values.replay !== undefined) await replay(values.replay);
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
  const file = join(values.findings, `${seed}-${target.replaceAll(/[^a-zA-Z0-9]+/g, '-')}.txt`);
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const message = error instanceof Error ? error.message : text;
  const was = `${message.slice(0, 500)} (seed ${seed})`;
  writeFileSync(file, regressionText({ target, was, octets }));
  process.stdout.write(`found: ${target}, seed ${seed}, ${octets.length} octets in ${file}\n`);
  process.stdout.write(`${text.slice(0, 4000)}\n`);
  process.stdout.write(`again: npm run fuzz -- --replay ${file}\n`);
  process.exit(1);
}

async function replay(file: string): Promise<void> {
  const { target: name, octets } = parseRegression(file, readFileSync(file, 'utf8'));
  const target = targets().find((candidate) => candidate.name === name);
  if (target !== undefined) target.run(octets);
  else if (LIVE_TARGETS.includes(name)) await replayOnServer([{ target: name, octets }]);
  else throw new Error(`expected the name of a target, saw ${name}`);
  process.stdout.write('nothing found\n');
}
