import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Secret } from '@chrysalis/crypto';
import { scmsSspOf } from '@chrysalis/scms';
import { AuthorityError } from './error.ts';
import { type KeyCustody, PLAIN_KEYS } from './key-custody.ts';
import {
  expectEncryptionKey,
  expectSigningKey,
  readCertificateFile,
  readKeyOf,
  readSecretFile,
  writeCertificateFile,
  writeSecretFile,
} from './key-file.ts';
import { type Authority, laIdOctets, type TestScms } from './test-scms.ts';

/*
 * Where a test SCMS lies in a state directory:
 *
 *   authorities/<root|ica|eca|pca|la1|la2|pg|ma|crlg>/certificate.oer, signing.key, encryption.key
 *   authorities/<name>/former/<HashedId8>.oer, certificates that it had before; next/, while it is renewed (renewal.ts)
 *   authorities/<la1|la2>/shared.key (with the PCA), chain.key (its own)
 *   ra/certificate.oer, signing.key, encryption.key
 *
 * The RA's lie apart: they are what an RA of production has as well.
 */

export type AuthorityName = 'root' | 'ica' | 'eca' | 'pca' | 'la1' | 'la2' | 'pg' | 'ma' | 'crlg';
export const AUTHORITY_NAMES: readonly AuthorityName[] = [
  'root',
  'ica',
  'eca',
  'pca',
  'la1',
  'la2',
  'pg',
  'ma',
  'crlg',
];

const PRIVATE_DIRECTORY_MODE = 0o700;
const AES_KEY_OCTETS = 16;

/** An LA, with the keys that stand in no certificate. */
export interface StoredLinkageAuthority {
  readonly la: Authority;
  readonly laId: Uint8Array;
  readonly sharedKey: Secret;
  readonly chainKey: Secret;
}

/** The directory of one authority, below a state directory. */
export function authorityDirectory(directory: string, name: AuthorityName | 'ra'): string {
  return name === 'ra' ? join(directory, 'ra') : join(directory, 'authorities', name);
}

/** Writes a whole test SCMS. Each file is durable and whole; the set of them is so only when this resolves. */
export async function writeTestScms(directory: string, scms: TestScms): Promise<void> {
  for (const name of [...AUTHORITY_NAMES, 'ra'] as const) {
    await writeAuthority(authorityDirectory(directory, name), scms[name]);
  }
  for (const name of ['la1', 'la2'] as const) {
    const path = authorityDirectory(directory, name);
    await writeSecretFile(join(path, 'shared.key'), scms[SHARED_KEY[name]]);
    await writeSecretFile(join(path, 'chain.key'), scms[`${name}ChainKey`]);
  }
  // The files are durable; so that their directories are, too.
  for (const path of [join(directory, 'authorities'), directory]) await syncDirectory(path);
}

/** Reads what {@link writeTestScms} wrote. @throws AuthorityError; StoreError */
export async function readTestScms(directory: string): Promise<TestScms> {
  const read = (name: AuthorityName | 'ra') => readAuthority(authorityDirectory(directory, name));
  const la1 = await readLinkageAuthority(directory, 'la1');
  const la2 = await readLinkageAuthority(directory, 'la2');
  return {
    root: await read('root'),
    ica: await read('ica'),
    eca: await readAuthority(authorityDirectory(directory, 'eca'), 'with encryption'),
    pca: await readAuthority(authorityDirectory(directory, 'pca'), 'with encryption'),
    la1: la1.la,
    la2: la2.la,
    pg: await read('pg'),
    ma: await readAuthority(authorityDirectory(directory, 'ma'), 'with encryption'),
    crlg: await read('crlg'),
    ra: await readAuthority(authorityDirectory(directory, 'ra'), 'with encryption'),
    la1Id: la1.laId,
    la2Id: la2.laId,
    pcaLa1Key: la1.sharedKey,
    pcaLa2Key: la2.sharedKey,
    la1ChainKey: la1.chainKey,
    la2ChainKey: la2.chainKey,
  };
}

/** Writes one authority into its own directory, which is created. */
export async function writeAuthority(path: string, authority: Authority): Promise<void> {
  await mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  await writeCertificateFile(join(path, 'certificate.oer'), authority.certificate);
  await writeSecretFile(join(path, 'signing.key'), authority.signingKey.scalar());
  if (authority.encryptionKey) {
    await writeSecretFile(join(path, 'encryption.key'), authority.encryptionKey.scalar());
  }
}

/** Reads one authority; its keys have to belong to its certificate. @throws AuthorityError; StoreError */
export async function readAuthority(
  path: string,
  which: 'signing only' | 'with encryption' = 'signing only',
  keys: KeyCustody = PLAIN_KEYS,
): Promise<Authority> {
  const certificate = await readCertificateFile(join(path, 'certificate.oer'));
  const signingKey = await readKeyOf(
    certificate,
    join(path, 'signing.key'),
    expectSigningKey,
    path,
    keys,
  );
  if (which === 'signing only') return { certificate, signingKey };
  const file = join(path, 'encryption.key');
  const encryptionKey = await readKeyOf(certificate, file, expectEncryptionKey, path, keys);
  return { certificate, signingKey, encryptionKey };
}

/** Reads an LA; its number stands in its certificate. @throws AuthorityError; StoreError */
export async function readLinkageAuthority(
  directory: string,
  name: 'la1' | 'la2',
  keys: KeyCustody = PLAIN_KEYS,
): Promise<StoredLinkageAuthority> {
  const path = authorityDirectory(directory, name);
  const la = await readAuthority(path, 'signing only', keys);
  return {
    la,
    ...(await readLinkageKey(directory, name, keys)),
    chainKey: await readSecretFile(join(path, 'chain.key'), AES_KEY_OCTETS, keys),
  };
}

/** What the PCA knows of an LA: its number and the key that they share. @throws AuthorityError; StoreError */
export async function readLinkageKey(
  directory: string,
  name: 'la1' | 'la2',
  keys: KeyCustody = PLAIN_KEYS,
): Promise<Pick<StoredLinkageAuthority, 'laId' | 'sharedKey'>> {
  const path = authorityDirectory(directory, name);
  const ssp = scmsSspOf(await readCertificateFile(join(path, 'certificate.oer')));
  if (ssp?.type !== 'la') {
    throw new AuthorityError(
      'unsuitable-certificate',
      `${path}: expected the certificate of an LA, saw the SSP ${ssp?.type ?? 'of none'}`,
    );
  }
  return {
    laId: laIdOctets(ssp.value.laId),
    sharedKey: await readSecretFile(join(path, 'shared.key'), AES_KEY_OCTETS, keys),
  };
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

const SHARED_KEY = { la1: 'pcaLa1Key', la2: 'pcaLa2Key' } as const;
