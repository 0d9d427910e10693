import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { type Certificate, encryptionPointOf, hashCertificate } from '@chrysalis/ieee1609dot2';
import {
  EndEntity,
  generateCaterpillarKeys,
  generatePlainKeys,
  loadEnrollment,
  makeProvisioningBody,
  openApplication,
  openIdentification,
  Profile,
} from '../src/index.ts';
import { clockAtNow, device, enrolledProfile, SCMS } from './device.ts';
import { MemoryStorage } from './memory-storage.ts';
import { chainFile, policyFile } from './mock-files.ts';
import type { Fault } from './mock-ra.ts';
import {
  applicationResponse,
  createMockScms,
  identificationResponse,
  NOW,
  openAsRa,
  type SealOverrides,
  zipOf,
} from './mock-scms.ts';

const HOUR_MS = 3_600_000;
const { profile: PROFILE } = await enrolledProfile(new MemoryStorage());
const ENROLLMENT = await loadEnrollment(PROFILE, clockAtNow());

describe('makeProvisioningBody', () => {
  it('asks for identification and application certificates, with or without encryption keys', () => {
    for (const certEncryption of [false, true]) {
      const keys = generateCaterpillarKeys(systemRandom, { certEncryption });
      const id = openAsRa(
        SCMS,
        makeProvisioningBody({ type: 'identification', keys }, ENROLLMENT, NOW, systemRandom),
      );
      assert(id.type === 'identification');
      assert.equal(id.certEncKeyInfo !== undefined, certEncryption);
      const plain = generatePlainKeys(systemRandom, { certEncryption });
      const app = openAsRa(
        SCMS,
        makeProvisioningBody({ type: 'application', keys: plain }, ENROLLMENT, NOW, systemRandom),
      );
      assert(app.type === 'application');
      assert.equal(app.certEncryptionKey !== undefined, certEncryption);
    }
  });

  it('names in 1.2.4 the region of the enrollment certificate, and in 1.2.2 none', () => {
    const { region } = ENROLLMENT.certificate.certificate.toBeSigned;
    const wishes = [
      { type: 'identification', keys: generateCaterpillarKeys(systemRandom) },
      { type: 'application', keys: generatePlainKeys(systemRandom) },
    ] as const;
    for (const wish of wishes) {
      for (const dialect of ['1.2.2', '1.2.4'] as const) {
        const body = makeProvisioningBody(wish, ENROLLMENT, NOW, systemRandom, dialect);
        const request = openAsRa(SCMS, body);
        assert(request.type === wish.type);
        assert.deepEqual(request.region, dialect === '1.2.4' ? region : undefined);
      }
    }
  });

  it('asks for an application certificate from a time on, but not for the past', () => {
    const keys = generatePlainKeys(systemRandom);
    for (const [start, expected] of [
      [NOW + 60, NOW + 60],
      [NOW - 60, NOW],
    ]) {
      const body = makeProvisioningBody(
        { type: 'application', keys, start: start! },
        ENROLLMENT,
        NOW,
        systemRandom,
      );
      const request = openAsRa(SCMS, body);
      assert.equal(request.type === 'application' && request.requestedStartTime, expected);
    }
  });
});

describe('openIdentification and openApplication', () => {
  const keys = generateCaterpillarKeys(systemRandom, { certEncryption: true });
  const plain = generatePlainKeys(systemRandom, { certEncryption: true });
  const ask = (wish: Parameters<typeof makeProvisioningBody>[0]) =>
    openAsRa(SCMS, makeProvisioningBody(wish, ENROLLMENT, NOW, systemRandom));
  const { trust } = ENROLLMENT;

  function openBoth(options: SealOverrides = {}, name = 'whatever') {
    const id = ask({ type: 'identification', keys });
    const app = ask({ type: 'application', keys: plain });
    assert(id.type === 'identification' && app.type === 'application');
    const zips = [
      identificationResponse(SCMS, id, 3, NOW, options),
      applicationResponse(SCMS, app, options),
    ].map((response) => zipOf({ [name]: response }));
    return [
      openIdentification(zips[0]!, { i: 3, keys, trust, time: NOW }),
      openApplication(zips[1]!, { i: 0, keys: plain, trust, time: NOW }),
    ];
  }

  it('open the only entry whatever its name, with both keys of the certificate', () => {
    for (const name of ['53F02AD6F5AA0769_0', '0', 'c78fbbdc618798a5.oer']) {
      for (const { certificates, failures } of openBoth({}, name)) {
        assert.deepEqual(failures, []);
        const { certificate, encryptionKey } = certificates[0]!;
        assert.deepEqual(encryptionKey!.publicPoint, encryptionPoint(certificate));
      }
    }
  });

  it('say why one did not open', () => {
    const stranger = createMockScms();
    const content = {
      id: { type: 'linkageData', value: { iCert: 3, linkageValue: new Uint8Array(9) } },
      cracaId: new Uint8Array(3),
      crlSeries: 3,
      validityPeriod: { start: NOW, duration: { type: 'hours', value: 1 } },
      appPermissions: [{ psid: 0x20 }],
    } as const;
    const cases: [SealOverrides, RegExp][] = [
      [{ signer: stranger.pca }, /signer that is known and trusted/],
      [{ signer: SCMS.ra }, /signer that is known and trusted/],
      [{ issuer: SCMS.eca }, /certIssuePermissions/],
      [{ content }, /encryption key|binaryId/],
      [{ content: { ...content, id: { type: 'none', value: null } } }, /encryption key/],
    ];
    for (const [options, message] of cases) {
      for (const { certificates, failures } of openBoth(options)) {
        assert.equal(certificates.length, 0);
        assert.match(failures[0]!.error.message, message);
      }
    }
    const [id] = openBoth({ form: 'implicit' });
    assert.match(id!.failures[0]!.error.message, /expected implicitButterfly, saw implicit/);
    const [, app] = openBoth({ form: 'implicitButterfly' });
    assert.match(app!.failures[0]!.error.message, /expected implicit, saw implicitButterfly/);
  });

  it('refuse a zip of none, of two, and what is none', () => {
    const two = zipOf({ a: new Uint8Array(1), b: new Uint8Array(1) });
    const large = zipOf({ a: new Uint8Array(9_000) });
    for (const zip of [zipOf({}), two, large, new Uint8Array(50)]) {
      assert.throws(() => openApplication(zip, { i: 0, keys: plain, trust, time: NOW }), {
        code: 'invalid-batch',
      });
    }
  });
});

describe('identification certificates', () => {
  it('are asked for once and fetched file after file, from 0 on', async () => {
    const { ee, ra, profile } = await device({ identificationFiles: 3 });
    const { requestHash } = await ee.request('identification', { certEncryption: true });
    assert.deepEqual(
      await ee.request('identification'),
      await ee.acknowledgement('identification'),
    );
    const { batches } = await ee.download('identification');
    const hash = Buffer.from(requestHash).toString('hex').toUpperCase();
    assert.deepEqual(
      ra.filesAsked,
      [0, 1, 2, 3].map((i) => `${hash}_${i}.zip`),
    );
    assert.deepEqual(
      batches.map(({ i, certificates }) => [i, certificates.length]),
      [0, 1, 2].map((i) => [i, 1]),
    );
    const stored = await profile.certificates('identification').opened(1);
    assert.deepEqual(
      stored!.certificates[0]!.encryptionKey!.publicPoint,
      batches[1]!.certificates[0]!.encryptionKey!.publicPoint,
    );
    assert.deepEqual(await ee.info('identification'), { type: 'next', time: 0x2b17dfae });
    assert.equal(await profile.info('pseudonym'), undefined);
    ra.identificationFiles = 4;
    ra.requests.length = 0;
    assert.equal((await ee.download('identification')).batches[0]!.i, 3);
    assert.deepEqual(ra.filesAsked, [`${hash}_3.zip`, `${hash}_4.zip`]);
    assert.equal(ra.keySets, 0);
  });

  it('go on with the present one after months away, though those between are gone', async () => {
    const { ee, ra, clock } = await device({ identificationFiles: 2 });
    await ee.request('identification');
    await ee.download('identification');
    clock.unixMs += 6 * 720 * HOUR_MS + HOUR_MS;
    Object.assign(ra, { purgedBelow: 6, identificationFiles: 8 });
    const { batches } = await ee.download('identification');
    assert.deepEqual(
      batches.map(({ i }) => i),
      [6, 7],
    );
  });

  it('wait for the first file, and not for later ones', async () => {
    const { ee, ra, clock } = await device({ identificationFiles: 0 });
    await ee.request('identification');
    await assert.rejects(ee.download('identification'), { code: 'refused' });
    assert.equal(clock.slept.length, 4);
    ra.identificationFiles = 1;
    assert.equal((await ee.download('identification')).batches.length, 1);
    assert.equal(clock.slept.length, 4);
  });
});

describe('application certificates', () => {
  it('are one for a request, and a request with new keys comes in the last hour', async () => {
    const { ee, ra, clock, profile } = await device();
    const first = await ee.request('application');
    assert.deepEqual((await ee.request('application')).requestHash, first.requestHash);
    assert.equal((await ee.download('application')).batches[0]!.certificates.length, 1);
    assert.equal((await ee.download('application')).batches.length, 0);
    const hash = Buffer.from(first.requestHash).toString('hex').toUpperCase();
    assert.deepEqual(ra.filesAsked, [`${hash}.zip`]);
    clock.unixMs += 168 * HOUR_MS - 1_000;
    assert.deepEqual((await ee.request('application')).requestHash, first.requestHash);
    clock.unixMs += 1_000;
    const second = await ee.request('application');
    assert.notDeepEqual(second.requestHash, first.requestHash);
    assert.equal((await ee.download('application')).batches[0]!.i, 1);
    assert.equal(ra.keySets, 2);
    // The one that is still valid stays.
    assert.deepEqual(await profile.certificates('application').openedNumbers(), [0, 1]);
  });

  it('are given up when they have not come by the time when they would be over', async () => {
    const { ee, ra, clock } = await device();
    const first = await ee.request('application');
    const lost = ra.handle.bind(ra);
    ra.handle = (request) => (request.method === 'GET' ? { status: 500 } : lost(request));
    await assert.rejects(ee.download('application'), { code: 'refused' });
    clock.unixMs += 100 * HOUR_MS;
    assert.deepEqual((await ee.request('application')).requestHash, first.requestHash);
    clock.unixMs += 69 * HOUR_MS;
    assert.notDeepEqual((await ee.request('application')).requestHash, first.requestHash);
  });

  it('take up a contact that broke off with the same keys', async () => {
    for (const fault of ['lost-answer', 'cut-body', 'lost-request'] as Fault[]) {
      const { ee, ra, transport } = await device();
      transport.faults.push(...Array<Fault>(5).fill(fault));
      await assert.rejects(ee.request('application'), { code: 'interrupted' });
      await ee.request('application');
      assert.equal(ra.keySets, 1);
      assert.equal(ra.accepted.size, 1);
    }
  });
});

describe('a top-up', () => {
  it('asks in the documented order, and the next time only for what is new', async () => {
    const { profile, ra, eeOptions } = await device({ periods: 1 });
    const settings = { identification: true };
    const ee = await EndEntity.open(profile, { ...eeOptions, settings });
    ra.files.chains = chainFile(1, 1);
    ra.files.policy = policyFile(1, 1);
    const first = await ee.topUp();
    assert.deepEqual(
      ra.requests.map(({ method, url }) => `${method} ${url.pathname}`),
      [
        'GET /download/policy/local',
        'GET /download/local-certificate-chain',
        'POST /provision-pseudonym-certificate-batch',
        'POST /provision-identity-certificate',
        'GET /download/batch',
        'GET /download/batch',
        'GET /download/info',
        'GET /download/identity-certificate',
        'GET /download/identity-certificate',
        'GET /download/identity-certificate',
        'GET /download/info',
      ],
    );
    assert.deepEqual(first.files, { policy: 'new', chains: 'new', crl: 'not-offered' });
    assert.equal(first.due, 0x2b17dfae);
    assert.deepEqual(await profile.raFiles(), ra.files);
    ra.requests.length = 0;
    const second = await ee.topUp();
    assert.deepEqual(second.files, {
      policy: 'unchanged',
      chains: 'unchanged',
      crl: 'not-offered',
    });
    assert.equal(ra.requests[0]!.headers['If-None-Match'], '"local_policy_0001_0001.oer"');
    assert.equal(ra.requests[0]!.headers['Download-Req'], undefined);
    assert.deepEqual(
      second.supplies.map(({ batches }) => batches.length),
      [0, 0],
    );
    assert.equal(ra.requests.filter(({ method }) => method === 'POST').length, 0);
    ra.files.policy = policyFile(1, 2);
    assert.equal((await ee.topUp()).files.policy, 'new');
    assert.deepEqual((await profile.raFiles()).policy, ra.files.policy);
  });

  it('leaves what is not ready for later, unless it is told to wait', async () => {
    const { ee, ra, clock } = await device({ certDLTime: NOW + 60 });
    const { supplies, due } = await ee.topUp();
    assert.deepEqual(supplies, [
      { kind: 'pseudonym', batches: [], ready: NOW + 60, due: NOW + 60 },
    ]);
    assert.equal(due, NOW + 60);
    assert.deepEqual(ra.filesAsked, []);
    assert.equal((await ee.topUp({ waitSec: 59 })).supplies[0]!.ready, NOW + 60);
    assert.deepEqual(clock.slept, []);
    const { supplies: ready } = await ee.topUp({ waitSec: 60, weeks: 1 });
    assert.equal(ready[0]!.batches.length, 1);
  });

  it('keeps a roadside unit in certificates over weeks', async () => {
    const { profile, ra, eeOptions, clock } = await device();
    const settings = { kind: 'rse', dialect: '1.2.4' } as const;
    const ee = await EndEntity.open(profile, { ...eeOptions, settings });
    Object.assign(ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
    for (let week = 0; week < 4; week += 1) {
      const { supplies, due } = await ee.topUp();
      assert.equal(supplies[0]!.batches.length, 1);
      assert.equal(due, NOW + (week + 1) * 168 * 3_600);
      assert.equal((await ee.topUp()).supplies[0]!.batches.length, 0);
      clock.unixMs += 168 * HOUR_MS;
    }
    assert.equal(ra.keySets, 4);
    assert.equal(new Set(ra.filesAsked).size, ra.filesAsked.length);
  });

  it('goes on from a death at any step with one set of keys of each kind', async () => {
    const cases = [
      // That the last step may take effect before the death is played for a vehicle in end-entity.test.ts.
      { settings: { identification: true }, keySets: 2, applied: [false] },
      { settings: { kind: 'rse' }, keySets: 1, applied: [false, true] },
    ] as const;
    for (const { settings, keySets, applied } of cases) {
      for (const isAppliedBeforeDeath of applied) {
        for (let dieAt = 1; ; dieAt += 1) {
          const small = { periods: 1, perPeriod: 1, identificationFiles: 1 };
          const { storage, ra, eeOptions } = await device(small);
          Object.assign(ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
          const topUp = async (from: MemoryStorage) => {
            const ee = await EndEntity.open(new Profile(from), { ...eeOptions, settings });
            return ee.topUp();
          };
          const dying = Object.assign(storage.reborn(), { dieAt, isAppliedBeforeDeath });
          const hasDied = await topUp(dying).then(
            () => false,
            () => true,
          );
          const survivor = dying.reborn();
          const { supplies } = await topUp(survivor);
          assert.equal(ra.keySets, keySets, `step ${dieAt}`);
          assert.equal(ra.accepted.size, keySets);
          for (const { kind } of supplies) {
            const folder = new Profile(survivor).certificates(kind);
            assert.equal((await folder.openedNumbers()).length, 1);
          }
          if (!hasDied) break;
          assert(dieAt < 80, 'a contact has no end');
        }
      }
    }
  });
});

function encryptionPoint(certificate: Certificate) {
  return encryptionPointOf(hashCertificate(certificate));
}
