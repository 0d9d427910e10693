/** A series of the audit log as it lies on the disk: whose it is, where each of its files begins, and what is said when that is not so. */
import { join } from 'node:path';
import { openDatabase } from '@chrysalis/store';
import { StoreError } from '@chrysalis/store/files';
import { AuditChainError, parseLine } from './audit-chain.ts';

interface Series {
  readonly directory: string;
  readonly writer: string;
}

/** A file by its first line. */
export interface FileStart {
  readonly number: number;
  readonly seq: number;
  /** Hash of the line before. */
  readonly previous: string;
  readonly timeMs: number;
}

/**
 * Takes it for this process. It is held by an open transaction of SQLite, so that this ends with the process, however that ends.
 *
 * @returns what lets it go
 * @throws StoreError `busy` when another process holds it for ten seconds
 */
export async function takeSeries({ directory, writer }: Series): Promise<() => Promise<void>> {
  const database = await openDatabase<object>(`sqlite:${join(directory, `${writer}.lock`)}`, []);
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { promise: taken, resolve: take, reject } = Promise.withResolvers<void>();
  const holding = database
    .transaction(async () => {
      take();
      await released;
    })
    .catch(reject);
  try {
    await taken;
  } catch (error) {
    await database.close();
    if (!(error instanceof StoreError) || error.code !== 'busy') throw error;
    throw new StoreError(
      'busy',
      `expected to be the only ${writer} that writes to ${directory}: another process of this RA runs`,
    );
  }
  return async () => {
    release();
    await holding;
    await database.close();
  };
}

export function startOf(line: Buffer | undefined, number: number, path: string): FileStart {
  try {
    if (line === undefined) throw new AuditChainError('expected a whole line');
    const { seq, time, members } = parseLine(line);
    const previous = members.previous;
    if (typeof previous !== 'string') throw new AuditChainError('expected the hash before');
    return { number, seq, previous, timeMs: Date.parse(time) };
  } catch (error) {
    if (!(error instanceof AuditChainError)) throw error;
    throw new StoreError('corrupt', `${path}: ${error.message}; ${AFTER_CORRUPTION}`);
  }
}

const AFTER_CORRUPTION =
  'chrysalis audit verify tells more; to begin another audit log, move this one away and keep it';

export function corrupt(
  directory: string,
  writer: string,
  expected: string,
  seen: string,
): StoreError {
  const message = `${directory}: expected of the audit log of ${writer} ${expected}, saw ${seen}`;
  return new StoreError('corrupt', `${message}; ${AFTER_CORRUPTION}`);
}
