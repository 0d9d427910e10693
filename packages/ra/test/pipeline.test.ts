/** What must not stop the pipeline, and what must not be done twice. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import {
  AuthorityUnavailableError,
  type CertificateAuthority,
  IPeriodClock,
  type LinkageAuthority,
  timeOf,
} from '@chrysalis/scms';
import {
  createFailingObjectStore,
  createMemoryObjectStore,
  type ObjectStore,
  type Outcome,
} from '@chrysalis/store';
import { unzipSync } from 'fflate';
import { createDevice } from '../../../test/support/device.ts';
import { lastPeriodOfAll } from '../src/horizon.ts';
import { createScene, eventually, type Scene, sleep } from './scene.ts';

const random = systemRandom;

describe('one device that fails does not stop the others, when', () => {
  for (const column of ['permissions', 'verify_seed', 'enrollment_certificate'] as const) {
    it(`${column} of its row is corrupt`, async (t) => {
      const scene = await createScene(t);
      const ra = await scene.start();
      const poor = await scene.register(ra);
      await eventually(() => scene.download(ra, poor));
      await scene.database.query
        .updateTable('device')
        .set({ [column]: Uint8Array.of(1, 2, 3) })
        .execute();
      const { iPeriod } = scene.options;
      scene.clock.set(iPeriod.start(iPeriod.at(timeOf(scene.clock)) + 1) + 1);
      const honest = await scene.register(ra);
      await eventually(() => scene.download(ra, honest));
      assert(scene.logged.some(({ message }) => message === 'a device cannot be expanded'));
    });
  }

  it('its pre-linkage values are gone', async (t) => {
    const scene = await createScene(t);
    const ra = await scene.start();
    const poor = await scene.register(ra);
    await eventually(() => scene.download(ra, poor));
    const { iPeriod } = scene.options;
    const i = iPeriod.at(timeOf(scene.clock));
    await scene.database.query
      .updateTable('device')
      .set({ linked_through: i + 5 })
      .execute();
    scene.clock.set(iPeriod.start(i + 1) + 1);
    const honest = await scene.register(ra);
    await eventually(() => scene.download(ra, honest));
  });

  it('an LA refuses to continue its chain', async (t) => {
    let calls = 0;
    const wrapLa = (la: LinkageAuthority): LinkageAuthority => ({
      requestPreLinkageValues(request) {
        calls++;
        return la.requestPreLinkageValues(request);
      },
    });
    const scene = await createScene(t, { wrapLa });
    const ra = await scene.start();
    const orphan = await scene.register(ra);
    await eventually(() => scene.download(ra, orphan));
    const { la1_chain } = await scene.database.query
      .selectFrom('device')
      .select('la1_chain')
      .executeTakeFirstOrThrow();
    // As after the LA has lost its key: this id says nothing to it any more.
    const broken = la1_chain!.with(-1, la1_chain!.at(-1)! ^ 1);
    await scene.database.query.updateTable('device').set({ la1_chain: broken }).execute();
    const { iPeriod } = scene.options;
    scene.clock.set(iPeriod.start(iPeriod.at(timeOf(scene.clock)) + 1) + 1);
    ra.wake();
    await eventually(async () =>
      scene.logged.some(({ message }) => message === 'no pre-linkage values') ? true : undefined,
    );
    calls = 0;
    for (let second = 0; second < 20; second++) {
      scene.clock.advance(1);
      ra.wake();
      await sleep(10);
    }
    assert(calls <= 2 * 5, `${calls} calls in twenty seconds`);
    const honest = await scene.register(ra);
    scene.clock.advance(60);
    ra.wake();
    await eventually(() => scene.download(ra, honest));
  });

  it('the PCA refuses all its requests', async (t) => {
    let refused = 0;
    const wrapPca = (pca: CertificateAuthority): CertificateAuthority => ({
      requestCertificate(request) {
        // The RA's certificate, which comes with every request, names the permission once.
        const octets = Buffer.from(request);
        const isPilot = octets.indexOf(PILOT_PSID) !== octets.lastIndexOf(PILOT_PSID);
        if (isPilot) refused++;
        return pca.requestCertificate(isPilot ? request.with(-1, request.at(-1)! ^ 1) : request);
      },
    });
    const policy = { weeksAhead: 50, certificatesPerPeriod: 20 };
    const scene = await createScene(t, { policy, wrapPca });
    const ra = await scene.start();
    await scene.register(ra, pilot(scene));
    await eventually(async () => (refused >= 20 ? true : undefined));
    const honest = await scene.register(ra);
    await eventually(() => scene.download(ra, honest));
    refused = 0;
    for (let second = 0; second < 60; second++) {
      scene.clock.advance(1);
      ra.wake();
      await sleep(5);
    }
    // 1, 2, 4, 8, 16, 32 seconds apart, and one more week each time.
    assert(refused <= 20 * (6 + 5 + 4 + 3 + 2 + 1), `${refused} refusals in a minute`);
    const { count } = await scene.database.query
      .selectFrom('pca_request')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('device_id', '=', 1)
      .executeTakeFirstOrThrow();
    assert(count <= 20 * 8, `${count} requests wait`);
  });
});

describe('a PCA that is down', () => {
  it('is asked once a minute, however many requests wait', async (t) => {
    let isDown = true;
    let calls = 0;
    const wrapPca = (pca: CertificateAuthority): CertificateAuthority => ({
      async requestCertificate(request) {
        calls++;
        if (isDown) throw new AuthorityUnavailableError('down');
        return pca.requestCertificate(request);
      },
    });
    const scene = await createScene(t, { wrapPca, policy: { weeksAhead: 40 } });
    const ra = await scene.start();
    const device = await scene.register(ra);
    await eventually(async () => {
      const { count } = await scene.database.query
        .selectFrom('pca_request')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow();
      return count === 120 ? true : undefined;
    });
    // Three minutes, second by second: 1, 2, 4 ... 60, 60 seconds apart.
    for (let second = 0; second < 180; second++) {
      scene.clock.advance(1);
      ra.wake();
      await sleep(2);
    }
    assert(calls <= 32 + 10, `${calls} calls in three minutes`);
    isDown = false;
    scene.clock.advance(60);
    ra.wake();
    await eventually(() => scene.download(ra, device));
    scene.clock.advance(3600);
    ra.wake();
    await eventually(async () => ((await scene.issued()).length === 120 ? true : undefined));
    assert.equal(new Set(await scene.issued()).size, 120);
  });
});

describe('the object store', () => {
  for (const outcome of ['fails', 'applied-and-fails'] as const) {
    it(`that ${outcome} is asked again, less and less often, until it works`, async (t) => {
      let isBroken = true;
      let puts = 0;
      const objects = createFailingObjectStore(createMemoryObjectStore(), ({ method }): Outcome => {
        if (method === 'put') puts++;
        return method === 'put' && isBroken ? outcome : 'works';
      });
      const scene = await createScene(t, { objects });
      const ra = await scene.start();
      const device = await scene.register(ra);
      await eventually(async () => (puts >= 2 ? true : undefined));
      assert(puts <= 2, 'the second attempt is a second later');
      isBroken = false;
      ra.wake();
      assert.equal(
        Object.keys(unzipSync(await eventually(() => scene.download(ra, device)))).length,
        3,
      );
    });
  }
});

describe('files that are over', () => {
  it('and cannot be deleted do not stop what is new', async (t) => {
    let isBroken = true;
    const objects = createFailingObjectStore(createMemoryObjectStore(), ({ method }) =>
      method === 'deleteAll' && isBroken ? 'fails' : 'works',
    );
    const scene = await createScene(t, { objects, policy: { weeksAhead: 12 } });
    const ra = await scene.start();
    const device = await scene.register(ra);
    const i = scene.options.iPeriod.at(timeOf(scene.clock));
    await eventually(() => scene.download(ra, device, i + 11));
    scene.clock.set(scene.options.iPeriod.start(i + 1) + 3600);
    const late = await scene.register(ra);
    for (let week = i + 1; week <= i + 12; week++)
      await eventually(() => scene.download(ra, late, week));
    assert(await scene.download(ra, device, i));
    isBroken = false;
    scene.clock.advance(60);
    ra.wake();
    await eventually(async () => ((await scene.download(ra, device, i)) ? undefined : true));
  });
});

describe('two processes on one database', () => {
  it('never put an empty batch over one that the other has filed', async (t) => {
    const inner = createMemoryObjectStore();
    /** The first put of each process waits for the other's look at the same batch. */
    const slow = (ms: number): ObjectStore => ({
      ...bound(inner),
      async put(key, octets) {
        await sleep(ms);
        await inner.put(key, octets);
      },
    });
    // One for each, whoever fills the cache: without any, a device is told to come again.
    const scene = await createScene(t, { policy: { weeksAhead: 6 }, linkageCache: 12 });
    const one = await scene.start({ objects: slow(5) });
    const two = await scene.start({ objects: slow(12), database: await scene.openDatabase() });
    const devices = [];
    for (let n = 0; n < 6; n++) devices.push(await scene.register(n % 2 === 0 ? one : two));
    const first = scene.options.iPeriod.at(timeOf(scene.clock));
    for (let second = 0; second < 5; second++) {
      await sleep(100);
      scene.clock.advance(1);
      one.wake();
      two.wake();
    }
    for (const device of devices) {
      for (let i = first; i < first + 6; i++) {
        const zip = await eventually(() => scene.download(one, device, i));
        assert.equal(Object.keys(unzipSync(zip)).length, 3);
      }
    }
    await sleep(300);
    for (const device of devices) {
      for (let i = first; i < first + 6; i++) {
        const zip = await scene.download(two, device, i);
        assert(zip && Object.keys(unzipSync(zip)).length === 3, `batch ${i}`);
      }
    }
    const issued = await scene.issued();
    assert.equal(issued.length, 6 * 6 * 3, 'each week of each device was expanded once');
    assert.equal(new Set(issued).size, issued.length);
  });
});

describe('the i-period', () => {
  it('may be 0: there is nothing before it to drop', async (t) => {
    const scene = await createScene(t, { iPeriod: new IPeriodClock(721_000_000 + 1_500_000) });
    scene.clock.set(722_500_060);
    const ra = await scene.start();
    const device = await scene.register(ra);
    await eventually(() => scene.download(ra, device, 0));
    assert.deepEqual(
      scene.logged.map(({ message }) => message),
      [],
    );
  });

  it('of a clock before the epoch is a fault of ours', async (t) => {
    const scene = await createScene(t, { iPeriod: new IPeriodClock(800_000_000) });
    const ra = await scene.start();
    await assert.rejects(scene.register(ra), /internal error/);
    assert(!scene.logged.some(({ message }) => message === 'pipeline step failed'));
  });

  it('ends with 65535', async (t) => {
    const now = 722_000_000;
    const scene = await createScene(t, {
      now,
      policy: { weeksAhead: 5 },
      iPeriod: new IPeriodClock(now - 65_534 * 604_800, 604_800),
    });
    const ra = await scene.start();
    const device = await scene.register(ra);
    await eventually(() => scene.download(ra, device, 65_535));
    await sleep(100);
    assert.deepEqual(scene.logged, []);
    scene.clock.advance(2 * 604_800);
    await assert.rejects(scene.register(ra), /within the enrollment certificate/);
  });

  it('beyond which the PCA may not issue is not asked for', async (t) => {
    const now = 722_000_000;
    const scms = createTestScms({ now, random, raHostname: 'localhost' });
    const scene = await createScene(t, { now, scms, policy: { weeksAhead: 20 } });
    const { pca, iPeriod } = scene.options;
    const i = iPeriod.at(now);
    // Valid until a minute before the certificates of i + 2 would expire.
    const end = iPeriod.start(i + 3) + 3600 - 60;
    const { certificate } = pca.certificate;
    const duration = { type: 'seconds', value: 60_000 } as const;
    const validityPeriod = { start: end - duration.value, duration };
    const cut = {
      ...pca.certificate,
      certificate: {
        ...certificate,
        toBeSigned: { ...certificate.toBeSigned, validityPeriod },
      },
    };
    assert.equal(
      lastPeriodOfAll({ ...scene.options, pca: { ...pca, certificate: cut } }, now),
      i + 1,
    );
  });
});

describe('a start', () => {
  it('after the end of the enrollment certificate is refused, not acknowledged', async (t) => {
    const scene = await createScene(t, { policy: { weeksAhead: 10 } });
    const ra = await scene.start();
    const now = timeOf(scene.clock);
    const short = createDevice(scene.scms, random, now, {
      validityPeriod: { start: now - 3600, duration: { type: 'hours', value: 24 } },
    });
    await assert.rejects(
      scene.register(ra, short, now + 4 * 604_800),
      /within the enrollment certificate/,
    );
  });
});

const PILOT_PSID = Uint8Array.of(0x20, 0x40, 0x90);

/** A device with a permission of its own, by which its requests can be told from others'. */
function pilot({ scms, clock }: Scene) {
  return createDevice(scms, random, timeOf(clock), {
    certRequestPermissions: [
      {
        subjectPermissions: { type: 'explicit', value: [{ psid: 0x204090 }] },
        minChainDepth: 0,
        chainDepthRange: 0,
        eeType: Uint8Array.of(0x80),
      },
    ],
  });
}

function bound(store: ObjectStore): ObjectStore {
  return {
    put: (key, octets) => store.put(key, octets),
    get: (key) => store.get(key),
    delete: (key) => store.delete(key),
    deleteAll: (prefix) => store.deleteAll(prefix),
    list: (prefix) => store.list(prefix),
    removeAbandoned: () => store.removeAbandoned(),
  };
}
