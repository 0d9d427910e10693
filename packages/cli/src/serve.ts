/** `chrysalis serve`: the RA, with the test authorities in process, until it is told to stop. */
import { readFile } from 'node:fs/promises';
import {
  expectEncryptionKey,
  expectSigningKey,
  readCertificateFile,
  readPrivateKeyFile,
} from '@chrysalis/authorities';
import {
  asCertificate,
  checkValidAt,
  decrypterOf,
  type HashedCertificate,
  Ieee1609Dot2Error,
  type TrustStore,
} from '@chrysalis/ieee1609dot2';
import {
  type Log,
  type PolicySource,
  RA_MIGRATIONS,
  type RaSchema,
  type RaSettings,
  startCrlStore,
  startRegistrationAuthority,
} from '@chrysalis/ra';
import { timeOf } from '@chrysalis/scms';
import { openDatabase, openDirectoryObjectStore } from '@chrysalis/store';
import { type Command, Option } from 'commander';
import { type ChrysalisConfig, loadConfig, publicUrlOf } from './config.ts';
import type { CliContext } from './context.ts';
import { iPeriodOfPolicy, openIPeriod } from './i-period.ts';
import {
  type InProcessOptions,
  openCrlg,
  openPolicyGenerator,
  openReportSink,
} from './in-process.ts';
import { createLog, LOG_LEVELS, type LogLevel } from './log.ts';
import { openOcspSource } from './ocsp-source.ts';
import { readOwnFile } from './own-file.ts';
import { openPeers } from './peers.ts';
import { loadTrust, trustConfigured } from './trust.ts';

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
  const { signal } = context;
  context.clockSteps?.addEventListener('step', () => ra.wake(), { signal });
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
  const crlg = await openCrlg({ ...surroundings, iPeriod: settings.iPeriod });
  resources.defer(() => crlg.close());
  const port = config.ra.port === 0 ? 0 : config.crl.port;
  const listen = { ...settings.listen, port };
  const store = await startCrlStore({ ...settings, listen, newest: () => crlg.newest() });
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
  const trust = await loadTrust(config.trust);
  const identity = await loadIdentity(config, trust, log);
  const ecas = await Promise.all(
    config.trust.ecas.map(async (file) =>
      trust.add(asCertificate(await readCertificateFile(file))),
    ),
  );
  const surroundings = { directory, trust, clock, log };
  const database = await openDatabase<RaSchema>(config.store.url, RA_MIGRATIONS);
  resources.defer(() => database.close());
  const pg = config.pg && (await openPolicySource(config, surroundings));
  const iPeriod = await openIPeriod(config, database, () =>
    iPeriodOfPolicy(pg && (() => pg.port.globalPolicyFile()), trust, timeOf(clock)),
  );
  const peers = await openPeers(
    { config, directory, trust, iPeriod, clock, random, log },
    resources,
  );
  for (const peer of Object.values(peers)) warnUnlessValid(peer.certificate, peer.hostname);
  const publicUrl = publicUrlOf(config);
  const { certificates, shuffle } = config;
  return {
    identity,
    listen: { address: config.ra.listen, port: config.ra.port },
    ...(publicUrl !== undefined && { publicUrl }),
    tls: {
      certificatePem: await readFile(config.ra.tlsCert, 'utf8'),
      privateKeyPem: await readOwnFile(config.ra.tlsKey),
    },
    ...(config.ocsp && { ocsp: await openOcspSource(config, config.ocsp, directory, clock) }),
    trust,
    ecas,
    ...peers,
    ...(pg && { pg }),
    ...(config.ma && {
      ma: await openReportSink(surroundings, resources),
      reports: {
        perMinute: config.ma.reportsPerMinute,
        poolThreshold: config.ma.poolThreshold,
        poolMaxAgeSec: config.ma.poolMaxAgeHours * SECONDS_PER_HOUR,
      },
    }),
    tries: {
      provisioningPerHour: config.limits.provisioningFailuresPerHour,
      downloadsPerHour: config.limits.downloadFailuresPerHour,
    },
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

async function openPolicySource(
  { trust }: ChrysalisConfig,
  surroundings: InProcessOptions,
): Promise<PolicySource> {
  const roots = trust.roots.map(async (file) => asCertificate(await readCertificateFile(file)));
  return { port: await openPolicyGenerator(surroundings), roots: await Promise.all(roots) };
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
  trustConfigured(trust, certificate, log);
  return { certificate, hostname: ra.host, signer, decrypter: decrypterOf(encryptionKey) };
}

/** Resolves when the command is to end. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
