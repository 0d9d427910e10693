/** The database and the objects that a configuration names, wherever they are. */
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import {
  type Database,
  type DatabaseOptions,
  isPostgresUrl,
  type ObjectStore,
  openDatabase,
  openObjectStore,
} from '@chrysalis/store';
import type { ChrysalisConfig } from './config.ts';
import { CliError } from './context.ts';
import { readSecretLine } from './own-file.ts';

/** @throws StoreError; CliError, AuthorityError when the file with the password is not as it should be */
export async function openRaStore(
  { store }: Pick<ChrysalisConfig, 'store'>,
  options: Pick<DatabaseOptions, 'readsOnly' | 'migrates'> = {},
): Promise<Database<RaSchema>> {
  const { url, passwordFile } = store;
  return openDatabase<RaSchema>(url, RA_MIGRATIONS, {
    ...options,
    ...(await passwordFrom(passwordFile)),
  });
}

/** @throws CliError, AuthorityError when the file is not as it should be */
export async function passwordFrom(
  file: string | undefined,
): Promise<Pick<DatabaseOptions, 'password'>> {
  if (file === undefined) return {};
  await readPassword(file);
  // Read again for each connection: it may be exchanged while the RA runs.
  return { password: () => readPassword(file) };
}

/** @throws StoreError */
export function openRaObjects({ objects }: ChrysalisConfig): Promise<ObjectStore> {
  return openObjectStore(objects.url);
}

/** The file of the database; undefined when a server has it. */
export function databaseFile({ store }: ChrysalisConfig): string | undefined {
  return store.url.startsWith('sqlite:') ? store.url.slice('sqlite:'.length) : undefined;
}

/** The directory of the objects; undefined when a service has them. */
export function objectsDirectory({ objects }: ChrysalisConfig): string | undefined {
  return objects.url.startsWith('file:') ? objects.url.slice('file:'.length) : undefined;
}

/** Whether nodes on other machines may share it, which may be of another version: it is migrated by command. */
export function isSharedByNodes({ store }: ChrysalisConfig): boolean {
  return isPostgresUrl(store.url);
}

/** @throws CliError for a database in a file, which the processes of one machine share */
export function expectSharedByNodes(config: ChrysalisConfig): void {
  if (isSharedByNodes(config)) return;
  throw new CliError('expected a database that nodes share, saw one in a file', {
    hint: 'chrysalis serve makes certificates too; for more machines, set store.url to a PostgreSQL',
  });
}

async function readPassword(file: string): Promise<string> {
  return Buffer.from(await readSecretLine(file, 'the password of the database')).toString('utf8');
}
