/**
 * `chrysalis serve` as a process of its own, with its test authorities, on free ports: what attackers and devices meet
 * when an RA is installed. It is watched from outside, through the operators' port and its log.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { readTestScms, type TestScms } from '@chrysalis/authorities';
import { main as chrysalis } from '@chrysalis/cli';
import { systemRandom } from '@chrysalis/crypto';
import { systemClock } from '@chrysalis/scms';

const BIN = join(import.meta.dirname, '../../packages/cli/src/bin.js');
/** Lines of the log that are kept, to say more than that something failed. */
const KEPT_LINES = 50;
/** Whoever watches over an RA takes one that has not answered by then for dead. */
const DEADLINE_MS = 10_000;
/** Printed when there are several. */
const WANTED = 'chrysalis_processes{state="wanted"}';
/** pino's name for what is a fault of the RA. */
const ERROR_LEVEL = 50;

export interface LiveRaOptions {
  /** Made when it is not there; else an RA was served from it before, and the next lines are as they were. */
  readonly directory: string;
  readonly weeksAhead: number;
  /** Certificates in a week. */
  readonly perWeek: number;
  /** That answer devices; chrysalis' own default, the cores of the machine, when undefined. */
  readonly processes: number | undefined;
  /** Added to the scheduling priority: above 0, others go first. */
  readonly nice?: number;
  /** `limits.shed-…-ms` of all classes; its own when missing. 0: never, however slow the machine is. */
  readonly shedMs?: number | undefined;
  /** Of Node, before its own: what a control has it load. */
  readonly nodeArguments?: readonly string[];
}

/** Figures by their names, with labels as they are printed: prom-client's text, read. */
export type Figures = ReadonlyMap<string, number>;

export interface LiveRa {
  readonly directory: string;
  readonly scms: TestScms;
  /** PEM of the X.509 root. */
  readonly ca: string;
  readonly url: URL;
  readonly port: number;
  readonly crlPort: number;
  readonly opsUrl: string;
  /** That answer devices. */
  readonly processes: number;
  /** What should not be: errors in its log, which are faults of its own, and an end that nobody asked for. */
  readonly faults: readonly string[];
  /** A command of `chrysalis` on its state directory. @throws Error when it fails */
  command(...args: readonly string[]): Promise<string>;
  /** Sums over all of its processes. @throws Error when one of them is missing in them */
  figures(): Promise<Figures>;
  /** Milliseconds until `/healthz` has answered. @throws Error when it does not within ten seconds */
  health(): Promise<number>;
  /** As operators stop it. Its exit status. */
  stop(): Promise<number | null>;
  /** As nobody should. */
  kill(): Promise<void>;
}

/** Of an environment variable. @throws Error when it names no number of processes */
export function chosenProcesses(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const processes = Number(value);
  if (Number.isSafeInteger(processes) && processes > 0) return processes;
  throw new Error(`expected a number of processes, saw ${value}`);
}

/** Makes the state directory and starts the RA; resolves when it answers. */
export async function startLiveRa(options: LiveRaOptions): Promise<LiveRa> {
  const { directory, nice = 0, nodeArguments = [] } = options;
  const command = (...args: readonly string[]) => inThisProcess(['--dir', directory, ...args]);
  if (!existsSync(directory)) await make(options, command);
  const argv = [
    ...nodeArguments,
    BIN,
    '--dir',
    directory,
    '--json',
    'serve',
    '--log-level',
    'warn',
  ];
  // Detached: a Ctrl-C is for whoever started it, which stops it in good order.
  const child = spawn(process.execPath, argv, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  process.once('exit', () => child.kill('SIGKILL'));
  if (nice > 0 && child.pid !== undefined) setPriority(child.pid, nice);
  const faults: string[] = [];
  const gone = watch(child, faults);
  const urls = JSON.parse(await firstLine(child, faults)) as Record<string, string>;
  const url = new URL(urls.url ?? '');
  const { opsUrl = '' } = urls;
  const figures = async () => expectWhole(parseFigures(await textAt(`${opsUrl}/metrics`)));
  return {
    directory,
    scms: await readTestScms(directory),
    ca: await readFile(join(directory, 'authorities/x509-root/certificate.pem'), 'utf8'),
    url,
    port: Number(url.port),
    crlPort: Number(new URL(urls.crlUrl ?? '').port),
    opsUrl,
    faults,
    command,
    figures,
    processes: (await figures()).get(WANTED) ?? 1,
    async health() {
      const start = performance.now();
      await textAt(`${opsUrl}/healthz`);
      return performance.now() - start;
    },
    async stop() {
      gone.isExpected = true;
      child.kill('SIGTERM');
      return gone.status;
    },
    async kill() {
      gone.isExpected = true;
      child.kill('SIGKILL');
      await gone.status;
    },
  };
}

/**
 * On a connection of its own: one that is kept may be closed while the question is on its way.
 *
 * @throws Error when the last octet is not here in time, or the status is another than 200
 */
export async function textAt(url: string, deadlineMs = DEADLINE_MS): Promise<string> {
  const signal = AbortSignal.timeout(deadlineMs);
  try {
    return await textWithin(url, signal);
  } catch (cause) {
    if (!signal.aborted) throw cause;
    throw new Error(`expected an answer of ${url} within ${deadlineMs} ms`, { cause });
  }
}

async function textWithin(url: string, signal: AbortSignal): Promise<string> {
  const request = get(url, { agent: false, signal });
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) text += chunk;
  if (answer.statusCode !== 200)
    throw new Error(`expected 200 at ${url}, saw ${answer.statusCode}`);
  return text;
}

async function make(
  { directory, weeksAhead, perWeek, processes, shedMs }: LiveRaOptions,
  command: LiveRa['command'],
): Promise<void> {
  const several = processes === undefined ? [] : ['--processes', `${processes}`];
  await command('init', '--port', '0', ...several, '--weeks-ahead', `${weeksAhead}`);
  await command('policy', 'set', 'min-certs-per-i-period', `${perWeek}`);
  // Else the last requests would wait for two days until the shuffle opens by age.
  await command('policy', 'set', 'shuffle-threshold', '1');
  if (shedMs !== undefined) await setSheds(directory, shedMs);
}

async function setSheds(directory: string, ms: number): Promise<void> {
  const file = join(directory, 'chrysalis.toml');
  const text = await readFile(file, 'utf8');
  const changed = text.replace(
    /^(shed-(?:anonymous|provisioning|downloads)-ms) = \d+$/gm,
    `$1 = ${ms}`,
  );
  await writeFile(file, changed);
}

/** A figure, or 0: a counter with labels is not printed before it counts. */
export function figure(figures: Figures, name: string): number {
  return figures.get(name) ?? 0;
}

/** A command that takes no time, in this process. */
async function inThisProcess(argv: readonly string[]): Promise<string> {
  let [output, errors] = ['', ''];
  const status = await chrysalis(argv, {
    stdout: { write: (text) => (output += text) },
    stderr: { write: (text) => (errors += text) },
    stdin: (async function* () {})(),
    env: {},
    clock: systemClock,
    random: systemRandom,
    signal: new AbortController().signal,
  });
  if (status !== 0) throw new Error(`chrysalis ${argv.join(' ')}: ${errors}`);
  return output;
}

function watch(child: ChildProcess, faults: string[]) {
  const lines: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => {
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
    const level = Number(/"level":(\d+)/.exec(line)?.[1] ?? ERROR_LEVEL);
    if (level >= ERROR_LEVEL) faults.push(line);
  });
  const gone = {
    isExpected: false,
    status: once(child, 'close').then(([code, signal]) => {
      if (!gone.isExpected) {
        faults.push(`ended by itself: ${code ?? signal}\n${lines.join('\n')}`);
      }
      return code as number | null;
    }),
  };
  return gone;
}

async function firstLine(child: ChildProcess, faults: readonly string[]): Promise<string> {
  const ended = once(child, 'close').then(() => {
    throw new Error(`expected the RA to start, saw it end: ${faults.join('\n')}`);
  });
  const [line] = await Promise.race([once(child.stdout!, 'data'), ended]);
  ended.catch(() => {});
  return String(line);
}

/** A sum without one of the processes would look like memory that was given back. */
function expectWhole(figures: Figures): Figures {
  const wanted = figures.get(WANTED);
  if (wanted === undefined) return figures;
  const counted = figures.get('chrysalis_processes{state="counted"}');
  // One makes certificates, and one watches.
  if (counted === wanted + 2) return figures;
  throw new Error(`expected the figures of ${wanted + 2} processes, saw those of ${counted}`);
}

function parseFigures(text: string): Figures {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))] as const;
    }),
  );
}
