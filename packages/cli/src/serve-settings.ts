/** What an RA serves with: everything that its configuration names, opened and checked. */
import { readFile } from 'node:fs/promises';
import {
  type KeyCustody,
  readCertificateFile,
  readPrivatePemFile,
} from '@chrysalis/authorities/keys';
import { asCertificate, checkValidAt, Ieee1609Dot2Error } from '@chrysalis/ieee1609dot2';
import {
  type Log,
  type PipelineHost,
  type RaSettings,
  TlsInForce,
  type TlsPair,
} from '@chrysalis/ra';
import { timeOf } from '@chrysalis/scms';
import { type AuditWriterName, configDigest, openAudit } from './audit-parts.ts';
import { type ChrysalisConfig, publicUrlOf } from './config.ts';
import type { CliContext } from './context.ts';
import { openReportSink } from './in-process.ts';
import type { LogLevel } from './log.ts';
import { openOcspSource } from './ocsp-source.ts';
import { hasPipelineThread, type LoadingThread, PipelineThread } from './pipeline-host.ts';
import { openRaParts } from './ra-parts.ts';
import { versionOfPackage } from './version.ts';

const SECONDS_PER_HOUR = 3600;

/** Which RA, and in what surroundings. */
export interface Serving {
  readonly config: ChrysalisConfig;
  readonly directory: string;
  readonly logLevel: LogLevel;
  readonly context: Pick<CliContext, 'clock' | 'random' | 'env' | 'hasThreads'>;
  readonly keys: KeyCustody;
  readonly log: Log;
  /** Closes what is opened. */
  readonly resources: AsyncDisposableStack;
  /** Whose series of the audit log is written. */
  readonly writer: AuditWriterName;
  /** Another process asks the PG and makes the files: this one follows them. */
  readonly followsFiles?: boolean;
  /** Which processes answer devices: what all devices together may do is divided among them. One when missing. */
  readonly processes?: number;
  /** False where workers make the certificates. */
  readonly makesCertificates?: boolean;
  /** The pipeline's, when it loads its code already. */
  readonly thread?: LoadingThread | undefined;
}

/** What `serve` is told to do, before any key is opened. */
export interface ServeOrder
  extends Pick<Serving, 'config' | 'directory' | 'logLevel' | 'log' | 'resources'> {
  readonly context: CliContext;
  readonly makesCertificates: boolean;
}

export interface Assembled {
  readonly settings: RaSettings;
  /** @throws when what lies in the files now will not do: nothing has changed then */
  readonly takeTls: (config: ChrysalisConfig) => Promise<void>;
  readonly takeIdentity: (config: ChrysalisConfig) => Promise<void>;
}

/** Opens and checks everything that the configuration names. */
export async function assemble(serving: Serving): Promise<Assembled> {
  const { config, directory, context, keys, log, resources, writer, followsFiles } = serving;
  const { clock, random, env } = context;
  const pipeline = pipelineOf(serving);
  const parts = await openRaParts(
    followsFiles === true ? { ...config, pg: undefined } : config,
    directory,
    { clock, random, log, keys, env },
    resources,
  );
  const { ownPolicy, pg, renewIdentity, ...common } = parts;
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
  const audit = await openAudit(config, writer, parts, resources);
  const publicUrl = publicUrlOf(config);
  const tls = new TlsInForce(await readTlsPair(config, keys));
  const settings: RaSettings = {
    ...common,
    ...(audit && { audit }),
    about: { version: versionOfPackage(), config: configDigest(config) },
    ...(pg && { pg }),
    policy: ownPolicy,
    ...(pipeline && { pipeline }),
    secondRequest: config.certificates.secondRequest,
    listen: { address: config.ra.listen, port: config.ra.port },
    ...(publicUrl !== undefined && { publicUrl }),
    tls,
    ...(config.ocsp && { ocsp: await openOcspSource(config, config.ocsp, directory, clock, keys) }),
    ecas,
    ...(config.ma && { ma: await openReportSink(surroundings, resources) }),
    ...limitsOf(config, serving.processes ?? 1),
    toleranceSec: config.ra.clientSignatureTtlSec,
    ...(config.ra.provisioningTtlSec !== undefined && {
      provisioningToleranceSec: config.ra.provisioningTtlSec,
    }),
    errorDetail: config.ra.errorDetail,
    refusalTickMs: config.ra.refusalTickMs,
    ...(config.ops && { ops: { port: config.ra.port === 0 ? 0 : config.ops.port } }),
    dialects: config.ra.dialect === 'auto' ? ['1.2.2', '1.2.4'] : [config.ra.dialect],
  };
  return {
    settings,
    async takeTls(now) {
      const pair = await readTlsPair(now, keys);
      // A section that comes or goes counts from the next start.
      const ocsp = config.ocsp && now.ocsp;
      const source = ocsp && (await openOcspSource(now, ocsp, directory, clock, keys));
      await tls.replace({ ...pair, ...(source && { ocsp: source }) });
    },
    takeIdentity: renewIdentity,
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

/** Undefined where it runs in this thread, or is somebody else's matter. */
function pipelineOf(serving: Serving): PipelineHost | undefined {
  const { config, directory, logLevel, context, keys, log, followsFiles, thread } = serving;
  if (followsFiles) return undefined;
  if (serving.makesCertificates === false) return ELSEWHERE;
  if (!hasPipelineThread(config, context)) return undefined;
  return new PipelineThread({ directory, logLevel }, log, () => keys.masters(), thread);
}

/** Workers look at the database by themselves. */
const ELSEWHERE: PipelineHost = { start: async () => {}, wake() {}, stop: async () => {} };

/**
 * What all devices together may do, for one of so many processes; at least one of each. The tries of a device are not divided:
 * the processes tell each other, for a device that keeps its connection meets one of them alone.
 */
export function limitsOf(
  { limits, ma }: Pick<ChrysalisConfig, 'limits' | 'ma'>,
  processes: number,
): Required<Pick<RaSettings, 'limits' | 'tries' | 'reports' | 'strangersShare'>> {
  const share = (limit: number) => Math.ceil(limit / processes);
  return {
    tries: {
      provisioningPerHour: limits.provisioningFailuresPerHour,
      downloadsPerHour: limits.downloadFailuresPerHour,
    },
    limits: {
      connections: share(limits.connections),
      handshakes: share(limits.handshakes),
      // One queue for all of them: they share the socket.
      waiting: limits.waitingConnections,
      provisioningUnderWay: share(limits.provisioningUnderWay),
      downloadsUnderWay: share(limits.downloadsUnderWay),
      anonymousUnderWay: share(limits.anonymousUnderWay),
      anonymousPerSecond: share(limits.anonymousPerSecond),
      // How late one process is says nothing of the others.
      shedAnonymousMs: limits.shedAnonymousMs,
      shedProvisioningMs: limits.shedProvisioningMs,
      shedDownloadsMs: limits.shedDownloadsMs,
    },
    reports:
      ma === undefined
        ? {}
        : {
            perMinute: share(ma.reportsPerMinute),
            poolThreshold: ma.poolThreshold,
            poolMaxAgeSec: ma.poolMaxAgeHours * SECONDS_PER_HOUR,
          },
    strangersShare: 1 / processes,
  };
}

async function readTlsPair({ ra }: ChrysalisConfig, keys: KeyCustody): Promise<TlsPair> {
  return {
    certificatePem: await readFile(ra.tlsCert, 'utf8'),
    privateKeyPem: await readPrivatePemFile(ra.tlsKey, keys),
  };
}
