/** `chrysalis backup`: a state directory as one file, while it is served from. */
import { access, lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { formatHex } from '@chrysalis/scms';
import { copyDatabases } from '@chrysalis/store';
import { syncDirectory } from '@chrysalis/store/files';
import type { Command } from 'commander';
import { loadAuthorityConfig } from './authority-config.ts';
import { type About, type Manifest, type Source, writeArchive } from './backup-archive.ts';
import { loadConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { AUTHORITY_CONFIG_FILE } from './state-directory.ts';
import { type StateFiles, stateFiles } from './state-files.ts';
import { databaseFile, objectsDirectory } from './store-places.ts';
import { versionOfPackage } from './version.ts';

interface BackupOptions {
  readonly dir: string;
  readonly to: string;
  readonly json?: boolean;
}

/** What a configuration names. */
interface Named {
  readonly kind: Manifest['kind'];
  /** The database of the RA; undefined for an authority. */
  readonly store?: string;
  /** What a backup has to have, or it would be none: by the key that names it. */
  readonly essential: Readonly<Record<string, string>>;
  /** Every other file. */
  readonly files: readonly string[];
  /** What no file is: a server has it, and its own backup. */
  readonly elsewhere: readonly string[];
}

const PRIVATE_DIRECTORY = 0o700;
const PRIVATE_FILE = 0o600;
/** By which an audit log proves that no line is missing: it goes before the lines, which only grow. */
const AUDIT_HEAD = /\.head\.json$/;

export function addBackupCommand(program: Command, context: CliContext): void {
  program
    .command('backup')
    .description('copy a state directory into one file, while it is served from or not')
    .requiredOption('--to <file>', 'the file, a tar archive that does not exist yet')
    .addHelpText(
      'after',
      `
The databases are copied as they were at one moment, the files after them; devices are served meanwhile. Beside the file
there has to be room for the databases once more until it is done. Keys go in as they lie in their files: encrypted if
they are. Whoever reads the backup has everything that the state directory has: keep it as you keep that.
What the configuration names outside the state directory is not in it, and is listed; nor are keys in a token, a
PostgreSQL and an S3, which have backups of their own (docs/guides/postgresql.md).

Examples:
  chrysalis backup --to /mnt/backup/ra-2026-11-22.tar
  chrysalis --dir /srv/pca backup --to /mnt/backup/pca-2026-11-22.tar   # of an authority, after that of the RA`,
    )
    .action(async (_options: unknown, command: Command) => {
      await backUp(context, command.optsWithGlobals<BackupOptions>());
    });
}

async function backUp(context: CliContext, options: BackupOptions): Promise<void> {
  const directory = resolve(options.dir);
  const target = resolve(options.to);
  const named = await namedBy(directory);
  await expectNothing(target, directory);
  for (const [key, path] of Object.entries(named.essential)) {
    if (isWithin(path, directory)) continue;
    throw new CliError(`${key}: expected a path in ${directory}, saw ${path}`, {
      hint: 'a backup is of one directory: move it in there, or copy both while nothing runs',
    });
  }
  const temporary = join(
    dirname(target),
    `.${basename(target)}.${formatHex(context.random(8))}.tmp`,
  );
  await mkdir(temporary, { mode: PRIVATE_DIRECTORY });
  try {
    const about = await copyState(directory, named, temporary, context);
    const { manifest, sha256 } = about;
    await rename(join(temporary, ARCHIVE), target);
    await syncDirectory(dirname(target));
    report(context, options, target, manifest, sha256);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

const ARCHIVE = 'archive';

/**
 * Databases first, files after them. A row that says that a file is there was written after the file, so that the file is
 * there when the files are read; those that came after the rows were copied are in the backup as well, and are written once
 * more, the same, by an RA that is restored. A file is missing only if its period was dropped in between: it is over.
 */
async function copyState(
  directory: string,
  { kind, store, essential, files, elsewhere }: Named,
  temporary: string,
  { clock, signal }: CliContext,
): Promise<{ readonly manifest: Manifest; readonly sha256: string }> {
  const { databases } = await stateFiles(directory);
  // Requests are in the database of the RA before the PCA has them, and answers in that of the PCA before the RA has them.
  const first = store === undefined ? undefined : relative(directory, store);
  const ordered = databases.toSorted((a, b) => Number(b === first) - Number(a === first));
  const copies = ordered.map((name, n) => ({
    from: join(directory, name),
    to: join(temporary, `${n}.db`),
  }));
  const migrations = await copyDatabases(copies);
  const about: About = {
    chrysalis: versionOfPackage(),
    createdAt: new Date(clock.now()).toISOString(),
    kind,
    databases: ordered.map((name, n) => ({ name, migrations: [...(migrations[n] ?? [])] })),
    elsewhere: [
      ...elsewhere,
      ...[...new Set([...Object.values(essential), ...files])]
        .filter((path) => !isWithin(path, directory))
        .sort(),
    ],
  };
  const sources = async function* (): AsyncGenerator<Source> {
    for (const [n, name] of ordered.entries()) yield { name, path: copies[n]?.to ?? '' };
    const later: StateFiles = await stateFiles(directory);
    const isHead = (name: string) => AUDIT_HEAD.test(name);
    const names = later.others.toSorted((a, b) => Number(isHead(b)) - Number(isHead(a)));
    for (const name of names) {
      signal.throwIfAborted();
      yield { name, path: join(directory, name) };
    }
  };
  await using file = await open(join(temporary, ARCHIVE), 'wx', PRIVATE_FILE);
  const written = await writeArchive(file, sources(), about);
  await file.sync();
  return written;
}

function report(
  { stdout }: CliContext,
  { json }: BackupOptions,
  file: string,
  { members, databases, elsewhere }: Manifest,
  sha256: string,
): void {
  const octets = members.reduce((sum, { size }) => sum + size, 0);
  if (json) {
    const names = databases.map(({ name }) => name);
    const result = { file, sha256, files: members.length, octets, databases: names, elsewhere };
    stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const lines = [
    `${file}: ${members.length} files, ${octets} octets, ${databases.length} databases among them`,
    `SHA-256: ${sha256}`,
    ...elsewhere.map((path) => `not in it: ${path}`),
  ];
  stdout.write(`${lines.join('\n')}\n`);
}

async function expectNothing(target: string, directory: string): Promise<void> {
  if (isWithin(target, directory)) {
    throw new CliError(`expected --to outside ${directory}: the next backup would have it in it`);
  }
  const isThere = await lstat(target).then(
    () => true,
    () => false,
  );
  if (isThere) {
    throw new CliError(`expected no ${target}, saw one: a backup replaces nothing`, {
      hint: 'put the date into its name',
    });
  }
}

/** @throws CliError when it is no state directory */
export async function namedBy(directory: string): Promise<Named> {
  const isAuthority = await access(join(directory, AUTHORITY_CONFIG_FILE)).then(
    () => true,
    () => false,
  );
  if (isAuthority) {
    return {
      kind: 'authority',
      essential: {},
      files: pathsIn(await loadAuthorityConfig(directory)),
      elsewhere: [],
    };
  }
  const config = await loadConfig(directory);
  const store = databaseFile(config);
  const objects = objectsDirectory(config);
  const audit = config.audit.enabled ? { 'audit.directory': config.audit.directory } : {};
  return {
    kind: 'ra',
    ...(store !== undefined && { store }),
    essential: {
      ...(store !== undefined && { 'store.url': store }),
      ...(objects !== undefined && { 'objects.url': objects }),
      ...audit,
    },
    files: pathsIn(config),
    elsewhere: [
      ...(store === undefined ? ['the database, which a PostgreSQL has'] : []),
      ...(objects === undefined ? ['the objects, which an S3 has'] : []),
    ],
  };
}

/** Every path of a configuration: they are absolute, and nothing else in one begins with a slash. */
function pathsIn(value: unknown): string[] {
  if (typeof value === 'string') return value.startsWith('/') ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(pathsIn);
}

export function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way !== '..' && !way.startsWith(`..${sep}`);
}
