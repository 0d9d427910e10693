/**
 * `npm run test:fleet`: ten thousand virtual devices at an RA with test authorities, four weeks of certificates each, all
 * of them checked; then four weeks pass, the RA starts again, the devices fetch the next four, and all is checked once
 * more.
 *
 * Parameters: CHRYSALIS_FLEET_DEVICES (10000), CHRYSALIS_FLEET_WEEKS (4), CHRYSALIS_FLEET_RATE (20 devices a second),
 * CHRYSALIS_FLEET_POLL_SEC (60, the longest pause of a device), CHRYSALIS_FLEET_WORKERS (2 threads of the checker),
 * CHRYSALIS_FLEET_DIR (kept; the same again goes on with a run that was interrupted in its first stage; without it a
 * temporary one).
 *
 * The shuffle is that of production, first certificates included, at the policy's threshold of 1,000. Only its longest
 * wait is two minutes instead of two days, by the policy: there is no next device that would fill it up behind the last.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { main as chrysalis } from '@chrysalis/cli';
import { systemRandom } from '@chrysalis/crypto';
import type { CheckReport, SimulationReport } from '@chrysalis/fleet';
import { IPeriodClock, systemClock, timeOf } from '@chrysalis/scms';
import { type Mixing, mixingOf } from './fleet-mixing.ts';

const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');
const WEEK_SEC = 604_800;
/** CAMP's minimum. */
const PER_PERIOD = 20;
/** CAMP's. */
const SHUFFLE = { threshold: 1000, maxAgeSec: 120 };

export interface FleetRun {
  /** New, or that of a run that was interrupted in its first stage. */
  readonly directory: string;
  readonly devices: number;
  readonly weeks: number;
  /** Certificates in a week. */
  readonly perPeriod: number;
  readonly rate: number;
  readonly pollSec: number;
  readonly workers: number;
  /** Requests with which the shuffle opens, and the longest that one waits in it. */
  readonly shuffle: { readonly threshold: number; readonly maxAgeSec: number };
  /** Where progress goes. */
  readonly stderr: 'inherit' | 'ignore';
  readonly say?: (text: string) => void;
}

export interface FleetStage {
  readonly load: SimulationReport;
  readonly check: CheckReport;
  /** How the requests of this stage lay at the PCA. */
  readonly mixing: Mixing;
}

/** Both stages: the first supply, and the one after as many weeks. @throws Error when a command fails */
export async function runFleet(run: FleetRun): Promise<readonly [FleetStage, FleetStage]> {
  const state = join(run.directory, 'state');
  if (!existsSync(join(state, 'chrysalis.toml'))) await makeState(run, state);
  const first = await stage(run, state, 0);
  run.say?.(`${run.weeks} weeks pass`);
  return [first, await stage(run, state, run.weeks * WEEK_SEC)];
}

async function makeState(run: FleetRun, state: string): Promise<void> {
  await here([
    '--dir',
    state,
    'init',
    '--port',
    '0',
    '--processes',
    '1',
    '--weeks-ahead',
    String(run.weeks),
  ]);
  await poolInitial(state);
  await setPolicy(run, state);
}

/** The policy of this SCMS: so many certificates in a week, and a shuffle that the last of a fleet soon leave by age. */
async function setPolicy({ perPeriod, shuffle }: FleetRun, state: string): Promise<void> {
  const set = (key: string, value: number | string) =>
    here(['--dir', state, 'policy', 'set', key, String(value)]);
  await set('min-certs-per-i-period', perPeriod);
  await set('shuffle-threshold', shuffle.threshold);
  await set('max-cert-request-age', `${shuffle.maxAgeSec} seconds`);
}

/** What the file itself asks of whoever goes into production: the first supply of a device is mixed like all others. */
async function poolInitial(state: string): Promise<void> {
  const file = join(state, 'chrysalis.toml');
  const text = await readFile(file, 'utf8');
  const pooled = text.replace(/^initial = "immediate"$/m, 'initial = "pooled"');
  if (pooled === text) throw new Error(`expected shuffle.initial = "immediate" in ${file}`);
  await writeFile(file, pooled);
}

async function stage(run: FleetRun, state: string, offsetSec: number): Promise<FleetStage> {
  const { devices, weeks, rate, pollSec, workers, say } = run;
  const fleet = join(run.directory, 'fleet');
  const firstI = currentPeriod(offsetSec);
  const server = await startServer(run, state, offsetSec);
  try {
    const common = ['--dir', state, '--json', 'simulate', '--ra', server.url];
    common.push('--fleet', fleet);
    common.push('--devices', String(devices), '--weeks', String(weeks));
    const perPeriod = ['--per-period', String(run.perPeriod)];
    const threads = ['--workers', String(workers)];
    const pace = ['--rate', String(rate), '--poll-sec', String(pollSec)];
    const load: SimulationReport = JSON.parse(await command([...common, ...pace], run, offsetSec));
    say?.(`load: ${JSON.stringify(load, undefined, 2)}`);
    const check: CheckReport = JSON.parse(
      await command([...common, ...perPeriod, '--check', ...threads], run, offsetSec),
    );
    say?.(`check: ${JSON.stringify(check, undefined, 2)}`);
    const mixing = await mixingOf({ state, fleet, firstI, weeks, perPeriod: run.perPeriod });
    say?.(`at the PCA: ${JSON.stringify(mixing, undefined, 2)}`);
    return { load, check, mixing };
  } finally {
    await server.stop();
  }
}

/** By the clock of the processes of a stage. */
function currentPeriod(offsetSec: number): number {
  return new IPeriodClock().at(timeOf(systemClock) + offsetSec);
}

/**
 * How often the request behind a device's may be the same device's: twice as often as in a random order of an epoch of the
 * shuffle, or of all when they do not fill one. Without a shuffle it nearly always is.
 */
export function mostSameDeviceNext(
  run: Pick<FleetRun, 'devices' | 'weeks' | 'perPeriod' | 'shuffle'>,
): number {
  const inEpoch = (run.weeks * run.perPeriod) / run.shuffle.threshold;
  return Math.min(0.5, 2 * Math.max(inEpoch, 1 / run.devices));
}

function start(argv: readonly string[], { stderr }: FleetRun, offsetSec: number): ChildProcess {
  return spawn(process.execPath, [BIN, ...argv], {
    stdio: ['ignore', 'pipe', stderr],
    env: {
      ...process.env,
      ...(offsetSec > 0 && { CHRYSALIS_TEST_CLOCK_OFFSET_SEC: String(offsetSec) }),
    },
  });
}

/** A command that takes no time, in this process. */
async function here(argv: readonly string[]): Promise<void> {
  let errors = '';
  const status = await chrysalis(argv, {
    stdout: { write() {} },
    stderr: { write: (text) => (errors += text) },
    stdin: (async function* () {})(),
    env: {},
    clock: systemClock,
    random: systemRandom,
    signal: new AbortController().signal,
  });
  if (status !== 0) throw new Error(`chrysalis ${argv.join(' ')}: ${errors}`);
}

/** Its standard output. A check that finds something ends with status 1, and its report is the result. */
async function command(argv: readonly string[], run: FleetRun, offsetSec: number): Promise<string> {
  const child = start(argv, run, offsetSec);
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  const status = await new Promise<number | null>((done) => child.once('close', done));
  if (status === 0 || (status === 1 && output !== '')) return output;
  throw new Error(`expected chrysalis ${argv.join(' ')} to end well, saw status ${status}`);
}

async function startServer(
  run: FleetRun,
  state: string,
  offsetSec: number,
): Promise<{ url: string; stop(): Promise<void> }> {
  const argv = ['--dir', state, '--json', 'serve', '--log-level', 'warn'];
  const child = start(argv, run, offsetSec);
  const gone = new Promise<void>((done) => child.once('exit', () => done()));
  const url = await new Promise<string>((ready, fail) => {
    child.stdout?.once('data', (line) => ready(JSON.parse(String(line)).url as string));
    void gone.then(() => fail(new Error('expected the RA to start, saw it end')));
  });
  return {
    url,
    async stop() {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

async function main(): Promise<number> {
  const { env } = process;
  const number = (name: string, otherwise: number) => Number(env[name] ?? otherwise);
  const kept = env.CHRYSALIS_FLEET_DIR;
  const directory = kept ? resolve(kept) : await mkdtemp(join(tmpdir(), 'chrysalis-fleet-'));
  if (kept) await mkdir(directory, { mode: 0o700, recursive: true });
  const weeks = number('CHRYSALIS_FLEET_WEEKS', 4);
  const devices = number('CHRYSALIS_FLEET_DEVICES', 10_000);
  const run: FleetRun = {
    directory,
    devices,
    weeks,
    perPeriod: PER_PERIOD,
    rate: number('CHRYSALIS_FLEET_RATE', 20),
    pollSec: number('CHRYSALIS_FLEET_POLL_SEC', 60),
    workers: number('CHRYSALIS_FLEET_WORKERS', 2),
    shuffle: SHUFFLE,
    stderr: 'inherit',
    say: (text) => console.log(text),
  };
  try {
    const stages = await runFleet(run);
    const expected = devices * weeks * PER_PERIOD;
    const isSound = stages.every(
      ({ load, check, mixing }, n) =>
        load.devices.complete === devices &&
        check.findingCount === 0 &&
        mixing.requests >= expected &&
        mixing.sameDeviceNext <= mostSameDeviceNext(run) &&
        check.certificates + check.earlierCertificates === expected * (n + 1),
    );
    console.log(isSound ? `all ${2 * expected} certificates are in order` : 'NOT in order');
    return isSound ? 0 : 1;
  } finally {
    if (!kept) await rm(directory, { recursive: true });
  }
}

if (import.meta.main) process.exitCode = await main();
