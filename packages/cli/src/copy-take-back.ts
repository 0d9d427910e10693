/** `chrysalis copy --take-back`: the copy is given up, and the old state is served from again. */
import { join, resolve } from 'node:path';
import { RA_MIGRATIONS, RA_TABLES } from '@chrysalis/ra';
import { CopyDestination, CopySource, unfenceDatabase } from '@chrysalis/store';
import { isStoreError } from '@chrysalis/store/files';
import { loadConfig } from './config.ts';
import { CliError } from './context.ts';
import { type CopyNoteText, parseNote } from './copy-note.ts';
import { authorityDatabases, databaseOfDirectory } from './copy-to-directory.ts';
import { CONFIG_FILE } from './state-directory.ts';
import { databaseFile } from './store-places.ts';
import { passwordFrom } from './stores.ts';

/**
 * First of all the copy can never be completed, then the old state is as it was: at no time both are served from.
 *
 * @returns what was done, a line each
 * @throws CliError when the copy is complete, or is not reached
 */
export async function takeBack(from: string): Promise<readonly string[]> {
  const config = await loadConfig(from);
  const database = databaseFile(config);
  if (database === undefined) {
    throw new CliError(`expected ${join(from, CONFIG_FILE)} to name a database in a file`, {
      hint: 'a copy that is complete is not taken back: the new state may have served',
    });
  }
  const source = await CopySource.open(database, RA_MIGRATIONS);
  try {
    const { note } = source;
    if (note === undefined)
      throw new CliError(`expected a copy that was begun, saw none of ${from}`);
    const place = parseNote(note.destination);
    await abandon(place, note.id, from);
    for (const path of await authorityDatabases(from, database)) await unfenceDatabase(path);
    await source.takeBack();
    return [`${from} is served from again`, `left behind, and refused by serve: ${placeOf(place)}`];
  } finally {
    source.close();
  }
}

async function abandon(place: CopyNoteText, id: string, from: string): Promise<void> {
  const url = 'store' in place ? place.store : `sqlite:${await databaseOfDirectory(from, place)}`;
  const file = 'store' in place ? place.passwordFile : undefined;
  const password = await passwordFrom(file && resolve(from, file));
  try {
    await CopyDestination.abandon(url, RA_TABLES, { id }, password);
  } catch (cause) {
    if (!isStoreError(cause, 'constraint')) throw cause;
    throw new CliError(
      `expected a copy that is not complete, saw the whole one in ${placeOf(place)}`,
      {
        hint: 'it may have served: serve from there. The same chrysalis copy as before does the rest',
        cause,
      },
    );
  }
}

function placeOf(place: CopyNoteText): string {
  if ('directory' in place) return place.directory;
  const { store, objects } = place;
  return objects === undefined ? store : `${store} and ${objects}`;
}
