/** Periods that are over, and files that were not made in time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { type CertificateAuthority, type IdentificationRequest, timeOf } from '@chrysalis/scms';
import { createDevice, pseudonymRequest, securedBy } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { readSetting } from '../src/setting.ts';
import type { Registered } from './scene.ts';
import { createStage, infoOf, type Stage } from './stage.ts';

describe('a file that is never made', () => {
  it('of a week stands in the way of .info no longer than its week', async (t) => {
    const refused = new Set<number>();
    const stage = await createStage(t, {
      policy: { weeksAhead: 4, shuffleMaxAgeSec: 0 },
      wrapPca: refusing(
        (info) => info.type === 'pseudonymCertReq' && refused.has(info.value.iValue),
      ),
    });
    const { iPeriod } = stage.options;
    const i = stage.currentI();
    refused.add(i + 1);
    const device = await stage.register(stage.ra);
    await stage.settle();
    await retried(stage);
    for (const week of [i, i + 2, i + 3]) assert(await stage.download(stage.ra, device, week));
    assert.equal((await row(stage)).filed_through, i);
    assert.equal(await stage.info(device), timeOf(stage.clock) + 60, 'week 1 is expected still');
    stage.toPeriod(2);
    stage.clock.advance(3600);
    await stage.settle();
    await retried(stage);
    assert(await stage.download(stage.ra, device, i + 5));
    const { filed_through, expanded_through } = await row(stage);
    assert.deepEqual([filed_through, expanded_through], [i + 5, i + 5]);
    assert.equal(await stage.info(device), iPeriod.start(i + 3) + 60);
    assert.deepEqual(await stage.database.query.selectFrom('filed').selectAll().execute(), []);
  });

  it('of a month, of identification certificates, neither', async (t) => {
    let isRefusing = false;
    const stage = await createStage(t, {
      policy: { weeksAhead: 10 },
      wrapPca: refusing(() => isRefusing),
    });
    const start = timeOf(stage.clock);
    const device = await identify(stage);
    await stage.settle();
    assert.equal((await row(stage)).filed_through, 2);
    isRefusing = true;
    // Number 3 is begun, and refused until it is over; number 4 is begun a month later, and made.
    const month = 720 * 3600;
    stage.clock.set(start + month + 10);
    await stage.settle();
    await retried(stage);
    assert.equal((await row(stage)).expanded_through, 3);
    isRefusing = false;
    await stage.database.query
      .updateTable('pca_request')
      .set({ next_attempt_at: 2 ** 32 })
      .execute();
    await stage.database.query.updateTable('device').set({ failures: 0, retry_at: 0 }).execute();
    stage.clock.set(start + 2 * month + 10);
    await stage.settle();
    assert.deepEqual(await filed(stage), [4]);
    assert.equal(await stage.info(device), timeOf(stage.clock) + 60);
    // Five months after the start, number 3 is over for sure.
    stage.clock.set(start + 4 * month + 2 * 604_800);
    await stage.settle();
    const { filed_through, expanded_through } = await row(stage);
    assert.deepEqual([filed_through, expanded_through], [6, 6]);
    assert.deepEqual(await filed(stage), []);
    const supply = 9 * 604_800;
    assert.equal(await stage.info(device), start + 7 * month - supply + 60);
  });

  it('is not counted for a device that is done, or was replaced', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2 } });
    const now = timeOf(stage.clock);
    const device = createDevice(stage.scms, systemRandom, now, {
      validityPeriod: { start: now - 3600, duration: { type: 'hours', value: 200 } },
    });
    const short = await stage.register(stage.ra, device);
    const long = await stage.register(stage.ra);
    const { certificate, key } = long.device;
    const keys = createDevice(stage.scms, systemRandom, now);
    await stage.settle();
    await stage.register(stage.ra, { ...keys, certificate, key });
    const before = await stage.database.query
      .selectFrom('device')
      .selectAll()
      .orderBy('id')
      .execute();
    const through = before[0]!.last_i;
    assert.equal(await stage.info(short), 0);
    stage.toPeriod(5);
    stage.clock.advance(3600);
    await stage.settle();
    const after = await stage.database.query
      .selectFrom('device')
      .selectAll()
      .orderBy('id')
      .execute();
    assert.deepEqual([after[0]?.filed_through, after[0]?.expanded_through], [through, through]);
    // By these the MA is told for which periods there are certificates.
    assert.equal(after[1]?.status, 'replaced');
    assert.equal(after[1]?.expanded_through, before[1]?.expanded_through);
    assert.equal(after[2]?.filed_through, stage.currentI() - 1);
  });
});

describe('a period that is over', () => {
  it('is dropped in steps, between which devices are served and registered', async (t) => {
    const policy = { weeksAhead: 2, shuffleMaxAgeSec: 0 };
    const stage = await createStage(t, { policy, linkageCache: 40 });
    const device = await stage.register(stage.ra);
    await stage.settle();
    const over = stage.currentI();
    stage.toPeriod(1);
    stage.clock.advance(3600);
    const droppedThrough = () => readSetting(stage.database.query, 'dropped_through');
    let steps = 0;
    let late: Registered | undefined;
    for (; (await droppedThrough()) !== over; steps++) {
      assert(await stage.pipeline.step(), 'there is more to do');
      assert(await stage.download(stage.ra, device));
      assert(await stage.info(device));
      late = await stage.register(stage.ra);
    }
    assert(steps > 1, `${steps} steps`);
    assert.equal(await stage.download(stage.ra, device, over), undefined);
    await stage.settle();
    assert(await stage.download(stage.ra, device, over + 2));
    assert(late && (await stage.download(stage.ra, late)));
  });
});

describe('.info', () => {
  it('is 0 for a device whose keys failed, and at the end of the PCA', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2 } });
    const device = await stage.register(stage.ra);
    await stage.settle();
    assert.notEqual(await stage.info(device), 0);
    await stage.database.query.updateTable('device').set({ status: 'failed' }).execute();
    assert.equal(await stage.info(device), 0);
    await stage.database.query.updateTable('device').set({ status: 'active' }).execute();
    const { certificate } = stage.options.pca.certificate;
    const { validityPeriod } = certificate.toBeSigned;
    Object.assign(certificate.toBeSigned, {
      validityPeriod: {
        start: timeOf(stage.clock) - 3600,
        duration: { type: 'hours', value: 2 },
      },
    });
    assert.equal(await stage.info(device), 0);
    Object.assign(certificate.toBeSigned, { validityPeriod });
    assert.notEqual(await stage.info(device), 0);
  });

  it('before the first batch is when the acknowledgement said that it would be there', async (t) => {
    const policy = { weeksAhead: 2, shuffleInitial: 'pooled', shuffleMaxAgeSec: 7200 } as const;
    const stage = await createStage(t, { policy });
    const device = await stage.register(stage.ra);
    const registeredAt = timeOf(stage.clock);
    assert.equal(await stage.info(device), registeredAt + 5 + 7200);
    await stage.settle();
    stage.clock.advance(7200);
    await stage.settle();
    assert(await stage.download(stage.ra, device));
    const i = stage.currentI();
    assert.equal(await stage.info(device), stage.options.iPeriod.start(i + 1) + 7200 + 60);
  });
});

/** A PCA that is sent what it refuses, instead of some requests. */
function refusing(isRefused: (info: ReturnType<typeof infoOf>) => boolean) {
  return (pca: CertificateAuthority): CertificateAuthority => ({
    requestCertificate(request) {
      const octets = isRefused(infoOf(request)) ? request.with(-1, request.at(-1)! ^ 1) : request;
      return pca.requestCertificate(octets);
    },
  });
}

/** Lets a device whose requests are refused go on with its other weeks, a few times. */
async function retried(stage: Stage): Promise<void> {
  for (let n = 0; n < 8; n++) {
    stage.clock.advance(2 ** n);
    await stage.settle();
  }
}

function row({ database }: Stage) {
  return database.query.selectFrom('device').selectAll().executeTakeFirstOrThrow();
}

async function filed({ database }: Stage): Promise<number[]> {
  const rows = await database.query.selectFrom('filed').select('i').orderBy('i').execute();
  return rows.map(({ i }) => i);
}

async function identify(stage: Stage): Promise<Registered> {
  const now = timeOf(stage.clock);
  const device = createDevice(stage.scms, systemRandom, now);
  const request: IdentificationRequest = {
    ...pseudonymRequest(device, now),
    type: 'identification',
  };
  const body = securedBy(device, request, stage.scms.ra.certificate, systemRandom);
  const url = `https://localhost:${stage.ra.port}/provision-identity-certificate`;
  const answer = await send(url, stage.ca, { method: 'POST', body });
  assert.equal(answer.status, 200, String(answer.headers['scms-poc-error-message']));
  return { device, hash: Buffer.from(answer.body.subarray(12, 20)).toString('hex') };
}
