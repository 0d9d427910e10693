/** The test MA of a state directory, as it speaks to an RA: over mutual TLS, with its own certificates. */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import {
  type Authority,
  authorityDirectory,
  LIFETIME,
  readAuthority,
} from '@chrysalis/authorities';
import {
  type KeyCustody,
  readCertificateFile,
  readPrivatePemFile,
  writePrivatePemFile,
} from '@chrysalis/authorities/keys';
import { issueX509ClientCertificate } from '@chrysalis/authorities/x509';
import {
  asCertificate,
  decrypterOf,
  durationSeconds,
  type HashedCertificate,
  Ieee1609Dot2Error,
  type TrustStore,
} from '@chrysalis/ieee1609dot2';
import { RemoteAuthority } from '@chrysalis/ra';
import {
  AuthorityUnavailableError,
  composeMaRaRequest,
  formatHex,
  hostnameOf,
  type MaRaRequest,
  openMaRaResponse,
  type RaMaResponse,
  requestHash,
  ScmsDataError,
  secureMaRa,
  timeOf,
} from '@chrysalis/scms';
import { readFileIfPresent, writeFileDurably } from '@chrysalis/store/files';
import type { ChrysalisConfig } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { createLog } from './log.ts';
import { readX509Root } from './ocsp-source.ts';
import { loadTrust, trustConfigured } from './trust.ts';

/** Where the RA is, and who countersigns. */
export interface MaOptions {
  readonly dir: string;
  /** `https://HOST:PORT`; where `[ma-port]` says when missing. */
  readonly url?: string;
  /** The RA's certificate; that of the configuration when missing. */
  readonly raCertificate?: string;
  /** Directories with the certificate.oer and signing.key of an auditor. */
  readonly auditor: readonly string[];
  readonly generationTime?: boolean;
}

/** What was asked and what came back. */
export interface MaExchange {
  readonly requestHash: string;
  readonly response: RaMaResponse;
}

interface Surroundings {
  readonly config: ChrysalisConfig;
  readonly context: CliContext;
  readonly keys: KeyCustody;
}

const MICROSECONDS = 1_000_000n;
const DAY_MS = 86_400_000;
/** As the other certificates of a test SCMS. */
const BEGIN_EARLIER_MS = 8 * DAY_MS;
const PUBLIC_FILE_MODE = 0o644;
/** 10,000 HPCRs take an RA with a full index some seconds. */
const TIMEOUT_MS = 120_000;

/**
 * Sends one request to the RA, as the MA, and opens what it answers.
 *
 * @throws CliError when the RA does not answer, or not as one may; AuthorityError, StoreError
 */
export async function askRa(
  type: MaRaRequest['type'],
  identifiers: readonly Uint8Array[],
  options: MaOptions,
  { config, context, keys }: Surroundings,
): Promise<MaExchange> {
  const { clock, random } = context;
  const time = timeOf(clock);
  const ma = await readAuthority(authorityDirectory(options.dir, 'ma'), 'with encryption', keys);
  const maId = nameOf(ma.certificate, 'the MA');
  const ra = await readCertificateFile(options.raCertificate ?? config.ra.certificate);
  const raId = nameOf(ra, 'the RA');
  const auditors = await Promise.all(
    options.auditor.map(async (path) => signerOf(await readAuthority(path, 'signing only', keys))),
  );
  const request = composeMaRaRequest({ type, maId, identifiers }, auditors, time);
  const isTimed = options.generationTime === true || config.maPort?.generationTime === 'required';
  const octets = secureMaRa(request, {
    signer: signerOf(ma),
    recipient: ra,
    random,
    ...(isTimed && { generationTime: BigInt(time) * MICROSECONDS }),
  });
  const answer = await exchange(octets, urlOf(options, config), raId, ma, options.dir, {
    config,
    context,
    keys,
  });
  const trust = await trustIn(config, [ma.certificate], ra, context);
  if (ma.encryptionKey === undefined) throw new TypeError('expected an MA with an encryption key');
  const opening = { ma: ma.certificate, key: decrypterOf(ma.encryptionKey), ra, raId, trust, time };
  try {
    const response = openMaRaResponse(answer, { request, octets }, opening);
    return { requestHash: formatHex(requestHash(octets)), response };
  } catch (cause) {
    if (!(cause instanceof ScmsDataError || cause instanceof Ieee1609Dot2Error)) throw cause;
    throw new CliError(`expected the answer of ${raId}: ${cause.message}`, { cause });
  }
}

function urlOf({ url }: MaOptions, { maPort }: ChrysalisConfig): string {
  if (url !== undefined) return url;
  if (maPort !== undefined) {
    const host = isIP(maPort.listen) === 6 ? `[${maPort.listen}]` : maPort.listen;
    return `https://${host}:${maPort.port}`;
  }
  throw new CliError('expected a section [ma-port] in the configuration, or --url', {
    hint: 'docs/guides/ma-port.md says how an RA gets its port for the MA',
  });
}

async function exchange(
  octets: Uint8Array,
  url: string,
  hostname: string,
  ma: Authority,
  directory: string,
  { config, context, keys }: Surroundings,
): Promise<Uint8Array> {
  const remote = new RemoteAuthority({
    url,
    hostname,
    tls: {
      caPem: await readFile(config.trust.x509Root, 'utf8'),
      ...(await clientCertificate(directory, ma, context, keys)),
    },
    timeoutMs: TIMEOUT_MS,
  });
  try {
    return await remote.answerMisbehaviorAuthority(octets);
  } catch (cause) {
    if (!(cause instanceof AuthorityUnavailableError)) throw cause;
    throw new CliError(`expected an answer from ${url}: ${cause.message}`, {
      hint: 'the log of the RA says why it refused',
      cause,
    });
  } finally {
    remote.close();
  }
}

/** The MA's TLS certificate: issued by the test X.509 root when it is first needed. */
async function clientCertificate(
  directory: string,
  ma: Authority,
  { clock }: CliContext,
  keys: KeyCustody,
): Promise<{ readonly certificatePem: string; readonly privateKeyPem: string }> {
  const own = authorityDirectory(directory, 'ma');
  const certificateFile = join(own, 'tls-client-certificate.pem');
  const keyFile = join(own, 'tls-client-key.pem');
  const known = await readFileIfPresent(certificateFile);
  if (known !== undefined) {
    const privateKeyPem = await readPrivatePemFile(keyFile, keys);
    return { certificatePem: Buffer.from(known).toString('utf8'), privateKeyPem };
  }
  const host = nameOf(ma.certificate, 'the MA');
  const start = clock.now() - BEGIN_EARLIER_MS;
  const issued = await issueX509ClientCertificate(await readX509Root(directory, keys), {
    commonName: host.slice(0, 64),
    dnsNames: [host],
    notBefore: new Date(start),
    notAfter: new Date(start + durationSeconds(LIFETIME.ma) * 1000),
  });
  // The certificate is written last: where it is, its key is.
  await writePrivatePemFile(keyFile, issued.privateKeyPem, keys);
  const pem = new TextEncoder().encode(issued.certificatePem);
  await writeFileDurably(certificateFile, pem, PUBLIC_FILE_MODE);
  return issued;
}

async function trustIn(
  { trust: files }: ChrysalisConfig,
  certificates: readonly HashedCertificate[],
  ra: HashedCertificate,
  { stderr }: CliContext,
): Promise<TrustStore> {
  const trust = await loadTrust(files);
  for (const certificate of certificates) trust.add(asCertificate(certificate));
  trustConfigured(trust, ra, createLog(stderr, 'error'));
  return trust;
}

function signerOf({ certificate, signingKey }: Authority) {
  return { certificate, key: signingKey };
}

function nameOf(certificate: HashedCertificate, whose: string): string {
  const name = hostnameOf(certificate);
  if (name !== undefined) return name;
  throw new CliError(`expected a host name in the certificate of ${whose}`);
}
