import { constants } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CoerError, decode } from '@chrysalis/coer';
import { CryptoError, equalPoints, PrivateKey, Secret } from '@chrysalis/crypto';
import {
  Certificate,
  encryptionPointOf,
  type HashedCertificate,
  hashCertificate,
  Ieee1609Dot2Error,
  toPoint,
} from '@chrysalis/ieee1609dot2';
import { readFileIfPresent, writeFileDurably } from '@chrysalis/store/files';
import { AuthorityError } from './error.ts';
import { type KeyCustody, PLAIN_KEYS } from './key-custody.ts';

/*
 * The files of a state directory: certificates in COER, keys as hex and a newline, or as raw octets, which is how
 * devices keep theirs, or either of it encrypted (sealed-key.ts). They can be those of any PKI, not only of one that `init` made.
 */

/** Where the keys of a renewal lie until its certificate is there. */
export const NEXT_KEYS = 'next';

const PRIVATE_KEY_OCTETS = 32;
/** The mode bits that let anyone but the owner touch a file. */
const GROUP_AND_OTHERS = 0o077;
const PUBLIC_FILE_MODE = 0o644;
/** The bits of a mode that tell what kind of file it is. */
const { S_IFMT, S_IFDIR } = constants;

/** @throws AuthorityError `missing-file`, `malformed-certificate`; StoreError */
export async function readCertificateFile(path: string): Promise<HashedCertificate> {
  const octets = await readFile(path, 'a certificate');
  try {
    return hashCertificate(decode(Certificate, octets));
  } catch (cause) {
    if (!(cause instanceof CoerError || cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new AuthorityError(
      'malformed-certificate',
      `${path}: expected an IEEE 1609.2 certificate in COER: ${cause.message}`,
      { cause, hint: 'an X.509 certificate (PEM) belongs to TLS, not here' },
    );
  }
}

/** Certificates are public: readable by all. */
export async function writeCertificateFile(
  path: string,
  certificate: HashedCertificate,
): Promise<void> {
  await writeFileDurably(path, certificate.octets, PUBLIC_FILE_MODE);
}

/**
 * @param keys opens what is encrypted
 * @throws AuthorityError `missing-file`, `insecure-key-file`, `malformed-key`, `encrypted-key`, `wrong-passphrase`; StoreError
 */
export async function readPrivateKeyFile(
  path: string,
  keys: KeyCustody = PLAIN_KEYS,
): Promise<PrivateKey> {
  return parsePrivateKey((await readSecretFile(path, PRIVATE_KEY_OCTETS, keys)).reveal(), path);
}

/**
 * Reads the key of a certificate. While a renewal is cut off, the key of the certificate lies in `next/` beside the file,
 * which has that of the one before: see `replaceAuthority`.
 *
 * @param expectOwn {@link expectSigningKey} or {@link expectEncryptionKey}
 * @throws as {@link readPrivateKeyFile} and `expectOwn`
 */
export async function readKeyOf(
  certificate: HashedCertificate,
  path: string,
  expectOwn: typeof expectSigningKey,
  where: string = path,
  keys: KeyCustody = PLAIN_KEYS,
): Promise<PrivateKey> {
  const next = join(dirname(path), NEXT_KEYS, basename(path));
  for (const file of [path, next]) {
    try {
      const key = await readPrivateKeyFile(file, keys);
      expectOwn(certificate, key, where);
      return key;
    } catch (error) {
      const isOther = error instanceof AuthorityError && error.code === 'key-mismatch';
      const isMissing = error instanceof AuthorityError && error.code === 'missing-file';
      if (!isOther && !(isMissing && file === next)) throw error;
    }
  }
  // A renewal may have come to its end meanwhile.
  const key = await readPrivateKeyFile(path, keys);
  expectOwn(certificate, key, where);
  return key;
}

/** A key of `octets` octets. @throws as {@link readPrivateKeyFile} */
export async function readSecretFile(
  path: string,
  octets: number,
  keys: KeyCustody = PLAIN_KEYS,
): Promise<Secret> {
  return parseSecret(await keys.open(await readKeyFile(path), path), octets, path);
}

/** Replaces the file durably, for the owner's eyes only, encrypted where `keys` encrypts. */
export async function writeSecretFile(
  path: string,
  secret: Secret,
  keys: KeyCustody = PLAIN_KEYS,
): Promise<void> {
  const hex = Buffer.from(secret.reveal()).toString('hex');
  const content = new TextEncoder().encode(`${hex}\n`);
  await writeFileDurably(path, await keys.seal(content, path));
}

/** A PEM file with a private key, which comes out in the clear. @throws as {@link readPrivateKeyFile} */
export async function readPrivatePemFile(
  path: string,
  keys: KeyCustody = PLAIN_KEYS,
): Promise<string> {
  return keys.openPem(Buffer.from(await readKeyFile(path)).toString('utf8'), path);
}

/** The counterpart of {@link writeSecretFile}. */
export async function writePrivatePemFile(
  path: string,
  pem: string,
  keys: KeyCustody = PLAIN_KEYS,
): Promise<void> {
  await writeFileDurably(path, new TextEncoder().encode(await keys.sealPem(pem, path)));
}

/** A key file as it lies there. @throws AuthorityError `missing-file`, `insecure-key-file`; StoreError */
export async function readKeyFile(path: string): Promise<Uint8Array> {
  const content = await readFile(path, 'a key');
  await expectOwnersOnly(path);
  return content;
}

/** @throws AuthorityError `malformed-key` */
export function parsePrivateKey(scalar: Uint8Array, where: string): PrivateKey {
  try {
    return PrivateKey.fromScalar(scalar);
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new AuthorityError('malformed-key', `${where}: expected a private key of P-256`, {
      cause,
    });
  }
}

/** Reads hex digits with or without a newline, or the octets themselves. @throws AuthorityError `malformed-key` */
export function parseSecret(content: Uint8Array, octets: number, where: string): Secret {
  if (content.length === octets) return new Secret(content);
  const text = Buffer.from(content).toString('latin1').trim();
  if (text.length === 2 * octets && /^[0-9a-f]+$/i.test(text)) {
    return new Secret(Buffer.from(text, 'hex'));
  }
  throw new AuthorityError(
    'malformed-key',
    `${where}: expected ${2 * octets} hex digits or ${octets} octets, saw ${content.length} octets`,
  );
}

/**
 * Checks that a private key signs for an explicit certificate, before anything is signed with it in vain.
 *
 * @throws AuthorityError `key-mismatch`, `unsuitable-certificate`
 */
export function expectSigningKey(
  certificate: HashedCertificate,
  key: PrivateKey,
  where: string,
): void {
  const indicator = certificate.certificate.toBeSigned.verifyKeyIndicator;
  if (indicator.type !== 'verificationKey' || indicator.value.type !== 'ecdsaNistP256') {
    throw new AuthorityError(
      'unsuitable-certificate',
      `${where}: expected an explicit certificate on P-256`,
    );
  }
  expectEqual(key, toPoint(indicator.value.value), `${where}: signing key`);
}

/** The same for the encryption key. @throws AuthorityError `key-mismatch`, `unsuitable-certificate` */
export function expectEncryptionKey(
  certificate: HashedCertificate,
  key: PrivateKey,
  where: string,
): void {
  let point: PrivateKey['publicPoint'];
  try {
    point = encryptionPointOf(certificate);
  } catch (cause) {
    if (!(cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new AuthorityError('unsuitable-certificate', `${where}: ${cause.message}`, { cause });
  }
  expectEqual(key, point, `${where}: encryption key`);
}

function expectEqual(key: PrivateKey, point: PrivateKey['publicPoint'], where: string): void {
  if (equalPoints(key.publicPoint, point)) return;
  throw new AuthorityError(
    'key-mismatch',
    `${where}: expected the private key of the certificate, saw another key`,
  );
}

async function readFile(path: string, what: string): Promise<Uint8Array> {
  const octets = await readFileIfPresent(path);
  if (octets !== undefined) return octets;
  throw new AuthorityError('missing-file', `expected ${what} in ${path}, saw no file`);
}

/**
 * A secret that others can read is none: better not to start than to run with one. The owner has to be whoever runs this, or
 * root, who can read everything anyway.
 *
 * @throws AuthorityError `insecure-key-file`
 */
export async function expectOwnersOnly(path: string, what = 'a key file'): Promise<void> {
  const { mode, uid } = await stat(path);
  const isDirectory = (mode & S_IFMT) === S_IFDIR;
  if ((mode & GROUP_AND_OTHERS) !== 0) {
    const seen = (mode & 0o777).toString(8).padStart(3, '0');
    throw new AuthorityError(
      'insecure-key-file',
      `${path}: expected ${what} that only its owner can read, saw mode ${seen}`,
      { hint: `chmod ${isDirectory ? '700' : '600'} ${path}` },
    );
  }
  const self = process.geteuid?.();
  if (self === undefined || uid === self || uid === 0) return;
  throw new AuthorityError(
    'insecure-key-file',
    `${path}: expected ${what} of user ${self}, who runs this, saw that of user ${uid}`,
    { hint: `run this as its owner, or chown ${self} ${path}` },
  );
}
