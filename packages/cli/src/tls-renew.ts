/** `chrysalis tls renew`: another key and certificate for the RA's TLS server, from the test X.509 root. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { writePrivatePemFile } from '@chrysalis/authorities/keys';
import { formatSerialNumber } from '@chrysalis/authorities/x509';
import { removeFileDurably, writeFileDurably } from '@chrysalis/store/files';
import { type ChrysalisConfig, loadConfig } from './config.ts';
import { withTlsPair } from './config-edit.ts';
import { type CliContext, CliError } from './context.ts';
import { readX509Root } from './ocsp-source.ts';
import { type CustodyContext, openRaCustody } from './open-custody.ts';
import { CONFIG_FILE } from './state-directory.ts';
import { issueRaTlsCertificate } from './tls-certificate.ts';

const PUBLIC_FILE_MODE = 0o644;

/** What `tls renew` has done. */
export interface TlsRenewal {
  readonly certificate: X509Certificate;
  /** The file of the certificate before, which stays: whoever revokes it needs it. */
  readonly former: string;
}

/**
 * Key and certificate go into new files, and then chrysalis.toml names both in one step: cut off at any moment, it names a pair.
 * The key before is removed last.
 *
 * @param expectOwn throws when the present certificate is not of the test X.509 root
 * @throws CliError when the certificate or its key is not in the state directory, or the root has ended; StoreError
 */
export async function renewTlsCertificate(
  context: CustodyContext & Pick<CliContext, 'clock'>,
  dir: string,
  expectOwn: () => Promise<unknown>,
): Promise<TlsRenewal> {
  const directory = resolve(dir);
  const whole = await loadConfig(directory);
  const { ra } = whole;
  expectInDirectory(directory, ra);
  await expectOwn();
  const keys = await openRaCustody(whole, directory, context);
  const root = await readX509Root(directory, keys);
  const { validToDate: rootEnd } = new X509Certificate(root.certificatePem);
  const now = context.clock.now();
  if (rootEnd.getTime() <= now) {
    throw new CliError(
      `expected an X.509 root that is valid, saw one until ${rootEnd.toISOString()}`,
    );
  }
  const { certificatePem, privateKeyPem } = await issueRaTlsCertificate(root, ra.host, now);
  const certificate = new X509Certificate(certificatePem);
  const serialNumber = formatSerialNumber(certificate.serialNumber);
  const beside = (file: string, name: string) =>
    join(relative(directory, dirname(file)), `${name}-${serialNumber}.pem`);
  const pair = {
    tlsCert: beside(ra.tlsCert, 'tls-certificate'),
    tlsKey: beside(ra.tlsKey, 'tls-key'),
  };
  const config = join(directory, CONFIG_FILE);
  const edited = withTlsPair(await readFile(config, 'utf8'), pair);
  await writePrivatePemFile(join(directory, pair.tlsKey), privateKeyPem, keys);
  await writeFileDurably(join(directory, pair.tlsCert), utf8(certificatePem), PUBLIC_FILE_MODE);
  await writeFileDurably(config, utf8(edited));
  if (ra.tlsKey !== ra.tlsCert) await removeFileDurably(ra.tlsKey);
  return { certificate, former: ra.tlsCert };
}

/** What lies elsewhere is somebody else's to renew. */
function expectInDirectory(directory: string, ra: ChrysalisConfig['ra']): void {
  for (const [key, file] of [
    ['tls-cert', ra.tlsCert],
    ['tls-key', ra.tlsKey],
  ] as const) {
    const path = relative(directory, file);
    if (!path.startsWith('..') && !isAbsolute(path)) continue;
    throw new CliError(`ra.${key}: expected a file in ${directory}, saw ${file}`, {
      hint: 'a certificate of another PKI is renewed there',
    });
  }
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
