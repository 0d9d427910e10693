/** What a person can do about an error: its message, and perhaps a hint. */
import { AuthorityError } from '@chrysalis/authorities/keys';
import { StoreError } from '@chrysalis/store/files';
import { CliError } from './context.ts';

export interface Explanation {
  readonly message: string;
  readonly hint: string | undefined;
}

/** Hints for what a database or an object store refuses. */
const STORE_HINTS: Partial<Record<StoreError['code'], string>> = {
  corrupt: 'put a backup back: chrysalis restore; docs/guides/backup.md says what is lost',
  full: 'the disk is full',
  busy: 'another program holds the database locked: end it',
  'newer-schema': 'take the version of chrysalis that made it, or a later one',
  'older-schema': 'chrysalis migrate brings it up to date, while others go on',
  moved:
    'serve from where it went; chrysalis copy goes on with a copy that was interrupted, and --take-back ends it',
  incomplete: 'the same chrysalis copy as before goes on with it',
  missing:
    'chrysalis migrate makes the tables of a database that is there; nobody makes a database or a bucket here',
  away: 'see that the server runs, and that store.url or objects.url has its address',
  'unsupported-server': 'docs/guides/postgresql.md says what a server has to promise',
};

/** Hints for what the operating system or TLS refuses: none of it is a bug of ours. */
const SYSTEM_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there: stop it, or choose another port in the configuration',
  EACCES: 'this user may not do that: ports below 1024 and files of others need another user',
  ENOSPC: 'the disk is full',
  EEXIST: 'something else has that name: choose another with --dir',
  ERR_OSSL_X509_KEY_VALUES_MISMATCH:
    'tls-cert and tls-key have to belong together, each pair of them',
};

/** Undefined for what is a bug. */
export function explanationOf(error: unknown): Explanation | undefined {
  if (error instanceof StoreError) {
    return { message: error.message, hint: STORE_HINTS[error.code] };
  }
  if (error instanceof CliError || error instanceof AuthorityError) {
    return { message: error.message, hint: error.hint };
  }
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  if (!(error instanceof Error) || typeof code !== 'string') return undefined;
  if (typeof syscall !== 'string' && !code.startsWith('ERR_OSSL_')) return undefined;
  return {
    message: `expected the system to agree, saw ${error.message}`,
    hint: SYSTEM_HINTS[code],
  };
}
