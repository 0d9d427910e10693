import { isStoreError } from '@chrysalis/store/files';
import { AuditChainError, parseLine } from './audit-chain.ts';
import { auditFiles, auditWriters, tailOf } from './audit-files.ts';
import { type AuditLogOptions, AuditWriter, DAY_MS, RETENTION_GRACE_MS } from './audit-log.ts';
import { PeriodsOver } from './periods-over.ts';

/** How often it is looked whether the time of a series is over. */
const LOOK_MS = 600_000;

export interface GoneWritersOptions extends AuditLogOptions {
  /** Writers whose lines stay, whatever their age. */
  readonly kept: readonly string[];
}

/**
 * Series of the audit log that nobody writes to any more: of processes beyond `ra.processes`, of workers that went elsewhere. When
 * the last line of one is older than `keepDays`, whoever runs this takes the series, as another process of that name would, begins a
 * file, and removes those before it. One that a living process holds is left alone: it is the only one that can have it.
 */
export class GoneWriters {
  readonly #options: GoneWritersOptions;
  /** Files whose time is over, by the numbers of their series' newest. */
  readonly #over = new Map<string, PeriodsOver>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: GoneWritersOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  /** Looks at each of the others. Never rejects. */
  look(): Promise<void> {
    this.#running = this.#running.then(() => this.#look());
    return this.#running;
  }

  /** Ends after what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  async #look(): Promise<void> {
    const { directory, writer, kept, keepDays, log } = this.#options;
    if (keepDays === 0) return;
    try {
      for (const other of await auditWriters(directory)) {
        if (other === writer || kept.includes(other)) continue;
        if (await this.#isOverForSure(other)) await this.#retire(other);
      }
    } catch (error) {
      log.error({ err: error }, 'an audit log that nobody writes to is not removed');
    }
  }

  async #isOverForSure(writer: string): Promise<boolean> {
    const { directory, retentionGraceMs = RETENTION_GRACE_MS } = this.#options;
    const newest = (await auditFiles(directory, writer)).at(-1);
    if (newest === undefined) return false;
    const endMs = await endOf(newest.path);
    const isOver = endMs !== undefined && endMs < this.#limitMs;
    const over = this.#over.get(writer) ?? new PeriodsOver(retentionGraceMs);
    this.#over.set(writer, over);
    return over.look(isOver ? newest.number : -1, performance.now()) >= newest.number;
  }

  async #retire(writer: string): Promise<void> {
    // Whatever comes of it, it is looked at for as long again before the next try.
    this.#over.delete(writer);
    let series: AuditWriter;
    try {
      series = await AuditWriter.open({ ...this.#options, writer });
    } catch (error) {
      if (isStoreError(error, 'busy')) return;
      throw error;
    }
    try {
      // Looked at once more, now that nobody else writes to it.
      await series.retireFormer(this.#limitMs);
    } finally {
      await series.close();
    }
  }

  get #limitMs(): number {
    const { clock, keepDays } = this.#options;
    return clock.now() - keepDays * DAY_MS;
  }
}

/** The time of the last line; undefined when there is none, which is for `audit verify` to tell. */
async function endOf(path: string): Promise<number | undefined> {
  const { last } = await tailOf(path);
  if (last === undefined) return undefined;
  try {
    return Date.parse(parseLine(last).time);
  } catch (error) {
    if (error instanceof AuditChainError) return undefined;
    throw error;
  }
}
