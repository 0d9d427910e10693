/**
 * Devices that come whether or not the RA keeps up: new connections at a fixed rate, each with a fresh signed request within the tolerance of
 * five seconds. Requests are signed ahead in a process of its own. How long a device waits counts from when it was due, so that
 * a server that stalls does not hide it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { DeviceConnection, type Target, targetOf } from './device-connection.ts';
import { measurementOf, percentile, print, printHead } from './measurement.ts';
import type { SigningOrder } from './open-loop-signer.ts';
import { cpuUsOf, rssMbOf } from './process-cost.ts';
import { type KnownDevice, RaState, ServedRa } from './served-ra.ts';

/** What ten years of a fleet ask for, and four times as much (docs/reference/performance.md). */
const RATES = [267, 1000];
const DEFAULT_SECONDS = 20;
const DEVICES = 1000;
/** So many seconds' worth is signed ahead: requests are good for five on either side of their time. */
const AHEAD_SEC = 2;
const WARM_UP_SEC = 3;
const STEP_MS = 5;

interface Outcome {
  readonly latenciesMs: number[];
  errors: number;
  unsigned: number;
}

/** @param options.seconds of each rate: 120 in full */
export async function run(options: {
  readonly json: boolean;
  readonly seconds?: number;
}): Promise<void> {
  const parent = await mkdtemp(join(tmpdir(), 'chrysalis-open-loop-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(parent, { recursive: true }));
  const state = await RaState.make(parent);
  await state.configure((text) => text.replace(/(client-signature-ttl-sec =) \d+/, '$1 5'));
  const devices = await state.registerKnown(DEVICES);
  const served = await ServedRa.start(state);
  resources.defer(() => served.stop());
  await served.settled();
  printHead(options.json);
  for (const isResumed of [false, true]) {
    for (const rate of RATES) {
      await using signer = await Signer.start(state, devices, rate);
      const seconds = options.seconds ?? DEFAULT_SECONDS;
      await flood(served, state, signer, { rate, seconds: WARM_UP_SEC, isResumed });
      const line = await flood(served, state, signer, { rate, seconds, isResumed });
      print(line, options.json);
    }
  }
}

/** Devices that come at this rate for so long. */
export async function flood(
  served: ServedRa,
  state: RaState,
  signer: Signer,
  { rate, seconds, isResumed }: { rate: number; seconds: number; isResumed: boolean },
) {
  const target = targetOf(served.port, state.ca);
  const session = isResumed ? await sessionOf(target, await signer.next()) : undefined;
  const outcome: Outcome = { latenciesMs: [], errors: 0, unsigned: 0 };
  const underWay = new Set<Promise<void>>();
  const before = cpuUsOf(served.pid);
  const start = performance.now();
  let due = 0;
  while (due < rate * seconds) {
    const now = performance.now();
    for (; due < rate * seconds && start + (due * 1000) / rate <= now; due += 1) {
      const request = signer.take();
      if (request === undefined) {
        outcome.unsigned += 1;
        continue;
      }
      const asking = ask(target, request, start + (due * 1000) / rate, session, outcome).finally(
        () => underWay.delete(asking),
      );
      underWay.add(asking);
    }
    await setTimeout(STEP_MS);
  }
  await Promise.all(underWay);
  const wallSec = (performance.now() - start) / 1000;
  const cpuUs = cpuUsOf(served.pid) - before;
  const answered = outcome.latenciesMs.length;
  return measurementOf({
    name: 'open-loop',
    variant: `${rate} ${isResumed ? 'resumed' : 'new'} connections/s, ${seconds} s`,
    opsPerSec: answered / wallSec,
    cpuUsPerOp: cpuUs / Math.max(1, answered),
    p50Ms: percentile(outcome.latenciesMs, 0.5),
    p99Ms: percentile(outcome.latenciesMs, 0.99),
    rssMb: rssMbOf(served.pid),
    note: [
      `${((100 * cpuUs) / 1e6 / wallSec).toFixed(0)} % of a core`,
      `${answered} answered`,
      `${outcome.errors} errors`,
      `${outcome.unsigned} that the driver had not signed in time`,
      `longest ${Math.max(0, ...outcome.latenciesMs).toFixed(0)} ms`,
    ].join(', '),
  });
}

async function ask(
  target: Target,
  request: string,
  dueMs: number,
  session: Buffer | undefined,
  outcome: Outcome,
): Promise<void> {
  try {
    const connection = await DeviceConnection.open(target, session);
    const { status } = await connection.ask(request);
    connection.close();
    if (status === 200) outcome.latenciesMs.push(performance.now() - dueMs);
    else outcome.errors += 1;
  } catch {
    outcome.errors += 1;
  }
}

/** A ticket, which any number of connections may use. */
async function sessionOf(target: Target, request: string): Promise<Buffer | undefined> {
  let session: Buffer | undefined;
  const connection = await DeviceConnection.open(target, undefined, (ticket) => {
    session = ticket;
  });
  await connection.ask(request);
  connection.close();
  return session;
}

/** A process that signs as many requests a second as are asked for, and no more than are due soon. */
export class Signer {
  readonly #child: ChildProcess;
  #requests: string[] = [];
  #waiting: (() => void) | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (requests: string[]) => {
      this.#requests.push(...requests);
      this.#waiting?.();
    });
  }

  static async start(
    state: RaState,
    devices: readonly KnownDevice[],
    rate: number,
  ): Promise<Signer> {
    const child = fork(join(import.meta.dirname, 'open-loop-signer.ts'), {
      serialization: 'advanced',
    });
    const signer = new Signer(child);
    const order: SigningOrder = {
      raCertificate: state.scms.ra.certificate.octets,
      perSecond: rate,
      aheadSec: AHEAD_SEC,
      devices: devices.map(({ certificate, key, requestHash }) => ({
        certificate: certificate.octets,
        scalar: key.scalar().reveal(),
        requestHash,
      })),
    };
    child.send(order);
    await signer.#more();
    return signer;
  }

  /** Undefined when none is ready. */
  take(): string | undefined {
    return this.#requests.shift();
  }

  async next(): Promise<string> {
    while (this.#requests.length === 0) await this.#more();
    return this.#requests.shift() as string;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}
