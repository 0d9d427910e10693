/** Two parts that answer devices on one state, each with a port here, so that a test says which one is asked: as two processes. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { Blacklist, type Siblings } from '@chrysalis/ra';
import { type RaFront, startRaBack, startRaFront } from '@chrysalis/ra/server';
import { timeOf } from '@chrysalis/scms';
import {
  createDevice,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { createScene, eventually, type Registered, type SceneOptions } from './scene.ts';

/** What a front tells the other. */
type Told = keyof Siblings;

async function twoFronts(t: TestContext, changes: SceneOptions = {}) {
  const scene = await createScene(t, changes);
  const back = await startRaBack(scene.options, () => {});
  scene.defer(() => back.close());
  const fronts: RaFront[] = [];
  const told: Told[] = [];
  /** Fronts that are cut off from the other. */
  let isCut = false;
  const siblingsOf = (n: number): Siblings => {
    const other = (what: Told) => {
      told.push(what);
      if (isCut) throw new Error('expected the other process, saw none');
      return fronts[1 - n]!.told;
    };
    return {
      closeRegistration: async (id) => other('closeRegistration').closeRegistration(id),
      openRegistration: (id) => other('openRegistration').openRegistration(id),
      countFailure: (hash, service) => other('countFailure').countFailure(hash, service),
    };
  };
  for (const n of [0, 1]) {
    const pipeline = {
      start: async () => {},
      wake: () => back.wakePipeline(),
      stop: async () => {},
    };
    const database = await scene.openDatabase();
    const settings = { ...scene.options, database, pipeline, siblings: siblingsOf(n) };
    const front = await startRaFront(settings);
    fronts.push(front);
    scene.defer(() => front.close());
  }
  const [a, b] = fronts as [RaFront, RaFront];
  const post = async (front: RaFront, body: Uint8Array) => {
    const url = `https://localhost:${front.port}/provision-pseudonym-certificate-batch`;
    const { status, headers, body: answer } = await send(url, scene.ca, { method: 'POST', body });
    return { status, answer, code: headers['scms-poc-error'] };
  };
  const bodyOf = (device: TestDevice, time = timeOf(scene.clock)) =>
    securedBy(device, pseudonymRequest(device, time), scene.scms.ra.certificate, systemRandom);
  return {
    ...{ scene, a, b, told, post, bodyOf },
    device: () => createDevice(scene.scms, systemRandom, timeOf(scene.clock)),
    /** The device again, with other butterfly keys. */
    anew({ device }: Registered): TestDevice {
      const other = createDevice(scene.scms, systemRandom, timeOf(scene.clock));
      const { certificate, key } = device;
      return { ...other, certificate, key };
    },
    rows: () => scene.database.query.selectFrom('device').selectAll().execute(),
    cut() {
      isCut = true;
    },
  };
}

describe('two processes that answer devices', () => {
  it('register a request once that comes to both at the same time, and say the same', async (t) => {
    const { a, b, post, bodyOf, device, rows } = await twoFronts(t);
    const bodies = Array.from({ length: 5 }, () => bodyOf(device()));
    const answers = await Promise.all(
      bodies.map((body) => Promise.all([post(a, body), post(b, body)])),
    );
    for (const [one, other] of answers) {
      assert.deepEqual([one.status, other.status], [200, 200]);
      assert.deepEqual(one.answer, other.answer);
    }
    assert.equal((await rows()).length, bodies.length);
  });

  it('register one of two requests with other keys, and refuse the other or replace the first', async (t) => {
    const { scene, a, b, post, bodyOf, device, rows } = await twoFronts(t);
    const one = device();
    const { certificate, key } = one;
    const bodies = [bodyOf(one), bodyOf({ ...device(), certificate, key })] as const;
    const answers = await Promise.all([post(a, bodies[0]), post(b, bodies[1])]);
    const taken = answers.filter(({ status }) => status === 200).length;
    assert(taken >= 1);
    const all = await rows();
    assert.equal(all.length, taken);
    assert.equal(all.filter(({ status }) => status === 'active').length, 1);
    assert.equal(scene.logged.length, 0, JSON.stringify(scene.logged));
  });

  it('know what the other has handed out when a device asks anew', async (t) => {
    const policy = { weeksAhead: 3 };
    const { scene, a, b, anew, told } = await twoFronts(t, { policy });
    const first = await scene.register(a);
    const i = scene.options.iPeriod.at(timeOf(scene.clock));
    await eventually(() => scene.download(b, first, i + 2).then(async (last) => last && true));
    scene.clock.advance(1);
    // The note of it waits in b, and a is asked.
    await assert.rejects(scene.register(a, anew(first)), /saw all fetched/);
    const ofRegistrations = told.filter((what) => what !== 'countFailure');
    assert.deepEqual(ofRegistrations, ['closeRegistration', 'openRegistration']);
    assert(await scene.download(b, first, i + 1), 'and the first goes on');
  });

  it('hand out nothing more under a registration that the other has replaced', async (t) => {
    const policy = { weeksAhead: 2 };
    const { scene, a, b, anew } = await twoFronts(t, { policy });
    const first = await scene.register(a);
    const i = scene.options.iPeriod.at(timeOf(scene.clock));
    await eventually(() => scene.download(b, first, i).then(async (file) => file && true));
    scene.clock.advance(1);
    const second = await scene.register(a, anew(first));
    for (const front of [a, b]) assert.equal(await scene.download(front, first, i), undefined);
    await eventually(() => scene.download(b, second, i + 1).then(async (file) => file && true));
    assert.equal(await scene.download(b, second, i), undefined, 'it was fetched under the first');
  });

  it('replace nothing while one does not answer', async (t) => {
    const policy = { weeksAhead: 3 };
    const { scene, a, anew, cut, rows } = await twoFronts(t, { policy });
    const first = await scene.register(a);
    scene.clock.advance(1);
    cut();
    await assert.rejects(scene.register(a, anew(first)), /internal error/);
    assert.deepEqual(
      (await rows()).map(({ status }) => status),
      ['active'],
    );
  });

  it('count the failures of a device together', async (t) => {
    const tries = { provisioningPerHour: 5, downloadsPerHour: 600 };
    const { scene, a, b, post, bodyOf, device } = await twoFronts(t, { tries });
    const late = device();
    const wrong = () => {
      const now = timeOf(scene.clock);
      const request = { ...pseudonymRequest(late, now), requestedStartTime: now + 900 * 604_800 };
      return securedBy(late, request, scene.scms.ra.certificate, systemRandom);
    };
    for (const front of [a, b, a, b, a]) {
      assert.equal((await post(front, wrong())).code, '5070');
    }
    for (const front of [a, b]) assert.equal((await post(front, wrong())).code, '5071');
    assert.equal((await post(b, bodyOf(device()))).status, 200, 'another is not concerned');
  });

  it('refuse who is blacklisted, from the next call on', async (t) => {
    const { scene, a, b, post, bodyOf, device } = await twoFronts(t);
    const bad = device();
    assert.equal((await post(a, bodyOf(bad))).status, 200);
    const blacklist = new Blacklist(await scene.openDatabase());
    await blacklist.add(bad.certificate.hash, 'test', timeOf(scene.clock));
    scene.clock.advance(1);
    for (const front of [a, b]) assert.equal((await post(front, bodyOf(bad))).status, 500);
  });
});
