/**
 * A vehicle whose PCA gets another certificate twice: once when the first has stopped generation, and once while requests
 * are on their way. Every command runs in this process, under one clock that the test sets.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, it } from 'node:test';
import {
  authorityDirectory,
  hostnameOf,
  openPseudonymAuthority,
  openPseudonymLog,
  readAuthority,
  readTestScms,
  renewedAuthority,
  replaceAuthority,
} from '@chrysalis/authorities';
import { decode } from '@chrysalis/coer';
import { systemRandom } from '@chrysalis/crypto';
import { DirectoryStorage, Profile } from '@chrysalis/ee';
import {
  asCertificate,
  Certificate,
  type HashedCertificate,
  type Time32,
} from '@chrysalis/ieee1609dot2';
import { adoptLocalChainFile, IPeriodClock, systemClock, timeOf } from '@chrysalis/scms';
import { run } from '../packages/cli/test/run-main.ts';
import { trustOf } from './support/device.ts';
import { TestClock } from './support/test-clock.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
const WEEKS_AHEAD = 3;
const PER_WEEK = 20;
const SHUFFLE_SEC = 48 * HOUR;
/** After so long the RA has what needs no shuffle, as its acknowledgement says. */
const READY_SEC = 5;
/** What the PCA answered before it got another certificate, and nobody heard. */
const LOST = 8;
const iPeriods = new IPeriodClock();
/** The week that is now, for TLS knows no other time. */
const I = iPeriods.at(timeOf(systemClock));
const START: Time32 = iPeriods.start(I) + DAY;

const clock = new TestClock(START);
const clockSteps = new EventTarget();
let root: string;
let state: string;
let profile: string;
let server: { readonly url: string; stop(): Promise<void> };
const log: { readonly level: number; readonly msg: string; readonly file?: string }[] = [];
/** The certificates that the PCA has had, in order. */
const pcas: HashedCertificate[] = [];
const chainFiles: string[] = [];

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'chrysalis-rollover-'));
  state = join(root, 'state');
  profile = join(root, 'obe');
  await cli('init', '--port', '0', '--weeks-ahead', String(WEEKS_AHEAD));
  // A PCA near its end: its certificate, too, was given for years once.
  const scms = await readTestScms(state);
  const end = iPeriods.start(I + WEEKS_AHEAD) + HOUR;
  const validityPeriod = {
    start: end - 40 * 168 * HOUR,
    duration: { type: 'hours', value: 40 * 168 },
  } as const;
  const ending = renewedAuthority(scms.pca, scms.ica, { validityPeriod, random: systemRandom });
  await replaceAuthority(authorityDirectory(state, 'pca'), ending);
  pcas.push(ending.certificate);
  server = await serve();
  await enroll();
});
after(async () => {
  await server?.stop();
  await rm(root, { recursive: true });
});

describe('another PCA certificate', { timeout: 120_000 }, () => {
  it('is needed: the RA has stopped at the end of the first one, and says so', async () => {
    await contact();
    step(START + READY_SEC);
    await eventually('the first weeks', async () => (await info()) === null);
    await contact();
    assert.deepEqual(await weeks(), [I, I + 1, I + 2]);
    step(iPeriods.start(I + 1) + DAY);
    await contact();
    assert.equal(await info(), null);
    assert.equal(pending().length, 0);
  });

  it('lets the vehicle go on', async () => {
    await server.stop();
    await renewPca();
    server = await serve();
    await eventually('requests in the shuffle', async () => pending().length === PER_WEEK);
    assert.notEqual(await info(), null, 'generation goes on');
    step(timeOf(clock) + SHUFFLE_SEC + 1);
    await eventually('the next week', async () => isNextWeek(await info(), I + 4));
    await contact();
    assert.deepEqual(await weeks(), [I, I + 1, I + 2, I + 3]);
    assert.deepEqual(await issuersOf(I + 2), [idOf(pcas[0]!)]);
    assert.deepEqual(await issuersOf(I + 3), [idOf(pcas[1]!)]);
  });

  it('comes while requests are on their way, and some answers are lost', async () => {
    step(iPeriods.start(I + 2) + HOUR);
    await eventually('requests in the shuffle', async () => pending().length === PER_WEEK);
    await contact();
    await server.stop();
    const waiting = pending();
    await answerAndForget(waiting.slice(0, LOST));
    await renewPca();
    await cli('authority', 'renew', 'ra');
    assert.deepEqual(pending(), waiting, 'the octets that are repeated, signed by the former RA');

    server = await serve();
    await contact();
    step(timeOf(clock) + SHUFFLE_SEC + 1);
    await eventually('the next week', async () => isNextWeek(await info(), I + 5));
    await contact();
    assert.deepEqual(await weeks(), [I, I + 1, I + 2, I + 3, I + 4]);
    const counts = Map.groupBy(await eachIssuerOf(I + 4), (id) => id);
    assert.equal(counts.get(idOf(pcas[1]!))?.length, LOST, 'answered under the former one');
    assert.equal(counts.get(idOf(pcas[2]!))?.length, PER_WEEK - LOST);
  });

  it('leaves no gap between weeks', async () => {
    for (const i of [I + 3, I + 4, I + 5]) {
      step(iPeriods.start(i) + HOUR);
      await eventually('requests in the shuffle', async () => pending().length === PER_WEEK);
      step(timeOf(clock) + SHUFFLE_SEC + 1);
      await eventually('the next week', async () => isNextWeek(await info(), i + 3));
      await contact();
    }
    assert.deepEqual(
      await weeks(),
      Array.from({ length: 8 }, (_, n) => I + n),
    );
    assert.deepEqual(await issuersOf(I + 7), [idOf(pcas[2]!)]);
  });

  it('makes a chain file of a higher version each time, with every PCA whose certificates are in files', async () => {
    assert.equal(chainFiles.length, 3);
    assert.deepEqual(chainFiles, chainFiles.toSorted());
    const { chains } = await new Profile(await DirectoryStorage.open(profile)).raFiles();
    assert(chains);
    assert.equal(chains.name, chainFiles[2]);
    const scms = await readTestScms(state);
    const file = adoptLocalChainFile(chains.octets, [asCertificate(scms.root.certificate)]);
    const seen = file.certs.filter((certificate) => hostnameOf(certificate) === 'pca.scms.test');
    // The one that init made was replaced before it issued anything.
    assert.deepEqual(seen.map(idOf), [pcas[2]!, pcas[1]!, pcas[0]!].map(idOf));
  });

  it('certifies no cocoon key twice', async () => {
    const pca = await openPseudonymLog(`sqlite:${join(state, 'authorities/pca/pca.db')}`);
    const issued = await Array.fromAsync(pca.all());
    await pca.close();
    assert.equal(issued.length, 8 * PER_WEEK);
    const keys = issued.map(({ cocoonKey }) => Buffer.from(cocoonKey).toString('hex'));
    assert.equal(new Set(keys).size, keys.length);
  });

  it('is refused by nobody', () => {
    const messages = new Set(log.map(({ msg }) => msg));
    assert(messages.has('new local certificate chain file'));
    for (const msg of REFUSALS) assert(!messages.has(msg), msg);
  });
});

const REFUSALS = [
  'the PCA refused a request',
  'no certificate from the PCA',
  'no answer from the PCA',
  'no pre-linkage values',
  'a file of the PG is refused',
  'no new file from the PG',
];

/** A contact of the vehicle: whatever it downloads opens, to the last certificate. */
async function contact(): Promise<void> {
  await cli('ee', 'topup', '--profile', profile, '--ra', server.url);
  const { supplies, chains } = await status();
  for (const { failures, certificates } of supplies[0]!.batches) {
    assert.deepEqual([failures, certificates], [0, PER_WEEK]);
  }
  const current = iPeriods.at(timeOf(clock));
  if (supplies[0]!.batches.length > 0) assert((await weeks()).includes(current), 'a week for now');
  if (chainFiles.at(-1) !== chains) chainFiles.push(chains);
}

interface Status {
  readonly chains: string;
  readonly supplies: readonly {
    readonly batches: readonly {
      readonly i: string;
      readonly certificates: number;
      readonly failures: number;
    }[];
  }[];
}

async function status(): Promise<Status> {
  return JSON.parse(await cli('ee', 'status', '--profile', profile, '--json'));
}

async function weeks(): Promise<number[]> {
  return (await status()).supplies[0]!.batches.map(({ i }) => Number.parseInt(i, 16));
}

/** What `.info` tells: null when the RA has stopped. */
async function info(): Promise<Time32 | null> {
  const args = ['ee', 'info', '--profile', profile, '--ra', server.url, '--json'];
  const { next } = JSON.parse(await cli(...args)) as { next: { time: Time32 } | null };
  return next?.time ?? null;
}

/** Whether that is when week i is promised for: it begins to be made with the supply, and waits in the shuffle. */
function isNextWeek(time: Time32 | null, i: number): boolean {
  return time === iPeriods.start(i - WEEKS_AHEAD + 1) + SHUFFLE_SEC + 60;
}

async function issuersOf(i: number): Promise<string[]> {
  return [...new Set(await eachIssuerOf(i))];
}

/** HashedId8 of who issued each certificate of a week. */
async function eachIssuerOf(i: number): Promise<string[]> {
  const batch = await new Profile(await DirectoryStorage.open(profile))
    .certificates('pseudonym')
    .opened(i);
  assert(batch);
  return batch.certificates.map(({ certificate }) => {
    const { issuer } = decode(Certificate, certificate).value;
    assert(issuer.type === 'sha256AndDigest');
    return Buffer.from(issuer.value).toString('hex');
  });
}

/** The requests to the PCA that the RA has stored, in their order. */
function pending(): Uint8Array[] {
  const database = new DatabaseSync(join(state, 'ra/chrysalis.db'), { readOnly: true });
  const rows = database.prepare('select octets from pca_request order by epoch, key').all();
  database.close();
  return rows.map(({ octets }) => octets as Uint8Array);
}

/** The PCA as it is before its renewal answers, and the RA is killed before it hears. */
async function answerAndForget(requests: readonly Uint8Array[]): Promise<void> {
  const scms = await readTestScms(state);
  const pca = await openPseudonymAuthority({
    pca: await readAuthority(authorityDirectory(state, 'pca'), 'with encryption'),
    trust: trustOf(scms),
    laKeys: new Map([
      ['la1.scms.test', { key: scms.pcaLa1Key, laId: scms.la1Id }],
      ['la2.scms.test', { key: scms.pcaLa2Key, laId: scms.la2Id }],
    ]),
    clock,
    random: systemRandom,
    iPeriods,
    databaseUrl: `sqlite:${join(state, 'authorities/pca/pca.db')}`,
  });
  for (const request of requests) await pca.requestCertificate(request);
  const issued = await Array.fromAsync(pca.log());
  assert.equal(issued.length, 4 * PER_WEEK + requests.length, 'all were certified');
  await pca.close();
}

async function renewPca(): Promise<void> {
  await cli('authority', 'renew', 'pca', '--years', '4');
  const { certificate } = await readAuthority(authorityDirectory(state, 'pca'));
  pcas.push(certificate);
  const text = await readFile(join(state, 'chrysalis.toml'), 'utf8');
  const former = pcas.slice(0, -1).map((one) => `"authorities/pca/former/${idOf(one)}.oer"`);
  assert(text.includes(`former = [${former.join(', ')}]`), text);
}

async function enroll(): Promise<void> {
  const bundle = join(root, 'bundle');
  await cli('ee', 'bootstrap', '--new', '--profile', profile);
  const request = join(profile, 'SignedEeEnrollmentCertRequest.oer');
  await cli('enroll', '--request', request, '--out', bundle, '--ra-url', server.url);
  await cli('ee', 'bootstrap', '--profile', profile, '--bundle', bundle);
}

/** Another time, which the RA is told of. */
function step(time: Time32): void {
  clock.set(time);
  clockSteps.dispatchEvent(new Event('step'));
}

/** Runs a command, which has to succeed; what it printed. */
async function cli(...args: string[]): Promise<string> {
  const { status: exit, stdout, stderr } = await run(['--dir', state, ...args], { clock });
  assert.equal(exit, 0, `chrysalis ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function serve(): Promise<typeof server> {
  const stopping = new AbortController();
  const printed = Promise.withResolvers<{ url: string }>();
  const running = run(['--dir', state, '--json', 'serve'], {
    clock,
    clockSteps,
    signal: stopping.signal,
    stdout: { write: (text) => printed.resolve(JSON.parse(text)) },
    stderr: {
      write: (text) =>
        log.push(
          ...text
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line)),
        ),
    },
  });
  const failed = running.then(({ status: exit }) => Promise.reject(new Error(`serve: ${exit}`)));
  failed.catch(() => {});
  const { url } = await Promise.race([printed.promise, failed]);
  return {
    url,
    async stop() {
      stopping.abort();
      assert.equal((await running).status, 0);
    },
  };
}

async function eventually(what: string, look: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`expected ${what} within ten seconds`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function idOf({ id }: HashedCertificate): string {
  return Buffer.from(id).toString('hex');
}
