/** A device that asks anew with other keys (Q17): one set of certificates for a period, whatever it does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sha256, systemRandom } from '@chrysalis/crypto';
import { linkageChainsOf } from '@chrysalis/ra';
import { type IdentificationRequest, timeOf } from '@chrysalis/scms';
import { createMemoryObjectStore } from '@chrysalis/store';
import { unzipSync } from 'fflate';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { DeviceRegistry, type NewDevice } from '../src/device-registry.ts';
import type { Registered } from './scene.ts';
import { cocoonKeyOf, cocoonKeysOf, createStage, type Stage } from './stage.ts';

const WEEKS = { weeksAhead: 3 } as const;
const IDENTIFICATION_SEC = 720 * 3600;

describe('a second request for pseudonym certificates', () => {
  it('before anything was fetched begins with the current week, and the first is gone', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    const first = await stage.register(stage.ra);
    await stage.settle();
    stage.clock.advance(1);
    const second = await stage.register(stage.ra, withNewKeys(stage, first));
    assert.notEqual(second.hash, first.hash);
    await stage.settle();
    const i = stage.currentI();
    for (const week of [i, i + 1, i + 2]) {
      assert.equal(entries(await stage.download(stage.ra, second, week)), 3);
      assert.equal(await refusal(stage, first, week), '5065');
    }
    assert.equal(await stage.info(first), undefined, '5069');
    assert.equal(await stage.info(second), stage.options.iPeriod.start(i + 1) + 48 * 3600 + 60);
    assert.deepEqual(
      (await rows(stage)).map(({ status }) => status),
      ['replaced', 'active'],
    );
  });

  it('takes back what the first one had in the shuffle: the PCA never sees it', async (t) => {
    const policy = { ...WEEKS, shuffleInitial: 'pooled', shuffleMaxAgeSec: 3600 } as const;
    const stage = await createStage(t, { policy });
    const first = await stage.register(stage.ra);
    await stage.settle();
    stage.clock.advance(1);
    const givenUp = { i: stage.currentI(), period: stage.currentI(), given_up_at: 0 };
    await stage.database.query
      .insertInto('given_up')
      .values({ device_id: 1, ...givenUp })
      .execute();
    const second = await stage.register(stage.ra, withNewKeys(stage, first));
    await stage.settle();
    const tables = ['pca_request', 'batch', 'response', 'linkage', 'filed', 'given_up'] as const;
    for (const table of tables) {
      const left = await stage.database.query
        .selectFrom(table)
        .select('device_id')
        .where('device_id', '=', 1)
        .execute();
      assert.deepEqual(left, [], table);
    }
    stage.clock.advance(3600);
    await stage.settle();
    const i = stage.currentI();
    const expected = [i, i + 1, i + 2].flatMap((week) => cocoonKeysOf(second.device, week, 3));
    assert.deepEqual(stage.atPca.map(cocoonKeyOf).sort(), expected.sort());
  });

  it('after week k was fetched begins with k + 1', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    const first = await stage.register(stage.ra);
    await stage.settle();
    const i = stage.currentI();
    assert(await stage.download(stage.ra, first, i));
    const second = await stage.register(stage.ra, withNewKeys(stage, first));
    await stage.settle();
    assert.equal(await stage.download(stage.ra, second, i), undefined);
    for (const week of [i + 1, i + 2]) assert(await stage.download(stage.ra, second, week));
    assert.equal((await rows(stage))[1]?.first_i, i + 1);
  });

  it('and a third, give no second set of a week that was fetched under the first', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    const first = await stage.register(stage.ra);
    await stage.settle();
    const i = stage.currentI();
    assert(await stage.download(stage.ra, first, i + 1));
    const second = await stage.register(stage.ra, withNewKeys(stage, first));
    await stage.settle();
    const third = await stage.register(stage.ra, withNewKeys(stage, second));
    await stage.settle();
    for (const week of [i, i + 1]) {
      assert.equal(await stage.download(stage.ra, third, week), undefined, `week ${week - i}`);
    }
    assert(await stage.download(stage.ra, third, i + 2));
  });

  it('when everything was fetched is refused, until another week comes', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    const first = await stage.register(stage.ra);
    await stage.settle();
    const i = stage.currentI();
    assert(await stage.download(stage.ra, first, i + 2));
    await assert.rejects(stage.register(stage.ra, withNewKeys(stage, first)), /saw all fetched/);
    assert(await stage.download(stage.ra, first, i + 2), 'and the first goes on');
    assert.equal((await rows(stage)).length, 1);
    stage.toPeriod(1);
    const second = await stage.register(stage.ra, withNewKeys(stage, first));
    await stage.settle();
    assert(await stage.download(stage.ra, second, i + 3));
    assert.equal(await stage.download(stage.ra, second, i + 2), undefined);
  });

  it('is refused by an RA that is told to', async (t) => {
    const stage = await createStage(t, { policy: WEEKS, secondRequest: 'refuse' });
    const first = await stage.register(stage.ra);
    await stage.settle();
    await assert.rejects(
      stage.register(stage.ra, withNewKeys(stage, first)),
      /one set of pseudonym keys per enrollment certificate/,
    );
    assert(await stage.download(stage.ra, first));
  });

  it('of two at once, one is taken', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    await stage.register(stage.ra);
    await stage.settle();
    const [former] = await rows(stage);
    assert(former);
    const registry = new DeviceRegistry(stage.database);
    const rivals = [1, 2].map(() => {
      const { id: _, ...columns } = former;
      const [request_hash, body_hash, inner_hash] = [8, 32, 32].map(systemRandom);
      return { ...columns, request_hash, body_hash, inner_hash } as NewDevice;
    });
    // Both have seen the first as it was.
    const now = timeOf(stage.clock);
    const taken = await Promise.all(rivals.map((rival) => registry.register(rival, now, former)));
    assert.deepEqual(taken, [true, false]);
    assert.deepEqual(
      (await rows(stage)).map(({ status }) => status),
      ['replaced', 'active'],
    );
    assert.deepEqual((await rows(stage))[1]?.request_hash, rivals[0]?.request_hash);
    // A download that was noted meanwhile counts as well: the second look is asked for.
    const [, active] = await rows(stage);
    assert(active && rivals[1]);
    const stale = { ...active, fetched_through: active.fetched_through - 1 };
    assert.equal(await registry.register(rivals[1], now, stale), false);
    assert.equal((await rows(stage)).length, 2);
  });

  it('of two for application certificates at once, one is taken, until its overlap begins', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    await stage.register(stage.ra);
    const [template] = await rows(stage);
    assert(template);
    const registry = new DeviceRegistry(stage.database);
    const now = timeOf(stage.clock);
    const { id: _, ...columns } = template;
    const terms = { first_start: now, period_sec: 168 * 3600, lifetime_sec: 169 * 3600 };
    const application = () => {
      const [request_hash, body_hash, inner_hash] = [8, 32, 32].map(systemRandom);
      const hashes = { request_hash, body_hash, inner_hash };
      return { ...columns, ...hashes, ...terms, kind: 'application' } as NewDevice;
    };
    // Neither has seen the other's row: the transaction looks once more.
    const register = (at: number) => registry.register(application(), at);
    assert.deepEqual(await Promise.all([register(now), register(now)]), [true, false]);
    assert.equal(await register(now + terms.period_sec - 1), false);
    assert.equal(await register(now + terms.period_sec), true);
  });

  it('gives nothing of the first to a download that was under way', async (t) => {
    const inner = createMemoryObjectStore();
    let held: { readonly reached: () => void; readonly until: Promise<void> } | undefined;
    const stage = await createStage(t, {
      policy: WEEKS,
      objects: {
        put: (key, octets) => inner.put(key, octets),
        async get(key) {
          held?.reached();
          await held?.until;
          return inner.get(key);
        },
        delete: (key) => inner.delete(key),
        deleteAll: (prefix) => inner.deleteAll(prefix),
        list: (prefix) => inner.list(prefix),
        removeAbandoned: () => inner.removeAbandoned(),
      },
    });
    const first = await stage.register(stage.ra);
    await stage.settle();
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    held = { reached: reached.resolve, until: goOn.promise };
    const download = stage.download(stage.ra, first);
    await reached.promise;
    held = undefined;
    const second = await stage.register(stage.ra, withNewKeys(stage, first));
    goOn.resolve();
    assert.equal(await download, undefined, 'its week belongs to the new keys');
    await stage.settle();
    assert(await stage.download(stage.ra, second));
  });

  it('knows of a download that is not in the database yet', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    const first = await stage.register(stage.ra);
    await stage.settle();
    const i = stage.currentI();
    assert(await stage.download(stage.ra, first, i));
    assert.equal((await rows(stage))[0]?.fetched_through, -1, 'noted behind the answer');
    await stage.register(stage.ra, withNewKeys(stage, first));
    assert.equal((await rows(stage))[1]?.first_i, i + 1);
  });

  it('that was recorded is finished by another pipeline', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    const first = await stage.register(stage.ra);
    // One step: requests are there, and none is answered.
    await stage.pipeline.step();
    const second = await stage.register(stage.ra, withNewKeys(stage, first));
    stage.restart();
    await stage.settle();
    for (const week of [0, 1, 2]) {
      assert(await stage.download(stage.ra, second, stage.currentI() + week));
    }
    assert.equal(await stage.download(stage.ra, first), undefined);
  });

  it('leaves the requests of the first to be found by whom they were made for', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    const first = await stage.register(stage.ra);
    await stage.settle();
    const ofFirst = stage.atPca.splice(0);
    const i = stage.currentI();
    const second = await stage.register(stage.ra, withNewKeys(stage, first));
    await stage.settle();
    for (const week of [1, 2]) {
      stage.toPeriod(week);
      stage.clock.advance(3600);
      await stage.settle();
    }
    const chains = new Set<string>();
    for (const [requests, iMax] of [
      [ofFirst, i + 2],
      [stage.atPca.slice(0, 9), i + 3 + 2],
    ] as const) {
      for (const octets of requests) {
        const origin = await linkageChainsOf(stage.database, sha256(octets));
        assert.deepEqual(origin?.enrollmentHash, second.device.certificate.hash);
        assert.equal(origin?.linkage?.iMax, iMax);
        chains.add(Buffer.from(origin!.linkage!.la1Chain).toString('hex'));
      }
    }
    assert.equal(chains.size, 2, 'each set of keys has chains of its own');
  });

  it('a hundred times a day is more than is allowed', async (t) => {
    const stage = await createStage(t, { policy: WEEKS });
    let device = await stage.register(stage.ra);
    const taken = async () => {
      for (let n = 0; n < 100; n++) {
        stage.clock.advance(1);
        device = await stage.register(stage.ra, withNewKeys(stage, device));
        await stage.settle();
      }
    };
    await assert.rejects(taken, /at most 5 failures in an hour/);
  });
});

describe('a second request for identification certificates', () => {
  it('begins where the first was fetched to, in time', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 10 } });
    const start = timeOf(stage.clock);
    const first = await identify(stage);
    await stage.settle();
    assert.equal(await fetchId(stage, first, 0), true);
    const second = await identify(stage, withNewKeys(stage, first));
    const [, row] = await rows(stage);
    assert.equal(row?.first_start, start + IDENTIFICATION_SEC);
    await stage.settle();
    assert.equal(await fetchId(stage, second, 0), true);
    assert.equal(await fetchId(stage, first, 1), false);
    // The third begins after what was fetched under the second.
    await identify(stage, withNewKeys(stage, second));
    assert.equal((await rows(stage))[2]?.first_start, start + 2 * IDENTIFICATION_SEC);
  });

  it('begins now when nothing was fetched, and not before the first began', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 10 } });
    const first = await identify(stage);
    await stage.settle();
    stage.clock.advance(100);
    const second = await identify(stage, withNewKeys(stage, first));
    assert.equal((await rows(stage))[1]?.first_start, timeOf(stage.clock));
    await stage.settle();
    assert.equal(await fetchId(stage, second, 0), true);
  });

  it('is refused when all of the supply was fetched', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 5 } });
    const first = await identify(stage);
    await stage.settle();
    assert.equal(await fetchId(stage, first, 0), true);
    await assert.rejects(identify(stage, withNewKeys(stage, first)), /saw all fetched/);
  });
});

function withNewKeys({ scms, clock }: Stage, { device }: Registered): TestDevice {
  const { certificate, key } = device;
  return { ...createDevice(scms, systemRandom, timeOf(clock)), certificate, key };
}

function rows({ database }: Stage) {
  return database.query.selectFrom('device').selectAll().orderBy('id').execute();
}

function entries(zip: Uint8Array | undefined): number {
  return zip === undefined ? 0 : Object.keys(unzipSync(zip)).length;
}

async function get(stage: Stage, { device }: Registered, path: string, name: string) {
  const { certificate } = stage.scms.ra;
  const headers = downloadReq(device, name, timeOf(stage.clock), certificate, systemRandom);
  return send(`https://localhost:${stage.ra.port}${path}`, stage.ca, { headers });
}

/** The code with which the file of a week is refused. */
async function refusal(stage: Stage, device: Registered, i: number): Promise<unknown> {
  const name = `${device.hash}_${i.toString(16).toUpperCase()}.zip`;
  const { headers } = await get(stage, device, '/download/batch', name);
  return headers['scms-poc-error'];
}

async function fetchId(stage: Stage, device: Registered, n: number): Promise<boolean> {
  const path = '/download/identity-certificate';
  const { status } = await get(stage, device, path, `${device.hash}_${n.toString(16)}.zip`);
  return status === 200;
}

async function identify(
  stage: Stage,
  device = createDevice(stage.scms, systemRandom, timeOf(stage.clock)),
): Promise<Registered> {
  const now = timeOf(stage.clock);
  const keys = pseudonymRequest(device, now);
  const request: IdentificationRequest = { ...keys, type: 'identification' };
  const body = securedBy(device, request, stage.scms.ra.certificate, systemRandom);
  const url = `https://localhost:${stage.ra.port}/provision-identity-certificate`;
  const answer = await send(url, stage.ca, { method: 'POST', body });
  if (answer.status !== 200) throw new Error(String(answer.headers['scms-poc-error-message']));
  return { device, hash: Buffer.from(answer.body.subarray(12, 20)).toString('hex') };
}
