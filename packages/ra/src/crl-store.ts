import type { AddressInfo } from 'node:net';
import { sha256 } from '@chrysalis/crypto';
import { Door } from './door.ts';
import type { Download } from './download.ts';
import { backlogOf, createGuards } from './guards.ts';
import { createDeviceServer, sendUnlessHeld } from './http-server.ts';
import { OcspStaples } from './ocsp-staples.ts';
import type { RaOptions } from './options.ts';
import { Refusal } from './refusal.ts';
import { WayOut } from './way-out.ts';

export interface CrlStoreOptions
  extends Pick<
    RaOptions,
    'listen' | 'tls' | 'ocsp' | 'errorDetail' | 'clock' | 'log' | 'limits' | 'refusalTickMs'
  > {
  /** The CompositeCrl that is in force, COER; undefined when none was ever made. */
  newest(): Promise<Uint8Array | undefined>;
}

/** A CRL store that is running. */
export interface CrlStore {
  readonly port: number;
  /** Answers what has arrived, and listens no more. */
  close(): Promise<void>;
}

/** Octets of the hash in a name: nobody gains from two CRLs of one name, and there are few. */
const NAME_OCTETS = 8;

/**
 * Starts a CRL store: `GET /download-crl/` answers with the CompositeCrl, to anybody, by design (CAMP wiki). It is no
 * service of the RA, and has a port of its own (8894); it is here because it speaks to devices in the same way.
 */
export async function startCrlStore(options: CrlStoreOptions): Promise<CrlStore> {
  const { listen, tls, ocsp, errorDetail, log } = options;
  const staple = ocsp && new OcspStaples({ ...options, ocsp });
  const newest = async () => downloadOf(await options.newest());
  const guards = createGuards(options.limits, options.refusalTickMs);
  const app = createDeviceServer(
    tls,
    new WayOut(new Door(errorDetail, log), guards),
    guards,
    staple,
  );
  app.get('/download-crl/', async (request, reply) =>
    sendUnlessHeld(request, reply, await guards.load.run('anonymous', newest), log),
  );
  await staple?.start();
  await app.listen({ host: listen.address, port: listen.port, backlog: backlogOf(guards.limits) });
  const { port } = app.server.address() as AddressInfo;
  log.info({ port }, 'CRL store started');
  return {
    port,
    async close() {
      await app.close();
      await staple?.stop();
    },
  };
}

/** No source names the file. A name after its content needs no counter: another CRL has another name. */
function downloadOf(octets: Uint8Array | undefined): Download {
  if (octets === undefined) {
    throw new Refusal('raNoCertFileAvailable', 'expected a CRL, saw none yet');
  }
  const digits = Buffer.from(sha256(octets).subarray(0, NAME_OCTETS)).toString('hex');
  const name = `composite_crl_${digits}.oer`;
  return { name, octets, etag: `"${name}"` };
}
