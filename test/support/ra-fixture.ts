import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  chainPartsOf,
  createLinkageAuthority,
  createPolicyGenerator,
  createTestScms,
  hostnameOf,
  type InProcessMisbehaviorAuthority,
  openMisbehaviorAuthority,
  openPseudonymAuthority,
  type TestScms,
} from '@chrysalis/authorities';
import { createX509Root, issueX509ServerCertificate } from '@chrysalis/authorities/x509';
import { systemRandom } from '@chrysalis/crypto';
import {
  asCertificate,
  decrypterOf,
  type Time32,
  type TrustStore,
  time32FromUnix,
} from '@chrysalis/ieee1609dot2';
import {
  type Log,
  type PolicyOverrides,
  RA_MIGRATIONS,
  type RaOptions,
  type RaSchema,
  type RaSettings,
} from '@chrysalis/ra';
import { type RegistrationAuthority, startRegistrationAuthority } from '@chrysalis/ra/server';
import {
  type CertificateAuthority,
  constantSeries,
  DEFAULT_GLOBAL_POLICY,
  IPeriodClock,
  type LinkageAuthority,
  type MisbehaviorAuthority,
  type PolicyGenerator,
} from '@chrysalis/scms';
import { createMemoryObjectStore, openDatabase } from '@chrysalis/store';
import { trustOf } from './device.ts';
import { type Answer, type Sending, send } from './https-client.ts';
import { TestClock } from './test-clock.ts';

/** A line that the RA logged. */
export interface LogLine {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface RaFixture {
  readonly scms: TestScms;
  readonly trust: TrustStore;
  readonly clock: TestClock;
  readonly ra: RegistrationAuthority;
  /** What it was started with. */
  readonly raOptions: RaSettings;
  /** Another RA on the same stores, in place of this one. */
  restart(changes?: Partial<RaSettings>): Promise<void>;
  readonly steps: string[];
  readonly logged: LogLine[];
  readonly pca: Awaited<ReturnType<typeof openPseudonymAuthority>>;
  readonly ma: InProcessMisbehaviorAuthority;
  /** PEM of the X.509 root. */
  readonly ca: string;
  send(path: string, sending?: Sending): Promise<Answer>;
  /** Polls until `look` finds something; fails after ten seconds. */
  eventually<T>(look: () => Promise<T | undefined>): Promise<T>;
  close(): Promise<void>;
}

export interface FixtureOptions {
  readonly now?: Time32;
  readonly scms?: TestScms;
  readonly trust?: TrustStore;
  readonly iPeriod?: IPeriodClock;
  readonly policy?: Partial<PolicyOverrides>;
  readonly errorDetail?: 'production' | 'qa';
  readonly dropGraceMs?: number;
  readonly wrapPca?: (pca: CertificateAuthority) => CertificateAuthority;
  readonly wrapLa?: (la: LinkageAuthority) => LinkageAuthority;
  readonly wrapPg?: (pg: PolicyGenerator) => PolicyGenerator;
  readonly wrapMa?: (ma: MisbehaviorAuthority) => MisbehaviorAuthority;
  readonly reports?: RaOptions['reports'];
}

/** An RA with a complete test SCMS behind it, in this process, on a free port, with a clock that tests set. */
export async function startRaFixture(options: FixtureOptions = {}): Promise<RaFixture> {
  const now = options.now ?? time32FromUnix(Date.UTC(2026, 10, 21, 12));
  const clock = new TestClock(now);
  const random = systemRandom;
  const scms = options.scms ?? createTestScms({ now, random, raHostname: 'localhost' });
  const trust = options.trust ?? trustOf(scms);
  const iPeriod = options.iPeriod ?? new IPeriodClock();
  const directory = await mkdtemp(join(tmpdir(), 'chrysalis-ra-'));
  const validity = {
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 86_400_000),
  };
  const x509Root = await createX509Root({ commonName: 'test root', ...validity });
  const tls = await issueX509ServerCertificate(x509Root, {
    commonName: 'localhost',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    ...validity,
  });
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
  const la = (n: 1 | 2): LinkageAuthority =>
    createLinkageAuthority({
      la: n === 1 ? scms.la1 : scms.la2,
      laId: n === 1 ? scms.la1Id : scms.la2Id,
      sharedKey: n === 1 ? scms.pcaLa1Key : scms.pcaLa2Key,
      chainKey: n === 1 ? scms.la1ChainKey : scms.la2ChainKey,
      trust,
      clock,
      random,
    });
  const database = await openDatabase<RaSchema>(
    `sqlite:${join(directory, 'ra.db')}`,
    RA_MIGRATIONS,
  );
  const steps: string[] = [];
  const logged: LogLine[] = [];
  const write = (level: string) => (fields: object, message: string) => {
    logged.push({ level, fields: fields as Record<string, unknown>, message });
  };
  const log: Log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
  const wrapLa = options.wrapLa ?? ((port) => port);
  const policy = {
    certificatesPerPeriod: 20,
    weeksAhead: 2,
    shuffleThreshold: 1000,
    shuffleMaxAgeSec: 48 * 3600,
    shuffleInitial: 'immediate' as const,
    ...options.policy,
  };
  const ma = await openMisbehaviorAuthority({
    ma: scms.ma,
    trust,
    clock,
    databaseUrl: `sqlite:${join(directory, 'ma.db')}`,
  });
  const pg = createPolicyGenerator({
    pg: scms.pg,
    trust,
    clock,
    gpfVersion: 1,
    gccfVersion: 1,
    // Whatever a test has its RA do is no less than the PG demands.
    policy: {
      ...DEFAULT_GLOBAL_POLICY,
      minCertsPerIPeriod: constantSeries(policy.certificatesPerPeriod),
      shuffleThreshold: constantSeries(policy.shuffleThreshold),
    },
    chain: chainPartsOf(scms),
  });
  const raOptions: RaSettings = {
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
    pca: peer(scms.pca, (options.wrapPca ?? ((port) => port))(pca)),
    la1: peer(scms.la1, wrapLa(la(1))),
    la2: peer(scms.la2, wrapLa(la(2))),
    pg: {
      port: (options.wrapPg ?? ((port) => port))(pg),
      roots: [asCertificate(scms.root.certificate)],
    },
    ma: {
      port: (options.wrapMa ?? ((port) => port))(ma),
      certificate: scms.ma.certificate,
    },
    ...(options.reports && { reports: options.reports }),
    database,
    objects: createMemoryObjectStore(),
    dropGraceMs: options.dropGraceMs ?? 0,
    linkageCache: 8,
    policy,
    iPeriod,
    toleranceSec: 5,
    errorDetail: options.errorDetail ?? 'qa',
    refusalTickMs: 0,
    // However slow the machine of the tests is.
    limits: { shedAnonymousMs: 0, shedProvisioningMs: 0, shedDownloadsMs: 0 },
    dialects: ['1.2.2', '1.2.4'],
    clock,
    random,
    log,
    onStep: (step) => steps.push(step),
  };
  let ra = await startRegistrationAuthority(raOptions);

  function peer<Port>(authority: TestScms['pca'], port: Port) {
    return {
      port,
      hostname: nameOf(authority),
      certificate: trust.get(authority.certificate.id)!,
    };
  }

  return {
    scms,
    trust,
    clock,
    get ra() {
      return ra;
    },
    raOptions,
    async restart(changes = {}) {
      await ra.close();
      ra = await startRegistrationAuthority({ ...raOptions, ...changes });
    },
    steps,
    logged,
    pca,
    ma,
    ca: x509Root.certificatePem,
    send: (path, sending) =>
      send(`https://localhost:${ra.port}${path}`, x509Root.certificatePem, sending),
    async eventually(look) {
      const deadline = Date.now() + 10_000;
      while (Date.now() < deadline) {
        const found = await look();
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(
        `expected it within ten seconds; logged: ${JSON.stringify(logged.slice(-5))}`,
      );
    },
    async close() {
      await ra.close();
      await database.close();
      await pca.close();
      await ma.close();
      await rm(directory, { recursive: true });
    },
  };
}

function nameOf(authority: TestScms['pca']): string {
  return hostnameOf(authority.certificate) ?? '';
}
