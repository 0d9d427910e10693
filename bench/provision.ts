/**
 * `POST /provision-pseudonym-certificate-batch` of devices that are new: from the head of the request to an acknowledgement whose row
 * is on stable storage. What the pipeline does with the row afterwards is another thread's, and another benchmark's.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRandom } from '@chrysalis/crypto';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { createDevice, pseudonymRequest, securedBy } from '../test/support/device.ts';
import { DeviceConnection, targetOf } from './device-connection.ts';
import { DOWNLOAD_NATIVE, downloadNativeUs } from './download-native.ts';
import { measurementOf, percentile, print, printHead } from './measurement.ts';
import { bareOperations, median, opensslCosts, time } from './native.ts';
import { mainThreadCpuUsOf, rssMbOf } from './process-cost.ts';
import { RaState, ServedRa } from './served-ra.ts';

const ROUNDS = 5;
const IN_ROUND = 150;
/** Devices before any counts: nobody measures a server in its first seconds. */
const WARM_UP = 1500;
/** Chains in the PLV cache: each device takes one, and without any there is no acknowledgement. */
const CHAINS = 4000;
const TOGETHER = [1, 16];
const PATH = '/provision-pseudonym-certificate-batch';

export async function run(options: { readonly json: boolean }): Promise<void> {
  const parent = await mkdtemp(join(tmpdir(), 'chrysalis-provision-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(parent, { recursive: true }));
  const state = await RaState.make(parent, { weeksAhead: 1 });
  await state.configure((text) =>
    text
      .replace(/(linkage-cache =) \d+/, `$1 ${CHAINS}`)
      // A machine that is busy otherwise is no reason to refuse.
      .replace(/(shed-provisioning-ms =) \d+/, '$1 0'),
  );
  const served = await ServedRa.start(state);
  resources.defer(() => served.stop());
  await served.settled();
  for (let n = 0; n < WARM_UP; n += IN_ROUND) await provisionRound(state, served, 16);
  printHead(options.json);
  for (const together of TOGETHER) {
    const rounds: Awaited<ReturnType<typeof provisionRound>>[] = [];
    await provisionRound(state, served, together);
    for (let n = 0; n < ROUNDS; n += 1) rounds.push(await provisionRound(state, served, together));
    const latencies = rounds.flatMap(({ latenciesMs }) => latenciesMs);
    const nativeUs = median(rounds.map((round) => round.nativeUs));
    const line = measurementOf({
      name: 'provision',
      variant: `new-connection, ${together} at a time`,
      opsPerSec: 1e6 / median(rounds.map(({ wallUs }) => wallUs)),
      cpuUsPerOp: median(rounds.map(({ cpuUs }) => cpuUs)),
      ratioToNative: median(rounds.map(({ cpuUs, nativeUs: native }) => native / cpuUs)),
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
      rssMb: rssMbOf(served.pid),
      note: `of the thread that answers; ${DOWNLOAD_NATIVE} + k·Q + sign ${nativeUs.toFixed(0)} us, without TLS`,
    });
    print(line, options.json);
  }
}

/** The key of a device that is new is reconstructed (k·Q), and what it is told is signed. */
function provisionNativeUs(): number {
  const openssl = opensslCosts();
  const signing = bareOperations().get('sign');
  const signUs = openssl.get('sign') ?? (signing ? time(signing, 500).cpuUs : 0);
  const agreement = bareOperations().get('ECDH');
  const agreeUs = openssl.get('ECDH') ?? (agreement ? time(agreement, 500).cpuUs : 0);
  return downloadNativeUs() + agreeUs + signUs;
}

async function provisionRound(state: RaState, served: ServedRa, together: number) {
  const nativeUs = provisionNativeUs();
  const now = time32FromUnix(Date.now());
  const bodies = Array.from({ length: IN_ROUND }, () => {
    const device = createDevice(state.scms, systemRandom, now);
    const request = pseudonymRequest(device, now);
    return postRequest(securedBy(device, request, state.scms.ra.certificate, systemRandom));
  });
  const target = targetOf(served.port, state.ca);
  const latenciesMs: number[] = [];
  const before = mainThreadCpuUsOf(served.pid);
  const start = performance.now();
  await Promise.all(
    Array.from({ length: together }, async (_, n) => {
      for (let k = n; k < bodies.length; k += together) {
        const begun = performance.now();
        const connection = await DeviceConnection.open(target);
        const { status } = await connection.ask(bodies[k] as Buffer);
        latenciesMs.push(performance.now() - begun);
        connection.close();
        if (status !== 200) throw new Error(`expected an acknowledgement, saw ${status}`);
      }
    }),
  );
  const wallUs = ((performance.now() - start) * 1000) / IN_ROUND;
  const cpuUs = (mainThreadCpuUsOf(served.pid) - before) / IN_ROUND;
  return { nativeUs, wallUs, cpuUs, latenciesMs };
}

function postRequest(body: Uint8Array): Buffer {
  const head = [
    `POST ${PATH} HTTP/1.1`,
    'host: localhost',
    'content-type: application/octet-stream',
    `content-length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}
