/** A clock that jumps under an RA at work, forwards and backwards: who has the right time is refused while it is wrong, and nothing is lost. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AuthorityUnavailableError, timeOf } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
} from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { createScene, eventually, type Registered } from './scene.ts';
import { createStage } from './stage.ts';

const DAY_SEC = 86_400;
const HOUR_MS = 3_600_000;
const ROUNDS = 6;

for (const [name, jump] of [
  ['forwards by ten weeks', 70 * DAY_SEC],
  ['backwards by ten weeks', -70 * DAY_SEC],
  ['forwards by six seconds', 6],
  ['backwards by six seconds', -6],
] as const) {
  describe(`a clock that jumps ${name}`, () => {
    it('under load loses no registration and no file', async (t) => {
      const scene = await createScene(t, {
        dropGraceMs: HOUR_MS,
        linkageCache: 40,
        policy: { weeksAhead: 2 },
      });
      const { scms, clock, options, ca } = scene;
      const ra = await scene.start();
      const right = timeOf(clock);
      const i = options.iPeriod.at(right);
      const served = await scene.register(ra);
      const first = await eventually(() => scene.download(ra, served));

      // Devices go by the right time throughout.
      const register = async (): Promise<Registered | undefined> => {
        const device = createDevice(scms, options.random, right);
        const request = { ...pseudonymRequest(device, right), requestedStartTime: right };
        const body = securedBy(device, request, scms.ra.certificate, options.random);
        const url = `https://localhost:${ra.port}/provision-pseudonym-certificate-batch`;
        const answer = await send(url, ca, { method: 'POST', body });
        if (answer.status === 500) return undefined;
        assert.equal(answer.status, 200);
        return { device, hash: Buffer.from(answer.body.subarray(12, 20)).toString('hex') };
      };
      const fetch = async ({ device, hash }: Registered): Promise<boolean> => {
        const name = `${hash}_${i.toString(16).toUpperCase()}.zip`;
        const headers = downloadReq(device, name, right, scms.ra.certificate, options.random);
        const answer = await send(`https://localhost:${ra.port}/download/batch`, ca, { headers });
        assert(answer.status === 200 || answer.status === 500);
        return answer.status === 200;
      };
      const registered: Registered[] = [];
      let refused = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const isWrong = round % 2 === 1;
        // The clock is set while requests are on their way.
        const answers = Promise.all([register(), register(), fetch(served)]);
        clock.set(isWrong ? right + jump : right);
        ra.wake();
        for (const device of (await answers).slice(0, 2) as (Registered | undefined)[]) {
          if (device) registered.push(device);
        }
        if (isWrong) {
          assert.equal(await register(), undefined, 'nothing of another time is acknowledged');
          assert.equal(await fetch(served), false);
          refused += 1;
        } else {
          assert.equal(await fetch(served), true);
          const device = await register();
          assert(device, 'the right time is right again');
          registered.push(device);
        }
      }
      clock.set(right);
      assert.equal(refused, ROUNDS / 2);
      for (const device of registered) {
        await eventually(async () => {
          ra.wake();
          return (await fetch(device)) || undefined;
        });
      }
      assert.deepEqual(await scene.download(ra, served), first, 'what was there is as it was');
      const keys = await scene.issued();
      assert.equal(new Set(keys).size, keys.length);
      const faults = scene.logged.filter(({ message }) => message === 'pipeline step failed');
      assert.deepEqual(faults, []);
    });
  });
}

describe('a clock that is a week ahead for a moment', () => {
  it('puts nothing off that a PCA did not answer meanwhile', async (t) => {
    let isDown = true;
    const stage = await createStage(t, {
      dropGraceMs: HOUR_MS,
      policy: { weeksAhead: 3 },
      wrapPca: (pca) => ({
        async requestCertificate(request) {
          if (isDown) throw new AuthorityUnavailableError('certificate has expired');
          return pca.requestCertificate(request);
        },
      }),
    });
    const right = timeOf(stage.clock);
    const i = stage.currentI();
    const device = await stage.register(stage.ra);
    await stage.settle();
    stage.clock.advance(7 * DAY_SEC);
    for (let n = 0; n < 8; n++) {
      await stage.settle();
      stage.clock.advance(60);
    }
    stage.clock.set(right + 600);
    isDown = false;
    await stage.settle();
    for (const week of [i, i + 1, i + 2]) {
      assert(await stage.download(stage.ra, device, week), `i = ${week}`);
    }
  });

  it('puts off no device that failed meanwhile', async (t) => {
    const stage = await createStage(t, { dropGraceMs: HOUR_MS });
    const device = await stage.register(stage.ra);
    const { clock, database } = stage;
    const right = timeOf(clock);
    await database.query
      .updateTable('device')
      .set({ failures: 3, retry_at: right + 7 * DAY_SEC })
      .execute();
    clock.advance(7 * DAY_SEC - 1);
    await stage.settle();
    clock.set(right);
    await stage.settle();
    assert(await stage.download(stage.ra, device));
  });

  it('leaves nothing in the shuffle for longer than the policy lets it', async (t) => {
    const maxAgeSec = 7200;
    const stage = await createStage(t, {
      dropGraceMs: HOUR_MS,
      policy: { weeksAhead: 2, shuffleInitial: 'pooled', shuffleMaxAgeSec: maxAgeSec },
    });
    const right = timeOf(stage.clock);
    const i = stage.currentI();
    const device = await stage.register(stage.ra);
    await stage.settle();
    stage.clock.advance(maxAgeSec);
    await stage.settle();
    // Another week is begun, which was not to be yet.
    stage.clock.set(right + 7 * DAY_SEC);
    await stage.settle();
    stage.clock.set(right + maxAgeSec);
    // Nobody ran when it was set back.
    stage.restart();
    await stage.settle();
    stage.clock.advance(maxAgeSec - 1);
    await stage.settle();
    assert.equal(await stage.download(stage.ra, device, i + 2), undefined);
    stage.clock.advance(1);
    await stage.settle();
    assert(await stage.download(stage.ra, device, i + 2));
  });
});
