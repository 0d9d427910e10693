/** `chrysalis keys`: encrypts the private keys of a state directory under a passphrase, decrypts them, says how they lie. */
import { join, relative, resolve } from 'node:path';
import {
  AuthorityError,
  DEFAULT_COST,
  isMasterOf,
  type KdfParameters,
  KeyCustody,
  MAX_COST,
  MIN_COST,
  masterKey,
  newKdf,
  readKeyFile,
  schemeOf,
  schemeText,
} from '@chrysalis/authorities/keys';
import { removeFileDurably, writeFileDurably } from '@chrysalis/store/files';
import { type Command, InvalidArgumentError } from 'commander';
import type { CliContext } from './context.ts';
import { openCustody, placesIn, readKeyScheme } from './open-custody.ts';
import { newPassphrase, PASSPHRASE_FILE } from './passphrase.ts';
import {
  expectPrivate,
  type PrivateKeyFile,
  type PrivatePlaces,
  privateKeyFiles,
  remainsOfKeys,
} from './private-files.ts';
import { KEY_SCHEME_FILE } from './state-directory.ts';

interface KeysOptions {
  readonly dir: string;
  readonly json?: boolean;
}

interface EncryptOptions extends KeysOptions {
  readonly cost: number;
}

export function addKeysCommands(program: Command, context: CliContext): void {
  const keys = program
    .command('keys')
    .description('encrypt the private keys of a state directory under a passphrase');
  keys
    .command('encrypt')
    .description('encrypt every private key in the directory; keys that are made later, too')
    .option(
      '--cost <number>',
      'the logarithm of the work of a guess: scrypt with N = 2^number, 8·2^number·128 octets',
      cost,
      DEFAULT_COST,
    )
    .addHelpText(
      'after',
      `
The passphrase is in the file that ${PASSPHRASE_FILE} names (mode 600), or in CHRYSALIS_PASSPHRASE; else it is asked for at
the terminal. Every command that needs a key takes it from there. Without it the keys are lost. When this is cut off, the
directory works as it is, and the same command goes on.

Examples:
  chrysalis keys encrypt
  ${PASSPHRASE_FILE}=/run/secrets/chrysalis chrysalis --dir /srv/ra keys encrypt`,
    )
    .action(async (_options: unknown, command: Command) => {
      await encrypt(context, command.optsWithGlobals<EncryptOptions>());
    });
  keys
    .command('decrypt')
    .description('write every private key in the directory in the clear again')
    .action(async (_options: unknown, command: Command) => {
      await decrypt(context, command.optsWithGlobals<KeysOptions>());
    });
  keys
    .command('status')
    .description('print how each private key lies there; takes no passphrase')
    .action(async (_options: unknown, command: Command) => {
      await status(context, command.optsWithGlobals<KeysOptions>());
    });
}

/** The scheme is written first: whatever is cut off afterwards, new keys are encrypted and old ones open. */
async function encrypt(context: CliContext, options: EncryptOptions): Promise<void> {
  const places = await placesIn(options.dir);
  await expectPrivate(places);
  const keys = await encryptingCustody(context, places, options.cost);
  for (const path of await remainsOfKeys(places)) await removeFileDurably(path);
  for (const file of await ownKeyFiles(places, 'plain')) {
    await rewrite(file, (content, path) =>
      file.form === 'octets'
        ? keys.seal(content, path)
        : keys.sealPem(text(content), path).then(octets),
    );
  }
  await status(context, options);
}

/** The scheme is removed last: cut off before, the same command goes on. */
async function decrypt(context: CliContext, options: KeysOptions): Promise<void> {
  const places = await placesIn(options.dir);
  const keys = await openCustody(places, context);
  for (const file of await ownKeyFiles(places, 'encrypted')) {
    await rewrite(file, (content, path) =>
      file.form === 'octets'
        ? keys.open(content, path)
        : keys.openPem(text(content), path).then(octets),
    );
  }
  await removeFileDurably(join(places.directory, KEY_SCHEME_FILE));
  await status(context, options);
}

async function status({ stdout, stderr }: CliContext, options: KeysOptions): Promise<void> {
  const places = await placesIn(options.dir);
  const { directory } = places;
  const scheme = await readKeyScheme(directory);
  const files = await privateKeyFiles(places);
  const named = files.map(({ path, state, isOwn }) => ({
    file: isOwn ? relative(directory, path) : path,
    state,
    isOwn,
  }));
  const plain = named.filter(({ state, isOwn }) => state === 'plain' && isOwn).length;
  if (options.json === true) {
    const { kdf } = scheme ?? {};
    stdout.write(
      `${JSON.stringify({ directory, encrypts: kdf ?? null, keys: named }, undefined, 2)}\n`,
    );
  } else {
    const first = scheme === undefined ? 'keys lie in the clear' : encryptedText(scheme.kdf);
    const lines = named.map(({ file, state, isOwn }) => {
      return `  ${STATE_TEXT[state].padEnd(STATE_WIDTH)} ${file}${isOwn ? '' : '  (not of this directory: left as it is)'}\n`;
    });
    stdout.write(`${directory}: ${first}\n${lines.join('')}`);
  }
  if (scheme !== undefined && plain > 0) {
    stderr.write(`chrysalis: warning: ${plain} of them in the clear: chrysalis keys encrypt\n`);
  }
}

const STATE_TEXT: Readonly<Record<PrivateKeyFile['state'], string>> = {
  plain: 'in the clear',
  encrypted: 'encrypted',
  foreign: 'encrypted elsewhere',
};
const STATE_WIDTH = 'encrypted elsewhere'.length;

function encryptedText({ n, r, p }: KdfParameters): string {
  return `keys are encrypted, scrypt with N = ${n}, r = ${r}, p = ${p}`;
}

/** A directory that has a scheme keeps it, and its passphrase: an encryption that was cut off goes on with both. */
async function encryptingCustody(
  context: CliContext,
  { directory }: PrivatePlaces,
  wanted: number,
): Promise<KeyCustody> {
  const present = await readKeyScheme(directory);
  const passphrase = await newPassphrase(context);
  const kdf = present?.kdf ?? newKdf(context.random, wanted);
  const master = await masterKey(passphrase, kdf);
  const path = join(directory, KEY_SCHEME_FILE);
  if (present !== undefined && !isMasterOf(present, master)) {
    throw new AuthorityError(
      'wrong-passphrase',
      `${path}: expected the passphrase that these keys are encrypted with already`,
      { hint: 'for another one: chrysalis keys decrypt, and then keys encrypt' },
    );
  }
  const scheme = present ?? schemeOf(kdf, master);
  if (present === undefined) await writeFileDurably(path, octets(schemeText(scheme)));
  const { random } = context;
  return new KeyCustody({ directory, scheme, random, masters: [{ kdf, key: master }] });
}

async function ownKeyFiles(
  places: PrivatePlaces,
  state: PrivateKeyFile['state'],
): Promise<readonly PrivateKeyFile[]> {
  return (await privateKeyFiles(places)).filter((file) => file.isOwn && file.state === state);
}

async function rewrite(
  { path }: PrivateKeyFile,
  change: (content: Uint8Array, path: string) => Promise<Uint8Array>,
): Promise<void> {
  const content = await readKeyFile(resolve(path));
  await writeFileDurably(path, await change(content, path));
}

function cost(value: string): number {
  const number = Number(value);
  if (/^\d\d$/.test(value) && number >= MIN_COST && number <= MAX_COST) return number;
  throw new InvalidArgumentError(`expected an integer from ${MIN_COST} to ${MAX_COST}`);
}

function text(content: Uint8Array): string {
  return Buffer.from(content).toString('utf8');
}

function octets(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}
