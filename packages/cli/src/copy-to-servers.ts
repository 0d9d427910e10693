/** `chrysalis copy --to postgres://...`: rows and objects move to servers, and the state directory names them from then on. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isPostgresUrl, writeFileDurably } from '@chrysalis/store/files';
import { type ChrysalisConfig, loadConfig } from './config.ts';
import { withStores } from './config-edit.ts';
import { type CliContext, CliError } from './context.ts';
import type { Copied, CopyOptions } from './copy.ts';
import { type CopyNoteText, expectNote, noteText } from './copy-note.ts';
import { CopyProgressLines } from './copy-progress.ts';
import { copyState } from './state-copy.ts';
import { CONFIG_FILE } from './state-directory.ts';
import { databaseFile, objectsDirectory } from './store-places.ts';
import { passwordFrom } from './stores.ts';

/** @throws CliError, StoreError */
export async function copyToServers(
  from: string,
  options: CopyOptions & { readonly to: string },
  { stderr, signal }: CliContext,
): Promise<Copied> {
  const { to, passwordFile, objects } = options;
  if (!isPostgresUrl(to)) {
    throw new CliError('expected postgres://USER@HOST/DATABASE or a directory in --to', {
      hint: 'objects go to what --objects names',
    });
  }
  const config = await loadConfig(from);
  if (config.store.url === to) return alreadyThere(from, to, config, objects);
  const database = databaseFile(config);
  if (database === undefined) {
    throw new CliError('store.url: expected a database in a file, saw one that a server has');
  }
  const directory = objectsDirectory(config);
  if (objects !== undefined && directory === undefined) {
    throw new CliError('objects.url: expected a directory to be moved, saw what a service has', {
      hint: 'without --objects they stay where they are',
    });
  }
  const file = join(from, CONFIG_FILE);
  const edited = async () =>
    withStores(await readFile(file, 'utf8'), { store: to, passwordFile, objects });
  // Found out now, and not when everything is held.
  await edited();
  const note: CopyNoteText = { store: to, passwordFile, objects };
  await expectNote(database, note);
  const copied = await copyState(
    {
      database,
      objects: objects === undefined ? undefined : directory,
      destination: noteText(note),
      databaseUrl: to,
      databaseOptions: await passwordFrom(passwordFile && resolve(from, passwordFile)),
      objectsUrl: objects,
    },
    {
      signal,
      progress: new CopyProgressLines(stderr),
      whileHeld: async () => {},
    },
  );
  // The last step: whoever serves from the directory goes on from the new places when it reads this.
  await writeFileDurably(file, new TextEncoder().encode(await edited()));
  return {
    ...{ from, to, ...copied },
    notes: [
      `${file} names them now: chrysalis serve goes on from there`,
      ...[database, ...(objects === undefined || directory === undefined ? [] : [directory])].map(
        (path) => `not used any more, and refused by serve: ${path}`,
      ),
    ],
  };
}

function alreadyThere(
  from: string,
  to: string,
  config: ChrysalisConfig,
  objects: string | undefined,
): Copied {
  if (objects !== undefined && config.objects.url !== objects) {
    throw new CliError(`objects.url: expected ${objects}, saw another`);
  }
  const notes = [`${join(from, CONFIG_FILE)} names it already: nothing was done`];
  return { from, to, objects: 0, tables: [], heldMs: 0, notes };
}
