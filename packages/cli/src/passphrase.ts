/** Where the passphrase of the keys comes from: a file, the environment, or a person; never the command line, which others see. */
import { Secret } from '@chrysalis/crypto';
import { type CliContext, CliError } from './context.ts';
import { readSecretLine } from './own-file.ts';

export const PASSPHRASE_FILE = 'CHRYSALIS_PASSPHRASE_FILE';
export const PASSPHRASE = 'CHRYSALIS_PASSPHRASE';
/** scrypt slows guessing down; it does not make a short word long. */
const MIN_CHARACTERS = 12;

export type PassphraseContext = Pick<CliContext, 'env' | 'askSecret'>;

/** The passphrase of keys that are encrypted. Undefined when there is nobody to ask. */
export function passphraseSource(context: PassphraseContext): (() => Promise<Secret>) | undefined {
  const { askSecret } = context;
  if (isGiven(context)) return async () => givenPassphrase(context);
  if (askSecret === undefined) return undefined;
  return async () => new Secret(Buffer.from(await askSecret('passphrase of the keys: ')));
}

/** A passphrase that keys are to be encrypted under: at a terminal it is asked for twice. @throws CliError */
export async function newPassphrase(context: PassphraseContext): Promise<Secret> {
  const passphrase = await chosenPassphrase(context);
  const characters = [...Buffer.from(passphrase.reveal()).toString('utf8')].length;
  if (characters >= MIN_CHARACTERS) return passphrase;
  throw new CliError(
    `expected a passphrase of ${MIN_CHARACTERS} characters or more, saw ${characters}`,
    { hint: 'openssl rand -base64 24 makes one' },
  );
}

async function chosenPassphrase(context: PassphraseContext): Promise<Secret> {
  const { askSecret } = context;
  if (isGiven(context)) return givenPassphrase(context);
  if (askSecret === undefined) {
    throw new CliError('expected a passphrase, saw none, and no terminal to ask at', {
      hint: `${PASSPHRASE_FILE} names a file of mode 600 with it`,
    });
  }
  const first = await askSecret('new passphrase of the keys: ');
  const second = await askSecret('the same again: ');
  if (first === second) return new Secret(Buffer.from(first));
  throw new CliError('expected the same passphrase twice, saw two');
}

function isGiven({ env }: PassphraseContext): boolean {
  return Boolean(env[PASSPHRASE_FILE]) || Boolean(env[PASSPHRASE]);
}

async function givenPassphrase({ env }: PassphraseContext): Promise<Secret> {
  const { [PASSPHRASE_FILE]: file, [PASSPHRASE]: text } = env;
  if (file && text) {
    throw new CliError(`expected ${PASSPHRASE_FILE} or ${PASSPHRASE}, saw both`);
  }
  if (file) return new Secret(await readSecretLine(file, 'a passphrase'));
  return new Secret(Buffer.from(text ?? ''));
}
