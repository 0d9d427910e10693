import { BackOffice } from './back-office.ts';
import type { Blacklist } from './blacklist.ts';
import { type FrontOffice, openFrontOffice } from './front-office.ts';
import { createGuards, type Guards } from './guards.ts';
import { fixIPeriod } from './i-period-setting.ts';
import { LocalFiles } from './local-files.ts';
import { Metrics } from './metrics.ts';
import { type OpsServer, startOpsServer } from './ops-server.ts';
import type { RaOptions, RaSettings } from './options.ts';
import type { Figures } from './process-figures.ts';
import { type NotReady, Readiness } from './readiness.ts';
import type { Siblings } from './siblings.ts';
import type { RaStatus } from './status.ts';
import { statusReader } from './status-figures.ts';

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
  /** The RA's certificate is another: resolves when the files that name it were made, or tried. */
  renewed(): Promise<void>;
  /** Answers what has arrived, ends the pipeline after its step, and listens no more. The caller closes the stores. */
  close(): Promise<void>;
}

/** One of the processes of an RA that answer devices. */
export interface RaFront {
  readonly url: string;
  readonly port: number;
  /** What it does when the others tell it. */
  readonly told: Siblings;
  /** Undefined when `ops` is missing. */
  figures(): Promise<Figures | undefined>;
  /** There may be new files. */
  wake(): void;
  /** Answers what has arrived, and listens no more. */
  close(): Promise<void>;
  /** As {@link close}, while others go on: no device is cut off. */
  leave(): Promise<void>;
}

/** The process of an RA that does, once, what devices do not wait for. */
export interface RaBack {
  readonly blacklist: Blacklist;
  missing(): Promise<readonly NotReady[]>;
  figures(): Promise<Figures | undefined>;
  /** There is something to do for a device. */
  wakePipeline(): void;
  renewed(): Promise<void>;
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
  await fixIPeriodOf(settings);
  const back = new BackOffice(settings);
  const { options, pipeline, blacklist } = back;
  const guards = guardsOf(options, statusReader(options));
  await back.start();
  let isStopping = false;
  let ops: OpsServer | undefined;
  let front: FrontOffice;
  try {
    if (options.ops && guards.metrics) {
      const readiness = readinessOf(back, () => isStopping);
      const { port } = options.ops;
      ops = await startOpsServer({ port, readiness, metrics: guards.metrics, log: options.log });
    }
    front = await openFrontOffice(options, back.files, guards, () => pipeline.wake());
  } catch (error) {
    await ops?.close();
    await back.stop();
    throw error;
  }
  const { url, port } = front;
  options.log.info({ url }, 'registration authority started');
  return {
    ...{ url, port, blacklist },
    opsUrl: ops?.url,
    wake() {
      back.wake();
      front.wake();
    },
    renewed: () => back.renewed(),
    async close() {
      isStopping = true;
      await front.close();
      await back.stop();
      // Last: until everything has ended, operators see that it ends.
      await ops?.close();
    },
  };
}

/**
 * Starts one of several processes that answer devices. Somebody else makes files and certificates: `pipeline` tells them, and
 * there is no `pg`. What is allowed to all devices together is what `limits` and `reports` say, for this process.
 */
export async function startRaFront(settings: RaSettings): Promise<RaFront> {
  const { pipeline, log } = settings;
  const files = new LocalFiles(settings);
  const options: RaOptions = { ...settings, policy: files.policy };
  const guards = guardsOf(options);
  await files.start();
  let front: FrontOffice;
  try {
    front = await openFrontOffice(options, files, guards, () => pipeline?.wake());
  } catch (error) {
    await files.stop();
    throw error;
  }
  const { url, port, told } = front;
  log.info({ url }, 'devices are answered');
  const ending = (end: () => Promise<void>) => async () => {
    await end();
    await files.stop();
  };
  return {
    ...{ url, port, told },
    figures: async () => guards.metrics?.figures(),
    wake() {
      void files.wake();
      front.wake();
    },
    close: ending(() => front.close()),
    leave: ending(() => front.leave()),
  };
}

/**
 * Starts the process beside those that answer devices.
 *
 * @param onFile called when there is a new policy or chain file
 */
export async function startRaBack(settings: RaSettings, onFile: () => void): Promise<RaBack> {
  await fixIPeriodOf(settings);
  const back = new BackOffice(settings, onFile);
  const { options } = back;
  let isStopping = false;
  const readiness = readinessOf(back, () => isStopping);
  const { metrics } = guardsOf(options, statusReader(options));
  await back.start();
  const { audit, about, identity, log } = options;
  const ra = Buffer.from(identity.certificate.id).toString('hex');
  await audit?.record({ event: 'start', ...about, ra, ...back.files.names });
  log.info({}, 'certificates are made');
  return {
    blacklist: back.blacklist,
    missing: () => readiness.missing(),
    figures: async () => metrics?.figures(),
    wakePipeline: () => back.pipeline.wake(),
    renewed: () => back.renewed(),
    async close() {
      isStopping = true;
      await back.stop();
      await audit?.record({ event: 'stop' }).catch((error: unknown) => {
        log.error({ err: error }, 'the stop is not in the audit log');
      });
    },
  };
}

async function fixIPeriodOf({ database, iPeriod }: RaSettings): Promise<void> {
  await fixIPeriod(database, iPeriod, async () => iPeriod.lengthSec);
}

function guardsOf(options: RaOptions, status?: () => Promise<RaStatus>): Guards {
  const guards = createGuards(options.limits, options.refusalTickMs);
  if (options.ops === undefined) return guards;
  const nowMs = () => performance.now();
  return { ...guards, metrics: new Metrics({ ...guards, ...(status && { status }), nowMs }) };
}

function readinessOf({ options, pipeline }: BackOffice, isStopping: () => boolean): Readiness {
  const { database, identity, clock, tls } = options;
  const tlsCertificatePem = () => tls.certificatePem;
  return new Readiness({ database, identity, clock, pipeline, tlsCertificatePem, isStopping });
}
