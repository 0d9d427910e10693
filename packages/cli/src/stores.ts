/** The database and the objects that a configuration names, wherever they are. */
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import {
  type Database,
  type DatabaseOptions,
  type ObjectStore,
  openDatabase,
  openObjectStore,
} from '@chrysalis/store';
import type { ChrysalisConfig } from './config.ts';
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

async function readPassword(file: string): Promise<string> {
  return Buffer.from(await readSecretLine(file, 'the password of the database')).toString('utf8');
}
