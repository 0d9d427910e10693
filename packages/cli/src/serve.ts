/** `chrysalis serve`: the RA, with the test authorities in process, until it is told to stop. */
import { readFile } from 'node:fs/promises';
import { type KeyCustody, readCertificateFile, readPrivatePemFile } from '@chrysalis/authorities';
import { asCertificate, checkValidAt, Ieee1609Dot2Error } from '@chrysalis/ieee1609dot2';
import {
  type Log,
  type RaSettings,
  type RegistrationAuthority,
  startCrlStore,
  startRegistrationAuthority,
  TlsInForce,
  type TlsPair,
} from '@chrysalis/ra';
import { timeOf } from '@chrysalis/scms';
import { type Command, Option } from 'commander';
import { configDigest, openAudit } from './audit-parts.ts';
import { type ChrysalisConfig, loadConfig, publicUrlOf } from './config.ts';
import type { CliContext } from './context.ts';
import { type InProcessOptions, openCrlg, openReportSink } from './in-process.ts';
import { createLog, LOG_LEVELS, type LogLevel } from './log.ts';
import { serveMaPort } from './ma-port.ts';
import { openOcspSource } from './ocsp-source.ts';
import { openCustody, warnOfPlainKeys } from './open-custody.ts';
import { PipelineThread } from './pipeline-host.ts';
import { placesOf } from './private-files.ts';
import { openRaParts, type RaParts } from './ra-parts.ts';
import { filesOfIdentity, filesOfTls, RenewedFiles } from './renewed-files.ts';
import { CLOCK_OFFSET } from './system-context.ts';
import { versionOfPackage } from './version.ts';

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
Prints its URLs when it answers. Logs are lines of JSON, or short lines at a terminal. Certificates and keys that are
replaced in their files (tls renew, authority renew ra) are taken within ten seconds, and at once on SIGHUP; connections
stay open. What will not do is refused in the log, and the former ones stay.

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
  const offset = context.env[CLOCK_OFFSET];
  if (offset) log.warn({ offsetSec: offset }, `${CLOCK_OFFSET}: not the clock of this machine`);
  await using resources = new AsyncDisposableStack();
  const places = placesOf(config, options.dir);
  const keys = await openCustody(places, context);
  await warnOfPlainKeys(keys, places, log);
  const { settings, tls, parts } = await assemble(config, options, context, keys, log, resources);
  const ra = await startRegistrationAuthority(settings);
  resources.defer(() => ra.close());
  const { signal } = context;
  context.clockSteps?.addEventListener('step', () => ra.wake(), { signal });
  const { trust } = settings;
  const surroundings = { directory: options.dir, trust, clock: context.clock, log, keys };
  const crlUrl = await serveCrls(config, settings, surroundings, resources);
  const maUrl = await serveMaPort(config, settings, ra.blacklist, resources);
  const { url, opsUrl } = ra;
  const urls = {
    url,
    ...(crlUrl !== undefined && { crlUrl }),
    ...(maUrl !== undefined && { maUrl }),
    ...(opsUrl !== undefined && { opsUrl }),
  };
  const lines = Object.entries({
    RA: url,
    'CRL store': crlUrl,
    'for the MA': maUrl,
    operations: opsUrl,
  });
  const text = lines.map(([name, at]) => (at === undefined ? '' : `${name}: ${at}\n`)).join('');
  await followFiles({ config, options, context, keys, log, resources }, { tls, parts, ra });
  context.stdout.write(options.json ? `${JSON.stringify(urls)}\n` : text);
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
  { dir: directory, logLevel }: ServeOptions,
  context: CliContext,
  keys: KeyCustody,
  log: Log,
  resources: AsyncDisposableStack,
): Promise<{
  readonly settings: RaSettings;
  readonly tls: TlsInForce;
  readonly parts: RaParts;
}> {
  const { clock, random } = context;
  const parts = await openRaParts(
    config,
    directory,
    { clock, random, log, keys, env: context.env },
    resources,
  );
  const { ownPolicy, pg, renewIdentity: _, ...common } = parts;
  const { trust } = parts;
  const ecas = await Promise.all(
    config.trust.ecas.map(async (file) =>
      trust.add(asCertificate(await readCertificateFile(file))),
    ),
  );
  for (const peer of [parts.pca, parts.la1, parts.la2]) {
    warnUnlessValid(peer.certificate, peer.hostname);
  }
  const surroundings = { directory, trust, clock, log, keys };
  const audit = await openAudit(config, 'server', parts, resources);
  const publicUrl = publicUrlOf(config);
  const tls = new TlsInForce(await readTlsPair(config, keys));
  const settings: RaSettings = {
    ...common,
    ...(audit && { audit }),
    about: { version: versionOfPackage(), config: configDigest(config) },
    ...(pg && { pg }),
    policy: ownPolicy,
    // A clock or randomness that was given is in this thread alone.
    ...(context.hasThreads === true &&
      config.pipeline.threads > 0 && {
        pipeline: new PipelineThread({ directory, logLevel }, log, () => keys.masters()),
      }),
    secondRequest: config.certificates.secondRequest,
    listen: { address: config.ra.listen, port: config.ra.port },
    ...(publicUrl !== undefined && { publicUrl }),
    tls,
    ...(config.ocsp && { ocsp: await openOcspSource(config, config.ocsp, directory, clock, keys) }),
    ecas,
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
    toleranceSec: config.ra.clientSignatureTtlSec,
    ...(config.ra.provisioningTtlSec !== undefined && {
      provisioningToleranceSec: config.ra.provisioningTtlSec,
    }),
    errorDetail: config.ra.errorDetail,
    refusalTickMs: config.ra.refusalTickMs,
    limits: {
      connections: config.limits.connections,
      handshakes: config.limits.handshakes,
      provisioningUnderWay: config.limits.provisioningUnderWay,
      downloadsUnderWay: config.limits.downloadsUnderWay,
      anonymousUnderWay: config.limits.anonymousUnderWay,
      shedProvisioningMs: config.limits.shedProvisioningMs,
      shedDownloadsMs: config.limits.shedDownloadsMs,
    },
    ...(config.ops && { ops: { port: config.ra.port === 0 ? 0 : config.ops.port } }),
    dialects: config.ra.dialect === 'auto' ? ['1.2.2', '1.2.4'] : [config.ra.dialect],
  };
  return { settings, tls, parts };

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

async function readTlsPair({ ra }: ChrysalisConfig, keys: KeyCustody): Promise<TlsPair> {
  return {
    certificatePem: await readFile(ra.tlsCert, 'utf8'),
    privateKeyPem: await readPrivatePemFile(ra.tlsKey, keys),
  };
}

interface Serving {
  readonly config: ChrysalisConfig;
  readonly options: ServeOptions;
  readonly context: CliContext;
  readonly keys: KeyCustody;
  readonly log: Log;
  readonly resources: AsyncDisposableStack;
}

/** Takes certificates and keys that are replaced while the RA runs. */
async function followFiles(
  { config, options: { dir }, context, keys, log, resources }: Serving,
  { tls, parts, ra }: { tls: TlsInForce; parts: RaParts; ra: RegistrationAuthority },
): Promise<void> {
  const renewed = new RenewedFiles(dir, log);
  resources.defer(() => renewed.stop());
  const takeTls = async (now: ChrysalisConfig) => {
    const pair = await readTlsPair(now, keys);
    const ocsp = config.ocsp && now.ocsp;
    const source = ocsp && (await openOcspSource(now, ocsp, dir, context.clock, keys));
    await tls.replace({ ...pair, ...(source && { ocsp: source }) });
  };
  const takeIdentity = async (now: ChrysalisConfig) => {
    await parts.renewIdentity(now);
    await ra.renewed();
  };
  await renewed.start(
    [
      { name: 'ra.tls-cert', files: filesOfTls, take: takeTls },
      { name: 'ra.certificate', files: filesOfIdentity, take: takeIdentity },
    ],
    config,
  );
  const { signal, clockSteps, onRenewal } = context;
  clockSteps?.addEventListener('step', () => void renewed.look(), { signal });
  onRenewal?.(() => void renewed.takeAll());
}

/** Resolves when the command is to end. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
