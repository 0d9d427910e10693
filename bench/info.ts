/**
 * `GET /download/info`, authenticated, as `chrysalis serve` answers it: each device on a connection of its own, with its TLS session resumed, many
 * requests on one connection, and from devices whose keys the RA does not know. Beside it, servers that answer the same octets to
 * anybody, and the cryptography of a request by itself.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRandom } from '@chrysalis/crypto';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { createDevice } from '../test/support/device.ts';
import { targetOf } from './device-connection.ts';
import { type DownloadVariant, measureDownload, type Reference } from './download-bench.ts';
import { drive, type Server, signedRequests } from './download-load.ts';
import { print, printHead } from './measurement.ts';
import { type ReferenceServer, startNginx, startNodeServer } from './reference-servers.ts';
import { type KnownDevice, RaState, ServedRa } from './served-ra.ts';

/** More than any cache of keys holds: each comes once in a while, as in a fleet. */
const DEVICES = 2500;
/** Their certificates are good, and they are registered nowhere. A device is refused some hundred times an hour. */
const STRANGERS = 40;
const INFO_OCTETS = 4;
const TOGETHER = 8;
/** Refusals wait for their tick. */
const TOGETHER_REFUSED = 64;
const NEW_CONNECTIONS = 500;
const KEPT_ALIVE = 2000;
const WARM_UP = 10_000;

const infoOf = ({ requestHash }: KnownDevice) => `${requestHash}.info`;

/** Measures and prints. */
export async function run(options: { readonly json: boolean }): Promise<void> {
  const parent = await mkdtemp(join(tmpdir(), 'chrysalis-info-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(parent, { recursive: true }));
  const state = await RaState.make(parent);
  const devices = await state.registerKnown(DEVICES);
  const served = await ServedRa.start(state);
  resources.defer(() => served.stop());
  await served.settled();
  await using references = await startReferences(state, join(parent, 'nginx'), INFO_OCTETS);
  const { ra, others } = targetsOf(state, served, references.servers);
  await warmUp(state, devices, ra, others, INFO_OCTETS);
  printHead(options.json);
  for (const variant of variantsOf(state, devices)) {
    const version = variant.variant.endsWith('TLS 1.3') ? 'TLSv1.3' : 'TLSv1.2';
    const { ra, others } = targetsOf(state, served, references.servers, version);
    const compared = variant.by === undefined ? [] : others;
    print(await measureDownload('info', ra, compared, variant), options.json);
  }
}

/** Nobody measures a server in its first seconds: what is compiled by then is what it runs for months. */
export async function warmUp(
  { scms }: RaState,
  devices: readonly KnownDevice[],
  ra: Server,
  others: readonly Server[],
  octets: number,
): Promise<void> {
  const asked = devices.slice(0, TOGETHER).flatMap((one) => Array(WARM_UP / TOGETHER).fill(one));
  const requests = signedRequests(asked, scms.ra.certificate, '/download/info', infoOf);
  const load = { use: 'keep-alive', requests, together: TOGETHER, status: 200 } as const;
  await drive(ra, { ...load, bodyOctets: INFO_OCTETS });
  for (const other of others) await drive(other, { ...load, bodyOctets: octets });
}

/** Node's own server, with and without cryptography, and nginx where there is one, with the certificate of the RA. `directory` is for nginx alone. */
export async function startReferences(
  state: RaState,
  directory: string,
  octets: number,
): Promise<AsyncDisposable & { readonly servers: readonly ReferenceServer[] }> {
  const tls = {
    certificate: join(state.directory, 'ra/tls-certificate.pem'),
    key: join(state.directory, 'ra/tls-key.pem'),
  };
  const node = await startNodeServer('node:https', tls, octets);
  const nginx = await startNginx(tls, octets, directory);
  const lean = await startNodeServer('node:https + node:crypto', tls, octets);
  const servers = nginx === undefined ? [node, lean] : [node, nginx, lean];
  return {
    servers,
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server.stop();
    },
  };
}

/** The RA and the references as a device reaches them. */
export function targetsOf(
  { ca }: RaState,
  served: ServedRa,
  references: readonly ReferenceServer[],
  version: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.2',
): { readonly ra: Server; readonly others: readonly Reference[] } {
  const at = ({ pid, port }: { readonly pid: number; readonly port: number }) => ({
    pid,
    target: targetOf(port, ca, version),
  });
  const others = references.map((reference) => ({ name: reference.name, ...at(reference) }));
  return { ra: at(served), others };
}

function* variantsOf(state: RaState, devices: readonly KnownDevice[]): Generator<DownloadVariant> {
  const ra = state.scms.ra.certificate;
  const next = inTurn(devices);
  const sign = (some: readonly KnownDevice[]) => signedRequests(some, ra, '/download/info', infoOf);
  const answer = { status: 200, bodyOctets: INFO_OCTETS, together: TOGETHER };
  const news = () => sign(next(NEW_CONNECTIONS));
  const kept = () => sign(next(TOGETHER).flatMap((one) => Array(KEPT_ALIVE / TOGETHER).fill(one)));
  yield {
    ...answer,
    variant: 'new-connection',
    use: 'new-connection',
    requests: news,
    by: 'node:https',
  };
  yield { ...answer, variant: 'keep-alive', use: 'keep-alive', requests: kept, by: 'nginx' };
  yield { ...answer, variant: 'resumed', use: 'resumed', requests: news, by: 'node:https' };
  yield {
    ...answer,
    variant: 'new-connection, TLS 1.3',
    use: 'new-connection',
    requests: news,
    by: 'node:https',
  };
  const strangers = inTurn(strangersOf(state));
  yield {
    variant: 'unknown-key',
    use: 'new-connection',
    requests: () => sign(strangers(NEW_CONNECTIONS)),
    together: TOGETHER_REFUSED,
    status: 500,
    bodyOctets: 0,
    by: undefined,
  };
}

function strangersOf(state: RaState): readonly KnownDevice[] {
  const now = time32FromUnix(Date.now());
  return Array.from({ length: STRANGERS }, () => ({
    ...createDevice(state.scms, systemRandom, now),
    requestHash: '0123456789ABCDEF',
    registeredAt: now,
  }));
}

/** Takes from a list round and round. */
export function inTurn<T>(all: readonly T[]): (count: number) => readonly T[] {
  let taken = 0;
  return (count) => {
    const some = Array.from({ length: count }, (_, n) => all[(taken + n) % all.length] as T);
    taken += count;
    return some;
  };
}
