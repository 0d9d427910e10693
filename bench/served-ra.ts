/**
 * An RA as operators run it: `chrysalis init` makes its state, `chrysalis serve` is a process of its own, and what it costs is read from outside.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { readTestScms, type TestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { type Time32, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { formatHex, IPeriodClock } from '@chrysalis/scms';
import { openDatabase } from '@chrysalis/store';
import { DeviceRegistry } from '../packages/ra/src/device-registry.ts';
import { createDevice, type TestDevice } from '../test/support/device.ts';
import { copyRows } from './copied-rows.ts';
import { cpuUsOf } from './process-cost.ts';
import { deviceRows, freshDeviceRow } from './registered-device.ts';

const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');
/** Registrations that share commits. */
const IN_FLIGHT = 1000;
/** Of those that nobody drives, so many are registered; the others are copies. */
const REGISTERED = 10_000;

/** What a quiet RA uses of a core, at most: timers, and their garbage. */
const QUIET_SHARE = 0.05;
const SETTLE_LOOK_MS = 1000;
const SETTLE_LOOKS = 180;

/** A device that the RA knows, as its driver has it. */
export interface KnownDevice extends TestDevice {
  /** Upper-case hex: its files are named by it. */
  readonly requestHash: string;
  readonly registeredAt: Time32;
}

/** The state directory of an RA, in another directory that is there. */
export class RaState {
  readonly directory: string;
  readonly scms: TestScms;
  /** PEM of the X.509 root. */
  readonly ca: string;

  private constructor(directory: string, scms: TestScms, ca: string) {
    this.directory = directory;
    this.scms = scms;
    this.ca = ca;
  }

  static async make(parent: string, { weeksAhead = 156 } = {}): Promise<RaState> {
    const directory = join(parent, 'state');
    const weeks = ['--weeks-ahead', String(weeksAhead)];
    await runToEnd(['--dir', directory, 'init', '--port', '0', ...weeks]);
    const ca = await readFile(join(directory, 'authorities/x509-root/certificate.pem'), 'utf8');
    const state = new RaState(directory, await readTestScms(directory), ca);
    // It costs nothing and changes nothing but what a busy machine does to requests that were signed ahead.
    await state.configure((text) =>
      text
        .replace(/(client-signature-ttl-sec =) 5/, '$1 60')
        // The cost of a request is the same in each of several, and what lies between them is not measured.
        .replace(/^(?:# )?processes = \d+$/m, 'processes = 1')
        // Filled once after the start: what is measured is what comes after.
        .replace(/(linkage-cache =) \d+/, '$1 2'),
    );
    return state;
  }

  /** Registers devices with keys, while no RA runs. */
  async registerKnown(count: number): Promise<readonly KnownDevice[]> {
    const now = time32FromUnix(Date.now());
    const devices = Array.from({ length: count }, () => createDevice(this.scms, systemRandom, now));
    const rowOf = deviceRows(this.scms, now);
    const known: KnownDevice[] = [];
    await this.#register(count, (n) => {
      const device = devices[n] as TestDevice;
      const row = rowOf(device);
      const requestHash = formatHex(row.request_hash);
      known.push({ ...device, requestHash, registeredAt: now });
      return row;
    });
    return known;
  }

  /** Registers devices that nobody drives: they are there to be in the way. */
  async registerOthers(count: number): Promise<void> {
    const first = Math.min(count, REGISTERED);
    await this.#register(first, deviceRowsOfStrangers(this.scms));
    copyRows(this.#databasePath, first, count);
  }

  /** Registers devices for which everything is to be made, `weeks` each. */
  async registerFresh(count: number, weeks: number): Promise<void> {
    const now = time32FromUnix(Date.now());
    const first = new IPeriodClock().at(now);
    const row = () =>
      freshDeviceRow(createDevice(this.scms, systemRandom, now), { now, first, weeks });
    await this.#register(count, row);
  }

  /** Moves the PCA and the LAs out of the RA's process: nothing runs where they are then. */
  async exportAuthorities(parent: string): Promise<void> {
    for (const name of ['pca', 'la1', 'la2']) {
      const to = ['--to', join(parent, name)];
      await runToEnd(['--dir', this.directory, 'authority', 'export', name, ...to]);
    }
  }

  /** Changes what `init` wrote into the configuration. */
  async configure(change: (text: string) => string): Promise<void> {
    const path = join(this.directory, 'chrysalis.toml');
    await writeFile(path, change(await readFile(path, 'utf8')));
  }

  get #databasePath(): string {
    return join(this.directory, 'ra/chrysalis.db');
  }

  async #register(
    count: number,
    rowOf: (n: number) => ReturnType<ReturnType<typeof deviceRows>>,
  ): Promise<void> {
    const url = `sqlite:${this.#databasePath}`;
    const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS);
    const registry = new DeviceRegistry(database);
    for (let n = 0; n < count; n += IN_FLIGHT) {
      const length = Math.min(IN_FLIGHT, count - n);
      const rows = Array.from({ length }, (_, k) => rowOf(n + k));
      await Promise.all(rows.map((row) => registry.register(row, row.registered_at)));
    }
    await database.close();
  }
}

function deviceRowsOfStrangers(scms: TestScms): () => ReturnType<ReturnType<typeof deviceRows>> {
  const rowOf = deviceRows(scms);
  return () => rowOf();
}

/** `chrysalis serve` in a process of its own. */
export class ServedRa {
  readonly pid: number;
  readonly port: number;
  /** From the start of the process to its URL. */
  readonly startMs: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number, startMs: number) {
    this.#child = child;
    this.pid = child.pid as number;
    this.port = port;
    this.startMs = startMs;
  }

  /** @throws Error when it ends before it answers */
  static async start(
    state: Pick<RaState, 'directory'>,
    nodeOptions: readonly string[] = [],
  ): Promise<ServedRa> {
    const started = performance.now();
    const child = runCli(
      ['--dir', state.directory, '--json', 'serve', '--log-level', 'warn'],
      nodeOptions,
    );
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`expected an RA that answers, saw exit ${code}`);
    });
    ended.catch(() => {});
    const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string];
    const { url } = JSON.parse(line) as { url: string };
    return new ServedRa(child, Number(new URL(url).port), performance.now() - started);
  }

  /** Waits until what the start leaves to do is done. */
  async settled(): Promise<void> {
    for (let look = 0; look < SETTLE_LOOKS; look += 1) {
      const before = cpuUsOf(this.pid);
      await setTimeout(SETTLE_LOOK_MS);
      if (cpuUsOf(this.pid) - before < SETTLE_LOOK_MS * 1000 * QUIET_SHARE) return;
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }
}

/** A command that warns, as they do of a test SCMS, and ends. */
async function runToEnd(args: readonly string[]): Promise<void> {
  const child = runCli(args, [], 'ignore');
  // What it reports is read and forgotten.
  child.stdout?.resume();
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`expected ${args.join(' ')} to end well, saw exit ${code}`);
}

function runCli(
  args: readonly string[],
  nodeOptions: readonly string[] = [],
  stderr: 'inherit' | 'ignore' = 'inherit',
): ChildProcess {
  return spawn(process.execPath, [...nodeOptions, BIN, ...args], {
    stdio: ['ignore', 'pipe', stderr],
  });
}
