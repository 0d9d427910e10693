/** `chrysalis copy --to DIR`: the whole of a state directory moves to another one. */
import { open, readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { copyFencedDatabases, expectUnused, fenceDatabase } from '@chrysalis/store';
import {
  createDirectoryDurably,
  isStoreError,
  readFileIfPresent,
  removeFileDurably,
  syncDirectory,
  systemCodeOf,
  writeFileDurably,
} from '@chrysalis/store/files';
import { isWithin, namedBy } from './backup.ts';
import { loadConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import type { Copied, CopyOptions } from './copy.ts';
import { type CopyNoteText, expectNote, noteText } from './copy-note.ts';
import { CopyProgressLines } from './copy-progress.ts';
import { copyState } from './state-copy.ts';
import { CONFIG_FILE } from './state-directory.ts';
import { stateFiles } from './state-files.ts';
import { databaseFile, objectsDirectory } from './store-places.ts';

/** Written first and removed last: a directory that has it is the beginning of a copy, of the state that it names. */
const MARKER = '.chrysalis-copy';
/** How long the RA that serves from the old directory may take to end: a device that leaves may take 30 seconds. */
const ENDS_WITHIN_MS = 90_000;

/** @throws CliError, StoreError */
export async function copyToDirectory(
  from: string,
  to: string,
  { objects: objectsUrl, passwordFile }: CopyOptions,
  { stderr, signal }: CliContext,
): Promise<Copied> {
  if (objectsUrl !== undefined || passwordFile !== undefined) {
    throw new CliError(
      'expected --objects and --password-file with a URL in --to, saw a directory',
    );
  }
  const config = await loadConfig(from);
  const [database, objects] = [databaseFile(config), objectsDirectory(config)];
  if (database === undefined || objects === undefined) {
    throw new CliError(
      'expected rows in a file and objects in a directory, saw what servers have',
      {
        hint: 'the rest of a state directory is a backup: chrysalis backup, chrysalis restore',
      },
    );
  }
  await expectAllWithin(from);
  const note: CopyNoteText = { directory: to };
  await expectNote(database, note);
  await beginDirectory(to, from);
  const at = (path: string) => join(to, relative(from, path));
  await createDirectoryDurably(dirname(at(database)));
  const progress = new CopyProgressLines(stderr);
  const copied = await copyState(
    {
      database,
      objects,
      destination: noteText(note),
      databaseUrl: `sqlite:${at(database)}`,
      databaseOptions: {},
      objectsUrl: `file:${at(objects)}`,
    },
    { signal, progress, whileHeld: () => copyRest({ from, to, database, objects }, progress) },
  );
  // A directory without it is none that anybody serves from.
  await copyFile(join(from, CONFIG_FILE), join(to, CONFIG_FILE));
  await syncDirectory(to);
  await removeFileDurably(join(to, MARKER));
  return {
    ...{ from, to, ...copied },
    notes: [
      `serve from it: chrysalis --dir ${to} serve`,
      `not used any more, and refused by serve: ${from}`,
    ],
  };
}

/** The databases of the authorities that a state directory has. */
export async function authorityDatabases(
  directory: string,
  database: string,
): Promise<readonly string[]> {
  const { databases } = await stateFiles(directory);
  return databases.map((name) => join(directory, name)).filter((path) => path !== database);
}

/** The database of a copy in another directory. */
export async function databaseOfDirectory(
  from: string,
  { directory }: { readonly directory: string },
): Promise<string> {
  const database = databaseFile(await loadConfig(from));
  return join(directory, relative(from, database ?? from));
}

async function expectAllWithin(from: string): Promise<void> {
  const { essential } = await namedBy(from);
  for (const [key, path] of Object.entries(essential)) {
    if (isWithin(path, from)) continue;
    throw new CliError(`${key}: expected a path in ${from}, saw ${path}`, {
      hint: 'a copy to a directory is of one directory: move it in there while nothing runs',
    });
  }
}

/** @throws CliError when something else is there */
async function beginDirectory(to: string, from: string): Promise<void> {
  if (isWithin(to, from) || isWithin(from, to)) {
    throw new CliError(`expected two directories, of which none is in the other, saw ${to}`);
  }
  await createDirectoryDurably(to);
  const names = await readdir(to);
  const begun = await readFileIfPresent(join(to, MARKER));
  const isOurs = begun !== undefined && Buffer.from(begun).toString() === from;
  if (isOurs || (await isDone(to, from, names))) return;
  if (names.length > 0) {
    throw new CliError(
      `expected ${to} to be empty, saw ${names.length} files: nothing is replaced`,
    );
  }
  await writeFileDurably(join(to, MARKER), new TextEncoder().encode(from));
}

/** Whether everything is there already: the same configuration, which comes last. */
async function isDone(to: string, from: string, names: readonly string[]): Promise<boolean> {
  if (!names.includes(CONFIG_FILE)) return false;
  const [a, b] = await Promise.all([from, to].map((dir) => readFile(join(dir, CONFIG_FILE))));
  return a !== undefined && b !== undefined && a.equals(b);
}

interface Rest {
  readonly from: string;
  readonly to: string;
  readonly database: string;
  readonly objects: string;
}

/**
 * What neither rows nor objects of the RA are. The PCA has answered whatever the RA has; from the fence of its own database on
 * it answers nothing more. The audit log is whole when whoever writes it has ended.
 */
async function copyRest(
  { from, to, database, objects }: Rest,
  progress: CopyProgressLines,
): Promise<void> {
  const databases = await authorityDatabases(from, database);
  for (const path of databases) await fenceDatabase(path);
  for (const path of [database, ...databases]) await untilUnused(path, progress);
  const at = (path: string) => join(to, relative(from, path));
  for (const path of databases) {
    await createDirectoryDurably(dirname(at(path)));
    await removeFileDurably(at(path));
  }
  await copyFencedDatabases(databases.map((path) => ({ from: path, to: at(path) })));
  const { others } = await stateFiles(from);
  const directories = new Set<string>();
  for (const name of others) {
    if (name === CONFIG_FILE || isWithin(join(from, name), objects)) continue;
    await createDirectoryDurably(dirname(join(to, name)));
    await copyFile(join(from, name), join(to, name));
    directories.add(dirname(join(to, name)));
  }
  for (const directory of directories) await syncDirectory(directory);
}

async function untilUnused(path: string, progress: CopyProgressLines): Promise<void> {
  const deadline = performance.now() + ENDS_WITHIN_MS;
  for (;;) {
    try {
      return await expectUnused(path);
    } catch (error) {
      if (!isStoreError(error, 'busy')) throw error;
      if (performance.now() > deadline) {
        throw new CliError(`expected whoever serves from the old state to end, saw ${path} open`, {
          hint: 'end it, and run the same command again',
          cause: error,
        });
      }
      progress.far(`waiting for whoever has ${path} open`);
    }
  }
}

/** On the disk when it resolves, but for its name; with the mode of the original. */
async function copyFile(from: string, to: string): Promise<void> {
  await using source = await open(from, 'r').catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') throw new CliError(`expected ${from}, saw it gone`);
    throw error;
  });
  const { mode } = await source.stat();
  await using copy = await open(to, 'w', mode & 0o777);
  for await (const chunk of source.createReadStream({ autoClose: false })) {
    await copy.writeFile(chunk as Uint8Array);
  }
  await copy.sync();
}
