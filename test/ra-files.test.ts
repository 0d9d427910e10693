/** The files that a device fetches at each contact: local policy (E8) and local certificate chains (E9). */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  chainPartsOf,
  createPolicyGenerator,
  createTestScms,
  hostnameOf,
  renewedAuthority,
} from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { asCertificate, time32FromUnix } from '@chrysalis/ieee1609dot2';
import {
  AuthorityUnavailableError,
  adoptLocalChainFile,
  changeFrom,
  composeGlobalPolicyFile,
  constantSeries,
  DEFAULT_GLOBAL_POLICY,
  IPeriodClock,
  openLocalPolicyFile,
  type PolicyGenerator,
  policyAt,
  RA_EE_ERRORS,
  timeOf,
} from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  trustOf,
} from './support/device.ts';
import type { Answer } from './support/https-client.ts';
import { type FixtureOptions, type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const CHAIN = '/download/local-certificate-chain';
const POLICY = '/download/policy/local';
const PROVISION = '/provision-pseudonym-certificate-batch';
/** Half days since 2004: 0x4151, at its very beginning. */
const NOW = time32FromUnix(Date.UTC(2026, 10, 21, 12));
const HOUR_SEC = 3600;

describe('a device without anything but TLS', () => {
  for (const [what, path, name] of [
    ['chain file', CHAIN, 'local_certificate_chains_01_4151.oer'],
    ['policy file', POLICY, 'local_policy_0001_4151.oer'],
  ] as const) {
    it(`gets the ${what}, then only what is new, and the rest of what broke off`, async (t) => {
      const fixture = await start(t);

      const whole = await fixture.send(path);
      expectFile(whole, name);

      for (const held of [`"${name}"`, name, `"other", "${name}"`, `W/"${name}"`, '*']) {
        const answer = await fixture.send(path, { headers: { 'If-None-Match': held } });
        assert.equal(answer.status, 304, held);
        assert.equal(answer.body.length, 0);
        assert.equal(answer.headers.etag, `"${name}"`);
        assert.equal(answer.headers['content-disposition'], undefined);
      }
      const older = { 'If-None-Match': `"${name.replace('4151.oer', '4150.oer')}"` };
      assert.deepEqual((await fixture.send(path, { headers: older })).body, whole.body);

      const first = await fixture.send(path, { headers: { Range: 'bytes=0-99' } });
      const resume = { Range: 'bytes=100-', 'If-Range': `"${name}"`, ...older };
      const rest = await fixture.send(path, { headers: resume });
      assert.deepEqual([first.status, rest.status], [206, 206]);
      assert.deepEqual(new Uint8Array([...first.body, ...rest.body]), whole.body);
      const changed = { Range: 'bytes=100-', 'If-Range': '"another version"' };
      assert.equal((await fixture.send(path, { headers: changed })).status, 200);
      const both = { Range: 'bytes=0-9', 'If-None-Match': name };
      assert.equal((await fixture.send(path, { headers: both })).status, 304);
    });
  }

  it('can verify every chain up to the root, and finds RA, MA, PCA and CRLG', async (t) => {
    const fixture = await start(t);
    const { scms } = fixture;
    const { body } = await fixture.send(CHAIN);
    const adopted = adoptLocalChainFile(body, [asCertificate(scms.root.certificate)]);
    assert.deepEqual(adopted.version, {
      gccfVersion: 1,
      lccfVersion: 0x4151,
      raHostname: 'localhost',
    });
    assert.deepEqual(adopted.ma.hash, scms.ma.certificate.hash);
    for (const name of ['ra', 'ica', 'pca', 'crlg'] as const) {
      assert(adopted.trust.get(scms[name].certificate.id), name);
    }
    assert.equal(new Set(adopted.certs.map(({ hash }) => hex(hash))).size, adopted.certs.length);
  });

  it('can verify the policy: the global part by the PG, the local part and the whole by the RA', async (t) => {
    const fixture = await start(t, { policy: { certificatesPerPeriod: 25 } });
    const { body } = await fixture.send(POLICY);
    // Its clock is behind the RA's by as much as the RA tolerates.
    const time = NOW - 5;
    const opened = openLocalPolicyFile(body, fixture.trust, { time, raHostname: 'localhost' });
    assert.deepEqual(opened.versions, { gpfVersion: 1, lpfVersion: 0x4151 });
    assert.deepEqual(opened.pg.hash, fixture.scms.pg.certificate.hash);
    const values = policyAt(opened.policy, time);
    assert.equal(values.certsPerIPeriod, 25);
    assert.equal(values.shuffleThreshold, 1000);
    assert.equal(values.globalCertChainFileId, 1);
    const hosts = [values.pcaHost, values.laOneHost, values.laTwoHost];
    assert.deepEqual(hosts, ['pca.scms.test', 'la1.scms.test', 'la2.scms.test']);
  });
});

describe('the chain file', () => {
  it('keeps its version over restarts, and gets the next when a certificate changes', async (t) => {
    const fixture = await start(t);
    const first = await fixture.send(CHAIN);
    await fixture.restart();
    assert.deepEqual((await fixture.send(CHAIN)).body, first.body);

    const other = createTestScms({ now: NOW, random: systemRandom, raHostname: 'localhost' });
    const chain = chainPartsOf(fixture.scms);
    const certs = [...chain.certs, asCertificate(other.root.certificate)];
    const foreign = pgOf(fixture, { chain: { ...chain, certs } });
    await fixture.restart(foreign);
    assert.deepEqual((await fixture.send(CHAIN)).body, first.body, 'a chain that ends elsewhere');

    const fewer = { ...chain, certs: chain.certs.slice(0, -1) };
    await fixture.restart(pgOf(fixture, { chain: fewer }));
    const second = await fixture.send(CHAIN, { headers: { 'If-None-Match': nameIn(first) } });
    expectFile(second, 'local_certificate_chains_01_4152.oer');

    await fixture.restart(pgOf(fixture, { chain: fewer, gpfVersion: 2, gccfVersion: 2 }));
    expectFile(await fixture.send(CHAIN), 'local_certificate_chains_02_4153.oer');
  });

  it('has the certificates of the RA and its PCA, though the PG knows of neither', async (t) => {
    const fixture = await start(t);
    const { scms } = fixture;
    const { maCertificate } = chainPartsOf(scms);
    const certs = [asCertificate(scms.crlg.certificate), asCertificate(scms.ica.certificate)];
    await fixture.restart(pgOf(fixture, { chain: { maCertificate, certs } }));
    const { body } = await fixture.send(CHAIN);
    const adopted = adoptLocalChainFile(body, [asCertificate(scms.root.certificate)]);
    const expected = (['crlg', 'ica', 'ra', 'pca'] as const).map((name) => scms[name].certificate);
    assert.deepEqual(adopted.certs.map(idOf), expected.map(idOf));
  });

  it('has a former certificate of the PCA until that is over, though the PG does not know of it', async (t) => {
    const fixture = await start(t);
    const { scms, trust, raOptions } = fixture;
    const before = (hours: number) => {
      const validityPeriod = {
        start: NOW - HOUR_SEC,
        duration: { type: 'hours', value: hours },
      } as const;
      const { certificate } = renewedAuthority(scms.pca, scms.ica, {
        validityPeriod,
        random: systemRandom,
      });
      return trust.add(asCertificate(certificate));
    };
    // The second has ended as it is looked at.
    const [former, over] = [before(2), before(1)];
    await fixture.restart({ pca: { ...raOptions.pca, former: [former, over] } });
    const pcas = async () => {
      const { body } = await fixture.send(CHAIN);
      const { certs } = adoptLocalChainFile(body, [asCertificate(scms.root.certificate)]);
      const name = hostnameOf(scms.pca.certificate);
      return certs.filter((certificate) => hostnameOf(certificate) === name).map(idOf);
    };
    assert.deepEqual(await pcas(), [idOf(scms.pca.certificate), idOf(former)]);
    fixture.clock.set(NOW + HOUR_SEC);
    await fixture.restart({ pca: { ...raOptions.pca, former: [former, over] } });
    assert.deepEqual(await pcas(), [idOf(scms.pca.certificate)]);
  });

  it('is refused with 5068 when there never was one, and is there once the PG is', async (t) => {
    let isDown = true;
    const fixture = await start(t, { wrapPg: (pg) => failingWhile(() => isDown, pg) });
    const missing = await fixture.send(CHAIN);
    assert.equal(missing.status, 500);
    assert.equal(missing.headers.connection, 'close');
    const { raNoPcaCertificateChainFileAvailable: code } = RA_EE_ERRORS;
    assert.equal(missing.headers['scms-poc-error'], String(code));
    const { raNoCertFileAvailable } = RA_EE_ERRORS;
    const noPolicy = await fixture.send(POLICY);
    assert.equal(noPolicy.headers['scms-poc-error'], String(raNoCertFileAvailable));

    isDown = false;
    fixture.clock.advance(60);
    await woken(fixture, CHAIN, (answer) => answer.status === 200);
    assert.equal((await fixture.send(POLICY)).status, 200);
  });
});

describe('a file of the PG that is not the right one', () => {
  it('is a chain file that the policy does not name', async (t) => {
    const fixture = await start(t);
    const [chain, policy] = [await fixture.send(CHAIN), await fixture.send(POLICY)];
    // Of another PG, or of this one before the policy that names it: the policy is signed, the chain file is not.
    const { pg: named } = pgOf(fixture, { gpfVersion: 2, gccfVersion: 2 });
    const { pg: unnamed } = pgOf(fixture, { gccfVersion: 3 });
    const port: PolicyGenerator = {
      ...named.port,
      globalCertificateChainFile: () => unnamed.port.globalCertificateChainFile(),
    };
    await fixture.restart({ pg: { ...named, port } });
    expectFile(await fixture.send(POLICY), 'local_policy_0002_4152.oer');
    assert.deepEqual((await fixture.send(CHAIN)).body, chain.body);
    const reason = 'expected GCCF version 2, which the policy in force names, saw 3';
    assert.equal(lastRefusal(fixture), reason);
    assert.notDeepEqual((await fixture.send(POLICY)).body, policy.body);

    await fixture.restart({ pg: named });
    expectFile(await fixture.send(CHAIN), 'local_certificate_chains_02_4152.oer');
  });

  it('is a chain file without a policy', async (t) => {
    const fixture = await start(t, {
      wrapPg: (pg) => ({ ...pg, globalPolicyFile: async () => new Uint8Array(9) }),
    });
    assert.equal((await fixture.send(CHAIN)).status, 500);
    assert.match(lastRefusal(fixture), /expected a policy in force before the chain file/);
  });

  it('is an older chain file, when the policy names none', async (t) => {
    const fixture = await start(t);
    const { certificate, signingKey: key } = fixture.scms.pg;
    const silent = (gpfVersion: number, gccfVersion: number) => {
      const { pg, policy } = pgOf(fixture, { gpfVersion, gccfVersion });
      const [generationTime, activeTime] = [NOW, NOW];
      const parts = { gpfVersion, policy: DEFAULT_GLOBAL_POLICY, generationTime, activeTime };
      const file = composeGlobalPolicyFile(parts, { certificate, key });
      return { pg: { ...pg, port: { ...pg.port, globalPolicyFile: async () => file } }, policy };
    };
    await fixture.restart(silent(2, 7));
    const seventh = await fixture.send(CHAIN);
    expectFile(seventh, 'local_certificate_chains_07_4152.oer');
    await fixture.restart(silent(3, 6));
    assert.deepEqual((await fixture.send(CHAIN)).body, seventh.body);
    assert.equal(lastRefusal(fixture), 'expected GCCF version 7 or later, saw 6');
  });

  it('is an older policy, also after a restart', async (t) => {
    const fixture = await start(t);
    const { pg: first } = pgOf(fixture, {}, { minCertsPerIPeriod: 20 });
    fixture.clock.advance(60);
    await fixture.restart(pgOf(fixture, { gpfVersion: 2 }, { minCertsPerIPeriod: 25 }));
    const second = await fixture.send(POLICY);
    expectFile(second, 'local_policy_0002_4152.oer');

    await fixture.restart({ pg: first });
    assert.deepEqual((await fixture.send(POLICY)).body, second.body);
    const made = 'of 2026-11-21T12:01:00Z or a later one, saw 1 of 2026-11-21T12:00:00Z';
    assert.equal(lastRefusal(fixture), `expected GPF version 2 ${made}`);

    // A PG that lost its count makes version 1 anew: its time is later.
    fixture.clock.advance(60);
    await fixture.restart(pgOf(fixture, {}, { minCertsPerIPeriod: 22 }));
    expectFile(await fixture.send(POLICY), 'local_policy_0001_4153.oer');
  });

  it('is a policy of a time that is yet to come', async (t) => {
    const fixture = await start(t);
    const first = await fixture.send(POLICY);
    const now = timeOf(fixture.clock);
    fixture.clock.set(now + 6);
    const { pg, policy } = pgOf(fixture, { gpfVersion: 2, activeTime: now });
    fixture.clock.set(now);
    await fixture.restart({ pg, policy });
    assert.deepEqual((await fixture.send(POLICY)).body, first.body);
    const made = 'a GPF made at most 5 s ahead of the clock, saw one made 6 s ahead';
    assert.equal(lastRefusal(fixture), `expected ${made}`);
  });

  it('is a policy with i-periods of another length, now or later', async (t) => {
    const fixture = await start(t);
    const first = await fixture.send(POLICY);
    const day = { type: 'hours', value: 24 } as const;
    for (const iPeriod of [
      constantSeries(day),
      changeFrom(DEFAULT_GLOBAL_POLICY.iPeriod, NOW + 86_400, day),
    ]) {
      const policy = { ...DEFAULT_GLOBAL_POLICY, iPeriod, minCertsPerIPeriod: constantSeries(30) };
      const { pg } = pgOf(fixture, { gpfVersion: 2, policy });
      const { shuffleInitial } = fixture.raOptions.policy;
      await fixture.restart({ pg, policy: { shuffleInitial } });
      assert.deepEqual((await fixture.send(POLICY)).body, first.body);
      const seen = 'expected iPeriod of 604800 s, by which i-values are counted, saw 86400 s';
      assert.equal(lastRefusal(fixture), seen);
      assert.equal(await certificatesOfNewDevice(fixture), 20);
    }
    // Neither does the RA itself start with another.
    const iPeriod = new IPeriodClock(undefined, 86_400);
    await assert.rejects(fixture.restart({ iPeriod }), /i-periods of 604800 s .*saw 86400 s/);
    await fixture.restart();
  });
});

describe('versions', () => {
  const POLICY_PREFIX = 'files/local-policy';

  it('keep up with the clock, so that a lost or an older count gives no name twice', async (t) => {
    const fixture = await start(t);
    expectFile(await fixture.send(POLICY), 'local_policy_0001_4151.oer');
    const { database, objects } = fixture.raOptions;
    const next = async (gpfVersion: number) => {
      await fixture.restart(pgOf(fixture, { gpfVersion }));
      return nameIn(await fixture.send(POLICY));
    };
    assert.equal(await next(2), 'local_policy_0002_4152.oer');

    // An old copy of the database, put back half a day later: the number of then, not the next one.
    const old = { name: 'lpf_version', value: 0x4151 };
    await database.query.updateTable('setting').set(old).where('name', '=', old.name).execute();
    for await (const key of objects.list(POLICY_PREFIX)) await objects.delete(key);
    fixture.clock.advance(2 * 43_200);
    assert.equal(await next(3), 'local_policy_0003_4153.oer');

    // The database lost, the files still there.
    await database.query.deleteFrom('setting').execute();
    assert.equal(await next(4), 'local_policy_0004_4154.oer');

    // Both lost, within half an hour.
    await database.query.deleteFrom('setting').execute();
    for await (const key of objects.list(POLICY_PREFIX)) await objects.delete(key);
    fixture.clock.advance(1800);
    assert.equal(await next(4), 'local_policy_0004_4155.oer');
    await database.query.deleteFrom('setting').execute();
    for await (const key of objects.list(POLICY_PREFIX)) await objects.delete(key);
    fixture.clock.advance(675);
    assert.equal(await next(4), 'local_policy_0004_4156.oer');
  });
});

describe('the policy file', () => {
  it('stays as it is while the PG is down, and follows it at the next retrieval', async (t) => {
    let isDown = false;
    const fixture = await start(t, { wrapPg: (pg) => failingWhile(() => isDown, pg) });
    const first = await fixture.send(POLICY);

    isDown = true;
    await fixture.restart();
    assert.deepEqual((await fixture.send(POLICY)).body, first.body);
    assert(fixture.logged.some(({ message }) => message === 'no new file from the PG'));

    isDown = false;
    const { pg, policy } = pgOf(fixture, { gpfVersion: 2 }, { minCertsPerIPeriod: 30 });
    await fixture.restart({ pg, policy });
    const second = await fixture.send(POLICY, { headers: { 'If-None-Match': nameIn(first) } });
    expectFile(second, 'local_policy_0002_4152.oer');
    assert.equal(policyIn(second, fixture).certsPerIPeriod, 30);
  });

  it('is made anew after the interval that it names, and not before', async (t) => {
    const fixture = await start(t);
    let port = fixture.raOptions.pg!.port;
    const changing: PolicyGenerator = {
      globalPolicyFile: () => port.globalPolicyFile(),
      globalCertificateChainFile: () => port.globalCertificateChainFile(),
      signPolicy: (request) => port.signPolicy(request),
    };
    await fixture.restart({ pg: { ...fixture.raOptions.pg!, port: changing } });
    port = pgOf(fixture, { gpfVersion: 0x1a }).pg.port;

    fixture.clock.advance(HOUR_SEC - 1);
    fixture.ra.wake();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expectFile(await fixture.send(POLICY), 'local_policy_0001_4151.oer');
    fixture.clock.advance(1);
    await woken(fixture, POLICY, (answer) => nameIn(answer) === 'local_policy_001A_4152.oer');
  });

  it('governs the RA where its operator says nothing', async (t) => {
    const fixture = await start(t, { policy: { weeksAhead: 1 } });
    const own = { shuffleInitial: 'immediate', weeksAhead: 1 } as const;
    const { pg } = pgOf(fixture, {}, { minCertsPerIPeriod: 23 });
    await fixture.restart({ pg, policy: own });
    const published = await fixture.send(POLICY);
    assert.equal(policyIn(published, fixture).certsPerIPeriod, 23);
    assert.equal(await certificatesOfNewDevice(fixture), 23);

    // With the PG away, the policy of the last run.
    const port = failingWhile(() => true, pg.port);
    await fixture.restart({ pg: { ...pg, port }, policy: own });
    assert.equal(await certificatesOfNewDevice(fixture), 23);
  });

  it('is not replaced by one of a stranger, nor by one that the RA itself undercuts', async (t) => {
    const fixture = await start(t);
    const first = await fixture.send(POLICY);
    const stranger = createTestScms({ now: NOW, random: systemRandom, raHostname: 'localhost' });
    await fixture.restart(pgOf(fixture, { pg: stranger.pg, gpfVersion: 2 }));
    assert.deepEqual((await fixture.send(POLICY)).body, first.body);
    const { pg } = pgOf(fixture, { gpfVersion: 2 }, { minCertsPerIPeriod: 21 });
    await fixture.restart({ pg });
    assert.deepEqual((await fixture.send(POLICY)).body, first.body);
    const { err } = fixture.logged.findLast(({ level }) => level === 'error')?.fields ?? {};
    assert.match(String(err), /expected certsPerIPeriod of 21 or more, saw 20/);
  });

  it('is made anew by an RA that has another certificate', async (t) => {
    const fixture = await start(t);
    const { scms, raOptions } = fixture;
    const renewed = createTestScms({ now: NOW, random: systemRandom, raHostname: 'localhost' });
    // Another PKI altogether: nothing of the old file can be verified any more.
    const trust = trustOf(renewed);
    const { pg } = pgOf({ ...fixture, scms: renewed, trust } as RaFixture, {});
    const identity = {
      ...raOptions.identity,
      certificate: renewed.ra.certificate,
      signer: renewed.ra.signingKey,
    };
    const pca = { ...raOptions.pca, certificate: trust.get(renewed.pca.certificate.id)! };
    await fixture.restart({ trust, identity, pg, pca });
    const answer = await fixture.send(POLICY);
    expectFile(answer, 'local_policy_0001_4152.oer');
    assert.throws(() => openLocalPolicyFile(answer.body, trustOf(scms), { time: NOW }));
    openLocalPolicyFile(answer.body, trust, { time: NOW });
    expectFile(await fixture.send(CHAIN), 'local_certificate_chains_01_4152.oer');
  });
});

async function start(t: TestContext, options: FixtureOptions = {}): Promise<RaFixture> {
  const fixture = await startRaFixture({ now: NOW, ...options });
  t.after(() => fixture.close());
  return fixture;
}

/** Another PG of the same SCMS, and an RA that gives as many certificates as it demands. */
function pgOf(
  { scms, trust, clock, raOptions }: RaFixture,
  changes: Partial<Parameters<typeof createPolicyGenerator>[0]>,
  { minCertsPerIPeriod = 20 } = {},
) {
  const port = createPolicyGenerator({
    pg: scms.pg,
    trust,
    clock,
    gpfVersion: 1,
    gccfVersion: 1,
    policy: {
      ...DEFAULT_GLOBAL_POLICY,
      minCertsPerIPeriod: constantSeries(minCertsPerIPeriod),
    },
    chain: chainPartsOf(scms),
    ...changes,
  });
  return {
    pg: { port, roots: [asCertificate(scms.root.certificate)] },
    policy: { ...raOptions.policy, certificatesPerPeriod: minCertsPerIPeriod },
  };
}

function failingWhile(isDown: () => boolean, pg: PolicyGenerator): PolicyGenerator {
  const orFail = <T>(answer: () => Promise<T>): Promise<T> =>
    isDown() ? Promise.reject(new AuthorityUnavailableError('expected the PG')) : answer();
  return {
    globalPolicyFile: () => orFail(() => pg.globalPolicyFile()),
    globalCertificateChainFile: () => orFail(() => pg.globalCertificateChainFile()),
    signPolicy: (request) => orFail(() => pg.signPolicy(request)),
  };
}

function expectFile(answer: Answer, name: string): void {
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-disposition'], `attachment; filename="${name}"`);
  assert.equal(answer.headers['content-type'], 'application/octet-stream');
  assert.equal(answer.headers['content-length'], String(answer.body.length));
  assert.equal(answer.headers.etag, `"${name}"`);
  assert.equal(answer.headers['accept-ranges'], 'bytes');
}

/** Why the RA took the last file not. */
function lastRefusal({ logged }: RaFixture): string {
  const line = logged.findLast(({ message }) => message === 'a file of the PG is refused');
  return (line?.fields.err as Error | undefined)?.message ?? '';
}

/** How many a device finds in its first batch. */
async function certificatesOfNewDevice(fixture: RaFixture): Promise<number> {
  const { scms, clock } = fixture;
  const now = timeOf(clock);
  const device = createDevice(scms, systemRandom, now);
  const ra = scms.ra.certificate;
  const body = securedBy(device, pseudonymRequest(device, now), ra, systemRandom);
  const ack = await fixture.send(PROVISION, { method: 'POST', body });
  assert.equal(ack.status, 200);
  const i = new IPeriodClock().at(now).toString(16).toUpperCase();
  const name = `${Buffer.from(ack.body.subarray(12, 20)).toString('hex')}_${i}.zip`;
  const batch = await fixture.eventually(async () => {
    const headers = downloadReq(device, name, now, ra, systemRandom);
    const answer = await fixture.send('/download/batch', { headers });
    return answer.status === 200 ? answer.body : undefined;
  });
  return Object.keys(unzipSync(batch)).length;
}

/** The RA looks in the background what is due. */
function woken(fixture: RaFixture, path: string, isThere: (answer: Answer) => boolean) {
  return fixture.eventually(async () => {
    fixture.ra.wake();
    const answer = await fixture.send(path);
    return isThere(answer) || undefined;
  });
}

function policyIn({ body }: Answer, { trust, clock }: RaFixture) {
  const time = timeOf(clock);
  return policyAt(openLocalPolicyFile(body, trust, { time }).policy, time);
}

function nameIn({ headers }: Answer): string {
  return /filename="(.*)"$/.exec(String(headers['content-disposition']))?.[1] ?? '';
}

function idOf({ id }: { readonly id: Uint8Array }): string {
  return hex(id);
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
