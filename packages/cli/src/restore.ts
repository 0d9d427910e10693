/** `chrysalis restore`: a state directory out of a backup. */
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { RA_MIGRATIONS } from '@chrysalis/ra';
import { formatHex } from '@chrysalis/scms';
import { createDirectoryDurably, syncDirectory, systemCodeOf } from '@chrysalis/store/files';
import type { Command } from 'commander';
import { isWithin, namedBy } from './backup.ts';
import { type Manifest, readArchive } from './backup-archive.ts';
import { type CliContext, CliError } from './context.ts';

interface RestoreOptions {
  readonly dir: string;
  readonly from: string;
  readonly json?: boolean;
}

const PRIVATE_DIRECTORY = 0o700;
const PRIVATE_FILE = 0o600;

export function addRestoreCommand(program: Command, context: CliContext): void {
  program
    .command('restore')
    .description('make a state directory of a backup')
    .requiredOption('--from <file>', 'what `chrysalis backup` wrote')
    .addHelpText(
      'after',
      `
The directory, --dir, is empty or does not exist. It is there when every file has been found to be what was backed up, and
not before; all of it is for its owner alone. Stop the RA that was backed up first: two on copies of one state give
devices different answers.

Examples:
  chrysalis --dir /srv/ra restore --from /mnt/backup/ra-2026-11-22.tar`,
    )
    .action(async (_options: unknown, command: Command) => {
      await restore(context, command.optsWithGlobals<RestoreOptions>());
    });
}

async function restore(context: CliContext, options: RestoreOptions): Promise<void> {
  const directory = resolve(options.dir);
  const file = resolve(options.from);
  await expectEmpty(directory);
  await createDirectoryDurably(dirname(directory));
  const name = `.${basename(directory)}.${formatHex(context.random(8))}.tmp`;
  const temporary = join(dirname(directory), name);
  await mkdir(temporary, { mode: PRIVATE_DIRECTORY });
  try {
    const { manifest, directories } = await unpack(file, temporary, context.signal);
    expectKnown(file, manifest);
    for (const made of [temporary, ...directories]) await syncDirectory(made);
    await move(temporary, directory);
    await report(context, options, directory, manifest);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function unpack(
  file: string,
  into: string,
  signal: AbortSignal,
): Promise<{ readonly manifest: Manifest; readonly directories: ReadonlySet<string> }> {
  const directories = new Set<string>();
  const manifest = await readArchive(file, async (name, chunks) => {
    signal.throwIfAborted();
    const path = join(into, name);
    for (let above = dirname(path); above !== into && !directories.has(above); ) {
      directories.add(above);
      above = dirname(above);
    }
    await mkdir(dirname(path), { recursive: true, mode: PRIVATE_DIRECTORY });
    await using made = await open(path, 'wx', PRIVATE_FILE);
    for await (const chunk of chunks) await made.writeFile(chunk);
    await made.sync();
  });
  return { manifest, directories };
}

/** An older program would refuse to start with it: better before anything is there. */
function expectKnown(file: string, { kind, databases, chrysalis }: Manifest): void {
  if (kind !== 'ra') return;
  const known = new Set(RA_MIGRATIONS.map(({ name }) => name));
  // Those of authorities have migrations of other names; the RA's is not there when a server had it.
  const [first] = RA_MIGRATIONS;
  const ofRa = databases.find(({ migrations }) => first && migrations.includes(first.name));
  const unknown = ofRa?.migrations.find((name) => !known.has(name));
  if (unknown === undefined) return;
  throw new CliError(
    `${file}: expected migrations that this program knows, saw ${unknown}: chrysalis ${chrysalis} made it`,
  );
}

async function move(from: string, to: string): Promise<void> {
  try {
    // Replaces an empty directory, and no other.
    await rename(from, to);
  } catch (cause) {
    if (systemCodeOf(cause) !== 'ENOTEMPTY' && systemCodeOf(cause) !== 'EEXIST') throw cause;
    throw new CliError(`expected ${to} to stay empty, saw somebody put something in`, { cause });
  }
  await syncDirectory(dirname(to));
}

async function expectEmpty(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  });
  if (names.length === 0) return;
  throw new CliError(
    `expected ${directory} to be empty, saw ${names.length} files: nothing is replaced`,
    {
      hint: 'choose another directory with --dir, or move that one away',
    },
  );
}

async function report(
  { stdout }: CliContext,
  { json }: RestoreOptions,
  directory: string,
  { members, createdAt, chrysalis, kind }: Manifest,
): Promise<void> {
  const { essential, files } = await namedBy(directory);
  const outside = [...new Set([...Object.values(essential), ...files])];
  const elsewhere = outside.filter((path) => !isWithin(path, directory)).sort();
  if (json) {
    const result = { directory, files: members.length, createdAt, chrysalis, kind, elsewhere };
    stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const lines = [
    `${directory}: ${members.length} files, as they were ${createdAt}`,
    ...elsewhere.map((path) => `the configuration names, outside of it: ${path}`),
  ];
  stdout.write(`${lines.join('\n')}\n`);
}
