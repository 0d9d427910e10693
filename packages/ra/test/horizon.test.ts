/** What stops generation: the earliest of enrollment certificate, PCA and ICA; and that another PCA certificate ends the stop. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  type Authority,
  createTestScms,
  openPseudonymAuthority,
  renewedAuthority,
  type TestScms,
} from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import {
  asCertificate,
  type CertificateContent,
  type Time32,
  time32FromUnix,
  type ValidityPeriod,
} from '@chrysalis/ieee1609dot2';
import type { RegistrationAuthority } from '@chrysalis/ra/server';
import { type EeRaRequest, IPeriodClock, timeOf } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
} from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { createScene, eventually, type Registered, type Scene } from './scene.ts';

const random = systemRandom;
const HOUR = 3600;
const DAY = 24 * HOUR;
const iPeriod = new IPeriodClock();
const NOW = time32FromUnix(Date.UTC(2026, 10, 21, 12));
const I = iPeriod.at(NOW);
/** When the last certificates of a period are over: an hour after it. */
const endOfCertificates = (i: number) => iPeriod.start(i + 1) + HOUR;
const WEEKS_AHEAD = 4;
/** Longer than any test. */
const LONG: ValidityPeriod = { start: NOW - 30 * DAY, duration: { type: 'years', value: 5 } };

/** Some weeks up to a second. */
function until(end: Time32): ValidityPeriod {
  return { start: end - 2000 * HOUR, duration: { type: 'hours', value: 2000 } };
}

/** A test SCMS whose ICA and PCA are valid for so long. */
function scmsWith(periods: { ica?: ValidityPeriod; pca?: ValidityPeriod }): TestScms {
  const scms = createTestScms({ now: NOW, random, raHostname: 'localhost' });
  const { ica: ofIca, pca: ofPca = LONG } = periods;
  const renewed = (authority: Authority, issuer: Authority, validityPeriod: ValidityPeriod) =>
    renewedAuthority(authority, issuer, { validityPeriod, random });
  if (ofIca === undefined) return { ...scms, pca: renewed(scms.pca, scms.ica, ofPca) };
  const ica = renewed(scms.ica, scms.root, ofIca);
  const below = (['eca', 'la1', 'la2', 'ma', 'ra'] as const).map((name) => [
    name,
    renewed(scms[name], ica, LONG),
  ]);
  return { ...scms, ...Object.fromEntries(below), ica, pca: renewed(scms.pca, ica, ofPca) };
}

interface Case {
  readonly what: string;
  readonly scms: () => TestScms;
  readonly device?: Partial<CertificateContent>;
  /** The last period that is made. */
  readonly last: number;
}

const CASES: readonly Case[] = [
  {
    what: 'the PCA: certificates of the period end with it',
    scms: () => scmsWith({ pca: until(endOfCertificates(I + 1)) }),
    last: I + 1,
  },
  {
    what: 'the PCA: it ends a second before them',
    scms: () => scmsWith({ pca: until(endOfCertificates(I + 1) - 1) }),
    last: I,
  },
  {
    what: 'the ICA above a PCA that lasts: certificates of the period end with it',
    scms: () => scmsWith({ ica: until(endOfCertificates(I + 1)) }),
    last: I + 1,
  },
  {
    what: 'the ICA above a PCA that lasts: it ends a second before them',
    scms: () => scmsWith({ ica: until(endOfCertificates(I + 1) - 1) }),
    last: I,
  },
  {
    what: 'the enrollment certificate: a second of the period lies in it',
    scms: () => scmsWith({}),
    device: { validityPeriod: until(iPeriod.start(I + 1) + 1) },
    last: I + 1,
  },
  {
    what: 'the enrollment certificate: it ends as the period begins',
    scms: () => scmsWith({}),
    device: { validityPeriod: until(iPeriod.start(I + 1)) },
    last: I,
  },
];

describe('generation stops with', () => {
  for (const { what, scms: make, device: changes, last } of CASES) {
    it(what, async (t) => {
      const scms = make();
      const scene = await sceneOf(t, scms);
      const ra = await scene.start();
      const device = await scene.register(ra, createDevice(scms, random, NOW, changes));
      for (let i = I; i <= last; i++) await eventually(() => scene.download(ra, device, i));
      assert.equal(await info(scene, ra, device), 0);
      const made = await scene.issued();
      assert.equal(made.length, (last - I + 1) * 3);
      if (changes !== undefined) return;
      // Also when the supply moves on.
      scene.clock.set(Math.max(NOW, iPeriod.start(last)) + 1);
      ra.wake();
      assert.equal(await info(scene, ra, device), 0);
      assert.equal(await scene.download(ra, device, last + 1), undefined);
    });
  }

  it('none of them: then .info says when the next is made', async (t) => {
    const scms = scmsWith({});
    const scene = await sceneOf(t, scms);
    const ra = await scene.start();
    const device = await scene.register(ra);
    await eventually(() => scene.download(ra, device, I + WEEKS_AHEAD - 1));
    assert.equal(
      await info(scene, ra, device),
      iPeriod.start(I + 1) + POLICY.shuffleMaxAgeSec + 60,
    );
  });
});

describe('another certificate of the PCA', () => {
  it('lets a device that had stopped go on', async (t) => {
    const scms = scmsWith({ pca: until(endOfCertificates(I + 1)) });
    const scene = await sceneOf(t, scms);
    const first = await scene.start();
    const device = await scene.register(first);
    await eventually(() => scene.download(first, device, I + 1));
    assert.equal(await info(scene, first, device), 0);
    await first.close();

    const ra = await scene.start({ pca: await renewedPca(t, scene) });
    assert.notEqual(await info(scene, ra, device), 0);
    for (let i = I; i < I + WEEKS_AHEAD; i++) {
      await eventually(() => scene.download(ra, device, i));
    }
    assert.equal(
      await info(scene, ra, device),
      iPeriod.start(I + 1) + POLICY.shuffleMaxAgeSec + 60,
    );
  });

  it('that comes late gives the weeks from then on; those before are not promised', async (t) => {
    const scms = scmsWith({ pca: until(endOfCertificates(I + 1)) });
    let isAway = false;
    const scene = await sceneOf(t, scms, () => isAway);
    // No period is seen to be over for long enough: nothing moves the device on.
    const first = await scene.start({
      policy: { ...POLICY, weeksAhead: 1 },
      dropGraceMs: HOUR * 1000,
    });
    const device = await scene.register(first);
    await eventually(() => scene.download(first, device, I));
    // Nothing is made of the last week that could have been, and it is over when the PCA comes back.
    isAway = true;
    scene.clock.set(iPeriod.start(I + 5) + DAY);
    first.wake();
    assert.equal(await info(scene, first, device), 0);
    await first.close();
    assert.deepEqual(
      await scene.database.query.selectFrom('pca_request').selectAll().execute(),
      [],
    );

    const ra = await scene.start({ pca: await renewedPca(t, scene) });
    assert.notEqual(await info(scene, ra, device), 0);
    // What is added to a first supply waits in the shuffle.
    await eventually(async () => {
      const waiting = await scene.database.query.selectFrom('pca_request').selectAll().execute();
      return waiting.length > 0 || undefined;
    });
    scene.clock.advance(POLICY.shuffleMaxAgeSec + 1);
    ra.wake();
    await eventually(() => scene.download(ra, device, I + 5));
    assert.equal(await scene.download(ra, device, I + 4), undefined);
  });

  it('lets identification certificates that had stopped go on, at once', async (t) => {
    const MONTH = 721 * HOUR;
    const scms = scmsWith({ pca: until(NOW + 720 * HOUR + MONTH - 1) });
    const scene = await sceneOf(t, scms, undefined, 20);
    const first = await scene.start();
    const device = await registerIdentification(scene, first);
    await eventually(() => identification(scene, first, device, 0));
    assert.equal(await info(scene, first, device), 0);
    // The second comes within the supply, and would outlive the PCA by a second.
    scene.clock.set(NOW + 30 * DAY);
    first.wake();
    assert.equal(await info(scene, first, device), 0);
    assert.equal(await identification(scene, first, device, 1), undefined);
    await first.close();

    const ra = await scene.start({ pca: await renewedPca(t, scene) });
    await eventually(() => identification(scene, ra, device, 1));
  });
});

const POLICY = {
  certificatesPerPeriod: 3,
  weeksAhead: WEEKS_AHEAD,
  shuffleThreshold: 1000,
  shuffleMaxAgeSec: 48 * HOUR,
  shuffleInitial: 'immediate',
  applicationPeriodSec: 168 * HOUR,
  applicationOverlapSec: HOUR,
} as const;

function sceneOf(
  t: TestContext,
  scms: TestScms,
  isAway: () => boolean = () => false,
  weeksAhead = WEEKS_AHEAD,
): Promise<Scene> {
  return createScene(t, {
    now: NOW,
    scms,
    policy: { ...POLICY, weeksAhead },
    wrapPca: (pca) => ({
      requestCertificate(request) {
        if (isAway()) return Promise.reject(new Error('away'));
        return pca.requestCertificate(request);
      },
    }),
  });
}

/** The same PCA under another certificate, with what the RA has to know of it. */
async function renewedPca(t: TestContext, { scms, trust, clock, options }: Scene) {
  const pca = renewedAuthority(scms.pca, scms.ica, {
    validityPeriod: { ...LONG, start: NOW - 8 * DAY },
    random,
  });
  const port = await openPseudonymAuthority({
    pca,
    trust,
    laKeys: new Map([
      [options.la1.hostname, { key: scms.pcaLa1Key, laId: scms.la1Id }],
      [options.la2.hostname, { key: scms.pcaLa2Key, laId: scms.la2Id }],
    ]),
    clock,
    random,
    databaseUrl: 'sqlite::memory:',
  });
  t.after(() => port.close());
  const certificate = trust.add(asCertificate(pca.certificate));
  return { ...options.pca, port, certificate, former: [options.pca.certificate] };
}

async function get(
  { ca, clock, scms }: Scene,
  ra: RegistrationAuthority,
  { device }: Registered,
  path: string,
  name: string,
) {
  const headers = downloadReq(device, name, timeOf(clock), scms.ra.certificate, random);
  return send(`https://localhost:${ra.port}${path}`, ca, { headers });
}

async function info(scene: Scene, ra: RegistrationAuthority, device: Registered): Promise<Time32> {
  const { status, body } = await get(scene, ra, device, '/download/info', `${device.hash}.info`);
  assert.equal(status, 200);
  return Buffer.from(body).readUInt32BE();
}

async function identification(
  scene: Scene,
  ra: RegistrationAuthority,
  device: Registered,
  i: number,
): Promise<Uint8Array | undefined> {
  const path = '/download/identity-certificate';
  const { status, body } = await get(scene, ra, device, path, `${device.hash}_${i}.zip`);
  return status === 200 ? body : undefined;
}

async function registerIdentification(
  { ca, clock, scms }: Scene,
  ra: RegistrationAuthority,
): Promise<Registered> {
  const device = createDevice(scms, random, timeOf(clock));
  const request: EeRaRequest = {
    ...pseudonymRequest(device, timeOf(clock)),
    type: 'identification',
  };
  const body = securedBy(device, request, scms.ra.certificate, random);
  const url = `https://localhost:${ra.port}/provision-identity-certificate`;
  const answer = await send(url, ca, { method: 'POST', body });
  assert.equal(answer.status, 200, String(answer.headers['scms-poc-error-message']));
  return { device, hash: Buffer.from(answer.body.subarray(12, 20)).toString('hex') };
}
