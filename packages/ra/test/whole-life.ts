/** A story in which every service and every stage of the pipeline has its part: for what is to be seen of all of them. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { AuthorityUnavailableError, type IdentificationRequest, timeOf } from '@chrysalis/scms';
import { createDevice, pseudonymRequest, securedBy } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { writeSetting } from '../src/setting.ts';
import { createStage, type Stage } from './stage.ts';

export interface Life {
  readonly databaseUrl?: string;
  /** Before the first device. */
  readonly prepare?: (stage: Stage) => Promise<void>;
}

/** Everything once: devices of each kind, outages, repetitions, a second request, weeks that pass. */
export async function liveThrough(t: TestContext, life: Life = {}): Promise<Stage> {
  let isDown = false;
  const stage = await createStage(t, {
    ...(life.databaseUrl !== undefined && { databaseUrl: life.databaseUrl }),
    policy: { weeksAhead: 3, shuffleMaxAgeSec: 3600 },
    pauseAfterSec: 86_400,
    wrapPca: (pca) => ({
      async requestCertificate(request) {
        if (isDown) throw new AuthorityUnavailableError('down');
        return pca.requestCertificate(request);
      },
    }),
  });
  await life.prepare?.(stage);
  // As after half a minute of work.
  await writeSetting(stage.database.query, 'pace_per_hour', 1_000_000);
  const first = await stage.register(stage.ra);
  await stage.settle();
  isDown = true;
  const second = await stage.register(stage.ra);
  await identify(stage);
  await stage.settle();
  await nextAttempt(stage);
  isDown = false;
  stage.clock.advance(10);
  await stage.settle();
  assert(await stage.download(stage.ra, first));
  assert(await stage.download(stage.ra, second));
  const { certificate, key } = first.device;
  const keys = createDevice(stage.scms, systemRandom, timeOf(stage.clock));
  await stage.register(stage.ra, { ...keys, certificate, key });
  await stage.ra.blacklist.add(certificate.hash, 'test', timeOf(stage.clock));
  await stage.settle();
  for (let week = 0; week < 2; week++) {
    stage.toPeriod(1);
    stage.clock.advance(3600);
    await stage.settle();
    await stage.info(second);
    stage.clock.advance(3600);
    await stage.settle();
  }
  return stage;
}

/** As the pipeline asks before it sleeps. */
async function nextAttempt(stage: Stage): Promise<void> {
  const { PcaRequests } = await import('../src/pca-requests.ts');
  const requests = new PcaRequests(stage.database, stage.options.random);
  assert((await requests.nextAttempt(timeOf(stage.clock))) !== undefined);
}

async function identify(stage: Stage): Promise<void> {
  const now = timeOf(stage.clock);
  const device = createDevice(stage.scms, systemRandom, now);
  const request: IdentificationRequest = {
    ...pseudonymRequest(device, now),
    type: 'identification',
  };
  const body = securedBy(device, request, stage.scms.ra.certificate, systemRandom);
  const url = `https://localhost:${stage.ra.port}/provision-identity-certificate`;
  assert.equal((await send(url, stage.ca, { method: 'POST', body })).status, 200);
}
