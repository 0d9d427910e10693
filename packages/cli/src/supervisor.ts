/** The processes of an RA: started, watched, started again, replaced, ended. None of its work is done here. */
import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';
import type { Log, NotReady } from '@chrysalis/ra';
import type { Figures, ProcessCounts } from '@chrysalis/ra/operations';
import type { PipelineThreadData } from './pipeline-host.ts';
import type {
  Ending,
  ProcessOrder,
  ProcessRole,
  ProcessUrls,
  SpentTry,
  Taken,
} from './process-orders.ts';
import { RaChild } from './ra-child.ts';

/** The first pause before a process that died is started again, and the longest. */
const RESTART_FIRST_MS = 100;
const RESTART_LAST_MS = 30_000;
/** One that has served for so long has not died of its start. */
const STEADY_MS = 60_000;
/** A new TLS certificate waits for its OCSP response. */
const TAKE_MS = 60_000;
/** Operators do not wait longer for a process that hangs. */
const FIGURES_MS = 2000;

/** A place that is to be filled: the back, or one of the fronts. */
interface Place {
  readonly role: ProcessRole;
  child: RaChild | undefined;
  pauseMs: number;
  restart: NodeJS.Timeout | undefined;
}

export type SupervisedOrder = Omit<ProcessOrder, 'role' | 'writer'>;

/**
 * One process makes certificates and files, the others answer devices: they share the port, whose handle the system gives to whoever
 * is free (docs/decisions/0042-processes.md), and the state. Those that run end when this process does, however it ends.
 */
export class Supervisor {
  readonly #log: Log;
  readonly #thread: PipelineThreadData | undefined;
  readonly #back: Place = placeOf('back');
  readonly #fronts: readonly Place[];
  /** Those of places, and those that are about to take one or have left it. */
  readonly #children = new Set<RaChild>();
  /** Asked for each process, so that one that is started again has the keys that are known by then. */
  #order: () => Promise<SupervisedOrder> = () => Promise.reject(new Error('expected a start'));
  /** The first processes, until they begin. */
  #loading: { readonly place: Place; readonly child: RaChild }[] = [];
  #restarts = 0;
  #isStopping = false;
  #replacing: Promise<void> = Promise.resolve();

  /**
   * @param processes that answer devices
   * @param thread of the pipeline, where the back has one
   */
  constructor(processes: number, log: Log, thread: PipelineThreadData | undefined) {
    this.#log = log;
    this.#thread = thread;
    this.#fronts = Array.from({ length: processes }, () => placeOf('front'));
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('./ra-process.ts', import.meta.url)),
      args: [],
      serialization: 'advanced',
    });
  }

  /** Starts the processes: they load their code, and wait for {@link start}. */
  load(): void {
    this.#loading = [this.#back, ...this.#fronts].map((place) => ({
      place,
      child: this.#fork(place.role),
    }));
  }

  /**
   * After {@link load}. The back begins first: it brings the database up to date, and fills the PLV cache before a device can come.
   *
   * @param order what a process is told to do; asked for each
   * @throws CliError when one cannot begin: none runs then
   */
  async start(order: () => Promise<SupervisedOrder>): Promise<ProcessUrls> {
    this.#order = order;
    try {
      const [first, ...others] = this.#loading.splice(0);
      const back = await this.#fill(first!.place, first!.child);
      const fronts = await Promise.all(others.map(({ place, child }) => this.#fill(place, child)));
      return Object.assign({}, back, ...fronts);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /**
   * Has all processes take what lies in new files, one after the other: those that open what devices seal before the one that
   * names the new certificate to them.
   *
   * @throws Error of the first that refuses: those after it were not asked
   */
  async take(what: Taken): Promise<void> {
    for (const { channel } of this.#serving('front')) await channel.ask('take', what, TAKE_MS);
    for (const { channel } of this.#serving('back')) await channel.ask('take', what, TAKE_MS);
  }

  /**
   * Puts new processes in the place of those that run, with the code and the configuration of now: each front when its successor
   * answers, then the back. When a successor cannot begin, the others stay as they are. Never rejects.
   */
  replaceAll(): Promise<void> {
    this.#replacing = this.#replacing.then(() => this.#replaceEach());
    return this.#replacing;
  }

  /** What an RA needs to serve devices and does not have. */
  async missing(): Promise<readonly NotReady[]> {
    const missing: NotReady[] = [];
    if (this.#isStopping) missing.push({ check: 'stopping', reason: 'the RA stops' });
    if (this.#serving('front').length === 0) {
      const reason = 'expected a process that answers devices, saw none';
      missing.push({ check: 'processes', reason });
    }
    const [back] = this.#serving('back');
    try {
      if (back === undefined) throw new Error('expected the process that makes certificates');
      missing.push(...(await back.channel.ask<readonly NotReady[]>('missing')));
    } catch (error) {
      missing.push({ check: 'pipeline', reason: messageOf(error) });
    }
    return missing;
  }

  /** What all processes have counted. Those that do not tell in time are left out. */
  async figures(): Promise<readonly Figures[]> {
    const asked = [...this.#children].map(({ channel }) =>
      channel.ask<Figures | undefined>('figures', undefined, FIGURES_MS).catch(() => undefined),
    );
    const told = (await Promise.all(asked)).filter((figures) => figures !== undefined);
    const { processFigures } = await import('@chrysalis/ra/operations');
    return [...told, await processFigures(this.#counts(told.length + 1))];
  }

  /** Each answers what has arrived; the back ends last. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const { restart } of [...this.#fronts, this.#back]) clearTimeout(restart);
    await this.#endAll('front', 'close');
    await this.#endAll('back', 'close');
  }

  #counts(counted: number): ProcessCounts {
    return {
      counted,
      wanted: this.#fronts.length,
      answering: this.#serving('front').length,
      restarts: this.#restarts,
    };
  }

  async #endAll(role: ProcessRole, how: Ending): Promise<void> {
    const ending = [...this.#children].filter((child) => child.role === role);
    await Promise.all(ending.map((child) => child.end(how)));
  }

  async #fill(place: Place, child = this.#fork(place.role)): Promise<ProcessUrls> {
    const urls = await this.#begin(child);
    // Somebody else may have filled the place meanwhile.
    await this.#settle(place, child)?.end('leave');
    return urls;
  }

  /** A process that loads its code, and waits for its order. */
  #fork(role: ProcessRole): RaChild {
    const writer = role === 'back' ? 'server' : this.#freeWriter();
    // Whoever answers already goes first.
    const isLate = this.#serving('front').length > 0;
    const child = new RaChild(
      { role, writer },
      { thread: role === 'back' && this.#thread ? { ...this.#thread, isLate } : undefined },
    );
    this.#children.add(child);
    void child.ended.then(() => this.#children.delete(child));
    this.#connect(child);
    return child;
  }

  /** @throws CliError, Error; the process is gone then */
  async #begin(child: RaChild): Promise<ProcessUrls> {
    const { role, writer, pid } = child;
    const order = await this.#order();
    if (this.#isStopping) {
      await child.end('close');
      throw new Error('expected an RA that goes on, saw it stop');
    }
    const urls = await child.begin({ ...order, role, writer });
    this.#log.info({ role, pid, writer }, 'a process of the RA serves');
    return urls;
  }

  /** From now on its end is the place's to mend. @returns who was there before */
  #settle(place: Place, child: RaChild): RaChild | undefined {
    const before = place.child;
    clearTimeout(place.restart);
    place.child = child;
    const sinceMs = performance.now();
    void child.ended.then((how) => {
      if (place.child !== child) return;
      place.child = undefined;
      if (this.#isStopping) return;
      if (performance.now() - sinceMs >= STEADY_MS) place.pauseMs = RESTART_FIRST_MS;
      const { role } = place;
      this.#log.error({ role, pid: child.pid, how }, 'a process of the RA has ended');
      this.#startAgain(place);
    });
    return before;
  }

  #startAgain(place: Place): void {
    const { role, pauseMs } = place;
    place.pauseMs = Math.min(RESTART_LAST_MS, 2 * pauseMs);
    place.restart = setTimeout(() => {
      this.#restarts++;
      this.#fill(place).catch((error: unknown) => {
        const problem = messageOf(error);
        this.#log.error(
          { role, problem, pauseMs: place.pauseMs },
          'a process of the RA did not start',
        );
        if (!this.#isStopping) this.#startAgain(place);
      });
    }, pauseMs);
  }

  async #replaceEach(): Promise<void> {
    this.#log.info({}, 'the processes of the RA are replaced');
    try {
      for (const place of this.#fronts) await this.#replaceFront(place);
      await this.#replaceBack();
      this.#log.info({}, 'the processes of the RA were replaced');
    } catch (error) {
      this.#log.error({ problem: messageOf(error) }, 'a process of the RA is not replaced');
    }
  }

  async #replaceFront(place: Place): Promise<void> {
    // One that is down is started anew by itself.
    if (this.#isStopping || place.child === undefined) return;
    await this.#fill(place);
  }

  /** There is one at a time: devices are answered meanwhile. */
  async #replaceBack(): Promise<void> {
    const before = this.#back.child;
    if (this.#isStopping || before === undefined) return;
    this.#back.child = undefined;
    await before.end('leave');
    try {
      await this.#fill(this.#back);
    } catch (error) {
      if (!this.#isStopping) this.#startAgain(this.#back);
      throw error;
    }
  }

  /** Hands on what one tells the others. */
  #connect(child: RaChild): void {
    const { channel } = child;
    const others = () => [...this.#children].filter((one) => one !== child && one.role === 'front');
    channel.on('wake', () => this.#back.child?.channel.tell('wake'));
    channel.on('files', () => {
      for (const other of others()) other.channel.tell('wake');
    });
    channel.on('failed', (spent: SpentTry) => {
      for (const other of others()) other.channel.tell('failed', spent);
    });
    channel.on('open', (deviceId: number) => {
      for (const other of others()) other.channel.tell('open', deviceId);
    });
    channel.on('close', async (deviceId: number) => {
      await Promise.all(others().map((other) => closeAt(other, deviceId)));
    });
  }

  #serving(role: ProcessRole): RaChild[] {
    return [...this.#children].filter((one) => one.role === role && one.state === 'serving');
  }

  /** One more than fronts are ever there: a successor begins before the one before has ended. */
  #freeWriter(): ProcessOrder['writer'] {
    const taken = new Set([...this.#children].map(({ writer }) => writer));
    for (let n = 0; ; n++) {
      const name = `front${lettersOf(n)}` as const;
      if (!taken.has(name)) return name;
    }
  }
}

/** One that is gone hands out nothing more, and one that has not begun has not yet. */
async function closeAt(other: RaChild, deviceId: number): Promise<void> {
  try {
    await other.channel.ask('close', deviceId);
  } catch (error) {
    if (other.state === 'serving' || other.state === 'ending') throw error;
  }
}

function placeOf(role: ProcessRole): Place {
  return { role, child: undefined, pauseMs: RESTART_FIRST_MS, restart: undefined };
}

/** a to z, then aa, ab: names of writers have no digits. */
function lettersOf(n: number): string {
  const last = String.fromCharCode(0x61 + (n % 26));
  return n < 26 ? last : `${lettersOf(Math.floor(n / 26) - 1)}${last}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
