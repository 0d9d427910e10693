/**
 * Private keys under a passphrase: the format of the files, and what is derived from the passphrase. One scrypt (RFC 7914)
 * gives a master key for all files with the same salt; HKDF-SHA256 (RFC 5869) gives each file a key of its own, by its purpose.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  hkdfSync,
  scrypt as scryptWithCallback,
} from 'node:crypto';
import { promisify } from 'node:util';
import { equalConstantTime, type Random, Secret } from '@chrysalis/crypto';
import { AuthorityError } from './error.ts';

const scrypt = promisify<string, Uint8Array, number, object, Buffer>(scryptWithCallback);

/** scrypt with its parameters, RFC 7914 §2. */
export interface KdfParameters {
  readonly name: 'scrypt';
  /** A power of two. Memory is 128·n·r octets. */
  readonly n: number;
  readonly r: number;
  readonly p: number;
  /** 16 octets, base64. */
  readonly salt: string;
}

/** What new keys of a directory are encrypted under, and by what a passphrase is known: key-encryption.json. */
export interface KeyScheme {
  readonly kdf: KdfParameters;
  /** 16 octets of the master key's own, base64. */
  readonly check: string;
}

const FORMAT = 'chrysalis-encrypted-key';
const VERSION = 1;
const CIPHER = 'aes-256-gcm';
const KEY_OCTETS = 32;
const SALT_OCTETS = 16;
const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;
const CHECK_OCTETS = 16;
/** The work that anybody who guesses has: 128 MiB and some tenths of a second for each guess. */
export const DEFAULT_COST = 17;
export const MIN_COST = 14;
/** 1 GiB with r = 8. A file that asks for more is refused before any is taken. */
export const MAX_COST = 20;
const MAX_R = 16;
const MAX_P = 4;
const MAX_MEMORY_OCTETS = 2 ** 30;
/** A key of 32 octets makes a file of 500; a foreign one in PEM can be an RSA key. */
const MAX_FILE_OCTETS = 65_536;
const MAX_PURPOSE = 1024;

/** New parameters with a salt of their own. @param cost the logarithm of n, 14 to 20 */
export function newKdf(random: Random, cost: number = DEFAULT_COST): KdfParameters {
  const salt = base64(random(SALT_OCTETS));
  return { name: 'scrypt', n: 2 ** cost, r: 8, p: 1, salt };
}

/** 32 octets. The passphrase in Unicode form NFKC, so that every keyboard spells it alike. */
export async function masterKey(passphrase: Secret, kdf: KdfParameters): Promise<Secret> {
  const text = Buffer.from(passphrase.reveal()).toString('utf8').normalize('NFKC');
  const { n, r, p, salt } = kdf;
  // OpenSSL counts its own tables as well.
  const maxmem = 128 * r * (n + p + 2) + 2 ** 20;
  const key = await scrypt(text, Buffer.from(salt, 'base64'), KEY_OCTETS, { N: n, r, p, maxmem });
  return new Secret(key);
}

/** The scheme of a directory whose passphrase has this master key. */
export function schemeOf(kdf: KdfParameters, master: Secret): KeyScheme {
  return { kdf, check: base64(derive(master, 'check', '', CHECK_OCTETS)) };
}

export function isMasterOf({ check }: KeyScheme, master: Secret): boolean {
  return equalConstantTime(derive(master, 'check', '', CHECK_OCTETS), Buffer.from(check, 'base64'));
}

/** Text of key-encryption.json. */
export function schemeText({ kdf, check }: KeyScheme): string {
  return `${JSON.stringify({ format: 'chrysalis-key-encryption', version: VERSION, kdf, check }, undefined, 2)}\n`;
}

/** @throws AuthorityError `malformed-key` */
export function parseScheme(text: string, where: string): KeyScheme {
  const { format, version, kdf, check } = parseObject(text, where);
  if (format !== 'chrysalis-key-encryption') throw malformed(where, 'key-encryption.json');
  expectVersion(version, where);
  return { kdf: parseKdf(kdf, where), check: octetsText(check, CHECK_OCTETS, where) };
}

/** An encrypted key as it lies in its file. */
export interface SealedKey {
  /** The path of the file below the state directory, with slashes: a key does not open in the place of another. */
  readonly purpose: string;
  readonly kdf: KdfParameters;
}

interface SealedSecret extends SealedKey {
  readonly nonce: string;
  /** Ciphertext and tag. */
  readonly sealed: string;
}

/** Whether a file holds an encrypted key of this format; PEM has its own. */
export function isSealed(content: Uint8Array): boolean {
  return content[0] === 0x7b && Buffer.from(content).includes(`"${FORMAT}"`);
}

/** Encrypts the content of a key file. */
export function sealKey(
  content: Uint8Array,
  { purpose, kdf }: SealedKey,
  master: Secret,
  random: Random,
): Uint8Array {
  const nonce = random(NONCE_OCTETS);
  const cipher = createCipheriv(CIPHER, derive(master, 'file', purpose, KEY_OCTETS), nonce);
  cipher.setAAD(associatedData({ purpose, kdf }));
  const sealed = Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  const file = {
    ...{ format: FORMAT, version: VERSION, purpose, kdf, cipher: CIPHER },
    ...{ nonce: base64(nonce), sealed: base64(sealed) },
  };
  return Buffer.from(`${JSON.stringify(file, undefined, 2)}\n`);
}

/** @throws AuthorityError `malformed-key` */
export function parseSealed(content: Uint8Array, where: string): SealedSecret {
  const { format, version, purpose, kdf, cipher, nonce, sealed } = parseObject(
    Buffer.from(content).toString('utf8'),
    where,
  );
  if (format !== FORMAT || cipher !== CIPHER) throw malformed(where, 'an encrypted key');
  expectVersion(version, where);
  if (typeof sealed !== 'string') throw malformed(where, 'an encrypted key');
  return {
    ...parsePurpose(purpose, where),
    kdf: parseKdf(kdf, where),
    nonce: octetsText(nonce, NONCE_OCTETS, where),
    sealed,
  };
}

/** The content of the key file. Undefined for another master key and for octets that were changed: which of it, nobody learns. */
export function openKey(sealedKey: SealedSecret, master: Secret): Uint8Array | undefined {
  const octets = Buffer.from(sealedKey.sealed, 'base64');
  if (octets.length < TAG_OCTETS) return undefined;
  const end = octets.length - TAG_OCTETS;
  const key = derive(master, 'file', sealedKey.purpose, KEY_OCTETS);
  const decipher = createDecipheriv(CIPHER, key, Buffer.from(sealedKey.nonce, 'base64'), {
    authTagLength: TAG_OCTETS,
  });
  decipher.setAAD(associatedData(sealedKey));
  decipher.setAuthTag(octets.subarray(end));
  try {
    return new Uint8Array(
      Buffer.concat([decipher.update(octets.subarray(0, end)), decipher.final()]),
    );
  } catch {
    return undefined;
  }
}

/*
 * PEM: the key is PKCS #8 encrypted with PBES2 (RFC 8018), as every TLS library reads it. libcrypto derives its key by PBKDF2 in
 * 2048 rounds, which a guesser takes in his stride; so what it is given is no passphrase of a person but 256 bits of the master
 * key's, and the line before the block says how one comes by it. Readers of PEM skip what stands before a block (RFC 7468 §2).
 */
const PEM_HEADER = 'Chrysalis-Encrypted-Key: ';
const PRIVATE_BLOCK = /-----BEGIN ((?:[A-Z]+ )*PRIVATE KEY)-----[^-]+-----END \1-----\r?\n?/;

/** What a PEM file says of its private key. */
export type PemKey =
  | { readonly type: 'none' | 'plain' }
  /** Encrypted by somebody else: the passphrase itself opens it. */
  | { readonly type: 'foreign' }
  | ({ readonly type: 'sealed' } & SealedKey);

/** @throws AuthorityError `malformed-key` */
export function pemKeyOf(text: string, where: string): PemKey {
  if (text.length > MAX_FILE_OCTETS) return { type: 'none' };
  const [block, label] = PRIVATE_BLOCK.exec(text) ?? [];
  if (block === undefined) return { type: 'none' };
  if (label !== 'ENCRYPTED PRIVATE KEY' && !block.includes('ENCRYPTED')) return { type: 'plain' };
  const line = text.split('\n').find((one) => one.startsWith(PEM_HEADER));
  if (line === undefined) return { type: 'foreign' };
  const { version, purpose, kdf } = parseObject(line.slice(PEM_HEADER.length), where);
  expectVersion(version, where);
  return { type: 'sealed', ...parsePurpose(purpose, where), kdf: parseKdf(kdf, where) };
}

/** Encrypts the private key in a PEM file; what else is in it stays. @throws AuthorityError `malformed-key` */
export function sealPem(
  text: string,
  { purpose, kdf }: SealedKey,
  master: Secret,
  where: string,
): string {
  const key = importPem(text, undefined);
  if (key === undefined) throw malformed(where, 'a private key, PEM');
  const header = JSON.stringify({ version: VERSION, purpose, kdf });
  const block = key.export({
    ...{ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc' },
    passphrase: pemPassphrase(master, purpose),
  } as const);
  return `${PEM_HEADER}${header}\n${text.replace(PRIVATE_BLOCK, () => String(block))}`;
}

/** The file with its key in the clear, PKCS #8; undefined when the passphrase does not open it. */
export function openPem(text: string, passphrase: string): string | undefined {
  const key = importPem(text, passphrase);
  if (key === undefined) return undefined;
  const block = String(key.export({ type: 'pkcs8', format: 'pem' }));
  const lines = text.split('\n').filter((line) => !line.startsWith(PEM_HEADER));
  return lines.join('\n').replace(PRIVATE_BLOCK, () => block);
}

/** What opens the PEM file with that purpose. */
export function pemPassphrase(master: Secret, purpose: string): string {
  return base64(derive(master, 'pem', purpose, KEY_OCTETS));
}

function importPem(text: string, passphrase: string | undefined) {
  const [block] = PRIVATE_BLOCK.exec(text) ?? [];
  if (block === undefined) return undefined;
  try {
    return createPrivateKey({ key: block, ...(passphrase !== undefined && { passphrase }) });
  } catch {
    // What libcrypto says of it tells at which step it failed.
    return undefined;
  }
}

/** HKDF-SHA256 without salt; the uses do not meet, because no purpose holds a NUL. */
function derive(
  master: Secret,
  use: 'check' | 'file' | 'pem',
  purpose: string,
  octets: number,
): Uint8Array {
  const info = `chrysalis key encryption 1\0${use}\0${purpose}`;
  return new Uint8Array(hkdfSync('sha256', master.reveal(), new Uint8Array(0), info, octets));
}

/** Everything in the file but nonce and ciphertext, as JSON without spaces. */
function associatedData({ purpose, kdf }: SealedKey): Uint8Array {
  const { name, n, r, p, salt } = kdf;
  const kdfInOrder = { name, n, r, p, salt };
  return Buffer.from(
    JSON.stringify({ format: FORMAT, version: VERSION, purpose, kdf: kdfInOrder, cipher: CIPHER }),
  );
}

function parseObject(text: string, where: string): Readonly<Record<string, unknown>> {
  if (text.length > MAX_FILE_OCTETS) throw malformed(where, 'an encrypted key');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // The same answer: a parser's message would quote the file.
  }
  throw malformed(where, 'an encrypted key');
}

function parsePurpose(purpose: unknown, where: string): { readonly purpose: string } {
  if (typeof purpose === 'string' && purpose.length <= MAX_PURPOSE && !purpose.includes('\0')) {
    return { purpose };
  }
  throw malformed(where, 'the path of the file as its purpose');
}

function parseKdf(value: unknown, where: string): KdfParameters {
  const { name, n, r, p, salt } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isGood =
    name === 'scrypt' &&
    isBetween(n, 2 ** MIN_COST, 2 ** MAX_COST) &&
    Number.isInteger(Math.log2(n)) &&
    isBetween(r, 1, MAX_R) &&
    isBetween(p, 1, MAX_P) &&
    128 * n * r <= MAX_MEMORY_OCTETS;
  if (!isGood) throw malformed(where, `scrypt with n a power of two up to 2^${MAX_COST}, in 1 GiB`);
  return { name, n, r, p, salt: octetsText(salt, SALT_OCTETS, where) };
}

function isBetween(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function octetsText(value: unknown, octets: number, where: string): string {
  if (typeof value === 'string' && base64(Buffer.from(value, 'base64')) === value) {
    if (Buffer.from(value, 'base64').length === octets) return value;
  }
  throw malformed(where, `${octets} octets in base64`);
}

function expectVersion(version: unknown, where: string): void {
  if (version !== VERSION) throw malformed(where, `version ${VERSION} of the encrypted format`);
}

function malformed(where: string, expected: string): AuthorityError {
  return new AuthorityError('malformed-key', `${where}: expected ${expected}, saw something else`);
}

function base64(octets: Uint8Array): string {
  return Buffer.from(octets).toString('base64');
}
