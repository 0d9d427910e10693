import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { AuditedRefusals } from './audited-refusals.ts';
import { Authenticator } from './authenticate.ts';
import { KnownBacklog } from './backlog.ts';
import { Contacts } from './contacts.ts';
import { DeviceRegistry } from './device-registry.ts';
import { Door } from './door.ts';
import { Downloads } from './download.ts';
import { backlogOf, type Guards } from './guards.ts';
import { createHttpServer } from './http-server.ts';
import type { LocalFiles } from './local-files.ts';
import { MisbehaviorReports } from './misbehavior-reports.ts';
import { OcspStaples } from './ocsp-staples.ts';
import type { RaOptions } from './options.ts';
import { Provisioning } from './provision.ts';
import type { Siblings } from './siblings.ts';
import { Tries } from './tries.ts';

/** Answers of so long close their connections before those that nobody uses are closed too. */
const LEAVE_MS = 1000;
/** A device that has begun a request when its process leaves may take as long for it as ever. */
const LEAVE_GRACE_MS = 30_000;

/** What answers devices. */
export interface FrontOffice {
  /** What is listened on. */
  readonly port: number;
  readonly url: string;
  /** What this process does when others tell it. */
  readonly told: Siblings;
  wake(): void;
  /** Answers what has arrived, notes what was fetched, and listens no more. */
  close(): Promise<void>;
  /** As {@link close}, while others go on: no device is cut off. */
  leave(): Promise<void>;
}

/**
 * Opens the port: it answers when the promise resolves.
 *
 * @param wakePipeline for what a device has brought
 * @throws Error of Node when the port is taken
 */
export async function openFrontOffice(
  options: RaOptions,
  files: LocalFiles,
  guards: Guards,
  wakePipeline: () => void,
): Promise<FrontOffice> {
  const { audit, clock, identity, listen, log, ocsp, siblings } = options;
  const registry = new DeviceRegistry(options.database);
  const authenticator = new Authenticator(options, registry);
  const contacts = new Contacts(options, wakePipeline);
  const backlog = new KnownBacklog(options.database);
  const tries = new Tries(options.tries, clock, undefined, siblings);
  const staples = ocsp && new OcspStaples({ ...options, ocsp });
  const refusals = audit && new AuditedRefusals(audit, clock, options.strangersShare);
  let port = listen.port;
  const publicUrl = () => options.publicUrl ?? `https://${identity.hostname}:${port}`;
  const app = createHttpServer(
    options,
    {
      provisioning: new Provisioning(options, authenticator, registry, tries, contacts, backlog, {
        publicUrl,
        wakePipeline,
      }),
      downloads: new Downloads(options, authenticator, tries, contacts, backlog),
      files,
      // Handed on by the back office, from the same pool.
      reports: options.ma && new MisbehaviorReports(options, options.ma),
      raCertificate: () => identity.certificate.octets,
    },
    new Door(options.errorDetail, log, refusals),
    guards,
    staples,
  );
  await staples?.start();
  try {
    await audit?.record({
      event: 'start',
      ...options.about,
      ra: Buffer.from(identity.certificate.id).toString('hex'),
      ...files.names,
    });
    await app.listen({ host: listen.address, port, backlog: backlogOf(guards.limits) });
  } catch (error) {
    await staples?.stop();
    throw error;
  }
  port = (app.server.address() as AddressInfo).port;
  const close = async () => {
    await app.close();
    await contacts.flush();
    await staples?.stop();
    refusals?.flush();
    await audit?.record({ event: 'stop' }).catch((error: unknown) => {
      log.error({ err: error }, 'the stop is not in the audit log');
    });
  };
  return {
    port,
    url: publicUrl(),
    told: {
      closeRegistration: (deviceId) => contacts.closeHere(deviceId),
      openRegistration: (deviceId) => contacts.openHere(deviceId),
      countFailure: (hash, service) => tries.chargedElsewhere(hash, service),
    },
    wake: () => void staples?.wake(),
    close,
    async leave() {
      guards.connections.leave(LEAVE_GRACE_MS);
      await setTimeout(LEAVE_MS);
      await close();
    },
  };
}
