import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  createLinkageAuthority,
  createTestScms,
  hostnameOf,
  openPseudonymAuthority,
  type TestScms,
} from '@chrysalis/authorities';
import { createX509Root, issueX509ServerCertificate } from '@chrysalis/authorities/x509';
import { systemRandom } from '@chrysalis/crypto';
import { decrypterOf, type Time32, type TrustStore, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { RA_MIGRATIONS, type RaOptions, type RaSchema } from '@chrysalis/ra';
import { type RegistrationAuthority, startRegistrationAuthority } from '@chrysalis/ra/server';
import {
  type CertificateAuthority,
  IPeriodClock,
  type LinkageAuthority,
  timeOf,
} from '@chrysalis/scms';
import { createMemoryObjectStore, type Database, openDatabase } from '@chrysalis/store';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
  trustOf,
} from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { newDatabaseUrl } from '../../../test/support/postgres-server.ts';
import { TestClock } from '../../../test/support/test-clock.ts';

const random = systemRandom;

export interface SceneOptions extends Partial<Omit<RaOptions, 'policy' | 'clock'>> {
  readonly now?: Time32;
  readonly scms?: TestScms;
  readonly policy?: Partial<RaOptions['policy']>;
  readonly wrapPca?: (pca: CertificateAuthority) => CertificateAuthority;
  readonly wrapLa?: (la: LinkageAuthority) => LinkageAuthority;
  /** Of the RA; SQLite in a file when missing, unless all tests run on PostgreSQL. */
  readonly databaseUrl?: string;
}

export interface Registered {
  readonly device: TestDevice;
  readonly hash: string;
}

/** An RA, or one of its processes. */
export type Listening = Pick<RegistrationAuthority, 'port'>;

/** What stands around an RA, with everything in reach that a test may want to break. */
export interface Scene {
  readonly scms: TestScms;
  readonly trust: TrustStore;
  readonly clock: TestClock;
  readonly database: Database<RaSchema>;
  readonly options: RaOptions;
  readonly ca: string;
  /** Messages of the RA's log at warn and above, with their fields. */
  readonly logged: { readonly message: string; readonly fields: Record<string, unknown> }[];
  /** Starts an RA; with a database of its own connection when it is to look like another process. */
  start(changes?: Partial<RaOptions>): Promise<RegistrationAuthority>;
  /** One more connection to the same database. */
  openDatabase(): Promise<Database<RaSchema>>;
  /** What is to be closed before the databases are, the last one first. */
  defer(close: () => Promise<unknown>): void;
  /** Fails with the RA's message when it refuses. */
  register(ra: Listening, device?: TestDevice, requestedStartTime?: Time32): Promise<Registered>;
  download(ra: Listening, device: Registered, i?: number): Promise<Uint8Array | undefined>;
  /** Cocoon keys of the PCA's log, hex. */
  issued(): Promise<string[]>;
}

export async function createScene(t: TestContext, changes: SceneOptions = {}): Promise<Scene> {
  const { wrapPca = (pca) => pca, wrapLa = (la) => la } = changes;
  const now = changes.now ?? time32FromUnix(Date.UTC(2026, 10, 21, 12));
  const clock = new TestClock(now);
  const scms = changes.scms ?? createTestScms({ now, random, raHostname: 'localhost' });
  const trust = trustOf(scms);
  const iPeriod = changes.iPeriod ?? new IPeriodClock();
  const directory = await mkdtemp(join(tmpdir(), 'chrysalis-scene-'));
  const { tls, ca } = await createTls();
  const pca = await openPseudonymAuthority({
    pca: scms.pca,
    trust,
    iPeriods: iPeriod,
    laKeys: new Map([
      [nameOf(scms.la1), { key: scms.pcaLa1Key, laId: scms.la1Id }],
      [nameOf(scms.la2), { key: scms.pcaLa2Key, laId: scms.la2Id }],
    ]),
    clock,
    random,
    databaseUrl: `sqlite:${join(directory, 'pca.db')}`,
  });
  const linkageAuthority = (n: 1 | 2) =>
    createLinkageAuthority({
      la: scms[`la${n}`],
      laId: scms[`la${n}Id`],
      sharedKey: scms[`pcaLa${n}Key`],
      chainKey: scms[`la${n}ChainKey`],
      trust,
      clock,
      random,
    });
  const closing: (() => Promise<unknown>)[] = [];
  const url = changes.databaseUrl ?? (await newDatabaseUrl(`sqlite:${join(directory, 'ra.db')}`));
  const open = async () => {
    const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS, { migrates: true });
    closing.push(() => database.close());
    return database;
  };
  const logged: { message: string; fields: Record<string, unknown> }[] = [];
  const write = (fields: object, message: string) => {
    logged.push({ message, fields: fields as Record<string, unknown> });
  };
  const peer = <Port>(authority: TestScms['pca'], port: Port) => ({
    port,
    hostname: nameOf(authority),
    certificate: trust.get(authority.certificate.id)!,
  });
  const {
    policy,
    now: _,
    scms: __,
    wrapPca: ___,
    wrapLa: ____,
    databaseUrl: _____,
    ...rest
  } = changes;
  const database = await open();
  const options: RaOptions = {
    identity: {
      certificate: scms.ra.certificate,
      hostname: nameOf(scms.ra),
      signer: scms.ra.signingKey,
      decrypter: decrypterOf(scms.ra.encryptionKey!),
    },
    listen: { address: '127.0.0.1', port: 0 },
    tls,
    trust,
    ecas: [trust.get(scms.eca.certificate.id)!],
    pca: peer(scms.pca, wrapPca(pca)),
    la1: peer(scms.la1, wrapLa(linkageAuthority(1))),
    la2: peer(scms.la2, wrapLa(linkageAuthority(2))),
    database,
    objects: createMemoryObjectStore(),
    dropGraceMs: 0,
    linkageCache: 4,
    policy: {
      certificatesPerPeriod: 3,
      weeksAhead: 1,
      shuffleThreshold: 1000,
      shuffleMaxAgeSec: 48 * 3600,
      shuffleInitial: 'immediate',
      applicationPeriodSec: 168 * 3600,
      applicationOverlapSec: 3600,
      ...policy,
    },
    iPeriod,
    toleranceSec: 5,
    errorDetail: 'qa',
    refusalTickMs: 0,
    limits: { shedAnonymousMs: 0, shedProvisioningMs: 0, shedDownloadsMs: 0 },
    dialects: ['1.2.2', '1.2.4'],
    clock,
    random,
    log: { debug: () => {}, info: () => {}, warn: write, error: write },
    ...rest,
  };
  t.after(async () => {
    for (const close of closing.reverse()) await close();
    await pca.close();
    await rm(directory, { recursive: true });
  });
  return {
    scms,
    trust,
    clock,
    database,
    options,
    ca,
    logged,
    openDatabase: open,
    defer: (close) => void closing.push(close),
    async start(more = {}) {
      const ra = await startRegistrationAuthority({ ...options, ...more });
      let closed: Promise<void> | undefined;
      const once = { ...ra, close: () => (closed ??= ra.close()) };
      closing.push(once.close);
      return once;
    },
    async register(
      ra,
      device = createDevice(scms, random, timeOf(clock)),
      requestedStartTime = timeOf(clock),
    ) {
      const request = { ...pseudonymRequest(device, timeOf(clock)), requestedStartTime };
      const body = securedBy(device, request, scms.ra.certificate, random);
      const url = `https://localhost:${ra.port}/provision-pseudonym-certificate-batch`;
      const answer = await send(url, ca, { method: 'POST', body });
      if (answer.status !== 200) throw new Error(String(answer.headers['scms-poc-error-message']));
      return { device, hash: Buffer.from(answer.body.subarray(12, 20)).toString('hex') };
    },
    async download(ra, { device, hash }, i = iPeriod.at(timeOf(clock))) {
      const name = `${hash}_${i.toString(16).toUpperCase()}.zip`;
      const headers = downloadReq(device, name, timeOf(clock), scms.ra.certificate, random);
      const answer = await send(`https://localhost:${ra.port}/download/batch`, ca, { headers });
      return answer.status === 200 ? answer.body : undefined;
    },
    async issued() {
      const keys: string[] = [];
      for await (const { cocoonKey } of pca.log())
        keys.push(Buffer.from(cocoonKey).toString('hex'));
      return keys;
    },
  };
}

/** Polls until `look` finds something; fails after a minute, for the machine may be busy. */
export async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(10)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error('expected it within a minute');
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function createTls() {
  const validity = {
    notBefore: new Date(Date.now() - 86_400_000),
    // So long that the RA does not warn of its end, whatever the clock of a scene says.
    notAfter: new Date(Date.now() + 20 * 365 * 86_400_000),
  };
  const root = await createX509Root({ commonName: 'test root', ...validity });
  const tls = await issueX509ServerCertificate(root, {
    commonName: 'localhost',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    ...validity,
  });
  return { tls, ca: root.certificatePem };
}

function nameOf(authority: TestScms['pca']): string {
  return hostnameOf(authority.certificate) ?? '';
}
