/** Another key and certificate for an authority of a test SCMS, and how they take the place of those before. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PrivateKey, type Random } from '@chrysalis/crypto';
import {
  type CertificateContent,
  type HashedCertificate,
  hashCertificate,
  issueExplicit,
  type ValidityPeriod,
} from '@chrysalis/ieee1609dot2';
import {
  createDirectoryDurably,
  namesIn,
  readFileIfPresent,
  syncDirectory,
} from '@chrysalis/store/files';
import { AuthorityError } from './error.ts';
import { type KeyCustody, PLAIN_KEYS } from './key-custody.ts';
import {
  expectEncryptionKey,
  expectSigningKey,
  NEXT_KEYS,
  readCertificateFile,
  readPrivateKeyFile,
  writeCertificateFile,
  writeSecretFile,
} from './key-file.ts';
import { publicEncryptionKey } from './profile.ts';
import type { Authority } from './test-scms.ts';

const FORMER = 'former';
const KEYS = { 'signing.key': expectSigningKey, 'encryption.key': expectEncryptionKey } as const;

/** To whom data may be sealed. */
export type Recipient = Required<Pick<Authority, 'certificate' | 'encryptionKey'>>;

export interface RenewalTerms {
  readonly validityPeriod: ValidityPeriod;
  readonly random: Random;
}

/**
 * A certificate that says what the former one says (name, permissions, region, CRL series), for new keys and another time. Pure.
 *
 * @param issuer of the new certificate: with the name and permissions of the one before, perhaps renewed itself
 */
export function renewedAuthority(
  former: Authority,
  issuer: Authority,
  { validityPeriod, random }: RenewalTerms,
): Authority {
  const { verifyKeyIndicator: _, ...before } = former.certificate.certificate.toBeSigned;
  const signingKey = PrivateKey.generate(random);
  const encryptionKey = before.encryptionKey && PrivateKey.generate(random);
  const content: CertificateContent = {
    ...before,
    validityPeriod,
    ...(encryptionKey && { encryptionKey: publicEncryptionKey(encryptionKey.publicPoint) }),
  };
  const certificate = issueExplicit(content, signingKey.publicPoint, {
    certificate: issuer.certificate,
    key: issuer.signingKey,
  });
  return {
    certificate: hashCertificate(certificate),
    signingKey,
    ...(encryptionKey && { encryptionKey }),
  };
}

/**
 * Puts a certificate and its keys in the place of those in the directory of an authority. The keys are written beside the
 * former ones first; then the certificate is replaced, and with it decides `readAuthority` which keys count: whoever reads,
 * at whatever moment this is cut off, finds the old set whole or the new one. One renewal of a directory at a time.
 *
 * @throws StoreError; AuthorityError
 */
export async function replaceAuthority(
  path: string,
  renewed: Authority,
  keys: KeyCustody = PLAIN_KEYS,
): Promise<void> {
  const next = join(path, NEXT_KEYS);
  await createDirectoryDurably(next);
  await writeSecretFile(join(next, 'signing.key'), renewed.signingKey.scalar(), keys);
  if (renewed.encryptionKey) {
    await writeSecretFile(join(next, 'encryption.key'), renewed.encryptionKey.scalar(), keys);
  }
  await writeCertificateFile(join(path, 'certificate.oer'), renewed.certificate);
  await settleRenewal(path, keys);
}

/**
 * Ends a renewal that was cut off: keys of the certificate take their place and the former ones are gone; keys of a
 * certificate that never came are removed.
 *
 * @returns whether the certificate had been replaced
 * @throws StoreError; AuthorityError
 */
export async function settleRenewal(path: string, keys: KeyCustody = PLAIN_KEYS): Promise<boolean> {
  const next = join(path, NEXT_KEYS);
  if (!(await namesIn(path)).includes(NEXT_KEYS)) return false;
  const certificate = await readCertificateFile(join(path, 'certificate.oer'));
  let isReplaced = false;
  for (const [name, expectOwn] of Object.entries(KEYS)) {
    const file = join(next, name);
    if ((await readFileIfPresent(file)) === undefined) continue;
    const key = await readPrivateKeyFile(file, keys);
    try {
      expectOwn(certificate, key, file);
    } catch (error) {
      if (error instanceof AuthorityError && error.code === 'key-mismatch') continue;
      throw error;
    }
    await writeSecretFile(join(path, name), key.scalar(), keys);
    isReplaced = true;
  }
  await rm(next, { recursive: true });
  await syncDirectory(path);
  return isReplaced;
}

/**
 * Keeps the certificate of an authority as a former one, durably, and its encryption key when that is given: what was
 * sealed to it can be opened later. Its signing key is not kept.
 *
 * @returns the file of the certificate, below `path`
 */
export async function keepFormerCertificate(
  path: string,
  { certificate, encryptionKey }: Pick<Authority, 'certificate' | 'encryptionKey'>,
  keys: KeyCustody = PLAIN_KEYS,
): Promise<string> {
  const directory = join(path, FORMER);
  await createDirectoryDurably(directory);
  const name = join(directory, Buffer.from(certificate.id).toString('hex'));
  if (encryptionKey) await writeSecretFile(`${name}.key`, encryptionKey.scalar(), keys);
  await writeCertificateFile(`${name}.oer`, certificate);
  return `${name}.oer`;
}

/**
 * The certificates that an authority had before the one it has: the youngest first.
 *
 * @throws AuthorityError `malformed-certificate`; StoreError
 */
export async function readFormerCertificates(path: string): Promise<readonly HashedCertificate[]> {
  return (await readFormer(path)).map(({ certificate }) => certificate);
}

/** Those of them whose encryption keys were kept. @throws AuthorityError; StoreError */
export async function readFormerRecipients(
  path: string,
  keys: KeyCustody = PLAIN_KEYS,
): Promise<readonly Recipient[]> {
  const recipients: Recipient[] = [];
  for (const { certificate, name } of await readFormer(path)) {
    const file = `${name}.key`;
    if ((await readFileIfPresent(file)) === undefined) continue;
    const encryptionKey = await readPrivateKeyFile(file, keys);
    expectEncryptionKey(certificate, encryptionKey, file);
    recipients.push({ certificate, encryptionKey });
  }
  return recipients;
}

async function readFormer(
  path: string,
): Promise<readonly { readonly certificate: HashedCertificate; readonly name: string }[]> {
  const present = await readCertificateFile(join(path, 'certificate.oer'));
  const directory = join(path, FORMER);
  const files = (await namesIn(directory)).filter((name) => /^[0-9a-f]{16}\.oer$/.test(name));
  const all = await Promise.all(
    files.sort().map(async (file) => ({
      certificate: await readCertificateFile(join(directory, file)),
      name: join(directory, file.slice(0, -'.oer'.length)),
    })),
  );
  return all
    .filter(({ certificate }) => Buffer.compare(certificate.hash, present.hash) !== 0)
    .sort((a, b) => startOf(b.certificate) - startOf(a.certificate));
}

function startOf({ certificate }: HashedCertificate): number {
  return certificate.toBeSigned.validityPeriod.start;
}
