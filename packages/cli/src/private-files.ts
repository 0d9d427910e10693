/** What in a state directory is for its owner's eyes only: where it lies, and the check of it. */
import type { Dirent } from 'node:fs';
import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { AuthorityError, expectOwnersOnly, isSealed, pemKeyOf } from '@chrysalis/authorities/keys';
import { isPkcs11Uri } from '@chrysalis/ra/pkcs11';
import type { AuthorityConfig } from './authority-config.ts';
import type { ChrysalisConfig } from './config.ts';
import { objectsDirectory } from './store-places.ts';

/** Where a configuration has private files, beside those that are known by their names. Absolute paths. */
export interface PrivatePlaces {
  readonly directory: string;
  /** Keys of the configuration, wherever they lie. */
  readonly keys: readonly string[];
  /** A directory below with very many files, none of which is private. */
  readonly objects?: string;
}

export function placesOf(config: ChrysalisConfig, directory: string): PrivatePlaces {
  const { ra } = config;
  const objects = objectsDirectory(config);
  const peers = [config.pca, config.la1, config.la2];
  const keys = [
    ...[ra.tlsKey, ra.signingKey, ra.encryptionKey],
    ...peers.flatMap((peer) => (peer.mode === 'remote' ? [peer.tlsKey] : [])),
  ];
  return {
    directory: resolve(directory),
    keys: keys.filter((key) => !isPkcs11Uri(key)),
    ...(objects !== undefined && { objects }),
  };
}

export function placesOfAuthority(config: AuthorityConfig, directory: string): PrivatePlaces {
  return { directory: resolve(directory), keys: [config.authority.tlsKey] };
}

/** How a private key lies in its file. */
export interface PrivateKeyFile {
  readonly path: string;
  readonly form: 'octets' | 'pem';
  readonly state: 'plain' | 'encrypted' | 'foreign';
  /** Whether it lies in the state directory itself: what is elsewhere, or behind a link, is not ours to change. */
  readonly isOwn: boolean;
}

/** The private keys of a directory, in the order of their names; those of the configuration that lie elsewhere come last. */
export async function privateKeyFiles(places: PrivatePlaces): Promise<readonly PrivateKeyFile[]> {
  const { directory } = places;
  const named = (await filesBelow(places)).filter((path) => KEY_NAME.test(path));
  const elsewhere = places.keys
    .map((path) => resolve(path))
    .filter((path) => !named.includes(path));
  const isOutside = (path: string) => relative(directory, path).startsWith('..');
  const all = [
    ...[...named, ...elsewhere.filter((path) => !isOutside(path))].sort(),
    ...elsewhere.filter(isOutside),
  ];
  const files = await Promise.all(
    all.map((path) => inspectKeyFile(path, named.includes(path) || !isOutside(path))),
  );
  return files.filter((file) => file !== undefined);
}

/** What a write that was cut off left of a key: nobody reads it again, and the key is in it. */
export async function remainsOfKeys(places: PrivatePlaces): Promise<readonly string[]> {
  const remains: string[] = [];
  for (const path of await filesBelow(places)) {
    if (await isRemainsOfKey(path)) remains.push(path);
  }
  return remains;
}

/**
 * Everything private in the directory belongs to whoever runs this, and to nobody else: keys, databases, and the directory.
 *
 * @throws AuthorityError `insecure-key-file`, with the command that mends it
 */
export async function expectPrivate(places: PrivatePlaces): Promise<void> {
  await expectOwnersOnly(places.directory, 'a state directory');
  for (const path of await filesBelow(places)) {
    if (DATABASE_NAME.test(path)) await expectIfPresent(path, 'a database');
    else if (await isRemainsOfKey(path)) await expectIfPresent(path, 'a key file');
  }
  for (const { path } of await privateKeyFiles(places)) await expectIfPresent(path, 'a key file');
}

const KEY_NAME = /\.(?:key|pem)$/;
/** As `writeFileDurably` names what it renames when it is whole. */
const KEY_REMAINS = /(?:^|\/)\.[^/]+\.(?:key|pem)\.[0-9a-f]{16}\.tmp$/;
const DATABASE_NAME = /\.db(?:-wal|-shm|-journal)?$/;
/** A state directory is three deep. */
const MAX_DEPTH = 6;
/** More than that in one directory is no state directory. */
const MAX_FILES = 100_000;

async function inspectKeyFile(path: string, isBelow: boolean): Promise<PrivateKeyFile | undefined> {
  const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (content === undefined) return undefined;
  const isOwn = isBelow && (await lstat(path)).isFile();
  if (isSealed(content)) return { path, form: 'octets', state: 'encrypted', isOwn };
  const { type } = pemKeyOf(content.toString('latin1'), path);
  if (type === 'plain' || type === 'foreign') return { path, form: 'pem', state: type, isOwn };
  if (type === 'sealed') return { path, form: 'pem', state: 'encrypted', isOwn };
  return path.endsWith('.pem') ? undefined : { path, form: 'octets', state: 'plain', isOwn };
}

/** A certificate in PEM is written in the same way, and is for all to read. */
async function isRemainsOfKey(path: string): Promise<boolean> {
  if (!KEY_REMAINS.test(path)) return false;
  if (path.includes('.key.')) return true;
  const content = await readFile(path, 'latin1').catch(() => '');
  return content.includes('PRIVATE KEY');
}

/** SQLite removes its own files while others look. */
async function expectIfPresent(path: string, what: string): Promise<void> {
  try {
    await expectOwnersOnly(path, what);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Absolute, in the order of their names; links are not followed. */
async function filesBelow({ directory, objects }: PrivatePlaces): Promise<string[]> {
  const files: string[] = [];
  const skipped = objects === undefined ? undefined : resolve(objects);
  const walk = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await entriesOf(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (path !== skipped && depth < MAX_DEPTH) await walk(path, depth + 1);
      } else if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(path)))) {
        files.push(path);
        if (files.length > MAX_FILES) {
          throw new AuthorityError(
            'insecure-key-file',
            `${directory}: expected a state directory of up to ${MAX_FILES} files, saw more`,
          );
        }
      }
    }
  };
  await walk(directory, 0);
  return files.sort();
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
