/** Starts an RA on the database of the growth benchmark, in a process of its own, and tells how long that took. */
import { join } from 'node:path';
import {
  createLinkageAuthority,
  createTestScms,
  hostnameOf,
  openPseudonymAuthority,
  type TestScms,
} from '@chrysalis/authorities';
import { createX509Root, issueX509ServerCertificate } from '@chrysalis/authorities/x509';
import { systemRandom } from '@chrysalis/crypto';
import { decrypterOf } from '@chrysalis/ieee1609dot2';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { startRegistrationAuthority } from '@chrysalis/ra/server';
import { IPeriodClock, systemClock, timeOf } from '@chrysalis/scms';
import { openDatabase, openDirectoryObjectStore } from '@chrysalis/store';
import { trustOf } from '../test/support/device.ts';

/** What the child tells. */
export interface StartedRa {
  readonly startMs: number;
  readonly rssOctets: number;
}

/** After the start, so that what it left behind for the collector does not count. */
const SETTLE_MS = 2000;

const directory = process.argv[2] as string;
const clock = systemClock;
const random = systemRandom;
const scms = createTestScms({ now: timeOf(clock), random, raHostname: 'localhost' });
const trust = trustOf(scms);
const validity = {
  notBefore: new Date(Date.now() - 86_400_000),
  notAfter: new Date(Date.now() + 86_400_000),
};
const root = await createX509Root({ commonName: 'test root', ...validity });
const tls = await issueX509ServerCertificate(root, {
  commonName: 'localhost',
  dnsNames: ['localhost'],
  ipAddresses: ['127.0.0.1'],
  ...validity,
});
const nameOf = (authority: TestScms['pca']) => hostnameOf(authority.certificate) ?? '';
const peer = <Port>(authority: TestScms['pca'], port: Port) => ({
  port,
  hostname: nameOf(authority),
  certificate: trust.get(authority.certificate.id)!,
});
const la = (n: 1 | 2) =>
  createLinkageAuthority({
    la: scms[`la${n}`],
    laId: scms[`la${n}Id`],
    sharedKey: scms[`pcaLa${n}Key`],
    chainKey: scms[`la${n}ChainKey`],
    ...{ trust, clock, random },
  });
const pca = await openPseudonymAuthority({
  pca: scms.pca,
  laKeys: new Map(
    ([1, 2] as const).map((n) => [
      nameOf(scms[`la${n}`]),
      { key: scms[`pcaLa${n}Key`], laId: scms[`la${n}Id`] },
    ]),
  ),
  ...{ trust, clock, random },
  databaseUrl: 'sqlite::memory:',
});

const started = performance.now();
const database = await openDatabase<RaSchema>(`sqlite:${join(directory, 'ra.db')}`, RA_MIGRATIONS);
const ra = await startRegistrationAuthority({
  identity: {
    certificate: scms.ra.certificate,
    hostname: 'localhost',
    signer: scms.ra.signingKey,
    decrypter: decrypterOf(scms.ra.encryptionKey!),
  },
  listen: { address: '127.0.0.1', port: 0 },
  tls,
  trust,
  ecas: [trust.get(scms.eca.certificate.id)!],
  pca: peer(scms.pca, pca),
  la1: peer(scms.la1, la(1)),
  la2: peer(scms.la2, la(2)),
  database,
  objects: await openDirectoryObjectStore(join(directory, 'objects')),
  linkageCache: 10,
  policy: { weeksAhead: 156, shuffleInitial: 'pooled' },
  iPeriod: new IPeriodClock(),
  toleranceSec: 5,
  errorDetail: 'production',
  dialects: ['1.2.2'],
  ...{ clock, random },
  log: { debug() {}, info() {}, warn() {}, error: console.error },
});
const startMs = performance.now() - started;
await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
const result: StartedRa = { startMs, rssOctets: process.memoryUsage().rss };
process.send?.(result);
await ra.close();
await database.close();
await pca.close();
process.disconnect?.();
