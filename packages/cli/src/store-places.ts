/** Where the database and the objects of a configuration are: what that decides before one is opened. */
import { isPostgresUrl } from '@chrysalis/store/files';
import type { ChrysalisConfig } from './config.ts';
import { CliError } from './context.ts';

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
