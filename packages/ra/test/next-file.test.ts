/** `.info` of devices whose next file is late: the time that it names is one at which the file is there. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { AuthorityUnavailableError, type IdentificationRequest, timeOf } from '@chrysalis/scms';
import { createDevice, pseudonymRequest, securedBy } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import type { Registered, SceneOptions } from './scene.ts';
import { createStage, infoOf } from './stage.ts';

const HOUR = 3600;
const MONTH = 720 * HOUR;
/** What a file that is begun is expected to need. */
const MAKING = 60;

/** A stage that sees a period to be over for an hour before it believes it. Both clocks go on together. */
async function createSlowStage(t: TestContext, options: SceneOptions) {
  let monotonicMs = 0;
  t.mock.method(performance, 'now', () => monotonicMs);
  const stage = await createStage(t, { dropGraceMs: HOUR * 1000, ...options });
  return {
    ...stage,
    /** Nothing is done meanwhile. */
    advance(seconds: number) {
      stage.clock.advance(seconds);
      monotonicMs += seconds * 1000;
    },
    now: () => timeOf(stage.clock),
  };
}

describe('.info of a device that lags behind', () => {
  it('says when the period before is over for sure', async (t) => {
    const stage = await createSlowStage(t, { policy: { weeksAhead: 2, shuffleMaxAgeSec: 0 } });
    const device = await stage.register(stage.ra);
    await stage.settle();
    stage.toPeriod(5);
    stage.advance(2 * HOUR);
    const back = stage.now();
    const expected = back + HOUR + MAKING;
    assert.equal(await stage.info(device), expected, 'before the pipeline has looked');
    await stage.settle();
    assert.equal(await stage.info(device), expected);
    stage.advance(HOUR - 1);
    await stage.settle();
    assert.equal(await stage.info(device), expected, 'it stays the same');
    assert.equal(await stage.download(stage.ra, device), undefined);
    stage.advance(1);
    await stage.settle();
    assert(await stage.download(stage.ra, device));
  });

  it('counts in the hour in which certificates of the period before are valid still', async (t) => {
    const stage = await createSlowStage(t, { policy: { weeksAhead: 1, shuffleMaxAgeSec: 0 } });
    const device = await stage.register(stage.ra);
    await stage.settle();
    stage.toPeriod(2);
    const expected = stage.now() + 2 * HOUR + MAKING;
    stage.advance(600);
    await stage.settle();
    assert.equal(await stage.info(device), expected);
    stage.advance(HOUR - 600);
    await stage.settle();
    assert.equal(await stage.info(device), expected);
    stage.advance(HOUR);
    await stage.settle();
    assert(await stage.download(stage.ra, device));
  });

  it('waits in the shuffle as well', async (t) => {
    const stage = await createSlowStage(t, { policy: { weeksAhead: 1, ...POOLED } });
    const device = await stage.register(stage.ra);
    await stage.settle();
    stage.advance(2 * HOUR);
    await stage.settle();
    assert(await stage.download(stage.ra, device));
    stage.toPeriod(3);
    stage.advance(2 * HOUR);
    await stage.settle();
    const expected = stage.now() + HOUR + 2 * HOUR + MAKING;
    assert.equal(await stage.info(device), expected);
    stage.advance(HOUR);
    await stage.settle();
    assert.equal(await stage.info(device), expected, 'in the shuffle');
    stage.advance(2 * HOUR);
    await stage.settle();
    assert(await stage.download(stage.ra, device));
  });

  it('passes over what is there beyond a gap', async (t) => {
    const refused = new Set<number>();
    const stage = await createSlowStage(t, {
      policy: { weeksAhead: 4, shuffleMaxAgeSec: 0 },
      wrapPca: (pca) => ({
        requestCertificate(request) {
          const info = infoOf(request);
          const isRefused = info.type === 'pseudonymCertReq' && refused.has(info.value.iValue);
          return pca.requestCertificate(
            isRefused ? request.with(-1, request.at(-1)! ^ 1) : request,
          );
        },
      }),
    });
    const i = stage.currentI();
    refused.add(i + 1);
    const device = await stage.register(stage.ra);
    for (let n = 0; n < 8; n++) {
      await stage.settle();
      stage.advance(2 ** n);
    }
    stage.toPeriod(2);
    await stage.settle();
    assert(await stage.download(stage.ra, device, i + 5));
    const { filed_through } = await stage.database.query
      .selectFrom('device')
      .select('filed_through')
      .executeTakeFirstOrThrow();
    assert.equal(filed_through, i, 'the gap is there still');
    assert.equal(await stage.info(device), stage.options.iPeriod.start(i + 3) + MAKING);
  });

  it('passes over identification certificates that are over', async (t) => {
    const stage = await createSlowStage(t, { policy: { weeksAhead: 10 } });
    const start = stage.now();
    const device = await identify(stage);
    await stage.settle();
    stage.advance(5 * MONTH + 10);
    await stage.settle();
    const { filed_through } = await stage.database.query
      .selectFrom('device')
      .select('filed_through')
      .executeTakeFirstOrThrow();
    assert.equal(filed_through, 2, 'number 3 was over before it could be made');
    // Number 7 begins within the nine weeks ahead.
    assert.equal(await stage.info(device), start + 8 * MONTH - 9 * 168 * HOUR + MAKING);
  });
});

describe('.info of a device whose file is begun late', () => {
  it('counts the wait in the shuffle from then', async (t) => {
    const stage = await createSlowStage(t, { policy: { weeksAhead: 2, ...POOLED } });
    const device = await stage.register(stage.ra);
    await stage.settle();
    stage.advance(2 * HOUR);
    await stage.settle();
    // The RA was away for the first hours of the week.
    stage.toPeriod(1);
    stage.advance(5 * HOUR);
    const expected = stage.now() + 2 * HOUR + MAKING;
    assert.equal(await stage.info(device), expected);
    await stage.settle();
    stage.advance(HOUR);
    await stage.settle();
    assert.equal(await stage.info(device), expected);
    stage.advance(HOUR);
    await stage.settle();
    assert(await stage.download(stage.ra, device, stage.currentI() + 1));
  });

  it('does not count it for what has left the shuffle', async (t) => {
    let isDown = false;
    const stage = await createSlowStage(t, {
      policy: { weeksAhead: 2, ...POOLED, shuffleThreshold: 3 },
      wrapPca: (pca) => ({
        async requestCertificate(request) {
          if (isDown) throw new AuthorityUnavailableError('down');
          return pca.requestCertificate(request);
        },
      }),
    });
    const device = await stage.register(stage.ra);
    await stage.settle();
    isDown = true;
    stage.toPeriod(1);
    await stage.settle();
    assert.equal(await stage.info(device), stage.now() + MAKING);
  });

  it('is not before a device is tried again that has failed', async (t) => {
    const stage = await createSlowStage(t, { policy: { weeksAhead: 2, shuffleMaxAgeSec: 0 } });
    const device = await stage.register(stage.ra);
    await stage.settle();
    stage.toPeriod(1);
    const retryAt = stage.now() + 500;
    await stage.database.query
      .updateTable('device')
      .set({ failures: 4, retry_at: retryAt })
      .execute();
    await stage.settle();
    assert.equal(await stage.info(device), retryAt + MAKING);
    stage.advance(500);
    await stage.settle();
    assert(await stage.download(stage.ra, device, stage.currentI() + 1));
  });
});

const POOLED = { shuffleInitial: 'pooled', shuffleMaxAgeSec: 2 * HOUR } as const;

async function identify(stage: Awaited<ReturnType<typeof createSlowStage>>): Promise<Registered> {
  const now = stage.now();
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
