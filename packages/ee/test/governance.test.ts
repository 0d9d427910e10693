import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode } from '@chrysalis/coer';
import { linkageSeedAt, linkageValue, preLinkageValue } from '@chrysalis/crypto';
import { Certificate, hashCertificate } from '@chrysalis/ieee1609dot2';
import { type CrlTypeSpecific, constantSeries } from '@chrysalis/scms';
import { adopt, EndEntity, govern, type HeldFiles, loadEnrollment } from '../src/index.ts';
import { clockAtNow, device, enrolledProfile, SCMS } from './device.ts';
import { MemoryStorage } from './memory-storage.ts';
import { chainFile, crlFile, hashesOf, policyFile } from './mock-files.ts';
import type { MockRaOptions } from './mock-ra.ts';
import { CURRENT_I, createMockScms, NOW } from './mock-scms.ts';

const { profile: PROFILE } = await enrolledProfile(new MemoryStorage());
const ENROLLMENT = await loadEnrollment(PROFILE, clockAtNow());
const CRL_URL = new URL('https://crl.test:8894/download-crl/');

/** What is held after new files came, and why some of them are not. */
function take(held: HeldFiles, fresh: HeldFiles) {
  const refused: Record<string, string> = {};
  const governance = adopt(held, fresh, ENROLLMENT, NOW, (which, { code, message }) => {
    assert.equal(code, 'refused-file');
    refused[which] = message;
  });
  return { governance, refused };
}

describe('adopt', () => {
  it('takes in a policy and a chain file, whichever comes first', () => {
    const policy = policyFile(1, 1, { local: { certsPerIPeriod: constantSeries(30) } });
    const alone = take({}, { policy });
    // The PG's certificate is in it, and of the bundle's root.
    assert.equal(alone.governance.policyAt(NOW).certsPerIPeriod, 30);
    assert.equal(take({}, {}).governance.policyAt(NOW).certsPerIPeriod, 20);
    const chains = chainFile(1, 1);
    const { governance, refused } = take({}, { policy, chains });
    assert.deepEqual(refused, {});
    assert.deepEqual(governance.files, { policy, chains });
    assert.equal(governance.policyAt(NOW).certsPerIPeriod, 30);
    // The same from disk.
    const again = govern({ policy, chains }, ENROLLMENT, NOW, () => assert.fail());
    assert.equal(again.policyAt(NOW).certsPerIPeriod, 30);
  });

  it('trusts whom the chain file names and nobody else, and the RA and the MA not as issuers', () => {
    const pca = SCMS.pca.certificate.id;
    const { trust } = take({}, { chains: chainFile(1, 1) }).governance;
    assert(trust.get(pca) !== undefined);
    assert.equal(trust.get(SCMS.ra.certificate.id), undefined);
    assert.equal(trust.get(SCMS.ma.certificate.id), undefined);
    assert.equal(trust.get(SCMS.eca.certificate.id), undefined);
    const other = take({}, { chains: chainFile(1, 1, { pca: SCMS.eca.given }) }).governance;
    assert.equal(other.trust.get(pca), undefined);
  });

  it('keeps what is held when a chain does not verify, or is for another RA', () => {
    const held = { chains: chainFile(1, 1), policy: policyFile(1, 1) };
    const stranger = createMockScms();
    const cases: [HeldFiles, RegExp][] = [
      [{ chains: chainFile(1, 2, { more: [stranger.pca.given] }) }, /trusted issuer/],
      [{ chains: chainFile(1, 2, { more: [stranger.root.given] }) }, /issuer/],
      [{ chains: chainFile(1, 2, { raHostname: 'other.test' }) }, /ra.test, saw .*other.test/],
      [{ chains: { name: 'x', octets: new Uint8Array(9) } }, /ScmsFile|expected/],
      [{ chains: { ...chainFile(1, 2), octets: held.policy.octets } }, /expected/],
      [{ policy: policyFile(1, 2, { scms: stranger }) }, /trusted/],
      [{ policy: policyFile(1, 2, { pg: SCMS.pca }) }, /pg/],
      [{ policy: policyFile(1, 2, { activeTime: NOW + 60 }) }, /expected/],
      [{ crl: crlFile('a', { series: 4, typeSpecific: hashesOf(), signer: SCMS.ra }) }, /series 4/],
      [{ crl: { name: 'a', octets: new Uint8Array(3) } }, /CompositeCrl/],
    ];
    for (const [fresh, message] of cases) {
      const { governance, refused } = take(held, fresh);
      const [which] = Object.keys(fresh);
      assert.match(refused[which!]!, message);
      assert.deepEqual(governance.files, held);
      assert(governance.trust.get(SCMS.pca.certificate.id) !== undefined);
      assert.equal(governance.hasPolicy, true);
    }
  });

  it('takes no older file for a newer one: chain files are not signed', () => {
    const held = { chains: chainFile(2, 3), policy: policyFile(2, 3) };
    for (const [g, l] of [
      [2, 2],
      [1, 9],
    ] as const) {
      const { refused } = take(held, { chains: chainFile(g, l), policy: policyFile(g, l) });
      assert.match(refused.chains!, new RegExp(`expected version 2.3 or later, saw ${g}.${l}`));
      assert.match(refused.policy!, /expected version 2.3 or later/);
    }
    const newer = { chains: chainFile(3, 1), policy: policyFile(2, 4) };
    assert.deepEqual(take(held, newer).refused, {});
  });
});

describe('a device under a policy', () => {
  it('is told when a batch is smaller than was promised, and asks for no more than the supply', async () => {
    const { ee, ra, progress } = await device({ periods: 20 });
    const weeks = (value: number) => constantSeries({ type: 'hours', value: value * 168 } as const);
    ra.files.chains = chainFile(1, 1);
    ra.files.policy = policyFile(1, 1, { global: { maxAvailableCertSupply: weeks(3) } });
    const { supplies } = await ee.topUp();
    assert.equal(supplies[0]!.batches.length, 5);
    const opened = progress.filter(({ type }) => type === 'opened');
    assert.deepEqual(opened[0], {
      type: 'opened',
      kind: 'pseudonym',
      i: CURRENT_I,
      certificates: 3,
      failures: 0,
      expected: 20,
    });
  });

  it('renews application certificates by the overlap of the policy, from the moment it has it', async () => {
    const { profile, ra, eeOptions, clock } = await device();
    const settings = { kind: 'rse' } as const;
    const ee = await EndEntity.open(profile, { ...eeOptions, settings });
    assert.equal((await ee.topUp()).due, NOW + 168 * 3_600);
    ra.files.chains = chainFile(1, 1);
    ra.files.policy = policyFile(1, 1, {
      global: { rseApplicationCertOverlap: constantSeries({ type: 'hours', value: 24 }) },
    });
    assert.equal((await ee.topUp()).due, NOW + 145 * 3_600);
    // Also in a later life, and before the RA is asked.
    const reborn = await EndEntity.open(profile, { ...eeOptions, settings });
    assert.equal(await reborn.renewalTime(), NOW + 145 * 3_600);
    clock.unixMs += 1;
  });

  it('opens the certificates of a PCA that came with a chain file', async () => {
    const { ee, ra } = await device({ periods: 1 });
    ra.files.chains = chainFile(1, 1, { pca: SCMS.eca.given });
    const { supplies } = await ee.topUp();
    assert.equal(supplies[0]!.batches[0]!.failures.length, 3);
    ra.files.chains = chainFile(1, 2);
    const again = await ee.topUp();
    assert.deepEqual(again.supplies[0]!.batches[0]!.failures, []);
  });
});

describe('a device that looks at CRLs', () => {
  async function watchful(options: MockRaOptions = {}) {
    const made = await device({ periods: 1, ...options });
    const settings = { identification: true, crlUrl: new URL('/', CRL_URL) };
    const ee = await EndEntity.open(made.profile, { ...made.eeOptions, settings });
    return { ...made, ee, settings };
  }

  it('goes on when it is on none, and asks for the list again by its name', async () => {
    const { ee, ra } = await watchful();
    const others = hashesOf(SCMS.pg.certificate);
    ra.files.crl = crlFile('composite_crl_1.oer', { series: 4, typeSpecific: others });
    assert.equal((await ee.topUp()).files.crl, 'new');
    const asked = ra.requests.filter(({ url }) => url.href === CRL_URL.href);
    assert.equal(asked.length, 1);
    assert.equal((await ee.topUp()).files.crl, 'unchanged');
  });

  it('stops when its enrollment, its RA, or an authority above it is revoked', async () => {
    const cases: [number, CrlTypeSpecific | 'own'][] = [
      [4, 'own'],
      [2, hashesOf(SCMS.ra.certificate)],
      [2, hashesOf(SCMS.eca.certificate)],
      [2, hashesOf(SCMS.ica.certificate)],
    ];
    for (const [series, list] of cases) {
      const { ee, ra, profile, eeOptions, settings } = await watchful();
      const typeSpecific = list === 'own' ? hashesOf(ee.enrollment.certificate) : list;
      ra.files.crl = crlFile('composite_crl_1.oer', { series, typeSpecific });
      await assert.rejects(ee.topUp(), { code: 'revoked', message: /on the CRL of series/ });
      assert.equal(ra.asked.length, 0);
      // Also in a later life that has not asked for a list.
      const reborn = await EndEntity.open(profile, { ...eeOptions, settings });
      await assert.rejects(reborn.request('pseudonym'), { code: 'revoked' });
      await assert.rejects(reborn.download('pseudonym'), { code: 'revoked' });
      assert.equal(ra.asked.length, 0);
    }
  });

  it('finds its pseudonym certificates by their seeds, and others by their hash', async () => {
    const [la1Id, la2Id] = [Uint8Array.of(0, 1), Uint8Array.of(0, 2)];
    const [seed1, seed2] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
    const plv = (id: Uint8Array, seed: Uint8Array, i: number, j: number) =>
      preLinkageValue(id, linkageSeedAt(id, seed, i - CURRENT_I + 5), j);
    const { ee, ra } = await watchful({
      linkage: (i, j) => linkageValue(plv(la1Id, seed1, i, j), plv(la2Id, seed2, i, j)),
    });
    await ee.topUp();
    const contents = [{ linkageSeed1: seed1, linkageSeed2: seed2 }];
    const listed = (iMax: number): CrlTypeSpecific => ({
      type: 'fullLinkedCrl',
      value: {
        iRev: CURRENT_I - 5,
        indexWithinI: 0,
        individual: [{ jmax: 20, contents: [{ la1Id, la2Id, contents: [{ iMax, contents }] }] }],
      },
    });
    ra.files.crl = crlFile('1', { series: 1, typeSpecific: listed(CURRENT_I - 1) });
    assert.equal((await ee.topUp()).files.crl, 'new');
    ra.files.crl = crlFile('2', { series: 1, typeSpecific: listed(CURRENT_I + 9) });
    await assert.rejects(ee.topUp(), { code: 'revoked', message: /pseudonym.*series 1/ });
    const other = await watchful();
    await other.ee.topUp();
    const held = await other.profile.certificates('identification').opened(0);
    const own = hashCertificate(decode(Certificate, held!.certificates[0]!.certificate));
    other.ra.files.crl = crlFile('1', { series: 3, typeSpecific: hashesOf(own) });
    await assert.rejects(other.ee.topUp(), { code: 'revoked', message: /identification/ });
  });

  it('is not stopped by a CRL store that is away or sends nonsense', async () => {
    const { ee, ra, transport } = await watchful();
    const exchange = transport.exchange.bind(transport);
    transport.exchange = (request) => {
      if (request.url.href === CRL_URL.href) transport.faults.push('unreachable');
      return exchange(request);
    };
    assert.equal((await ee.topUp()).files.crl, 'not-offered');
    transport.exchange = exchange;
    ra.files.crl = { name: '1', octets: new Uint8Array(5) };
    assert.equal((await ee.topUp()).files.crl, 'refused');
  });
});
