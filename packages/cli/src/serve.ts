/** `chrysalis serve`: the RA, with the test authorities in process, until it is told to stop. */
import { readFile, stat } from 'node:fs/promises';
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
  type PolicySource,
  RA_MIGRATIONS,
  type RaSchema,
  type RaSettings,
  startCrlStore,
  startRegistrationAuthority,
} from '@chrysalis/ra';
import { IPeriodClock, type LinkageAuthority, policyAt, timeOf } from '@chrysalis/scms';
import { openDatabase, openDirectoryObjectStore } from '@chrysalis/store';
import { type Command, Option } from 'commander';
import { type ChrysalisConfig, loadConfig, publicUrlOf } from './config.ts';
import { type CliContext, CliError } from './context.ts';
import {
  type InProcessOptions,
  openCrlSource,
  openPolicyGenerator,
  openReportSink,
} from './in-process.ts';
import { createLog, LOG_LEVELS, type LogLevel } from './log.ts';
import { readPolicyState } from './pg-state.ts';

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
Prints its URLs when it answers. Logs are lines of JSON, or short lines at a terminal.

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
  const settings = await assemble(config, options.dir, context, log, resources);
  const ra = await startRegistrationAuthority(settings);
  resources.defer(() => ra.close());
  const surroundings = { directory: options.dir, trust: settings.trust, clock: context.clock, log };
  const crlUrl = await serveCrls(config, settings, surroundings, resources);
  const result = { url: ra.url, ...(crlUrl !== undefined && { crlUrl }) };
  const text = `RA: ${ra.url}\n${crlUrl === undefined ? '' : `CRL store: ${crlUrl}\n`}`;
  context.stdout.write(options.json ? `${JSON.stringify(result)}\n` : text);
  await aborted(context.signal);
  log.info({}, 'stopping');
}

/** The CRL store on its own port; its URL, or undefined when there is none. */
async function serveCrls(
  config: ChrysalisConfig,
  settings: RaSettings,
  surroundings: InProcessOptions,
  resources: AsyncDisposableStack,
): Promise<string | undefined> {
  if (config.crl === undefined) return undefined;
  const newest = await openCrlSource(surroundings);
  const port = config.ra.port === 0 ? 0 : config.crl.port;
  const listen = { ...settings.listen, port };
  const store = await startCrlStore({ ...settings, listen, newest });
  resources.defer(() => store.close());
  return `https://${config.ra.host}:${store.port}`;
}

/** Opens and checks everything that the configuration names. What is opened is closed with `resources`. */
async function assemble(
  config: ChrysalisConfig,
  directory: string,
  context: CliContext,
  log: Log,
  resources: AsyncDisposableStack,
): Promise<RaSettings> {
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
  const surroundings = { directory, trust, clock, log };
  const { certificates, shuffle } = config;
  return {
    identity,
    listen: { address: config.ra.listen, port: config.ra.port },
    ...(publicUrl !== undefined && { publicUrl }),
    tls: {
      certificatePem: await readFile(config.ra.tlsCert, 'utf8'),
      privateKeyPem: await readOwnFile(config.ra.tlsKey),
    },
    trust,
    ecas,
    ...peers,
    ...(config.pg && { pg: await openPolicySource(config, surroundings) }),
    ...(config.ma && {
      ma: await openReportSink(surroundings, resources),
      reports: {
        perMinute: config.ma.reportsPerMinute,
        poolThreshold: config.ma.poolThreshold,
        poolMaxAgeSec: config.ma.poolMaxAgeHours * SECONDS_PER_HOUR,
      },
    }),
    database,
    objects: await openDirectoryObjectStore(config.objects.url.slice('file:'.length)),
    policy: {
      ...(certificates.perPeriod !== undefined && {
        certificatesPerPeriod: certificates.perPeriod,
      }),
      ...(certificates.weeksAhead !== undefined && { weeksAhead: certificates.weeksAhead }),
      ...(shuffle.threshold !== undefined && { shuffleThreshold: shuffle.threshold }),
      ...(shuffle.maxAgeHours !== undefined && {
        shuffleMaxAgeSec: shuffle.maxAgeHours * SECONDS_PER_HOUR,
      }),
      shuffleInitial: shuffle.initial,
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

/** The PG. Its policy may say what it likes of i-periods: their length is fixed from the first certificate on. */
async function openPolicySource(
  { trust, iperiod }: ChrysalisConfig,
  surroundings: InProcessOptions,
): Promise<PolicySource> {
  const { directory, clock, log } = surroundings;
  const { policy } = await readPolicyState(directory);
  const { iPeriodSec } = policyAt({ global: policy }, timeOf(clock));
  if (iPeriodSec !== iperiod.lengthSec) {
    const seen = { policySec: iPeriodSec, configuredSec: iperiod.lengthSec };
    log.warn(seen, 'the policy has i-periods of another length; those of iperiod.length-sec count');
  }
  const roots = trust.roots.map(async (file) => asCertificate(await readCertificateFile(file)));
  return { port: await openPolicyGenerator(surroundings), roots: await Promise.all(roots) };
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
): Promise<RaSettings['identity']> {
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

/** A private key that others can read is none: the same rule as for the 1609.2 keys. */
async function readOwnFile(path: string): Promise<string> {
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    throw new CliError(`${path}: expected a key that only its owner can read`, {
      hint: `chmod 600 ${path}`,
    });
  }
  return readFile(path, 'utf8');
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
