/** `chrysalis serve` and `chrysalis authority serve` as processes that may be killed, and started again, at any moment. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const BIN = join(import.meta.dirname, '../../packages/cli/src/bin.js');
/** After which one that has ended by itself is started again, where somebody does so, as systemd does. */
const RESPAWN_MS = 500;
/** Lines of the log that are kept, to say more than that something failed. */
const KEPT_LINES = 50;

export class Mortal {
  readonly name: string;
  readonly #argv: readonly string[];
  #life: Life | undefined;
  /** What should not happen in any life: ends that nobody asked for, and logged errors, which are faults of its own. */
  readonly faults: string[] = [];
  /** The end of its log. */
  readonly lines: string[] = [];
  /** Lives that were ended before the process had said that it serves. */
  killedInStart = 0;
  /** Lives that it has ended by itself, where it is started again then. */
  ends = 0;
  readonly #respawns: boolean;
  #respawn: NodeJS.Timeout | undefined;

  /** @param respawns whether it is started again when it ends by itself: what it needs may be away */
  constructor(name: string, argv: readonly string[], { respawns = false } = {}) {
    this.name = name;
    this.#argv = argv;
    this.#respawns = respawns;
  }

  /**
   * Does not wait until it serves.
   *
   * @param environment beside our own
   */
  start(environment: Readonly<Record<string, string>> = {}): void {
    if (this.#life !== undefined) throw new Error(`${this.name} lives`);
    const child = spawn(process.execPath, [BIN, ...this.#argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    const life: Life = {
      child,
      gone: once(child, 'close'),
      ready: once(child.stdout!, 'data'),
      isReady: false,
    };
    life.ready.then(
      () => {
        life.isReady = true;
      },
      () => {},
    );
    createInterface({ input: child.stderr! }).on('line', (line) => this.#logged(line));
    void life.gone.then(([code, signal]) => {
      if (this.#life === life) this.#ended(`ended by itself: ${code ?? signal}`);
    });
    this.#life = life;
  }

  #ended(how: string): void {
    if (!this.#respawns) return void this.faults.push(how);
    this.ends += 1;
    this.#life = undefined;
    this.#respawn = setTimeout(() => {
      this.#respawn = undefined;
      this.start();
    }, RESPAWN_MS);
  }

  /** Resolves when it serves. @throws Error when it ends before, and is not started again */
  async ready(): Promise<void> {
    for (;;) {
      try {
        if (this.#respawn === undefined) return await this.#ready();
      } catch (error) {
        if (!this.#respawns) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RESPAWN_MS));
    }
  }

  async #ready(): Promise<void> {
    const { ready, gone } = this.#living();
    const end = gone.then(() => {
      throw new Error(`expected ${this.name} to start, saw it end: ${this.lines.join('\n')}`);
    });
    await Promise.race([ready, end]);
  }

  get pid(): number {
    return this.#living().child.pid as number;
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(): Promise<void> {
    if (this.#life?.isReady === false) this.killedInStart += 1;
    await this.#end('SIGKILL');
  }

  /** Waits until it kills itself, as it was started to do. @throws Error when it ends in another way */
  async death(): Promise<void> {
    const { gone } = this.#living();
    this.#life = undefined;
    const [code, signal] = await gone;
    if (signal === 'SIGKILL') return;
    throw new Error(`expected ${this.name} to be killed, saw it end: ${code ?? signal}`);
  }

  /** SIGTERM: a clean end. Its exit status. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** For the end of a test, whatever has become of it. */
  async remove(): Promise<void> {
    if (this.#life !== undefined || this.#respawn !== undefined) await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#respawn !== undefined) {
      clearTimeout(this.#respawn);
      this.#respawn = undefined;
      return null;
    }
    const { child, gone } = this.#living();
    this.#life = undefined;
    child.kill(signal);
    const [code] = await gone;
    return code as number | null;
  }

  #living(): Life {
    if (this.#life === undefined) throw new Error(`${this.name} does not live`);
    return this.#life;
  }

  #logged(line: string): void {
    this.lines.push(line);
    if (this.lines.length > KEPT_LINES) this.lines.shift();
    // pino: 40 is a warning, of a peer that is away for instance.
    if (/"level":[1-4]0,/.test(line)) return;
    // Devices that the RA cannot take because no chain of linkage values is left are told so by an error.
    if (!line.includes('"type":"AuthorityUnavailableError"')) this.faults.push(line);
  }
}

interface Life {
  readonly child: ChildProcess;
  readonly gone: Promise<unknown[]>;
  readonly ready: Promise<unknown[]>;
  isReady: boolean;
}
