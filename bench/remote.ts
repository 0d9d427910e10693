/**
 * What a request for a certificate costs an RA whose PCA is another process, beside the work on it: TLS, HTTP and COER, in
 * CPU time of the whole process. The PCA answers at once, with as many octets as a real one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { servicesOf, startAuthorityServer } from '@chrysalis/authorities';
import type { X509Identity } from '@chrysalis/authorities/x509';
import { RemoteAuthority } from '@chrysalis/ra';
import { createX509Ca } from '../packages/authorities/test/mutual-tls.ts';
import { type Measurement, measurementOf, print, printHead } from './measurement.ts';

/** A SecuredRaPcaCertificateRequest for a pseudonym certificate, and what is answered. */
const REQUEST_OCTETS = 757;
const ANSWER_OCTETS = 449;
/** Asked at once: alone, as the dispatch begins, and as many as it has at the PCA at most. */
const TOGETHER = [1, 8, 128];
const DEFAULT_SECONDS = 3;
const NAME = 'pca.scms.test';
const RA = 'ra.scms.test';

export async function run(options: {
  readonly json: boolean;
  readonly seconds?: number;
}): Promise<void> {
  printHead(options.json);
  for (const line of await measure(options.seconds ?? DEFAULT_SECONDS)) print(line, options.json);
}

async function measure(seconds: number): Promise<Measurement[]> {
  const ca = await createX509Ca();
  const child = fork(import.meta.filename, ['serve'], { serialization: 'advanced' });
  child.send({ ...(await ca.server(NAME)), root: ca.root.certificatePem } satisfies PcaTls);
  const [url] = (await once(child, 'message')) as [string];
  const tls = { ...(await ca.client(RA)), caPem: ca.root.certificatePem };
  const remote = new RemoteAuthority({ url, hostname: NAME, tls });
  const measurements: Measurement[] = [];
  for (const together of TOGETHER) {
    // Connections, and code that is compiled.
    await ask(remote, together, seconds / 3);
    measurements.push(await measureOne(remote, child, together, seconds));
  }
  remote.close();
  child.disconnect();
  return measurements;
}

async function measureOne(
  remote: RemoteAuthority,
  child: ChildProcess,
  together: number,
  seconds: number,
): Promise<Measurement> {
  const pcaBefore = await cpuUsOf(child);
  const before = process.cpuUsage();
  const start = performance.now();
  const count = await ask(remote, together, seconds);
  const elapsedSec = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  const pcaUs = ((await cpuUsOf(child)) - pcaBefore) / count;
  return measurementOf({
    name: 'remote',
    variant: `request for a certificate, ${together} at a time`,
    opsPerSec: count / elapsedSec,
    cpuUsPerOp: (user + system) / count,
    note: `of the RA's process; the PCA's ${pcaUs.toFixed(1)} us`,
  });
}

/** Asks so many at once, waits for all, and begins again; returns how many were answered. */
async function ask(remote: RemoteAuthority, together: number, seconds: number): Promise<number> {
  const request = new Uint8Array(REQUEST_OCTETS);
  const end = performance.now() + seconds * 1000;
  let count = 0;
  while (performance.now() < end) {
    const asked = Array.from({ length: together }, () => remote.requestCertificate(request));
    for (const { length } of await Promise.all(asked)) {
      if (length !== ANSWER_OCTETS) throw new Error(`expected an answer, saw ${length} octets`);
    }
    count += together;
  }
  return count;
}

async function cpuUsOf(child: ChildProcess): Promise<number> {
  child.send('cpu');
  const [cpuUs] = (await once(child, 'message')) as [number];
  return cpuUs;
}

interface PcaTls extends X509Identity {
  readonly root: string;
}

/** The child: a server that is told its certificate, and says where it is; then, when asked, its CPU time. */
async function serve(): Promise<void> {
  const [{ root: clientCaPem, ...identity }] = (await once(process, 'message')) as [PcaTls];
  const answer = new Uint8Array(ANSWER_OCTETS);
  const server = await startAuthorityServer({
    services: servicesOf.certificateAuthority({ requestCertificate: async () => answer }),
    listen: { address: '127.0.0.1', port: 0 },
    tls: { ...identity, clientCaPem },
    clientNames: [RA],
  });
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.once('disconnect', () => void server.close());
  process.send?.(server.url);
}

if (process.argv[1] === import.meta.filename && process.argv[2] === 'serve') await serve();
