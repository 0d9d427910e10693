import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { constantSeries } from '@chrysalis/scms';
import { EndEntity, Profile } from '../src/index.ts';
import { device } from './device.ts';
import type { MemoryStorage } from './memory-storage.ts';
import { chainFile, policyFile } from './mock-files.ts';
import type { Fault, MockRa } from './mock-ra.ts';
import { CURRENT_I } from './mock-scms.ts';

const HOUR_MS = 3_600_000;
const DAY = constantSeries({ type: 'hours', value: 24 } as const);

/** The RA begins with an empty database. */
function loseDatabase(ra: MockRa): void {
  ra.accepted.clear();
}

describe('a request anew', () => {
  it('brings a device back to an RA that has lost its data, with new keys', async () => {
    const { ee, ra, profile } = await device({ periods: 1, perPeriod: 1 });
    const { requestHash } = await ee.request('pseudonym');
    await ee.download('pseudonym');
    loseDatabase(ra);
    Object.assign(ra, { periods: 3 });
    assert.deepEqual((await ee.request('pseudonym')).requestHash, requestHash);
    const fromLost = await ee.download('pseudonym');
    assert.deepEqual(fromLost.batches, []);
    const next = await ee.request('pseudonym', { anew: true });
    assert.notDeepEqual(next.requestHash, requestHash);
    assert.deepEqual((await ee.request('pseudonym')).requestHash, next.requestHash);
    assert.equal(ra.keySets, 2);
    const { batches } = await ee.download('pseudonym');
    assert.deepEqual(
      batches.map(({ i, failures }) => [i, failures.length]),
      [
        [CURRENT_I + 1, 0],
        [CURRENT_I + 2, 0],
      ],
    );
    // What opened before stays.
    assert.equal(
      (await profile.certificates('pseudonym').opened(CURRENT_I))?.certificates.length,
      1,
    );
  });

  it('opens what lies unopened before the keys to it go', async () => {
    const { ee, ra, profile } = await device({ periods: 2, perPeriod: 2 });
    await ee.request('pseudonym');
    await ee.fetch('pseudonym', CURRENT_I + 1);
    loseDatabase(ra);
    await ee.request('pseudonym', { anew: true });
    const opened = await profile.certificates('pseudonym').opened(CURRENT_I + 1);
    assert.deepEqual([opened?.certificates.length, opened?.failures.length], [2, 0]);
  });

  it('counts identification files on, though the RA begins with 0', async () => {
    const { ee, ra, clock, profile } = await device({ identificationFiles: 2 });
    await ee.request('identification');
    await ee.download('identification');
    clock.unixMs += 750 * HOUR_MS;
    loseDatabase(ra);
    ra.identificationFiles = 2;
    const { requestHash } = await ee.request('identification', { anew: true });
    ra.requests.length = 0;
    const { batches } = await ee.download('identification');
    const hash = Buffer.from(requestHash).toString('hex').toUpperCase();
    assert.deepEqual(
      ra.filesAsked,
      [0, 1, 2].map((i) => `${hash}_${i}.zip`),
    );
    assert.deepEqual(
      batches.map(({ i, certificates, failures }) => [i, certificates[0]?.i, failures.length]),
      [
        [2, 2, 0],
        [3, 3, 0],
      ],
    );
    const folder = profile.certificates('identification');
    assert.deepEqual(await folder.openedNumbers(), [0, 1, 2, 3]);
    assert.deepEqual((await ee.download('identification')).batches, []);
    await folder.removeZip(0);
    await assert.rejects(ee.fetch('identification', 0), { code: 'not-due' });
  });

  it('that the RA refuses leaves the request before it as it was', async () => {
    const { ee, ra, storage } = await device({ periods: 1 });
    const { requestHash } = await ee.request('pseudonym');
    const before = storage.files.get('provisioning.json');
    // The mock RA takes one set of keys: code 5057.
    await assert.rejects(ee.request('pseudonym', { anew: true }), { code: 'refused' });
    assert.equal(storage.files.has('anew/provisioning.json'), false);
    assert.deepEqual(storage.files.get('provisioning.json'), before);
    assert.equal(ra.accepted.size, 1);
    assert.deepEqual((await ee.request('pseudonym')).requestHash, requestHash);
    assert.equal((await ee.download('pseudonym')).batches.length, 1);
  });

  it('that may have arrived is taken up by the next contact, with the same keys', async () => {
    for (const [fault, isHeld] of [
      ['lost-answer', true],
      ['lost-request', false],
    ] as const) {
      const { ee, ra, transport, storage, progress } = await device({ periods: 1 });
      await ee.request('pseudonym');
      if (isHeld) loseDatabase(ra);
      transport.faults.push(...Array<Fault>(5).fill(fault));
      await assert.rejects(ee.request('pseudonym', { anew: true }), { code: 'interrupted' });
      assert(storage.files.has('anew/provisioning.json'));
      const { requestHash } = await ee.request('pseudonym');
      assert.equal(ra.keySets, 2);
      const name = Buffer.from(requestHash).toString('hex').toUpperCase();
      assert.deepEqual([...ra.accepted.keys()], [name]);
      // An RA that holds the former one refuses the new one each time, and the former one goes on.
      assert.equal(storage.files.has('anew/provisioning.json'), !isHeld);
      assert.equal(
        progress.some(({ type }) => type === 'not-replaced'),
        !isHeld,
      );
      assert.equal((await ee.download('pseudonym')).batches.length, 1);
    }
  });

  it('goes on from a death at any step with one set of new keys', async () => {
    for (const isAppliedBeforeDeath of [false, true]) {
      for (let dieAt = 1; ; dieAt += 1) {
        const { storage, ra, eeOptions, ee } = await device({ identificationFiles: 2 });
        await ee.request('identification');
        await ee.download('identification');
        loseDatabase(ra);
        const anew = async (from: MemoryStorage) => {
          const own = await EndEntity.open(new Profile(from), eeOptions);
          const { requestHash } = await own.request('identification', { anew: true });
          await own.download('identification');
          return requestHash;
        };
        const dying = Object.assign(storage.reborn(), { dieAt, isAppliedBeforeDeath });
        const hasDied = await anew(dying).then(
          () => false,
          () => true,
        );
        const survivor = dying.reborn();
        const own = await EndEntity.open(new Profile(survivor), eeOptions);
        // Either the new request has got somewhere, or the user asks once more.
        if (ra.accepted.size === 0) await anew(survivor);
        else await own.request('identification');
        await own.download('identification');
        assert.equal(ra.accepted.size, 1, `step ${dieAt}`);
        const folder = new Profile(survivor).certificates('identification');
        assert.deepEqual(await folder.openedNumbers(), [0, 1, 2, 3], `step ${dieAt}`);
        assert.equal(survivor.files.has('identification/anew/provisioning.json'), false);
        if (!hasDied) break;
        assert(dieAt < 50, 'a contact has no end');
      }
    }
  });

  it('of an RSE is for a certificate that has not come', async () => {
    const { ee, ra, profile } = await device();
    const first = await ee.request('application');
    loseDatabase(ra);
    const second = await ee.request('application', { anew: true });
    assert.notDeepEqual(second.requestHash, first.requestHash);
    assert.equal((await ee.download('application')).batches[0]!.certificates.length, 1);
    await assert.rejects(ee.request('application', { anew: true }), { code: 'not-due' });
    assert.deepEqual(await profile.applicationRequests(), [0, 1]);
  });
});

describe('an RSE whose policy changes before its certificate is here (W-133)', () => {
  async function rse() {
    const made = await device();
    const settings = { kind: 'rse' } as const;
    const ee = await EndEntity.open(made.profile, { ...made.eeOptions, settings });
    Object.assign(made.ra.files, { chains: chainFile(1, 1), policy: policyFile(1, 1) });
    const handle = made.ra.handle.bind(made.ra);
    // The certificate is not there yet.
    made.ra.handle = (request) =>
      request.url.pathname === '/download/application-certificate'
        ? { status: 500 }
        : handle(request);
    await assert.rejects(ee.topUp(), { code: 'refused' });
    made.ra.files.policy = policyFile(1, 2, { global: { rseApplicationCertValidity: DAY } });
    made.ra.handle = handle;
    made.ra.requests.length = 0;
    return { ...made, ee };
  }

  it('skips the download and asks again', async () => {
    const { ee, ra, profile } = await rse();
    loseDatabase(ra);
    const { supplies } = await ee.topUp();
    assert.equal(supplies[0]!.batches[0]!.i, 1);
    assert.equal(ra.asked.length, 1);
    assert.equal(ra.filesAsked.length, 1);
    const { terms } = (await profile.applicationRequest(1))!;
    assert.equal(terms?.periodSec, 24 * 3_600);
  });

  it('asks once, and goes on with what was acknowledged when the RA holds to it', async () => {
    const { ee, ra, profile, clock, progress } = await rse();
    const slept = clock.slept.length;
    const { supplies } = await ee.topUp();
    assert.equal(supplies[0]!.batches[0]!.i, 0);
    assert.equal(ra.requests.filter(({ method }) => method === 'POST').length, 1);
    assert.equal(clock.slept.length, slept, 'a refusal is not waited out');
    assert(progress.some(({ type }) => type === 'not-replaced'));
    assert.deepEqual(await profile.applicationRequests(), [0]);
    assert.equal((await profile.applicationRequest(0))!.terms?.periodSec, 168 * 3_600);
  });

  it('asks again for no policy that the RA has refused it for, and for none that says the same', async () => {
    const { ee, ra } = await rse();
    await ee.fetchFiles();
    await ee.request('application');
    await ee.request('application');
    assert.equal(ra.requests.filter(({ method }) => method === 'POST').length, 1);
    ra.files.policy = policyFile(1, 3, { global: { rseApplicationCertValidity: DAY } });
    await ee.fetchFiles();
    await ee.request('application');
    assert.equal(ra.requests.filter(({ method }) => method === 'POST').length, 1);
  });
});
