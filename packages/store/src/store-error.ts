/**
 * What went wrong, for programs. The list only grows.
 *
 * | code | meaning |
 * |---|---|
 * | `invalid-key` | an object key or prefix outside its syntax |
 * | `too-large` | an object over the limit |
 * | `unsupported-url` | a store URL that names no implementation |
 * | `invalid-migration` | the list of migrations itself is wrong |
 * | `migration-failed` | a migration's statement was refused; that migration left no trace |
 * | `newer-schema` | the database holds a migration this program does not know |
 * | `older-schema` | the database lacks a migration, and was opened to be looked at only, or is one that is migrated by command |
 * | `moved` | the database was copied to another, which takes its place: nothing is written in it any more |
 * | `incomplete` | the database is being filled with a copy of another, which is not done |
 * | `missing` | there is no database, and it was opened to be looked at only, or is one that is made by command |
 * | `corrupt` | the file is not a database, or a damaged one |
 * | `constraint` | a UNIQUE, NOT NULL, CHECK or FOREIGN KEY condition refused the write |
 * | `busy` | another process kept its lock longer than we wait |
 * | `full` | no space left |
 * | `away` | a server does not answer, or the connection to it was lost |
 * | `no-module` | a package is not installed that this URL needs |
 * | `unsupported-server` | the server keeps less than we promise, or is too old |
 * | `io` | any other failure of the disk or its permissions |
 * | `nested` | a transaction's own work asked for something that waits for that transaction |
 * | `rolled-back` | the transaction was given up: by the engine itself, or since a statement of it was refused |
 * | `overloaded` | too many callers wait already |
 * | `closed` | used after close |
 * | `query` | the engine refused the statement: a bug in the caller |
 */
export type StoreErrorCode =
  | 'invalid-key'
  | 'too-large'
  | 'unsupported-url'
  | 'invalid-migration'
  | 'migration-failed'
  | 'newer-schema'
  | 'older-schema'
  | 'moved'
  | 'incomplete'
  | 'missing'
  | 'corrupt'
  | 'constraint'
  | 'busy'
  | 'full'
  | 'away'
  | 'no-module'
  | 'unsupported-server'
  | 'io'
  | 'nested'
  | 'rolled-back'
  | 'overloaded'
  | 'closed'
  | 'query';

/** The one error this room throws by itself; `cause` holds what the system said. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** True for a StoreError, of this code when one is given. */
export function isStoreError(error: unknown, code?: StoreErrorCode): error is StoreError {
  return error instanceof StoreError && (code === undefined || error.code === code);
}

/** Turns what node:fs throws into a StoreError; `doing` says what was tried: `write /a/b`. */
export function fileError(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error;
  const systemCode = systemCodeOf(error);
  const code = systemCode === 'ENOSPC' || systemCode === 'EDQUOT' ? 'full' : 'io';
  return new StoreError(code, `could not ${doing}: ${systemCode ?? String(error)}`, {
    cause: error,
  });
}

/** `ENOENT` and its like, when the error carries one. */
export function systemCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
