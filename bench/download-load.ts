/** Devices that download from an RA, and the same from a server that does nothing else: what a request costs whoever answers it. */
import { systemRandom } from '@chrysalis/crypto';
import { type HashedCertificate, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { downloadReq } from '../test/support/device.ts';
import { DeviceConnection, getRequest, type Target } from './device-connection.ts';
import { cpuUsOf } from './process-cost.ts';
import type { KnownDevice } from './served-ra.ts';

/** How connections are used: one for each request, with or without a session of before, or one for many. */
export type ConnectionUse = 'new-connection' | 'resumed' | 'keep-alive';

/** Whoever is asked. */
export interface Server {
  readonly pid: number;
  readonly target: Target;
}

export interface Load {
  readonly use: ConnectionUse;
  /** The octets of each request. On keep-alive connections, those of one device follow each other. */
  readonly requests: readonly string[];
  /** Connections at a time. */
  readonly together: number;
  readonly status: number;
  readonly bodyOctets: number;
}

export interface LoadCost {
  readonly cpuUs: number;
  readonly wallUs: number;
  readonly latenciesMs: readonly number[];
}

/** Fresh signed requests. @param fileOf names what a device asks for */
export function signedRequests(
  devices: readonly KnownDevice[],
  ra: HashedCertificate,
  path: string,
  fileOf: (device: KnownDevice) => string,
  headers: Readonly<Record<string, string>> = {},
): readonly string[] {
  const timestamp = time32FromUnix(Date.now());
  return devices.map((device) =>
    getRequest(path, {
      ...headers,
      ...downloadReq(device, fileOf(device), timestamp, ra, systemRandom),
    }),
  );
}

/** Asks all of it, and reads from outside what it cost. @throws Error for any answer but the expected */
export async function drive(server: Server, load: Load): Promise<LoadCost> {
  const { requests, together } = load;
  const latenciesMs: number[] = [];
  const share = Math.ceil(requests.length / together);
  const before = cpuUsOf(server.pid);
  const start = performance.now();
  await Promise.all(
    Array.from({ length: together }, (_, n) =>
      driveSome(server, load, requests.slice(n * share, (n + 1) * share), latenciesMs),
    ),
  );
  const wallUs = (performance.now() - start) * 1000;
  const cpuUs = cpuUsOf(server.pid) - before;
  return { cpuUs: cpuUs / requests.length, wallUs: wallUs / requests.length, latenciesMs };
}

async function driveSome(
  { target }: Server,
  load: Load,
  requests: readonly string[],
  latenciesMs: number[],
): Promise<void> {
  let session: Buffer | undefined;
  let connection: DeviceConnection | undefined;
  for (const request of requests) {
    const start = performance.now();
    connection ??= await DeviceConnection.open(target, session, (ticket) => {
      if (load.use === 'resumed') session = ticket;
    });
    const { status, body } = await connection.ask(request);
    latenciesMs.push(performance.now() - start);
    if (status !== load.status || body.length !== load.bodyOctets) {
      throw new Error(
        `expected status ${load.status} with ${load.bodyOctets} octets, saw ${status} with ${body.length}`,
      );
    }
    if (load.use !== 'keep-alive') {
      connection.close();
      connection = undefined;
    }
  }
  connection?.close();
}
