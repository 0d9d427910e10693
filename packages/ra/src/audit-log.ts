import { constants, type FileHandle, open, rm } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '@chrysalis/scms';
import {
  createDirectoryDurably,
  fileError,
  StoreError,
  syncDirectory,
  writeFileDurably,
} from '@chrysalis/store/files';
import {
  AuditChainError,
  type ChainedLine,
  type ChainLink,
  chainLine,
  GENESIS,
  type LineSigner,
  parseLine,
  readChainLine,
} from './audit-chain.ts';
import type { AuditEvent, AuditLogEvent, FileEvent, RetentionEvent } from './audit-event.ts';
import {
  auditFilePath,
  auditFiles,
  auditWriters,
  firstLine,
  readHead,
  tailOf,
  writeHead,
} from './audit-files.ts';
import { corrupt, type FileStart, startOf, takeSeries } from './audit-series.ts';
import type { Log } from './options.ts';
import { PeriodsOver } from './periods-over.ts';

/** Where events go. Each part of an RA has one of its own writer. */
export interface AuditLog {
  /**
   * When it resolves, the events are on stable storage, in this order and next to each other: what they tell may be promised.
   *
   * @throws StoreError `full`, `io`: they are not, and nothing may be promised; `overloaded`, `closed`
   */
  record(...events: readonly AuditEvent[]): Promise<void>;
  /**
   * Writes an event behind the answer: on stable storage within a second, or, `now`, with the next sync. Never throws. While the
   * disk does not take them 10,000 wait, and beyond that they are lost and counted.
   */
  note(event: AuditEvent, when?: 'soon' | 'now'): void;
  /** Resolves when the last write was good, or another one now is. @throws StoreError */
  ready(): Promise<void>;
}

export interface AuditLogOptions {
  readonly directory: string;
  /** Whose series it is: one process at a time, letters a to z. */
  readonly writer: string;
  /** Signs the first line of each file and each checkpoint. Without it they are not signed. */
  readonly sign?: LineSigner;
  /** A file that has reached this is followed by another; so is one of another day (UTC). */
  readonly maxFileOctets: number;
  /** Files whose last line is older are removed; 0: none is. */
  readonly keepDays: number;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a file is seen to be too old before it is removed, in this process's own time; an hour when missing. */
  readonly retentionGraceMs?: number;
  /** How a file is opened to append; for tests of disks that fail. */
  readonly openToAppend?: (path: string) => Promise<AppendHandle>;
}

/** What is done with an open file. */
export type AppendHandle = Pick<
  FileHandle,
  'appendFile' | 'datasync' | 'truncate' | 'stat' | 'close'
>;

/** How long an event that nobody waits for may wait. */
const FLUSH_MS = 1000;
/** How often it is looked whether there is something to sign, or a file to remove. */
const LOOK_MS = 60_000;
/** Lines of one write. */
const MAX_BATCH = 1000;
/** Events that may wait: in quiet times less than a second's worth, so that more means a disk that does not keep up. */
const MAX_WAITING = 10_000;
/** Lines without a signature after them, at most: `audit verify` holds a writer to it. */
export const MAX_UNSIGNED = 1000;
/** Files in one event of their removal: it fits into a line. */
const MAX_RETIRED = 50;
export const DAY_MS = 86_400_000;
export const RETENTION_GRACE_MS = 3_600_000;

interface Waiting {
  readonly events: readonly { readonly timeMs: number; readonly event: AuditEvent }[];
  /** Of those that somebody waits for. */
  readonly settle?: { resolve(): void; reject(error: unknown): void };
}

/**
 * One series of the audit log: lines that are chained (audit-chain.ts) in files that are chained. Events that come together share
 * a write and a sync, as rows do in a GroupCommit. All I/O is asynchronous: no device waits for another's line.
 */
export class AuditWriter implements AuditLog {
  readonly #options: AuditLogOptions;
  readonly #release: () => Promise<void>;
  readonly #waiting: Waiting[] = [];
  readonly #over: PeriodsOver;
  /** Oldest first; the last is the one that is written to. */
  readonly #files: FileStart[] = [];
  #others: Record<string, ChainLink> = {};
  #file: AppendHandle | undefined;
  #link: ChainLink = GENESIS;
  /** Octets of the file that are good: what is beyond them is cut off. */
  #size = 0;
  /** When the process before ended, as its last line says. */
  #endedMs: number | undefined;
  #unsigned = 0;
  #waitingCount = 0;
  #lost = 0;
  #failedSince: number | undefined;
  #isFailureLogged = false;
  #timer: NodeJS.Timeout | undefined;
  #look: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  private constructor(options: AuditLogOptions, release: () => Promise<void>) {
    this.#options = options;
    this.#release = release;
    this.#over = new PeriodsOver(options.retentionGraceMs ?? RETENTION_GRACE_MS);
  }

  /**
   * Takes the series for this process, makes the directory or goes on after the last whole line. A last line without an end is
   * cut off, and a `repair` says so.
   *
   * @throws StoreError `busy`: another process holds it for ten seconds; `corrupt`: its end is not what was written; `full`, `io`
   */
  static async open(options: AuditLogOptions): Promise<AuditWriter> {
    try {
      await createDirectoryDurably(options.directory);
    } catch (error) {
      throw fileError(error, `make ${options.directory}`);
    }
    const release = await takeSeries(options);
    const writer = new AuditWriter(options, release);
    try {
      await writer.#start();
      return writer;
    } catch (error) {
      await writer.#file?.close().catch(() => {});
      await release();
      throw error;
    }
  }

  record(...events: readonly AuditEvent[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(new StoreError('closed', 'the audit log is closed'));
    if (this.#waitingCount >= MAX_WAITING) {
      const message = `expected fewer than ${MAX_WAITING} audit events waiting, saw ${this.#waitingCount}`;
      return Promise.reject(new StoreError('overloaded', message));
    }
    return new Promise((resolve, reject) => {
      this.#enqueue(events, { resolve, reject });
      void this.#run();
    });
  }

  note(event: AuditEvent, when: 'soon' | 'now' = 'soon'): void {
    if (this.#isClosed || this.#waitingCount >= MAX_WAITING) {
      this.#lost++;
      return;
    }
    this.#enqueue([event]);
    if (when === 'now' && this.#failedSince === undefined) void this.#run();
    else this.#timer ??= setTimeout(() => void this.#run(), FLUSH_MS).unref();
  }

  async ready(): Promise<void> {
    if (this.#failedSince !== undefined) await this.record();
  }

  /** Writes what waits, and signs it. @throws StoreError */
  async checkpoint(): Promise<void> {
    await this.#readOthers();
    await this.#run();
    await this.#exclusively(async () => {
      if (this.#failedSince !== undefined) await this.#write([]);
      if (this.#unsigned > 0) await this.#writeCheckpoint();
    });
  }

  /** Removes the files whose time is over. @throws StoreError */
  async retire(): Promise<void> {
    await this.#exclusively(() => this.#retire());
  }

  /**
   * Removes what the process before has left, all of it, if its last line is older than that. The end of the chain stays, in the
   * file that this one has begun.
   *
   * @throws StoreError
   */
  async retireFormer(limitMs: number): Promise<void> {
    await this.#exclusively(async () => {
      if (this.#endedMs === undefined || this.#endedMs >= limitMs) return;
      while (this.#files.length > 1) await this.#remove(this.#files.slice(0, -1));
    });
  }

  /** The last line on stable storage. */
  get head(): ChainLink {
    return this.#link;
  }

  /** Writes and signs what waits, and lets the series go. Never rejects: what could not be written is logged. */
  async close(): Promise<void> {
    clearInterval(this.#look);
    clearTimeout(this.#timer);
    await this.checkpoint().catch((error: unknown) => this.#log(error));
    this.#isClosed = true;
    const lost = this.#lost + this.#waitingCount;
    const { writer, log } = this.#options;
    if (lost > 0) log.error({ writer, lost }, 'audit events are lost');
    const { seq, hash } = this.#link;
    log.info({ writer, seq, hash }, 'audit log closed');
    await this.#file?.close().catch(() => {});
    await this.#release();
  }

  #enqueue(events: readonly AuditEvent[], settle?: Waiting['settle']): void {
    const timeMs = this.#options.clock.now();
    this.#waiting.push({
      events: events.map((event) => ({ timeMs, event })),
      ...(settle && { settle }),
    });
    this.#waitingCount += events.length;
  }

  /** Writes until nothing waits. Never rejects. */
  #run(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#exclusively(async () => {
      while (this.#waiting.length > 0) {
        // Whatever the network brought in meanwhile comes along.
        await setImmediate();
        const batch = this.#takeBatch();
        try {
          await this.#write(batch.flatMap(({ events }) => events));
        } catch (error) {
          this.#fail(batch, error);
          return;
        }
        for (const { settle } of batch) settle?.resolve();
      }
    });
  }

  /** One thing at a time is done to the files, in the order of asking. */
  #exclusively(work: () => Promise<void>): Promise<void> {
    const turn = (this.#running ?? Promise.resolve()).then(work);
    const running = turn
      .catch(() => {})
      .finally(() => {
        if (this.#running === running) this.#running = undefined;
      });
    this.#running = running;
    return turn;
  }

  #takeBatch(): Waiting[] {
    let lines = 0;
    let end = 0;
    while (end < this.#waiting.length && lines < MAX_BATCH) {
      lines += this.#waiting[end++]!.events.length;
    }
    this.#waitingCount -= lines;
    return this.#waiting.splice(0, end);
  }

  /** Who waits is told, all of them: the next write would meet the same disk. What nobody waits for is tried again. */
  #fail(batch: readonly Waiting[], error: unknown): void {
    this.#failedSince ??= this.#options.clock.now();
    const all = [...batch, ...this.#waiting];
    const noted = all.filter(({ settle }) => settle === undefined);
    this.#waiting.splice(0, this.#waiting.length, ...noted);
    this.#waitingCount = noted.reduce((sum, { events }) => sum + events.length, 0);
    for (const { settle } of all) settle?.reject(error);
    if (!this.#isFailureLogged) this.#log(error);
    this.#isFailureLogged = true;
    if (!this.#isClosed) this.#timer ??= setTimeout(() => void this.#run(), FLUSH_MS).unref();
  }

  #log(error: unknown): void {
    this.#options.log.error({ err: error, writer: this.#options.writer }, 'audit log not written');
  }

  async #write(
    events: readonly { readonly timeMs: number; readonly event: AuditEvent | AuditLogEvent }[],
  ): Promise<void> {
    const { clock, sign } = this.#options;
    const now = clock.now();
    if (this.#failedSince !== undefined) await this.#recover();
    if (this.#isFull(now)) await this.#beginFile(now);
    const gap =
      this.#failedSince === undefined && this.#lost === 0
        ? []
        : [{ timeMs: now, event: gapOf(this.#failedSince ?? now, this.#lost) }];
    const all = [...gap, ...events];
    if (all.length === 0) return;
    const { text, link, unsigned } = this.#compose(all, now, sign);
    await this.#append(text, link);
    this.#unsigned = unsigned;
    if (gap.length > 0) {
      const { writer, log } = this.#options;
      log.warn({ writer, lost: this.#lost }, 'audit log is written again');
      this.#failedSince = undefined;
      this.#isFailureLogged = false;
      this.#lost = 0;
    }
  }

  /** The lines of events, with a checkpoint wherever too many would go without. */
  #compose(
    events: readonly { readonly timeMs: number; readonly event: AuditEvent | AuditLogEvent }[],
    now: number,
    sign: LineSigner | undefined,
  ) {
    let link = this.#link;
    let unsigned = this.#unsigned;
    const texts: string[] = [];
    for (const { timeMs, event } of events) {
      if (unsigned === MAX_UNSIGNED) {
        const line = chainLine(link, now, this.#checkpointEvent(), sign);
        texts.push(line.text);
        link = line;
        unsigned = 0;
      }
      const line = chainLine(link, timeMs, event);
      texts.push(line.text);
      link = line;
      unsigned++;
    }
    return { text: texts.join(''), link: { seq: link.seq, hash: link.hash }, unsigned };
  }

  /** Durable when it resolves. What a write that failed has left is cut off before the next one. */
  async #append(text: string, link: ChainLink): Promise<void> {
    const file = this.#file;
    const { writer, directory } = this.#options;
    const path = auditFilePath(directory, writer, this.#number);
    try {
      if (file === undefined) throw new StoreError('io', `expected ${path} to be open`);
      const octets = Buffer.from(text);
      const { size } = await file.stat();
      if (size !== this.#size) {
        throw new StoreError('corrupt', `expected ${this.#size} octets in ${path}, saw ${size}`);
      }
      await file.appendFile(octets);
      await file.datasync();
      this.#size += octets.length;
      this.#link = link;
    } catch (error) {
      this.#failedSince ??= this.#options.clock.now();
      throw fileError(error, `append to ${path}`);
    }
  }

  /** After a failure nobody knows what the file holds beyond what was synced, nor what the handle remembers. */
  async #recover(): Promise<void> {
    const { writer, directory } = this.#options;
    await this.#file?.close().catch(() => {});
    this.#file = undefined;
    const path = auditFilePath(directory, writer, this.#number);
    try {
      this.#file = await this.#openToAppend(path);
      const { size } = await this.#file.stat();
      if (size < this.#size) {
        throw new StoreError('corrupt', `expected ${this.#size} octets in ${path}, saw ${size}`);
      }
      if (size > this.#size) await this.#file.truncate(this.#size);
    } catch (error) {
      throw fileError(error, `recover ${path}`);
    }
  }

  async #openToAppend(path: string): Promise<AppendHandle> {
    return (this.#options.openToAppend ?? ((file) => open(file, APPEND)))(path);
  }

  async #writeCheckpoint(): Promise<void> {
    const { clock, sign, directory, writer, log } = this.#options;
    const line = chainLine(this.#link, clock.now(), this.#checkpointEvent(), sign);
    await this.#append(line.text, { seq: line.seq, hash: line.hash });
    this.#unsigned = 0;
    await writeHead(directory, writer, this.#link);
    log.debug({ writer, ...this.#link }, 'audit checkpoint');
  }

  #checkpointEvent(): AuditLogEvent {
    return { event: 'checkpoint', others: this.#others };
  }

  /** A head that has vanished is named all the same: `audit verify` asks for it. */
  async #readOthers(): Promise<void> {
    const { directory, writer, log } = this.#options;
    try {
      for (const other of await auditWriters(directory)) {
        if (other === writer) continue;
        const head = await readHead(directory, other);
        if (head) this.#others = { ...this.#others, [other]: head };
      }
    } catch (error) {
      log.warn({ err: error }, 'no look at the other audit logs');
    }
  }

  get #number(): number {
    return this.#files.at(-1)?.number ?? 0;
  }

  #isFull(now: number): boolean {
    const current = this.#files.at(-1);
    if (current === undefined) return true;
    return (
      this.#size >= this.#options.maxFileOctets ||
      Math.floor(now / DAY_MS) !== Math.floor(current.timeMs / DAY_MS)
    );
  }

  /** Ends the present file with a checkpoint, and begins another with its hash. */
  async #beginFile(now: number): Promise<void> {
    const { directory, writer, sign, log } = this.#options;
    await this.#readOthers();
    if (this.#unsigned > 0) await this.#writeCheckpoint();
    const number = this.#number + 1;
    const path = auditFilePath(directory, writer, number);
    const { hash: previous } = this.#link;
    const event: FileEvent = { event: 'file', format: 1, writer, number, previous };
    const line = chainLine(this.#link, now, event, sign);
    // Whole or not at all: a file without its first line would be none.
    await writeFileDurably(path, Buffer.from(line.text));
    const before = this.#file;
    this.#files.push({ number, seq: line.seq, previous, timeMs: now });
    this.#link = { seq: line.seq, hash: line.hash };
    this.#size = Buffer.byteLength(line.text);
    this.#unsigned = 0;
    this.#file = undefined;
    await before?.close().catch(() => {});
    try {
      this.#file = await this.#openToAppend(path);
    } catch (error) {
      throw fileError(error, `open ${path}`);
    }
    await writeHead(directory, writer, this.#link);
    log.info({ writer, number, ...this.#link }, 'audit log begins a file');
  }

  async #start(): Promise<void> {
    const { directory, writer, clock } = this.#options;
    await this.#readOthers();
    const head = await this.#ownHead();
    for (const { number, path } of await auditFiles(directory, writer)) {
      this.#files.push(startOf(await firstLine(path), number, path));
    }
    const repair = this.#files.length > 0 ? await this.#goOn() : [];
    if (head !== undefined && head.seq > this.#link.seq) {
      throw corrupt(directory, writer, `line ${head.seq} or a later one`, `${this.#link.seq}`);
    }
    await this.#write(repair.map((event) => ({ timeMs: clock.now(), event })));
    if (this.#unsigned > 0) await this.#writeCheckpoint();
    this.#look = setInterval(() => void this.#lookAround(), LOOK_MS).unref();
  }

  async #ownHead(): Promise<ChainLink | undefined> {
    const { directory, writer } = this.#options;
    try {
      return await readHead(directory, writer);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw corrupt(directory, writer, 'a head', error.message);
    }
  }

  /** Where the last process stopped. Only the end is read: `audit verify` reads it all. */
  async #goOn(): Promise<readonly AuditLogEvent[]> {
    const { directory, writer } = this.#options;
    const path = auditFilePath(directory, writer, this.#number);
    const { size, last, beforeLast, torn } = await tailOf(path);
    if (last === undefined) throw corrupt(directory, writer, `a whole line in ${path}`, 'none');
    const line = this.#lastLine(last, beforeLast, path);
    this.#link = { seq: line.seq, hash: line.hash };
    this.#endedMs = Date.parse(line.time);
    this.#unsigned = VOUCHES.has(line.event) ? 0 : 1;
    this.#size = size - torn;
    try {
      this.#file = await this.#openToAppend(path);
      if (torn > 0) {
        await this.#file.truncate(this.#size);
        await this.#file.datasync();
      }
    } catch (error) {
      throw fileError(error, `open ${path}`);
    }
    return torn > 0 ? [{ event: 'repair', octets: torn }] : [];
  }

  #lastLine(last: Buffer, beforeLast: Buffer | undefined, path: string): ChainedLine {
    const { directory, writer } = this.#options;
    try {
      const file = this.#files.at(-1)!;
      const before = beforeLast
        ? parseLine(beforeLast)
        : { seq: file.seq - 1, hash: file.previous };
      return readChainLine(before, last);
    } catch (error) {
      if (!(error instanceof AuditChainError)) throw error;
      throw corrupt(directory, writer, `a last line that fits in ${path}`, error.message);
    }
  }

  async #lookAround(): Promise<void> {
    try {
      if (this.#unsigned > 0) await this.checkpoint();
      await this.retire();
    } catch (error) {
      this.#log(error);
    }
  }

  async #retire(): Promise<void> {
    const { keepDays, clock } = this.#options;
    if (keepDays === 0) return;
    const limit = clock.now() - keepDays * DAY_MS;
    // A file ends when the next one begins. A clock that is wrong for a moment removes nothing.
    const old = this.#files.filter((_file, n) => (this.#files[n + 1]?.timeMs ?? limit) < limit);
    const last = this.#over.look(old.at(-1)?.number ?? -1, performance.now());
    const retired = this.#files.filter(({ number }) => number <= last);
    if (retired.length > 0) await this.#remove(retired);
  }

  /** The oldest of these, as many as fit into a line, once a line that lists them is on stable storage. */
  async #remove(old: readonly FileStart[]): Promise<void> {
    const { keepDays, clock, directory, writer } = this.#options;
    const retired = old.slice(0, MAX_RETIRED);
    const files = retired.map(({ number }, n) => {
      const next = this.#files[n + 1]!;
      return { number, lastSeq: next.seq - 1, lastHash: next.previous };
    });
    const event: RetentionEvent = { event: 'retention', keepDays, files };
    await this.#write([{ timeMs: clock.now(), event }]);
    await this.#writeCheckpoint();
    for (const { number } of retired) {
      const path = auditFilePath(directory, writer, number);
      try {
        await rm(path, { force: true });
        await syncDirectory(directory);
      } catch (error) {
        throw fileError(error, `remove ${path}`);
      }
      this.#files.shift();
    }
  }
}

/** The lines that are signed. */
const VOUCHES: ReadonlySet<string> = new Set(['file', 'checkpoint']);

/** To append to a file that is there: one that has vanished is not made anew. */
const APPEND = constants.O_WRONLY | constants.O_APPEND;

function gapOf(sinceMs: number, lost: number): AuditLogEvent {
  return { event: 'gap', since: new Date(sinceMs).toISOString(), lost };
}
