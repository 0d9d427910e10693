/** `chrysalis serve`: the RA, with the test authorities in process, until it is told to stop. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Authority,
  authorityDirectory,
  createLinkageAuthority,
  expectEncryptionKey,
  expectSigningKey,
  openPseudonymAuthority,
  type PseudonymAuthority,
  readAuthority,
  readCertificateFile,
  readLinkageAuthority,
  readPrivateKeyFile,
} from '@chrysalis/authorities';
import { equalConstantTime } from '@chrysalis/crypto';
import {
  asCertificate,
  checkValidAt,
  decrypterOf,
  type HashedCertificate,
  Ieee1609Dot2Error,
  TrustStore,
} from '@chrysalis/ieee1609dot2';
import {
  type Log,
  type Peer,
  RA_MIGRATIONS,
  type RaOptions,
  type RaSchema,
  startRegistrationAuthority,
} from '@chrysalis/ra';
import { IPeriodClock, type LinkageAuthority, timeOf } from '@chrysalis/scms';
import { openDatabase, openDirectoryObjectStore } from '@chrysalis/store';
import { type Command, Option } from 'commander';
import { type ChrysalisConfig, loadConfig, publicUrlOf } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import { createLog, LOG_LEVELS, type LogLevel } from './log.ts';

interface ServeOptions {
  readonly dir: string;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
}

const SECONDS_PER_HOUR = 3600;

export function addServeCommand(program: Command, context: CliContext): void {
  program
    .command('serve')
    .description(
      'run the RA, and the test authorities that are configured in process, until Ctrl-C',
    )
    .addOption(
      new Option('--log-level <level>', 'what is logged on standard error')
        .choices(LOG_LEVELS)
        .default('info'),
    )
    .addHelpText(
      'after',
      `
Prints the URL when it answers. Logs are lines of JSON, or short lines at a terminal.

Examples:
  chrysalis serve
  chrysalis --dir /srv/ra serve --log-level warn`,
    )
    .action(async (_options: unknown, command: Command) => {
      await serve(context, command.optsWithGlobals<ServeOptions>());
    });
}

async function serve(context: CliContext, options: ServeOptions): Promise<void> {
  const config = await loadConfig(options.dir);
  const log = createLog(context.stderr, options.logLevel);
  await using resources = new AsyncDisposableStack();
  const ra = await startRegistrationAuthority(
    await assemble(config, options.dir, context, log, resources),
  );
  resources.defer(() => ra.close());
  context.stdout.write(options.json ? `${JSON.stringify({ url: ra.url })}\n` : `RA: ${ra.url}\n`);
  await aborted(context.signal);
  log.info({}, 'stopping');
}

/** Opens and checks everything that the configuration names. What is opened is closed with `resources`. */
async function assemble(
  config: ChrysalisConfig,
  directory: string,
  context: CliContext,
  log: Log,
  resources: AsyncDisposableStack,
): Promise<RaOptions> {
  const { clock, random } = context;
  const trust = await loadTrust(config);
  const identity = await loadIdentity(config, trust, log);
  const ecas = await Promise.all(
    config.trust.ecas.map(async (file) =>
      trust.add(asCertificate(await readCertificateFile(file))),
    ),
  );
  const iPeriod = new IPeriodClock(config.iperiod.epoch, config.iperiod.lengthSec);
  const peers = await openAuthorities(
    config,
    directory,
    { trust, iPeriod, context, log },
    resources,
  );
  for (const peer of Object.values(peers)) warnUnlessValid(peer.certificate, peer.hostname);
  const database = await openDatabase<RaSchema>(config.store.url, RA_MIGRATIONS);
  resources.defer(() => database.close());
  const publicUrl = publicUrlOf(config);
  return {
    identity,
    listen: { address: config.ra.listen, port: config.ra.port },
    ...(publicUrl !== undefined && { publicUrl }),
    tls: {
      certificatePem: await readFile(config.ra.tlsCert, 'utf8'),
      privateKeyPem: await readFile(config.ra.tlsKey, 'utf8'),
    },
    trust,
    ecas,
    ...peers,
    database,
    objects: await openDirectoryObjectStore(config.objects.url.slice('file:'.length)),
    policy: {
      certificatesPerPeriod: config.certificates.perPeriod,
      weeksAhead: config.certificates.weeksAhead,
      shuffleThreshold: config.shuffle.threshold,
      shuffleMaxAgeSec: config.shuffle.maxAgeHours * SECONDS_PER_HOUR,
      shuffleInitial: config.shuffle.initial,
    },
    iPeriod,
    toleranceSec: config.ra.clientSignatureTtlSec,
    ...(config.ra.provisioningTtlSec !== undefined && {
      provisioningToleranceSec: config.ra.provisioningTtlSec,
    }),
    errorDetail: config.ra.errorDetail,
    dialects: config.ra.dialect === 'auto' ? ['1.2.2', '1.2.4'] : [config.ra.dialect],
    clock,
    random,
    log,
  };

  function warnUnlessValid(certificate: Parameters<typeof checkValidAt>[0], name: string): void {
    try {
      checkValidAt(certificate, timeOf(clock));
    } catch (error) {
      if (!(error instanceof Ieee1609Dot2Error)) throw error;
      log.warn(
        { authority: name, problem: error.message },
        'certificate of an authority is not valid',
      );
    }
  }
}

async function loadTrust(config: ChrysalisConfig): Promise<TrustStore> {
  const read = async (file: string) => asCertificate(await readCertificateFile(file));
  const trust = new TrustStore(await Promise.all(config.trust.roots.map(read)));
  for (const file of config.trust.intermediates) trust.add(await read(file));
  return trust;
}

/** The RA's own certificate and keys: they have to belong together. */
async function loadIdentity(
  config: ChrysalisConfig,
  trust: TrustStore,
  log: Log,
): Promise<RaOptions['identity']> {
  const { ra } = config;
  const certificate: HashedCertificate = await readCertificateFile(ra.certificate);
  const signer = await readPrivateKeyFile(ra.signingKey);
  const encryptionKey = await readPrivateKeyFile(ra.encryptionKey);
  expectSigningKey(certificate, signer, ra.signingKey);
  expectEncryptionKey(certificate, encryptionKey, ra.encryptionKey);
  try {
    trust.add(asCertificate(certificate));
  } catch (error) {
    if (!(error instanceof Ieee1609Dot2Error)) throw error;
    // Fielded PKIs give RAs permissions that their issuer cannot give: whoever configures one vouches for it.
    log.warn(
      { problem: error.message },
      'the certificate of the RA is trusted only because it is configured',
    );
    trust.pin(asCertificate(certificate));
  }
  return { certificate, hostname: ra.host, signer, decrypter: decrypterOf(encryptionKey) };
}

interface Surroundings {
  readonly trust: TrustStore;
  readonly iPeriod: IPeriodClock;
  readonly context: CliContext;
  readonly log: Log;
}

async function openAuthorities(
  config: ChrysalisConfig,
  directory: string,
  { trust, iPeriod, context, log }: Surroundings,
  resources: AsyncDisposableStack,
): Promise<{
  pca: Peer<PseudonymAuthority>;
  la1: Peer<LinkageAuthority>;
  la2: Peer<LinkageAuthority>;
}> {
  const { clock, random } = context;
  const peer = async (name: 'pca' | 'la1' | 'la2', { certificate }: Authority) => {
    const configured = await readCertificateFile(config[name].certificate);
    if (!equalConstantTime(configured.hash, certificate.hash)) {
      throw new CliError(`${name}.certificate: expected that of the authority in ${directory}`, {
        hint: 'mode "in-process" runs the test authority of this state directory',
      });
    }
    const verified = trust.add(asCertificate(certificate));
    return { certificate: verified, hostname: config[name].hostname };
  };
  const la = async (name: 'la1' | 'la2') => {
    const stored = await readLinkageAuthority(directory, name);
    const port = createLinkageAuthority({
      ...stored,
      trust,
      clock,
      random,
      pcaHostname: config.pca.hostname,
    });
    return { stored, peer: { ...(await peer(name, stored.la)), port } };
  };
  const [la1, la2] = [await la('la1'), await la('la2')];
  const path = authorityDirectory(directory, 'pca');
  const pca = await readAuthority(path, 'with encryption');
  const port = await openPseudonymAuthority({
    pca,
    trust,
    laKeys: new Map(
      [la1, la2].map(({ stored, peer }) => [
        peer.hostname,
        { key: stored.sharedKey, laId: stored.laId },
      ]),
    ),
    clock,
    random,
    iPeriods: iPeriod,
    databaseUrl: `sqlite:${join(path, 'pca.db')}`,
    onRefusal: ({ code, message }) => {
      log.warn({ code, problem: message }, 'the PCA refused a request');
    },
  });
  resources.defer(() => port.close());
  return { pca: { ...(await peer('pca', pca)), port }, la1: la1.peer, la2: la2.peer };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
