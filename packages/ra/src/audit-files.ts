/** Where the audit log lies: `<writer>-<number>.jsonl`, a series for each writer, and `<writer>.head.json` beside it. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, namesIn, readFileIfPresent, writeFileDurably } from '@chrysalis/store/files';
import { type ChainLink, MAX_LINE } from './audit-chain.ts';

/** One file of a series. */
export interface AuditFile {
  readonly writer: string;
  /** From 1. */
  readonly number: number;
  readonly path: string;
}

const FILE_NAME = /^([a-z]{1,20})-(\d{8})\.jsonl$/;
const HEAD_NAME = /^([a-z]{1,20})\.head\.json$/;
const NEWLINE = 0x0a;

export function auditFilePath(directory: string, writer: string, number: number): string {
  return join(directory, `${writer}-${String(number).padStart(8, '0')}.jsonl`);
}

/** Whoever has a file or a head there, in the order of their names. @throws StoreError `io` */
export async function auditWriters(directory: string): Promise<readonly string[]> {
  const names = await namesIn(directory);
  const writers = names.flatMap(
    (name) => (FILE_NAME.exec(name) ?? HEAD_NAME.exec(name))?.[1] ?? [],
  );
  return [...new Set(writers)].sort();
}

/** The files of a writer, oldest first. @throws StoreError `io` */
export async function auditFiles(directory: string, writer: string): Promise<AuditFile[]> {
  const names = await namesIn(directory);
  return names
    .flatMap((name) => {
      const [, of, digits] = FILE_NAME.exec(name) ?? [];
      return of === writer ? [{ writer, number: Number(digits), path: join(directory, name) }] : [];
    })
    .sort((a, b) => a.number - b.number);
}

/** The newest line of a writer that vouches for those before it; undefined when there is none. @throws StoreError `io`, SyntaxError */
export async function readHead(directory: string, writer: string): Promise<ChainLink | undefined> {
  const octets = await readFileIfPresent(headPath(directory, writer));
  if (octets === undefined) return undefined;
  const { seq, hash } = JSON.parse(Buffer.from(octets).toString('utf8')) as Partial<ChainLink>;
  if (Number.isSafeInteger(seq) && /^[0-9a-f]{64}$/.test(String(hash))) {
    return { seq: seq as number, hash: hash as string };
  }
  throw new SyntaxError(`expected seq and hash in ${headPath(directory, writer)}`);
}

/** Durable when it resolves. @throws StoreError */
export async function writeHead(directory: string, writer: string, head: ChainLink): Promise<void> {
  const text = `${JSON.stringify({ seq: head.seq, hash: head.hash })}\n`;
  await writeFileDurably(headPath(directory, writer), Buffer.from(text));
}

function headPath(directory: string, writer: string): string {
  return join(directory, `${writer}.head.json`);
}

/** The first line of a file, without its end; undefined when it has no whole one. @throws StoreError `io` */
export async function firstLine(path: string): Promise<Buffer | undefined> {
  const octets = await readPart(path, () => 0);
  const end = octets.part.indexOf(NEWLINE);
  return end === -1 ? undefined : octets.part.subarray(0, end);
}

/** The end of a file: its last whole line, the one before it, and how many octets follow without an end. */
export interface Tail {
  readonly size: number;
  readonly last: Buffer | undefined;
  /** Undefined when `last` is the first line. */
  readonly beforeLast: Buffer | undefined;
  readonly torn: number;
}

/** @throws StoreError `io` */
export async function tailOf(path: string): Promise<Tail> {
  const { size, part } = await readPart(path, (whole) => Math.max(0, whole - TAIL));
  const end = part.lastIndexOf(NEWLINE);
  const torn = part.length - (end + 1);
  if (end === -1) return { size, last: undefined, beforeLast: undefined, torn };
  const begin = beginOfLine(part, end);
  const last = part.subarray(begin, end);
  const beforeLast =
    begin === 0 ? undefined : part.subarray(beginOfLine(part, begin - 1), begin - 1);
  return { size, last, beforeLast, torn };
}

/** Two whole lines and a torn one. */
const TAIL = 4 * MAX_LINE;

/** Where the line begins whose end is at `end`. lastIndexOf would take -1 for the last octet. */
function beginOfLine(octets: Buffer, end: number): number {
  return end === 0 ? 0 : octets.lastIndexOf(NEWLINE, end - 1) + 1;
}

async function readPart(
  path: string,
  from: (size: number) => number,
): Promise<{ size: number; part: Buffer }> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const position = from(size);
    const part = Buffer.alloc(Math.min(TAIL, size - position));
    const { bytesRead } = await file.read(part, 0, part.length, position);
    return { size, part: part.subarray(0, bytesRead) };
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
}
