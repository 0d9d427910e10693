import type { AddressInfo } from 'node:net';
import { timeOf } from '@chrysalis/scms';
import { AuditedRefusals } from './audited-refusals.ts';
import { Authenticator } from './authenticate.ts';
import { Blacklist } from './blacklist.ts';
import { Contacts } from './contacts.ts';
import { DeviceRegistry } from './device-registry.ts';
import { Door } from './door.ts';
import { Downloads } from './download.ts';
import { createGuards, type Guards } from './guards.ts';
import { HorizonWarnings } from './horizon-warnings.ts';
import { createHttpServer } from './http-server.ts';
import { fixIPeriod } from './i-period-setting.ts';
import { LocalFiles } from './local-files.ts';
import { Metrics } from './metrics.ts';
import { MisbehaviorReports } from './misbehavior-reports.ts';
import { OcspStaples } from './ocsp-staples.ts';
import { OperatorsView } from './operators-view.ts';
import { type OpsServer, startOpsServer } from './ops-server.ts';
import type { RaOptions, RaSettings } from './options.ts';
import { Pipeline, type PipelineHost } from './pipeline.ts';
import { Provisioning } from './provision.ts';
import { Readiness } from './readiness.ts';
import { raStatus } from './status.ts';
import { Tries } from './tries.ts';
import { endOfPolicy } from './what-ends.ts';

/** A Registration Authority that is running. */
export interface RegistrationAuthority {
  /** `https://<host>:<port>`, with the port that is really listened on. */
  readonly url: string;
  readonly port: number;
  /** Where operators look; undefined when `ops` is missing. */
  readonly opsUrl: string | undefined;
  readonly blacklist: Blacklist;
  /** Lets the RA look again what is due: for whoever has stepped the clock. */
  wake(): void;
  /** The RA's certificate, or one that the PG hands out, is another: resolves when the files that name it were made, or tried. */
  renewed(): Promise<void>;
  /** Answers what has arrived, ends the pipeline after its step, and listens no more. The caller closes the stores. */
  close(): Promise<void>;
}

/**
 * Starts an RA: its pipeline goes on where the last one stopped, and its port answers when the promise resolves.
 *
 * @throws ScmsDataError `policy` when its i-periods are not those of the first start on this database
 */
export async function startRegistrationAuthority(
  settings: RaSettings,
): Promise<RegistrationAuthority> {
  const { database, iPeriod } = settings;
  await fixIPeriod(database, iPeriod, async () => iPeriod.lengthSec);
  const files = new LocalFiles(settings);
  const options: RaOptions = { ...settings, policy: files.policy };
  const blacklist = new Blacklist(options.database, options.audit);
  const registry = new DeviceRegistry(options.database);
  const authenticator = new Authenticator(options, blacklist, registry);
  const pipeline: PipelineHost = options.pipeline ?? new Pipeline(options);
  const contacts = new Contacts(options, () => pipeline.wake());
  const reports = options.ma && new MisbehaviorReports(options, options.ma);
  const tries = new Tries(options.tries, options.clock);
  const { ocsp } = options;
  const staple = ocsp && new OcspStaples({ ...options, ocsp });
  const horizon = new HorizonWarnings(options, new OperatorsView(options));
  const { audit } = options;
  const refusals = audit && new AuditedRefusals(audit, options.clock);
  const door = new Door(options.errorDetail, options.log, refusals);
  const guards = guardsOf(options);
  let isStopping = false;
  let ops: OpsServer | undefined;
  let port = options.listen.port;
  const publicUrl = () => options.publicUrl ?? `https://${options.identity.hostname}:${port}`;

  const app = createHttpServer(
    options,
    {
      provisioning: new Provisioning(options, authenticator, registry, tries, contacts, {
        publicUrl,
        wakePipeline: () => pipeline.wake(),
      }),
      downloads: new Downloads(options, authenticator, tries, contacts),
      files,
      reports,
      raCertificate: () => options.identity.certificate.octets,
    },
    door,
    guards,
    staple,
  );
  await files.start();
  await staple?.start();
  // Before the port is open: a device that comes first finds a chain in the PLV cache.
  await pipeline.start();
  await horizon.start();
  try {
    await audit?.record({
      event: 'start',
      ...options.about,
      ra: Buffer.from(options.identity.certificate.id).toString('hex'),
      ...files.names,
    });
    if (options.ops) {
      const isStoppingNow = () => isStopping;
      ops = await startOps(options, options.ops.port, guards, pipeline, isStoppingNow);
    }
    await app.listen({ host: options.listen.address, port });
  } catch (error) {
    await ops?.close();
    await horizon.stop();
    await pipeline.stop();
    await files.stop();
    await staple?.stop();
    throw error;
  }
  port = (app.server.address() as AddressInfo).port;
  reports?.start();
  options.log.info({ url: publicUrl() }, 'registration authority started');
  return {
    url: publicUrl(),
    port,
    opsUrl: ops?.url,
    blacklist,
    wake() {
      pipeline.wake();
      void files.wake();
      void reports?.wake();
      void staple?.wake();
      void horizon.wake();
    },
    renewed() {
      pipeline.renewed?.();
      return files.renew();
    },
    async close() {
      isStopping = true;
      await app.close();
      await horizon.stop();
      await contacts.flush();
      await files.stop();
      await reports?.stop();
      await staple?.stop();
      await pipeline.stop();
      refusals?.flush();
      await audit?.record({ event: 'stop' }).catch((error: unknown) => {
        options.log.error({ err: error }, 'the stop is not in the audit log');
      });
      // Last: until everything has ended, operators see that it ends.
      await ops?.close();
    },
  };
}

function guardsOf(options: RaOptions): Guards {
  const guards = createGuards(options.limits, options.refusalTickMs);
  if (options.ops === undefined) return guards;
  const status = async () => {
    const { database, objects, clock } = options;
    const policyEnding = await endOfPolicy(database, objects, options);
    return raStatus(database, { ...options, policyEnding }, timeOf(clock));
  };
  const nowMs = () => performance.now();
  return { ...guards, metrics: new Metrics({ ...guards, status, nowMs }) };
}

async function startOps(
  options: RaOptions,
  port: number,
  { metrics }: Guards,
  pipeline: PipelineHost,
  isStopping: () => boolean,
): Promise<OpsServer | undefined> {
  if (metrics === undefined) return undefined;
  const { database, identity, clock, tls, log } = options;
  const tlsCertificatePem = () => tls.certificatePem;
  const sources = { database, identity, clock, pipeline, tlsCertificatePem, isStopping };
  return startOpsServer({ port, readiness: new Readiness(sources), metrics, log });
}
