/**
 * `kill -9` of the RA at random moments between request and batch. Whatever was acknowledged ends with its complete
 * batches, no cocoon key has two certificates in the PCA's log, and no temporary file stays. `chaos.test.ts` does the same to
 * the authorities as well.
 *
 * Rounds: CHRYSALIS_FAULT_ROUNDS (5; `npm run test:faults` sets 50). CHRYSALIS_FAULT_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openPseudonymAuthority, readTestScms, type TestScms } from '@chrysalis/authorities';
import { main } from '@chrysalis/cli';
import { systemRandom } from '@chrysalis/crypto';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { IPeriodClock, systemClock } from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
  trustOf,
} from './support/device.ts';
import { type Answer, send } from './support/https-client.ts';
import { seededChance } from './support/seeded-chance.ts';
import { temporaryFiles } from './support/temporary-files.ts';

const ROUNDS = Number(process.env.CHRYSALIS_FAULT_ROUNDS ?? 5);
const SEED = Number(process.env.CHRYSALIS_FAULT_SEED ?? 20261121);
const WEEKS = 3;
const PER_WEEK = 20;
/** Longest life of the RA in a round: from within the request to well into the batches. */
const LONGEST_LIFE_MS = 400;
const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');
const random = systemRandom;

interface Acknowledged {
  readonly device: TestDevice;
  readonly hash: string;
  readonly firstI: number;
}

describe(`an RA that is killed ${ROUNDS} times`, () => {
  it('keeps every promise that it made', async (t) => {
    t.diagnostic(`seed ${SEED}: set CHRYSALIS_FAULT_SEED to repeat`);
    const chance = seededChance(SEED);
    const root = await mkdtemp(join(tmpdir(), 'chrysalis-faults-'));
    const state = join(root, 'state');
    await init(state);
    const scms = await readTestScms(state);
    const ca = await readFile(join(state, 'authorities/x509-root/certificate.pem'), 'utf8');
    const acknowledged: Acknowledged[] = [];
    let unanswered = 0;

    let server: Server | undefined;
    t.after(async () => {
      await server?.kill();
      await rm(root, { recursive: true });
    });
    for (let round = 0; round < ROUNDS; round++) {
      server = await startServer(state);
      const life = chance() * LONGEST_LIFE_MS;
      const killed = new Promise<void>((resolve) => {
        setTimeout(() => resolve(server?.kill()), life);
      });
      // Two devices a round, the second later, so that kills fall into requests as well as between them.
      for (const delay of [0, chance() * 100]) {
        await new Promise((resolve) => setTimeout(resolve, delay));
        const promise = await register(scms, server.url, ca);
        if (promise) acknowledged.push(promise);
        else unanswered++;
      }
      await killed;
    }

    server = await startServer(state);
    const { url } = server;
    for (const promise of acknowledged) {
      for (let i = promise.firstI; i < promise.firstI + WEEKS; i++) {
        const zip = await eventually(() => downloadBatch(scms, url, ca, promise, i));
        assert.equal(Object.keys(unzipSync(zip)).length, PER_WEEK);
      }
    }
    await server.stop();
    t.diagnostic(`${acknowledged.length} acknowledged, ${unanswered} cut off`);
    assert(acknowledged.length > 0, 'some requests were acknowledged before the kill');

    await expectNoKeyTwice(state, scms, acknowledged.length * WEEKS * PER_WEEK);
    assert.deepEqual(await temporaryFiles(state), []);
  });
});

async function init(state: string): Promise<void> {
  const quiet = { write() {} };
  const context = {
    stdout: quiet,
    stderr: quiet,
    stdin: (async function* () {})(),
    env: {},
    clock: systemClock,
    random,
    signal: new AbortController().signal,
  };
  const argv = [
    '--dir',
    state,
    'init',
    '--port',
    '0',
    '--processes',
    '1',
    '--weeks-ahead',
    String(WEEKS),
  ];
  assert.equal(await main(argv, context), 0);
}

interface Server {
  readonly url: string;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** SIGTERM: a clean end. */
  stop(): Promise<void>;
}

function startServer(state: string): Promise<Server> {
  const argv = [BIN, '--dir', state, '--json', 'serve', '--log-level', 'error'];
  const child: ChildProcess = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await gone;
  };
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (line) => {
      const { url } = JSON.parse(String(line));
      resolve({
        url,
        kill: () => end('SIGKILL'),
        async stop() {
          await end('SIGTERM');
          assert.equal(errors, '', 'the RA logged no error');
        },
      });
    });
    void gone.then(() => reject(new Error(`expected the RA to start, saw: ${errors}`)));
  });
}

/** Undefined when the RA was killed before it answered. */
async function register(
  scms: TestScms,
  url: string,
  ca: string,
): Promise<Acknowledged | undefined> {
  const now = time32FromUnix(Date.now());
  const device = createDevice(scms, random, now);
  const body = securedBy(device, pseudonymRequest(device, now), scms.ra.certificate, random);
  let answer: Answer;
  try {
    answer = await send(`${url}/provision-pseudonym-certificate-batch`, ca, {
      method: 'POST',
      body,
    });
  } catch {
    return undefined;
  }
  assert.equal(answer.status, 200);
  const hash = Buffer.from(answer.body.subarray(12, 20)).toString('hex').toUpperCase();
  return { device, hash, firstI: new IPeriodClock().at(now) };
}

async function downloadBatch(
  scms: TestScms,
  url: string,
  ca: string,
  { device, hash }: Acknowledged,
  i: number,
): Promise<Uint8Array | undefined> {
  const name = `${hash}_${i.toString(16).toUpperCase()}.zip`;
  const headers = downloadReq(
    device,
    name,
    time32FromUnix(Date.now()),
    scms.ra.certificate,
    random,
  );
  const answer = await send(`${url}/download/batch`, ca, { headers });
  return answer.status === 200 ? answer.body : undefined;
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('expected a batch within a minute');
}

/** Requests that were recorded but not acknowledged are served too: there may be more certificates than promised. */
async function expectNoKeyTwice(state: string, scms: TestScms, atLeast: number): Promise<void> {
  const pca = await openPseudonymAuthority({
    pca: scms.pca,
    trust: trustOf(scms),
    laKeys: new Map(),
    clock: systemClock,
    random,
    databaseUrl: `sqlite:${join(state, 'authorities/pca/pca.db')}`,
  });
  const keys: string[] = [];
  for await (const { cocoonKey } of pca.log()) keys.push(Buffer.from(cocoonKey).toString('hex'));
  await pca.close();
  assert(keys.length >= atLeast, `${keys.length} certificates, at least ${atLeast} promised`);
  assert.equal(new Set(keys).size, keys.length);
}
