import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { PublicKey } from '@chrysalis/crypto';
import { fileError, isStoreError, StoreError, systemCodeOf } from '@chrysalis/store/files';
import {
  AuditChainError,
  type ChainedLine,
  type ChainLink,
  GENESIS,
  isSignedBy,
  parseLine,
  readChainLine,
} from './audit-chain.ts';
import type { CheckpointEvent, RetentionEvent } from './audit-event.ts';
import { type AuditFile, auditFiles, auditWriters, firstLine, readHead } from './audit-files.ts';
import { MAX_UNSIGNED } from './audit-log.ts';

/** A series that is as it was written. */
export interface VerifiedSeries {
  readonly writer: string;
  readonly files: number;
  readonly first: { readonly seq: number; readonly time: string };
  readonly last: ChainLink & { readonly time: string };
  /** The last line that a signature vouches for; absent when nothing of the writer is signed. */
  readonly signed?: { readonly seq: number; readonly time: string };
  /** Octets after the last line: a write that is under way, or was cut off. */
  readonly torn: number;
}

/** The first place where the log is not as it was written. */
export class AuditBrokenError extends Error {
  override readonly name = 'AuditBrokenError';
  /** `<file>:<line>`, or a file. */
  readonly place: string;

  constructor(place: string, message: string) {
    super(`${place}: ${message}`);
    this.place = place;
  }
}

/** A line that is known from elsewhere. */
export interface KnownLine extends ChainLink {
  readonly writer: string;
}

export interface VerifyOptions {
  readonly directory: string;
  /** The keys of the RA's certificates, present and former, by HashedId8 in lower case hex. */
  readonly keys: ReadonlyMap<string, PublicKey>;
  /** Writers that have no key to sign with. */
  readonly unsigned: readonly string[];
  /** Lines that have to be there, as an earlier `audit verify` or the log of the RA showed them. */
  readonly known?: readonly KnownLine[];
}

/** How often a log is read again that is written, or whose oldest files are removed, meanwhile. */
const ATTEMPTS = 3;
const NEWLINE = 0x0a;

/**
 * Reads the whole audit log, while an RA writes to it or not. It is as it was written when each line hangs on the one before, each
 * file on the one before, the oldest file on a line about the removal of those before, each signature is the RA's, each writer
 * has what the others have seen of it and its own newest checkpoint.
 *
 * @returns the series, by the names of their writers
 * @throws AuditBrokenError; StoreError `io`
 */
export async function verifyAuditLog(options: VerifyOptions): Promise<readonly VerifiedSeries[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await verifyOnce(options);
    } catch (error) {
      // A file may be gone, or a line be new, since we looked. What is broken stays so.
      const isKnown = error instanceof AuditBrokenError || isStoreError(error, 'io');
      if (!isKnown || attempt === ATTEMPTS) throw error;
    }
  }
}

/** What one series says of itself and of others. */
interface Reading {
  readonly series: VerifiedSeries;
  /** Hashes by seq, of the lines that somebody may ask for. */
  readonly hashes: ReadonlyMap<number, string>;
  readonly seen: readonly (KnownLine & { readonly place: string })[];
}

async function verifyOnce(options: VerifyOptions): Promise<readonly VerifiedSeries[]> {
  const { directory, known = [] } = options;
  const writers = await auditWriters(directory);
  if (writers.length === 0)
    throw new AuditBrokenError(directory, 'expected an audit log, saw none');
  const readings = new Map<string, Reading>();
  for (const writer of writers) readings.set(writer, await readSeries(writer, options));
  const asked = [
    ...[...readings.values()].flatMap(({ seen }) => seen),
    ...known.map((line) => ({ ...line, place: 'the line that was given' })),
  ];
  for (const { writer, seq, hash, place } of asked) {
    const reading = readings.get(writer);
    const what = `line ${seq} of ${writer} with the hash ${hash}`;
    if (reading === undefined)
      throw new AuditBrokenError(place, `expected ${what}, saw no ${writer}`);
    const { first, last } = reading.series;
    // What is older was removed, and a line says so.
    if (seq < first.seq) continue;
    const seen = reading.hashes.get(seq);
    if (seen === hash) continue;
    const instead = seq > last.seq ? `none after ${last.seq}` : (seen ?? 'another');
    throw new AuditBrokenError(place, `expected ${what}, saw ${instead}`);
  }
  return [...readings.values()].map(({ series }) => series);
}

/** A file that is gone in the middle is missed at the next reading; one that retention takes is not. */
const MOST_READS = 10;

/** Retention may take the oldest files while they are read: then the series is read again. */
async function readSeries(writer: string, options: VerifyOptions): Promise<Reading> {
  for (let read = 1; ; read++) {
    try {
      return await readSeriesOnce(writer, options);
    } catch (error) {
      const hasVanished = error instanceof StoreError && systemCodeOf(error.cause) === 'ENOENT';
      if (!hasVanished || read === MOST_READS) throw error;
    }
  }
}

async function readSeriesOnce(writer: string, options: VerifyOptions): Promise<Reading> {
  // Before the lines: they only become more.
  const head = await headOf(writer, options.directory);
  const files = await auditFiles(options.directory, writer);
  const reader = new SeriesReader(writer, options);
  for (const [n, file] of files.entries()) await reader.read(file, n === files.length - 1);
  return reader.end(head);
}

async function headOf(writer: string, directory: string): Promise<ChainLink | undefined> {
  try {
    return await readHead(directory, writer);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new AuditBrokenError(`${writer}.head.json`, 'expected seq and hash');
  }
}

/** Follows one chain through its files. */
class SeriesReader {
  readonly #writer: string;
  readonly #options: VerifyOptions;
  readonly #asked: ReadonlySet<number>;
  readonly #hashes = new Map<number, string>();
  readonly #seen: Reading['seen'][number][] = [];
  /** What retention says of the files that are gone. */
  readonly #retired = new Map<number, ChainLink>();
  #files = 0;
  #number = 0;
  #link: ChainLink = GENESIS;
  #first: { seq: number; time: string; number: number; previous: ChainLink } | undefined;
  #last: ChainedLine | undefined;
  #signed: { seq: number; time: string } | undefined;
  #unsigned = 0;
  #torn = 0;

  constructor(writer: string, options: VerifyOptions) {
    this.#writer = writer;
    this.#options = options;
    const known = (options.known ?? []).filter((line) => line.writer === writer);
    this.#asked = new Set(known.map(({ seq }) => seq));
  }

  async read(file: AuditFile, isLast: boolean): Promise<void> {
    const name = basename(file.path);
    if (this.#files > 0 && file.number !== this.#number + 1) {
      throw new AuditBrokenError(name, `expected file ${this.#number + 1} before it, saw none`);
    }
    const octets = await readFile(file.path).catch((error: unknown) => {
      throw fileError(error, `read ${file.path}`);
    });
    if (this.#files === 0) await this.#beginAt(file);
    this.#files++;
    this.#number = file.number;
    let number = 0;
    let begin = 0;
    for (let end = octets.indexOf(NEWLINE); end !== -1; end = octets.indexOf(NEWLINE, begin)) {
      number++;
      this.#line(octets.subarray(begin, end), number, file);
      begin = end + 1;
    }
    const torn = octets.length - begin;
    if (!isLast && torn > 0)
      throw new AuditBrokenError(`${name}:${number + 1}`, 'expected an end of line');
    if (number === 0) throw new AuditBrokenError(name, 'expected a first line');
    if (!isLast && this.#unsigned > 0) {
      throw new AuditBrokenError(`${name}:${number}`, 'expected a checkpoint before the next file');
    }
    this.#torn = torn;
  }

  /** @param head the newest checkpoint, by the file beside the series */
  end(head: ChainLink | undefined): Reading {
    const writer = this.#writer;
    const [first, last] = [this.#first, this.#last];
    if (first === undefined || last === undefined) {
      throw new AuditBrokenError(`${writer}.head.json`, `expected a file of ${writer}, saw none`);
    }
    this.#expectBegin(first);
    const name = `${writer}.head.json`;
    if (head === undefined && last.event !== 'file') {
      throw new AuditBrokenError(name, 'expected the newest checkpoint, saw no such file');
    }
    if (head !== undefined && this.#hashes.get(head.seq) !== head.hash) {
      const seen = last.seq < head.seq ? `an end at ${last.seq}` : 'none';
      throw new AuditBrokenError(name, `expected a checkpoint at line ${head.seq}, saw ${seen}`);
    }
    return {
      series: {
        writer,
        files: this.#files,
        first: { seq: first.seq, time: first.time },
        last: { seq: last.seq, hash: last.hash, time: last.time },
        ...(this.#signed && { signed: this.#signed }),
        torn: this.#torn,
      },
      hashes: this.#hashes,
      seen: this.#seen,
    };
  }

  /** The oldest file that is left says on what it hangs; whether rightly, a later line tells. */
  async #beginAt({ number, path }: AuditFile): Promise<void> {
    if (number === 1) return;
    const name = basename(path);
    const octets = await firstLine(path);
    const { seq, members } = this.#checked(`${name}:1`, () => parseLine(octets ?? Buffer.alloc(0)));
    this.#link = { seq: seq - 1, hash: String(members.previous) };
  }

  #expectBegin({ number, previous }: { number: number; previous: ChainLink }): void {
    if (number === 1) return;
    const retired = this.#retired.get(number - 1);
    const isRetired = retired?.seq === previous.seq && retired.hash === previous.hash;
    if (isRetired) return;
    throw new AuditBrokenError(
      `${this.#writer}, file ${number - 1}`,
      'expected the file, or a line about its removal after its time, saw neither',
    );
  }

  #line(octets: Buffer, number: number, file: AuditFile): void {
    const place = `${basename(file.path)}:${number}`;
    const before = this.#link;
    const line = this.#checked(place, () => readChainLine(before, octets));
    if ((number === 1) !== (line.event === 'file')) {
      throw new AuditBrokenError(
        place,
        'expected an event "file" as the first line and nowhere else',
      );
    }
    if (line.event === 'file') this.#expectFile(line, before, file, place);
    if (line.event === 'file' || line.event === 'checkpoint') this.#vouch(line, place);
    // A repair may come on top.
    else if (++this.#unsigned > MAX_UNSIGNED + 1) {
      throw new AuditBrokenError(place, `expected a checkpoint after ${MAX_UNSIGNED} lines`);
    }
    if (line.event === 'retention') this.#noteRetired(line);
    if (this.#asked.has(line.seq)) this.#hashes.set(line.seq, line.hash);
    this.#link = line;
    this.#last = line;
  }

  #expectFile(line: ChainedLine, before: ChainLink, file: AuditFile, place: string): void {
    const { writer, number, previous, format } = line.members;
    if (format !== 1) throw new AuditBrokenError(place, `expected format 1, saw ${format}`);
    if (writer !== this.#writer || number !== file.number || previous !== before.hash) {
      const expected = `file ${file.number} of ${this.#writer} after ${before.hash}`;
      throw new AuditBrokenError(
        place,
        `expected ${expected}, saw file ${number} of ${writer} after ${previous}`,
      );
    }
    this.#first ??= { seq: line.seq, time: line.time, number: file.number, previous: before };
  }

  #vouch(line: ChainedLine, place: string): void {
    const { keys, unsigned } = this.#options;
    this.#unsigned = 0;
    this.#hashes.set(line.seq, line.hash);
    if (line.event === 'checkpoint') {
      const { others } = line.members as unknown as CheckpointEvent;
      for (const [writer, { seq, hash }] of Object.entries(others)) {
        this.#seen.push({ writer, seq, hash, place });
      }
    }
    if (unsigned.includes(this.#writer)) return;
    if (!isSignedBy(line, keys)) {
      const by = line.signed ? `one of ${line.signed.id}` : 'none';
      const known = [...keys.keys()].join(' or ');
      throw new AuditBrokenError(place, `expected a signature of ${known}, saw ${by}`);
    }
    this.#signed = { seq: line.seq, time: line.time };
  }

  #noteRetired(line: ChainedLine): void {
    const { files } = line.members as unknown as RetentionEvent;
    for (const { number, lastSeq, lastHash } of files) {
      this.#retired.set(number, { seq: lastSeq, hash: lastHash });
    }
  }

  #checked<T>(place: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof AuditChainError)) throw error;
      throw new AuditBrokenError(place, error.message);
    }
  }
}

/** The lines of a series, oldest first, unchecked. A torn last one is left out. @throws AuditBrokenError; StoreError `io` */
export async function* readAuditLines(
  directory: string,
  writer: string,
): AsyncGenerator<{ readonly line: ChainedLine; readonly text: string }> {
  for (const { path } of await auditFiles(directory, writer)) {
    let octets: Buffer;
    try {
      octets = await readFile(path);
    } catch (error) {
      // Removed since we looked: its time is over.
      if (systemCodeOf(error) === 'ENOENT') continue;
      throw fileError(error, `read ${path}`);
    }
    let begin = 0;
    let number = 0;
    for (let end = octets.indexOf(NEWLINE); end !== -1; end = octets.indexOf(NEWLINE, begin)) {
      number++;
      const part = octets.subarray(begin, end);
      begin = end + 1;
      try {
        yield { line: parseLine(part), text: part.toString('utf8') };
      } catch (error) {
        if (!(error instanceof AuditChainError)) throw error;
        throw new AuditBrokenError(`${basename(path)}:${number}`, error.message);
      }
    }
  }
}
