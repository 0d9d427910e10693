/** The keys of a state directory: checked, and with the passphrase at hand when one is needed. */
import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  KeyCustody,
  type KeyScheme,
  type MasterKey,
  parseScheme,
  readKeyFile,
  readPrivatePemFile,
} from '@chrysalis/authorities/keys';
import { systemRandom } from '@chrysalis/crypto';
import type { Log } from '@chrysalis/ra';
import { readFileIfPresent } from '@chrysalis/store/files';
import { loadAuthorityConfig } from './authority-config.ts';
import { type ChrysalisConfig, loadConfig } from './config.ts';
import type { CliContext } from './context.ts';
import { type PassphraseContext, passphraseSource } from './passphrase.ts';
import {
  expectPrivate,
  type PrivatePlaces,
  placesOf,
  placesOfAuthority,
  privateKeyFiles,
} from './private-files.ts';
import { AUTHORITY_CONFIG_FILE, KEY_SCHEME_FILE } from './state-directory.ts';

export type CustodyContext = PassphraseContext & Pick<CliContext, 'random'>;

/**
 * The custody of the keys of a state directory. Nobody is asked for a passphrase before an encrypted key is met.
 *
 * @throws AuthorityError `insecure-key-file` when others can read something private, `malformed-key`; StoreError
 */
export async function openCustody(
  places: PrivatePlaces,
  context: CustodyContext,
): Promise<KeyCustody> {
  await expectPrivate(places);
  const { directory } = places;
  const scheme = await readKeyScheme(directory);
  const passphrase = passphraseSource(context);
  return new KeyCustody({
    directory,
    random: context.random,
    ...(passphrase && { passphrase }),
    ...(scheme && { scheme }),
  });
}

/** As {@link openCustody}, of an RA. */
export function openRaCustody(
  config: ChrysalisConfig,
  directory: string,
  context: CustodyContext,
): Promise<KeyCustody> {
  return openCustody(placesOf(config, directory), context);
}

/** Opens the keys of an RA, so that whatever has to be asked for is asked for now. @throws AuthorityError */
export async function openKeysOf(
  config: ChrysalisConfig,
  directory: string,
  keys: KeyCustody,
): Promise<void> {
  const { keys: configured, ...places } = placesOf(config, directory);
  const own = new Set(configured.map((path) => resolve(path)));
  for (const { path, form, state } of await privateKeyFiles({ ...places, keys: configured })) {
    // Others may be encrypted under a passphrase of somebody else.
    if (state === 'plain' || (state === 'foreign' && !own.has(path))) continue;
    if (form === 'pem') await readPrivatePemFile(path, keys);
    else await keys.open(await readKeyFile(path), path);
  }
}

/** The same keys in another thread, which can ask nobody. */
export function custodyOfMasters(directory: string, masters: readonly MasterKey[]): KeyCustody {
  return new KeyCustody({ directory, masters, random: systemRandom });
}

/** Of a state directory of either kind. @throws CliError when it is none */
export async function placesIn(directory: string): Promise<PrivatePlaces> {
  const isAuthority = await access(join(directory, AUTHORITY_CONFIG_FILE)).then(
    () => true,
    () => false,
  );
  return isAuthority
    ? placesOfAuthority(await loadAuthorityConfig(directory), directory)
    : placesOf(await loadConfig(directory), directory);
}

/** Undefined while keys lie in the clear. @throws AuthorityError `malformed-key`; StoreError */
export async function readKeyScheme(directory: string): Promise<KeyScheme | undefined> {
  const path = join(directory, KEY_SCHEME_FILE);
  const octets = await readFileIfPresent(path);
  return octets && parseScheme(Buffer.from(octets).toString('utf8'), path);
}

/** Says when an encryption was cut off: until it goes on, what is left lies in the clear. */
export async function warnOfPlainKeys(
  keys: KeyCustody,
  places: PrivatePlaces,
  log: Pick<Log, 'warn'>,
): Promise<void> {
  if (!keys.encrypts) return;
  const files = await privateKeyFiles(places);
  const plain = files.filter(({ state }) => state === 'plain').map(({ path }) => path);
  if (plain.length > 0) log.warn({ plain }, 'keys are not encrypted: chrysalis keys encrypt');
}

/** The keys that an RA serves with. @throws as {@link openCustody} */
export async function openServedKeys({
  config,
  directory,
  context,
  log,
}: {
  readonly config: ChrysalisConfig;
  readonly directory: string;
  readonly context: CustodyContext;
  readonly log: Log;
}): Promise<KeyCustody> {
  const places = placesOf(config, directory);
  const keys = await openCustody(places, context);
  await warnOfPlainKeys(keys, places, log);
  return keys;
}
