/**
 * `npm run check:dependencies`: holds the lock file against `scripts/reviewed-packages.json`, the packages that somebody has looked
 * at. Needs no network. `-- --online` asks the registry besides what is known against them, and says so when it cannot.
 * `-- --accept` writes the list anew: what has changed in it is what is to be reviewed before it is committed.
 *
 * Of each package: its licence, that its octets are those of the hash, that nothing of it runs when it is installed, that it
 * has no native addon, and, of those that users get, that it is the same on every platform.
 */
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const LOCK_FILE = join(ROOT, 'package-lock.json');
const REVIEWED_FILE = join(import.meta.dirname, 'reviewed-packages.json');

/** They allow what the Apache License 2.0 of this project does, and ask for no more than a notice. */
const LICENCES = ['0BSD', 'Apache-2.0', 'BSD-3-Clause', 'ISC', 'MIT', 'MIT OR Apache-2.0'];
/** What has to run when it is installed, and why that is borne. None of it is installed by users. */
const INSTALL_SCRIPTS: Readonly<Record<string, string>> = {
  'node@24.21.0':
    'lays the pinned Node beside the project: docs/decisions/0001-stack-and-pinned-node.md',
};

/** A package of the lock file, by `name@version`. */
export interface LockedPackage {
  readonly licence: string;
  /** Subresource Integrity of its archive. */
  readonly integrity: string;
  /** Installed by whoever installs Chrysalis, not by developers alone. */
  readonly ships: boolean;
}

interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
}

export interface LockFile {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

export type Reviewed = Readonly<Record<string, LockedPackage>>;

const INSTALLED = 'node_modules/';

/** The packages of others. Pure. */
export function packagesOf(lock: LockFile): Record<string, LockedPackage> {
  const rows = foreign(lock).map(([path, entry]): [string, LockedPackage] => [
    nameOf(path, entry),
    {
      licence: entry.license ?? '',
      integrity: entry.integrity ?? '',
      ships: entry.dev !== true,
    },
  ]);
  return Object.fromEntries(rows.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** What is wrong with a lock file; empty when somebody has looked at all that it names. Pure. */
export function complaintsOf(lock: LockFile, reviewed: Reviewed): string[] {
  const packages = packagesOf(lock);
  const gone = Object.keys(reviewed).filter((name) => !(name in packages));
  return [
    ...foreign(lock).flatMap(([path, entry]) => ruleBroken(nameOf(path, entry), entry)),
    ...Object.entries(packages).flatMap(([name, seen]) => difference(name, seen, reviewed[name])),
    ...gone.map((name) => `${name}: on the list, and not in the lock file`),
  ];
}

/**
 * Files of addons, below a root where the packages are installed. Of all of them: what an operator may add (pg, the client of
 * an object store) is a package of developers here.
 */
export function addonsBelow(root: string, lock: LockFile): string[] {
  return foreign(lock).flatMap(([path]) =>
    globSync(['**/*.node', '**/binding.gyp'], {
      cwd: join(root, path),
      exclude: ['node_modules/**'],
    }).map((file) => `${path}/${file}`),
  );
}

function ruleBroken(name: string, entry: LockEntry): string[] {
  const { license = 'none', integrity = '', dev = false, hasInstallScript = false } = entry;
  const found: string[] = [];
  if (!LICENCES.includes(license)) found.push(`${name}: expected a known licence, saw ${license}`);
  if (!/^sha512-[\w+/]{86}==$/.test(integrity)) found.push(`${name}: expected a SHA-512 of it`);
  if (hasInstallScript && !(name in INSTALL_SCRIPTS && dev)) {
    found.push(`${name}: expected nothing that runs when it is installed`);
  }
  if (!dev && (entry.os !== undefined || entry.cpu !== undefined)) {
    found.push(`${name}: expected JavaScript, saw binaries of a platform`);
  }
  return found;
}

function difference(name: string, seen: LockedPackage, known: LockedPackage | undefined): string[] {
  if (known === undefined) return [`${name}: nobody has reviewed it`];
  return (['licence', 'integrity', 'ships'] as const)
    .filter((key) => known[key] !== seen[key])
    .map((key) => `${name}: expected ${key} ${known[key]}, saw ${seen[key]}`);
}

function foreign({ packages }: LockFile): [string, LockEntry][] {
  return Object.entries(packages).filter(
    ([path, { link }]) => path.includes(INSTALLED) && link !== true,
  );
}

function nameOf(path: string, { version = '' }: LockEntry): string {
  return `${path.slice(path.lastIndexOf(INSTALLED) + INSTALLED.length)}@${version}`;
}

export function readLockFile(): LockFile {
  return JSON.parse(readFileSync(LOCK_FILE, 'utf8'));
}

export function readReviewed(): Reviewed {
  return JSON.parse(readFileSync(REVIEWED_FILE, 'utf8'));
}

/** What the answer of `npm audit --json` says of packages that users get; undefined when it is none. Pure. */
export function advisoriesIn(answer: string): string[] | undefined {
  try {
    const { vulnerabilities } = JSON.parse(answer) as {
      readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string }>>;
    };
    if (vulnerabilities === undefined) return undefined;
    return Object.entries(vulnerabilities).map(([name, { severity }]) => `${name}: ${severity}`);
  } catch {
    return undefined;
  }
}

/** The registry's word. */
function askOnline(): string[] {
  const { stdout } = spawnSync('npm', ['audit', '--json', '--omit=dev'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 60_000,
    shell: process.platform === 'win32',
  });
  const advisories = advisoriesIn(stdout ?? '');
  if (advisories === undefined) {
    console.log('npm audit: the registry did not answer; nothing is known beyond the list');
    return [];
  }
  console.log(`npm audit: ${advisories.length} packages with advisories`);
  return advisories;
}

if (import.meta.main) {
  const lock = readLockFile();
  if (process.argv.includes('--accept')) {
    writeFileSync(REVIEWED_FILE, `${JSON.stringify(packagesOf(lock), undefined, 2)}\n`);
  }
  const found = [...complaintsOf(lock, readReviewed()), ...addonsBelow(ROOT, lock)];
  if (process.argv.includes('--online')) found.push(...askOnline());
  for (const complaint of found) console.error(complaint);
  const count = Object.keys(packagesOf(lock)).length;
  if (found.length === 0) console.log(`${count} packages of the lock file, all reviewed`);
  process.exitCode = found.length === 0 ? 0 : 1;
}
