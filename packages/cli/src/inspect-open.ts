/** Opens encrypted data with a key that the user names. */
import { parsePrivateKey, parseSecret, readCertificateFile } from '@chrysalis/authorities/keys';
import { CryptoError, type PrivateKey } from '@chrysalis/crypto';
import {
  decrypterOf,
  decryptForCertificate,
  decryptForKey,
  decryptSymmetric,
  type EncryptedData,
  type HashedCertificate,
  Ieee1609Dot2Error,
} from '@chrysalis/ieee1609dot2';
import { formatHex } from '@chrysalis/scms';
import { readFileIfPresent } from '@chrysalis/store/files';
import { CliError } from './context.ts';

export interface KeyFiles {
  readonly key?: string;
  readonly certificate?: string;
}

export interface Keys {
  readonly privateKey?: PrivateKey;
  readonly sharedKey?: Uint8Array;
  readonly certificate?: HashedCertificate;
}

const PRIVATE_KEY_OCTETS = 32;
const SHARED_KEY_OCTETS = 16;
const HEX = /^[0-9a-f]+$/i;

/** @throws CliError, AuthorityError when a file holds no key or no certificate */
export async function readKeys({ key, certificate }: KeyFiles): Promise<Keys> {
  return {
    ...(key !== undefined && (await readKey(key))),
    ...(certificate !== undefined && { certificate: await readCertificateFile(certificate) }),
  };
}

async function readKey(file: string): Promise<Keys> {
  const content = await readFileIfPresent(file);
  if (content === undefined) throw new CliError(`expected a key in ${file}, saw no file`);
  const text = Buffer.from(content).toString('latin1').trim();
  if (
    content.length === SHARED_KEY_OCTETS ||
    (text.length === 2 * SHARED_KEY_OCTETS && HEX.test(text))
  ) {
    return { sharedKey: parseSecret(content, SHARED_KEY_OCTETS, file).reveal() };
  }
  const scalar = parseSecret(content, PRIVATE_KEY_OCTETS, file).reveal();
  return { privateKey: parsePrivateKey(scalar, file) };
}

/** The plaintext, or why there is none. */
export interface Opened {
  readonly plaintext?: Uint8Array;
  readonly note: string;
}

export function open(data: EncryptedData, keys: Keys): Opened {
  const missing = whatIsMissing(data, keys);
  if (missing !== undefined) return { note: `not opened: ${missing}` };
  try {
    return { plaintext: decrypt(data, keys), note: 'opened with --key' };
  } catch (error) {
    if (!(error instanceof Ieee1609Dot2Error || error instanceof CryptoError)) throw error;
    return { note: `not opened: ${error.message}` };
  }
}

function whatIsMissing(data: EncryptedData, keys: Keys): string | undefined {
  const [recipient] = data.recipients;
  switch (recipient?.type) {
    case 'certRecipInfo': {
      const whose = `of the certificate ${formatHex(recipient.value.recipientId)}`;
      if (keys.privateKey === undefined) return `--key FILE names the encryption key ${whose}`;
      if (keys.certificate === undefined) return `--certificate FILE names the file ${whose}`;
      return undefined;
    }
    case 'rekRecipInfo':
      return keys.privateKey ? undefined : '--key FILE names the response encryption key';
    case 'symmRecipInfo':
      return keys.sharedKey ? undefined : '--key FILE names the shared key of 16 octets';
    default:
      return `expected a recipient of a kind that CAMP uses, saw ${recipient?.type ?? 'none'}`;
  }
}

function decrypt(data: EncryptedData, keys: Keys): Uint8Array {
  const [recipient] = data.recipients;
  const { privateKey, sharedKey, certificate } = keys;
  if (recipient?.type === 'symmRecipInfo' && sharedKey) {
    return decryptSymmetric(data, sharedKey, recipient.value.recipientId);
  }
  const decrypter = decrypterOf(privateKey as PrivateKey);
  return recipient?.type === 'rekRecipInfo'
    ? decryptForKey(data, decrypter)
    : decryptForCertificate(data, certificate as HashedCertificate, decrypter);
}
