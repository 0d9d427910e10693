import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import {
  linkageSeedAt,
  linkageValue,
  PrivateKey,
  preLinkageValue,
  systemRandom,
} from '@chrysalis/crypto';
import {
  Certificate,
  type Duration,
  endOfValidity,
  hashCertificate,
  issueExplicit,
} from '@chrysalis/ieee1609dot2';
import { type CrlTypeSpecific, changeFrom, constantSeries } from '@chrysalis/scms';
import { adopt, EndEntity, govern, type HeldFiles, loadEnrollment } from '../src/index.ts';
import { decodeRaFile, encodeRaFile } from '../src/ra-file.ts';
import { clockAtNow, device, enrolledProfile, SCMS } from './device.ts';
import { MemoryStorage } from './memory-storage.ts';
import { chainFile, crlFile, hashesOf, policyFile } from './mock-files.ts';
import { MockRa, type MockRaOptions, MockTransport } from './mock-ra.ts';
import { CURRENT_I, createMockScms, NOW } from './mock-scms.ts';

const { profile: PROFILE } = await enrolledProfile(new MemoryStorage());
const ENROLLMENT = await loadEnrollment(PROFILE, clockAtNow());
const hours = (value: number) => constantSeries<Duration>({ type: 'hours', value });
const LATER_DAYS = changeFrom(hours(168), NOW + 86_400, hours(24).initial);

/** Of the same ICA, and in no bundle. It ends long before all others. */
const SECOND_PCA = (() => {
  const { verifyKeyIndicator: _, ...content } = SCMS.pca.certificate.certificate.toBeSigned;
  const key = PrivateKey.generate(systemRandom);
  const validityPeriod = {
    start: content.validityPeriod.start,
    duration: { type: 'hours', value: 24 * 365 } as const,
  };
  const body = { ...content, id: { type: 'name', value: 'pca2.test' } as const, validityPeriod };
  const given = issueExplicit(body, key.publicPoint, SCMS.ica);
  return { certificate: hashCertificate(given), key, given };
})();
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

  it('trusts whom the chain file names, and the RA and the MA not as issuers', () => {
    const pca = SCMS.pca.certificate.id;
    const { trust } = take({}, { chains: chainFile(1, 1) }).governance;
    assert(trust.get(pca) !== undefined);
    assert.equal(trust.get(SCMS.ra.certificate.id), undefined);
    assert.equal(trust.get(SCMS.ma.certificate.id), undefined);
    assert.equal(trust.get(SCMS.eca.certificate.id), undefined);
  });

  it('goes on trusting whom a chain file leaves out: it is not signed', () => {
    const [bundled, later] = [SCMS.pca.certificate.id, SECOND_PCA.certificate.id];
    const with2 = take({}, { chains: chainFile(1, 1, { pca: SECOND_PCA.given }) }).governance;
    assert(with2.trust.get(bundled) && with2.trust.get(later));
    assert.equal(with2.files.chains?.former, undefined);

    const chains = chainFile(1, 2, { pca: SCMS.pca.given });
    const without = take(with2.files, { chains }).governance;
    const left = [encode(Certificate, SECOND_PCA.given)];
    assert.deepEqual(without.files.chains, { ...chains, former: left });
    assert(without.trust.get(later));
    // From disk, and beside a third file.
    const files = { chains: decodeRaFile('chains', encodeRaFile(without.files.chains!)) };
    assert.deepEqual(files, without.files);
    const third = take(files, { chains: chainFile(1, 3) }).governance;
    assert(third.trust.get(later));
    assert.deepEqual(third.files.chains?.former, left);
    // Once it is in again it has its place there, and once it is over it is gone.
    const back = take(files, { chains: chainFile(1, 4, { more: [SECOND_PCA.given] }) }).governance;
    assert.equal(back.files.chains?.former, undefined);
    const over = endOfValidity(SECOND_PCA.certificate.certificate.toBeSigned.validityPeriod);
    const after = adopt(files, { chains: chainFile(1, 3) }, ENROLLMENT, over, assert.fail);
    assert.equal(after.files.chains?.former, undefined);
    // What is kept is verified again each time: a stranger's is not trusted, whatever is on disk.
    const stranger = createMockScms().pca;
    const planted = { chains: { ...chains, former: [encode(Certificate, stranger.given)] } };
    const { trust } = govern(planted, ENROLLMENT, NOW, assert.fail);
    assert.equal(trust.get(stranger.certificate.id), undefined);
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
      [{ policy: policyFile(1, 2, { global: { iPeriod: hours(24) } }) }, /604800 s.*86400 s/],
      [{ policy: policyFile(1, 2, { global: { iPeriod: LATER_DAYS } }) }, /604800 s.*86400 s/],
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

  it('takes no older policy for a newer one, by the time that is signed', () => {
    const at = (made: number, g: number, l: number) =>
      policyFile(g, l, { activeTime: NOW - 900, generationTime: made });
    const held = { policy: at(NOW - 600, 2, 3) };
    assert.match(
      take(held, { policy: at(NOW - 601, 9, 9) }).refused.policy!,
      /expected a policy of 2026-11-17T09:49:58Z or later, saw one of 2026-11-17T09:49:57Z/,
    );
    // An RA that lost its database counts from anywhere.
    const anew = { policy: at(NOW - 599, 1, 1) };
    assert.deepEqual(take(held, anew).refused, {});
    assert.deepEqual(take(held, anew).governance.files, anew);
    // Also when the one that is held is not followed any more.
    const elsewhere = createMockScms();
    const foreign = { scms: elsewhere, activeTime: NOW - 600 };
    const unknown = { policy: policyFile(1, 1, foreign) };
    assert.match(take(unknown, { policy: at(NOW - 601, 1, 2) }).refused.policy!, /or later/);
    assert.deepEqual(take(unknown, { policy: at(NOW - 600, 1, 2) }).refused, {});
  });

  it('takes no policy of a time that is yet to come: it would keep out all until then', () => {
    const ahead = (sec: number) => ({ policy: policyFile(1, 1, { generationTime: NOW + sec }) });
    assert.deepEqual(take({}, ahead(3600)).refused, {});
    assert.match(take({}, ahead(3601)).refused.policy!, /made by now/);
  });

  it('takes any chain file that verifies but one before the GCCF that the policy names', () => {
    const named = (id: number) =>
      policyFile(2, 3, { global: { certChainFileId: constantSeries(id) } });
    const held = { policy: named(2), chains: chainFile(2, 0xffff) };
    // Whoever has the RA's X.509 key may have shown a file with the last version of all.
    for (const [g, l] of [
      [2, 1],
      [3, 1],
    ] as const) {
      const { governance, refused } = take(held, { chains: chainFile(g, l) });
      assert.deepEqual(refused, {});
      assert.deepEqual(governance.files.chains, chainFile(g, l));
    }
    const old = take(held, { chains: chainFile(1, 9) });
    assert.match(
      old.refused.chains!,
      /expected GCCF version 2 or later, as the policy says, saw 1/,
    );
    assert.deepEqual(old.governance.files, held);
    // The policy that comes with it counts too.
    const next = named(3);
    const both = take(held, { chains: chainFile(2, 1), policy: next });
    assert.match(
      both.refused.chains!,
      /expected GCCF version 3 or later, as the policy says, saw 2/,
    );
    assert.deepEqual(both.governance.files, { ...held, policy: next });
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

  it('renews an application certificate by the policy under which it was requested', async () => {
    const { profile, ra, eeOptions } = await device();
    const settings = { kind: 'rse' } as const;
    const ee = await EndEntity.open(profile, { ...eeOptions, settings });
    ra.files.chains = chainFile(1, 1);
    ra.files.policy = policyFile(1, 1, { global: { rseApplicationCertOverlap: hours(24) } });
    assert.equal((await ee.topUp()).due, NOW + 145 * 3_600);
    // The RA counts it by that policy still.
    ra.files.policy = policyFile(1, 2, { global: { rseApplicationCertOverlap: hours(2) } });
    assert.equal((await ee.topUp()).due, NOW + 145 * 3_600);
    // Also in a later life, and before the RA is asked.
    const reborn = await EndEntity.open(profile, { ...eeOptions, settings });
    assert.equal(await reborn.renewalTime(), NOW + 145 * 3_600);
  });

  it('opens the certificates of a PCA that came with a chain file', async () => {
    const { profile, eeOptions, clock } = await device();
    const ra = new MockRa({ ...SCMS, pca: SECOND_PCA }, clock, { periods: 1 });
    const ee = await EndEntity.open(profile, { ...eeOptions, transport: new MockTransport(ra) });
    const { supplies } = await ee.topUp();
    assert.equal(supplies[0]!.batches[0]!.failures.length, 3);
    ra.files.chains = chainFile(1, 1, { more: [SECOND_PCA.given] });
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
    const cases: [number, CrlTypeSpecific | 'own', string][] = [
      [4, 'own', 'the enrollment certificate'],
      [2, hashesOf(SCMS.ra.certificate), "the RA's certificate"],
      [2, hashesOf(SCMS.eca.certificate), 'an authority above the enrollment certificate'],
      [2, hashesOf(SCMS.ica.certificate), 'an authority above the enrollment certificate'],
    ];
    for (const [series, list, which] of cases) {
      const { ee, ra, profile, eeOptions, settings } = await watchful();
      const typeSpecific = list === 'own' ? hashesOf(ee.enrollment.certificate) : list;
      ra.files.crl = crlFile('composite_crl_1.oer', { series, typeSpecific });
      const message = new RegExp(`^${which}: [0-9A-F]{16} is on the CRL of series ${series} `, 'i');
      await assert.rejects(ee.topUp(), { code: 'revoked', message });
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
