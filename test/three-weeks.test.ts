/**
 * Three weeks of a vehicle and of a roadside unit, with `chrysalis` alone: every command runs in this process, under one clock
 * that the test sets. Both devices come once a day, and whenever something was promised to them. What the RA sends them is
 * read from its log, what they have from `ee status`.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { authorityDirectory, readAuthority, writeAuthority } from '@chrysalis/authorities';
import { decode } from '@chrysalis/coer';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import { type CertificateKind, DirectoryStorage, Profile } from '@chrysalis/ee';
import {
  Certificate,
  formatTime32,
  fromPoint,
  type HashedCertificate,
  hashCertificate,
  issueExplicit,
  type Time32,
} from '@chrysalis/ieee1609dot2';
import { IPeriodClock, systemClock, timeOf } from '@chrysalis/scms';
import { run } from '../packages/cli/test/run-main.ts';
import { TestClock } from './support/test-clock.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
const WEEKS_AHEAD = 2;
const iPeriods = new IPeriodClock();
/** The week that is now, for TLS knows no other time; a day into it, so that no promise falls on a daily contact. */
const FIRST_I = iPeriods.at(timeOf(systemClock));
const START: Time32 = iPeriods.start(FIRST_I) + DAY;
/** CAMP's policy, and what `policy set` makes of it on day 3. */
const CERTIFICATES = { first: 20, later: 24 };
const APPLICATION_SEC = { first: 169 * HOUR, later: 52 * HOUR };
const OVERLAP_SEC = { first: HOUR, later: 4 * HOUR };
/** After so long the RA has what needs no shuffle, as its acknowledgement says. */
const READY_SEC = 5;

const clock = new TestClock(START);
const clockSteps = new EventTarget();
let directory: string;
let state: string;
let server: Server;
/** Every file that the RA has served, over all of its runs. */
const served: { readonly file: string; readonly status: number }[] = [];
const logged: { readonly msg: string; readonly file?: string }[] = [];
let obe: Device;
let rse: Device;
let renewedPca: HashedCertificate | undefined;

interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

/** A batch, as `ee status --json` and `ee topup --json` show it. */
interface Batch {
  readonly i: string;
  readonly certificates: number;
  readonly failures: number;
  readonly from: string;
  readonly until: string;
  readonly use: 'past' | 'current' | 'future';
}

interface Supply<B> {
  readonly certificates: CertificateKind;
  readonly requestHash?: string;
  readonly batches: readonly B[];
  readonly ready?: string;
  readonly due?: { readonly time: Time32 } | null;
}

interface TopUp {
  readonly files: Readonly<Record<'policy' | 'chains', string>>;
  readonly supplies: readonly Supply<{ readonly i: string }>[];
}

interface Status {
  readonly policy: string;
  readonly chains: string;
  readonly supplies: readonly Supply<Batch>[];
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'chrysalis-three-weeks-'));
  state = join(directory, 'state');
});
after(async () => {
  await server?.stop();
  await rm(directory, { recursive: true });
});

describe('three weeks of', { timeout: 300_000 }, () => {
  it('day 0: a vehicle and a roadside unit enroll, ask, and get what is there', async () => {
    await cli('init', '--port', '0', '--weeks-ahead', String(WEEKS_AHEAD));
    server = await serve();
    obe = await Device.enroll('obe', '--identification');
    const { files } = await obe.contact();
    assert.deepEqual([files.policy, files.chains], ['new', 'new']);
    assert.deepEqual(await obe.periods(), [FIRST_I, FIRST_I + 1]);
    const status = await obe.status();
    assert.match(status.policy, /^local_policy_0001_/);
    assert.match(status.chains, /^local_certificate_chains_01_/);

    // Later on that day, so that nothing falls due for both at once.
    step(START + 6 * HOUR);
    rse = await Device.enroll('rse', '--kind', 'rse');
    await rse.contact();
  });

  it('days 1 to 3: there is nothing new, and nothing is sent', async () => {
    const before = certificateFiles().length;
    await liveUntil(START + 3 * DAY);
    assert.equal(certificateFiles().length, before);
  });

  it('day 3: another policy, which RA and devices have at their next contact', async () => {
    await cli('policy', 'set', 'min-certs-per-i-period', String(CERTIFICATES.later));
    await cli('policy', 'set', 'rse-application-cert-validity', '48 hours');
    await cli('policy', 'set', 'rse-application-cert-overlap', '4 hours');
    assert.equal((await obe.contact()).files.policy, 'unchanged', 'the RA asks its PG hourly');
    step(timeOf(clock) + HOUR);
    await logLine('new local policy file', 'local_policy_0004_');
    for (const device of [obe, rse]) {
      const { files } = await device.contact();
      assert.deepEqual([files.policy, files.chains], ['new', 'unchanged']);
      assert.match((await device.status()).policy, /^local_policy_0004_/);
    }
  });

  it('days 4 to 8: a new certificate for the roadside unit; a new week is made, which the vehicle leaves for later', async () => {
    await liveUntil(START + 7 * DAY + 12 * HOUR);
    const { batches } = supplyOf(await rse.status(), 'application');
    assert.deepEqual(
      batches.map(({ i }) => i),
      ['0', '1'],
    );
    step(obe.nextPromise);
    await obe.made(['pseudonym']);
    assert.deepEqual(await obe.periods(), [FIRST_I, FIRST_I + 1]);
  });

  it('day 10: another PCA, whose certificate the devices adopt; what the former one made still opens', async () => {
    step(START + 10 * DAY);
    await server.stop();
    renewedPca = await renewPca();
    server = await serve();
    await logLine('new local certificate chain file', 'local_certificate_chains_02_');
    for (const device of [obe, rse]) {
      const { files } = await device.contact();
      // The policy names the chain file, so that there is another of both.
      assert.deepEqual([files.policy, files.chains], ['new', 'new']);
      assert.match((await device.status()).chains, /^local_certificate_chains_02_/);
    }
    assert.deepEqual(await obe.periods(), [FIRST_I, FIRST_I + 1, FIRST_I + 2]);
    assert.notEqual(await obe.issuerOf('pseudonym', FIRST_I + 2), idOf(renewedPca));
  });

  it('days 11 to 23: weeks and certificates of the new PCA, and the second identification certificate', async () => {
    await liveUntil(START + 23 * DAY + HOUR);
    const weeks = Array.from({ length: 5 }, (_, n) => FIRST_I + n);
    assert.deepEqual(await obe.periods(), weeks);
    for (const i of weeks) {
      const issuer = await obe.issuerOf('pseudonym', i);
      assert.equal(issuer === idOf(renewedPca!), i >= FIRST_I + 3, `the issuer of week ${i}`);
    }
    const identification = supplyOf(await obe.status(), 'identification').batches;
    assert.deepEqual(
      identification.map(({ i }) => i),
      ['0', '1'],
    );
    assert.equal(await obe.issuerOf('identification', 1), idOf(renewedPca!));
  });

  it('the RA has sent each file of certificates once, and each policy and chain file once to each device', () => {
    const files = certificateFiles();
    assert.equal(new Set(files).size, files.length);
    assert.deepEqual(files.sort(), [...obe.seen, ...rse.seen].sort());
    const local = served.filter(({ file, status }) => file.startsWith('local_') && status === 200);
    const times = Map.groupBy(local, ({ file }) => file);
    assert.deepEqual([...new Set([...times.values()].map(({ length }) => length))], [2]);
    const kinds = [...times.keys()].map((file) => file.replace(/_[0-9A-F]+\.oer$/i, ''));
    assert.deepEqual(kinds, [
      'local_policy_0001',
      'local_certificate_chains_01',
      'local_policy_0004',
      'local_policy_0004',
      'local_certificate_chains_02',
    ]);
  });
});

/** A device by its profile directory. */
class Device {
  readonly #profile: string;
  /** For when the next file of each kind was promised, by `.info` or by the certificate that is about to end. */
  readonly promised = new Map<CertificateKind, Time32>();
  /** Names of the files that it has taken in. */
  readonly seen: string[] = [];

  private constructor(profile: string) {
    this.#profile = profile;
  }

  static async enroll(name: string, ...settings: string[]): Promise<Device> {
    const profile = join(directory, name);
    const bundle = `${profile}-bundle`;
    await cli('ee', 'bootstrap', '--new', '--profile', profile, ...settings);
    const request = join(profile, 'SignedEeEnrollmentCertRequest.oer');
    await cli('enroll', '--request', request, '--out', bundle, '--ra-url', server.url);
    await cli('ee', 'bootstrap', '--profile', profile, '--bundle', bundle);
    return new Device(profile);
  }

  get nextPromise(): Time32 {
    return Math.min(...this.promised.values());
  }

  topUp(): Promise<TopUp> {
    return this.#ee('topup', '--ra', server.url);
  }

  status(): Promise<Status> {
    return this.#ee('status');
  }

  /**
   * One contact, and another when something is promised for a few seconds later. What was promised for now is there, what was
   * promised for later is not, and the RA sends nothing but what the device takes in.
   */
  async contact(): Promise<TopUp> {
    const before = served.length;
    const due = [...this.promised].filter(([, time]) => time <= timeOf(clock));
    // An application certificate is not made before it is asked for.
    await this.made(due.map(([kind]) => kind).filter((kind) => kind !== 'application'));
    let report = await this.topUp();
    const { files } = report;
    const asked = report.supplies.filter(({ ready }) => ready !== undefined);
    if (asked.length > 0) {
      step(timeOf(clock) + READY_SEC);
      const promise = formatTime32(timeOf(clock));
      for (const { ready } of asked) assert.equal(ready, promise);
      await this.made(asked.map(({ certificates }) => certificates));
      report = await this.topUp();
    }
    const now = timeOf(clock);
    const status = await this.status();
    for (const { certificates: kind, batches, due } of report.supplies) {
      const promise = this.promised.get(kind);
      const isDue = promise === undefined || promise <= now;
      assert.equal(batches.length > 0, isDue, `${kind} at ${formatTime32(now)}`);
      if (promise !== undefined) assert(batches.length <= 1, 'one at a time');
      assert(due && due.time > now, 'there is always a next one');
      this.promised.set(kind, due.time);
      const { requestHash, batches: held } = supplyOf(status, kind);
      if (kind === 'application') {
        const { first, later } = OVERLAP_SEC;
        const overlapSec = held.length === 1 ? first : later;
        assert.equal(held.at(-1)?.until, formatTime32(due.time + overlapSec));
      }
      for (const { i } of batches) {
        this.seen.push(kind === 'application' ? `${requestHash}.zip` : `${requestHash}_${i}.zip`);
      }
    }
    const sent = served.slice(before).filter(({ file }) => file.endsWith('.zip'));
    assert.deepEqual(
      sent.map(({ file }) => file),
      sent.length === 0 ? [] : this.seen.slice(-sent.length),
    );
    const changed = served.slice(before).filter(({ file }) => file.startsWith('local_'));
    assert.deepEqual(
      changed.map(({ status }) => status).slice(0, 2),
      [files.policy, files.chains].map((answer) => (answer === 'new' ? 200 : 304)),
    );
    expectProvided(status, now);
    return { ...report, files };
  }

  /** The weeks for which it has pseudonym certificates. */
  async periods(): Promise<number[]> {
    const { batches } = supplyOf(await this.status(), 'pseudonym');
    return batches.map(({ i }) => Number.parseInt(i, 16));
  }

  /** HashedId8 of who issued the certificates of a file. */
  async issuerOf(kind: CertificateKind, i: number): Promise<string> {
    const profile = new Profile(await DirectoryStorage.open(this.#profile));
    const batch = await profile.certificates(kind).opened(i);
    const issuers = new Set(
      batch?.certificates.map(({ certificate }) => {
        const { issuer } = decode(Certificate, certificate).value;
        assert(issuer.type === 'sha256AndDigest');
        return Buffer.from(issuer.value).toString('hex');
      }),
    );
    const [issuer, ...others] = issuers;
    assert(issuer !== undefined && others.length === 0);
    return issuer;
  }

  /** Resolves when the RA has made what it has promised for now; there is no `.info` of an application certificate. */
  async made(kinds: readonly CertificateKind[]): Promise<void> {
    for (const kind of kinds) {
      const { requestHash } = supplyOf(await this.status(), kind);
      await eventually(`${kind} of ${requestHash}`, () =>
        kind === 'application' ? isKept(`${requestHash}.zip`) : this.#isFarAhead(kind),
      );
    }
  }

  /** A file that is being made is promised for a minute later. */
  async #isFarAhead(kind: CertificateKind): Promise<boolean> {
    const { next } = await this.#ee<{ next: { time: Time32 } | null }>(
      ...['info', '--no-files', '--certificates', kind, '--ra', server.url],
    );
    return next !== null && next.time > timeOf(clock) + HOUR;
  }

  async #ee<T>(...args: string[]): Promise<T> {
    return JSON.parse(await cli('ee', ...args, '--profile', this.#profile, '--json'));
  }
}

/** There is a certificate of each kind that is valid now, as many as the policy says, all for as long as it says. */
function expectProvided({ supplies }: Status, now: Time32): void {
  for (const { certificates: kind, batches } of supplies) {
    assert(
      batches.some(({ use }) => use === 'current'),
      `${kind} at ${formatTime32(now)}`,
    );
    for (const [n, batch] of batches.entries()) {
      assert.equal(batch.failures, 0);
      const seconds = (Date.parse(batch.until) - Date.parse(batch.from)) / 1000;
      if (kind === 'pseudonym') {
        const i = Number.parseInt(batch.i, 16);
        assert.equal(batch.from, formatTime32(iPeriods.start(i)));
        assert.equal(seconds, 169 * HOUR);
        const { first, later } = CERTIFICATES;
        assert.equal(batch.certificates, i < FIRST_I + WEEKS_AHEAD ? first : later);
      } else {
        assert.equal(batch.certificates, 1);
        const { first, later } = APPLICATION_SEC;
        const expected = n === 0 ? first : later;
        assert.equal(seconds, kind === 'application' ? expected : 721 * HOUR);
      }
    }
  }
}

function supplyOf({ supplies }: Status, kind: CertificateKind): Supply<Batch> {
  const supply = supplies.find(({ certificates }) => certificates === kind);
  assert(supply);
  return supply;
}

/** Both devices once a day, and each when something was promised to it, until a time. */
async function liveUntil(end: Time32): Promise<void> {
  while (timeOf(clock) < end) {
    const now = timeOf(clock);
    const nextDay = START + (Math.floor((now - START) / DAY) + 1) * DAY;
    const next = Math.min(nextDay, end);
    const promise = Math.min(obe.nextPromise, rse.nextPromise);
    // What is promised for the hour after a daily contact is waited for.
    const isPromised = promise <= next + HOUR;
    step(isPromised ? promise : next);
    for (const device of [obe, rse]) {
      if (!isPromised || device.nextPromise === promise) await device.contact();
    }
  }
}

/** Another time, which the RA is told of. */
function step(time: Time32): void {
  clock.set(time);
  clockSteps.dispatchEvent(new Event('step'));
}

/** Runs a command, which has to succeed; what it printed. */
async function cli(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run(['--dir', state, ...args], { clock });
  assert.equal(status, 0, `chrysalis ${args.join(' ')}: ${stderr}`);
  assert.doesNotMatch(stderr, /again in/, 'whatever was promised is there at the first try');
  return stdout;
}

async function serve(): Promise<Server> {
  const stopping = new AbortController();
  const printed = Promise.withResolvers<{ url: string }>();
  const running = run(['--dir', state, '--json', 'serve', '--log-level', 'debug'], {
    clock,
    clockSteps,
    signal: stopping.signal,
    stdout: { write: (text) => printed.resolve(JSON.parse(text)) },
    stderr: { write: readLog },
  });
  const failed = running.then(({ status }) => Promise.reject(new Error(`serve ended: ${status}`)));
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

function readLog(text: string): void {
  for (const line of text.trim().split('\n')) {
    const { msg, ...fields } = JSON.parse(line);
    logged.push({ msg, ...fields });
    if (msg === 'file served' || msg === 'held already') served.push(fields);
  }
}

/** Names of the zips that were sent, whole or in part. */
function certificateFiles(): string[] {
  return served.map(({ file }) => file).filter((file) => file.endsWith('.zip'));
}

async function logLine(message: string, prefix: string): Promise<void> {
  await eventually(`${message} ${prefix}`, async () =>
    logged.some((line) => line.msg === message && line.file?.startsWith(prefix)),
  );
}

/** Whether the RA keeps a file of this name. */
async function isKept(name: string): Promise<boolean> {
  const files = await readdir(state, { recursive: true });
  return files.some((file) => file.endsWith(name));
}

async function eventually(what: string, look: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`expected ${what} within ten seconds`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Gives the PCA of the state directory other keys and a certificate for them, with the permissions of the one before. */
async function renewPca(): Promise<HashedCertificate> {
  const path = authorityDirectory(state, 'pca');
  const { certificate } = await readAuthority(path);
  const ica = await readAuthority(authorityDirectory(state, 'ica'));
  const { verifyKeyIndicator: _, ...content } = certificate.certificate.toBeSigned;
  const signingKey = PrivateKey.generate(systemRandom);
  const encryptionKey = PrivateKey.generate(systemRandom);
  const publicKey = { type: 'eciesNistP256', value: fromPoint(encryptionKey.publicPoint) } as const;
  const renewed = hashCertificate(
    issueExplicit(
      {
        ...content,
        validityPeriod: { ...content.validityPeriod, start: timeOf(clock) - HOUR },
        encryptionKey: { supportedSymmAlg: 'aes128Ccm', publicKey },
      },
      signingKey.publicPoint,
      { certificate: ica.certificate, key: ica.signingKey },
    ),
  );
  await writeAuthority(path, { certificate: renewed, signingKey, encryptionKey });
  return renewed;
}

function idOf({ id }: HashedCertificate): string {
  return Buffer.from(id).toString('hex');
}
