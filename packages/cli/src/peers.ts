/** The authorities behind an RA, as its configuration has them: in this process, or behind mutual TLS. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  authorityDirectory,
  createLinkageAuthority,
  hostnameOf,
  openPseudonymAuthority,
  readAuthority,
  readLinkageAuthority,
  readLinkageKey,
} from '@chrysalis/authorities';
import {
  type KeyCustody,
  PLAIN_KEYS,
  readCertificateFile,
  readPrivatePemFile,
} from '@chrysalis/authorities/keys';
import { equalConstantTime, type Random } from '@chrysalis/crypto';
import {
  asCertificate,
  type HashedCertificate,
  Ieee1609Dot2Error,
  type TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import { type Log, type Peer, RemoteAuthority } from '@chrysalis/ra';
import type { CertificateAuthority, Clock, IPeriodClock, LinkageAuthority } from '@chrysalis/scms';
import type { ChrysalisConfig, PeerConfig } from './config.ts';
import { CliError } from './context.ts';

export interface PeersOptions {
  readonly config: Pick<ChrysalisConfig, 'pca' | 'la1' | 'la2'>;
  /** The state directory, where the keys of authorities in process lie. */
  readonly directory: string;
  /** Holds the roots and intermediates; the certificates of the peers are added. */
  readonly trust: TrustStore;
  /** By which a PCA in process issues; one that is remote has its own. */
  readonly iPeriod: IPeriodClock;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Opens what is encrypted; nothing when missing. */
  readonly keys?: KeyCustody;
}

/** The authorities that a pipeline talks to. */
export interface Peers {
  readonly pca: Peer<CertificateAuthority>;
  readonly la1: Peer<LinkageAuthority>;
  readonly la2: Peer<LinkageAuthority>;
}

type RemoteConfig = Extract<PeerConfig, { readonly mode: 'remote' }>;

/**
 * Opens the ports to PCA and LAs. What is opened is closed with `resources`. An authority that is remote need not answer
 * yet: nothing is sent to it.
 *
 * @throws CliError, AuthorityError, StoreError, Ieee1609Dot2Error; Error of OpenSSL for TLS files that are none
 */
export async function openPeers(
  options: PeersOptions,
  resources: AsyncDisposableStack,
): Promise<Peers> {
  const { config } = options;
  const peer = async <Port>(name: 'pca' | 'la1' | 'la2', port: Port): Promise<Peer<Port>> => ({
    port,
    hostname: config[name].hostname,
    certificate: await addToTrust(options, config[name]),
  });
  return {
    la1: await peer('la1', await linkageAuthority('la1', options, resources)),
    la2: await peer('la2', await linkageAuthority('la2', options, resources)),
    pca: {
      ...(await peer('pca', await certificateAuthority(options, resources))),
      former: await formerOf(options),
    },
  };
}

/** What the PCA issued under them is as good as ever; they have to verify as its present one does. */
async function formerOf({ config, trust }: PeersOptions): Promise<VerifiedCertificate[]> {
  const { hostname, former } = config.pca;
  const read = former.map(async (file) => ({ file, certificate: await readCertificateFile(file) }));
  return (await Promise.all(read)).map(({ file, certificate }) => {
    const seen = hostnameOf(certificate);
    if (seen !== hostname) {
      throw new CliError(`pca.former: ${file}: expected a certificate of ${hostname}, saw ${seen}`);
    }
    try {
      return trust.add(asCertificate(certificate));
    } catch (cause) {
      if (!(cause instanceof Ieee1609Dot2Error)) throw cause;
      throw new CliError(`pca.former: ${file}: ${cause.message}`, { cause });
    }
  });
}

async function addToTrust(
  { trust }: PeersOptions,
  { certificate }: PeerConfig,
): Promise<VerifiedCertificate> {
  return trust.add(asCertificate(await readCertificateFile(certificate)));
}

async function linkageAuthority(
  name: 'la1' | 'la2',
  { config, directory, trust, clock, random, keys }: PeersOptions,
  resources: AsyncDisposableStack,
): Promise<LinkageAuthority> {
  if (config[name].mode === 'remote') return connect(config[name], keys, resources);
  const stored = await readLinkageAuthority(directory, name, keys);
  await expectConfigured(name, config[name], stored.la.certificate, directory);
  return createLinkageAuthority({
    ...stored,
    trust,
    clock,
    random,
    pcaHostname: config.pca.hostname,
  });
}

async function certificateAuthority(
  { config, directory, trust, iPeriod, clock, random, log, keys }: PeersOptions,
  resources: AsyncDisposableStack,
): Promise<CertificateAuthority> {
  if (config.pca.mode === 'remote') return connect(config.pca, keys, resources);
  const path = authorityDirectory(directory, 'pca');
  const pca = await readAuthority(path, 'with encryption', keys);
  await expectConfigured('pca', config.pca, pca.certificate, directory);
  const port = await openPseudonymAuthority({
    pca,
    trust,
    laKeys: await linkageKeys(directory, config.la1.hostname, config.la2.hostname, keys),
    clock,
    random,
    iPeriods: iPeriod,
    databaseUrl: `sqlite:${join(path, 'pca.db')}`,
    onRefusal: ({ code, message }) => {
      log.warn({ code, problem: message }, 'the PCA refused a request');
    },
  });
  resources.defer(() => port.close());
  return port;
}

/** What a PCA knows of both LAs, by their names. @throws AuthorityError; StoreError */
export async function linkageKeys(
  directory: string,
  la1Hostname: string,
  la2Hostname: string,
  custody: KeyCustody = PLAIN_KEYS,
): Promise<Parameters<typeof openPseudonymAuthority>[0]['laKeys']> {
  const keys = async (name: 'la1' | 'la2') => {
    const { laId, sharedKey } = await readLinkageKey(directory, name, custody);
    return { laId, key: sharedKey };
  };
  return new Map([
    [la1Hostname, await keys('la1')],
    [la2Hostname, await keys('la2')],
  ]);
}

async function connect(
  { url, hostname, tlsCa, tlsCert, tlsKey, timeoutSec }: RemoteConfig,
  keys: KeyCustody | undefined,
  resources: AsyncDisposableStack,
): Promise<RemoteAuthority> {
  const authority = new RemoteAuthority({
    url,
    hostname,
    tls: {
      caPem: await readFile(tlsCa, 'utf8'),
      certificatePem: await readFile(tlsCert, 'utf8'),
      privateKeyPem: await readPrivatePemFile(tlsKey, keys),
    },
    timeoutMs: timeoutSec * 1000,
  });
  resources.defer(() => authority.close());
  return authority;
}

/** The keys of the state directory have to be those of the certificate that is configured. */
async function expectConfigured(
  name: string,
  config: PeerConfig,
  stored: HashedCertificate,
  directory: string,
): Promise<void> {
  const configured = await readCertificateFile(config.certificate);
  if (equalConstantTime(configured.hash, stored.hash)) return;
  throw new CliError(`${name}.certificate: expected that of the authority in ${directory}`, {
    hint: 'mode "in-process" runs the test authority of this state directory',
  });
}
