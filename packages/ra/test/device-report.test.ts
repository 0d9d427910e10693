/** What operators are told of one device, held against what the RA does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import type { RegistrationAuthority } from '@chrysalis/ra/server';
import { AuthorityUnavailableError, type CertificateAuthority, timeOf } from '@chrysalis/scms';
import { createMemoryObjectStore } from '@chrysalis/store';
import { createDevice, downloadReq } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import { fileKey } from '../src/batch-file.ts';
import { deviceReport } from '../src/device-report.ts';
import { insertDevice } from './device-rows.ts';
import { createScene, eventually, type Registered, type Scene } from './scene.ts';

/** The one report of a hash in hex, of any case. */
async function reportOn({ options, clock }: Scene, hash: string | Uint8Array) {
  const octets = typeof hash === 'string' ? new Uint8Array(Buffer.from(hash, 'hex')) : hash;
  const reports = await deviceReport(options, octets, timeOf(clock));
  assert.equal(reports.length, 1);
  return reports[0]!;
}

async function registrationOn(scene: Scene, hash: string | Uint8Array, n = 0) {
  const { registrations } = await reportOn(scene, hash);
  return registrations[n]!;
}

/** Until everything is filed that is to be there now. */
async function served(scene: Scene, ra: RegistrationAuthority, device: Registered) {
  const { iPeriod, policy } = scene.options;
  const last = iPeriod.at(timeOf(scene.clock)) + policy.weeksAhead - 1;
  await eventually(() => scene.download(ra, device, last));
}

/** What the RA answers: four octets, or a refusal. */
async function info(scene: Scene, ra: RegistrationAuthority, { device, hash }: Registered) {
  const { clock, scms, ca } = scene;
  const certificate = scms.ra.certificate;
  const headers = downloadReq(device, `${hash}.info`, timeOf(clock), certificate, systemRandom);
  const answer = await send(`https://localhost:${ra.port}/download/info`, ca, { headers });
  if (answer.status !== 200) return String(answer.headers['scms-poc-error-message']);
  return Buffer.from(answer.body).readUInt32BE();
}

describe('deviceReport', () => {
  it('finds a device by request hash, HashedId8 and SHA-256, and nothing by another', async (t) => {
    const scene = await createScene(t);
    const ra = await scene.start();
    const { device, hash } = await scene.register(ra);
    await scene.register(ra);
    const { hash: enrollmentHash } = device.certificate;
    for (const name of [hash, device.certificate.id, enrollmentHash]) {
      const report = await reportOn(scene, name);
      assert.deepEqual(report.enrollmentHash, enrollmentHash);
      assert.equal(report.registrations.length, 1);
      assert.equal(Buffer.from(report.registrations[0]!.requestHash).toString('hex'), hash);
    }
    const { options, clock } = scene;
    for (const other of [new Uint8Array(8), enrollmentHash.with(0, enrollmentHash[0]! ^ 1)]) {
      assert.deepEqual(await deviceReport(options, other, timeOf(clock)), []);
    }
  });

  it('tells how far each step has come, as i and as times', async (t) => {
    const scene = await createScene(t, { policy: { weeksAhead: 3 } });
    const ra = await scene.start();
    const device = await scene.register(ra);
    await served(scene, ra, device);
    await ra.close(); // contacts are noted
    const { iPeriod } = scene.options;
    const i = iPeriod.at(timeOf(scene.clock));
    const report = await registrationOn(scene, device.hash);
    const point = (n: number) => ({
      i: n,
      start: iPeriod.start(n),
      end: iPeriod.start(n) + 169 * 3600,
    });
    assert.deepEqual(report.first, point(i));
    for (const through of ['expandedThrough', 'filedThrough', 'fetchedThrough'] as const) {
      assert.deepEqual(report[through], point(i + 2), through);
    }
    assert.deepEqual(report.files, { expected: 3, missing: [] });
    assert.equal(report.onItsWay.batches, 0);
    assert.equal(report.registeredAt, timeOf(scene.clock));
    assert.equal(report.nextStep, `i = ${i + 3}, which is begun 2026-11-24T08:59:58Z`);
  });

  it('tells of files that were filed and are lost', async (t) => {
    const objects = createMemoryObjectStore();
    const scene = await createScene(t, { objects, policy: { weeksAhead: 3 } });
    const ra = await scene.start();
    const device = await scene.register(ra);
    await served(scene, ra, device);
    const { iPeriod } = scene.options;
    const i = iPeriod.at(timeOf(scene.clock));
    const row = await eventually(async () => {
      const found = await scene.database.query
        .selectFrom('device')
        .selectAll()
        .executeTakeFirstOrThrow();
      return found.filed_through === i + 2 ? found : undefined;
    });
    const lost = i + 1;
    await objects.delete(fileKey(row, lost, iPeriod));
    const { files } = await registrationOn(scene, device.hash);
    assert.deepEqual(files, { expected: 3, missing: [lost] });
  });

  it('says of .info what the RA answers', async (t) => {
    const scene = await createScene(t, { policy: { weeksAhead: 2 } });
    const ra = await scene.start();
    const device = await scene.register(ra);
    const { database, clock } = scene;
    const now = timeOf(clock);
    // All that is within the supply: what is looked at twice is the same both times.
    await eventually(async () => {
      const { filed_through } = await database.query
        .selectFrom('device')
        .select('filed_through')
        .executeTakeFirstOrThrow();
      return filed_through === scene.options.iPeriod.at(now) + 1 ? true : undefined;
    });
    const row = database.query.updateTable('device');
    const answered = async () => {
      const told = (await registrationOn(scene, device.hash)).info;
      const answer = await info(scene, ra, device);
      if (typeof answer === 'string') {
        assert.equal(told.answer, 'refused', answer);
      } else {
        assert.deepEqual([told.answer, told.time ?? 0], [answer ? 'time' : 'none', answer]);
      }
      return told;
    };
    assert.equal((await answered()).answer, 'time');

    await row.set({ status: 'paused' }).execute();
    assert.equal((await answered()).answer, 'time');
    await row.set({ status: 'failed' }).execute();
    assert.equal((await answered()).why, 'its keys cannot be expanded');
    await row.set({ status: 'replaced' }).execute();
    assert.match((await answered()).why, /^raNoInfoFileAvailable: /);
    await row.set({ status: 'active' }).execute();

    const { last_i } = await database.query
      .selectFrom('device')
      .select('last_i')
      .executeTakeFirstOrThrow();
    await row.set({ last_i: scene.options.iPeriod.at(now) }).execute();
    assert.equal((await answered()).why, 'its enrollment certificate reaches no further');
    await row.set({ last_i }).execute();

    await ra.blacklist.add(device.device.certificate.hash, 'stolen', now);
    assert.match((await answered()).why, /^raBlacklisted: /);
    const { blacklist } = await reportOn(scene, device.hash);
    assert.deepEqual([blacklist?.reason, blacklist?.addedAt], ['stolen', now]);
    await ra.blacklist.remove(device.device.certificate.hash);
    assert.equal((await answered()).answer, 'time');
  });

  it('says that an enrollment certificate is over, as the RA does', async (t) => {
    const scene = await createScene(t);
    const ra = await scene.start();
    const now = timeOf(scene.clock);
    const validityPeriod = {
      start: now - 3600,
      duration: { type: 'hours', value: 3 } as const,
    };
    const short = createDevice(scene.scms, systemRandom, now, { validityPeriod });
    const device = await scene.register(ra, short);
    await served(scene, ra, device);
    scene.clock.advance(2 * 3600);
    assert.equal(typeof (await info(scene, ra, device)), 'string');
    const report = await reportOn(scene, device.hash);
    assert.equal(report.enrollmentEnd, now + 2 * 3600);
    assert.deepEqual(report.registrations[0]!.info, {
      answer: 'refused',
      why: 'chrysalisEnrollmentCertificateRefused: its enrollment certificate is over',
    });
  });

  it('tells what is on its way: in the shuffle, due, repeated', async (t) => {
    const wrapPca = (): CertificateAuthority => ({
      async requestCertificate() {
        throw new AuthorityUnavailableError('down');
      },
    });
    const scene = await createScene(t, { wrapPca, policy: { shuffleInitial: 'pooled' } });
    const ra = await scene.start();
    const device = await scene.register(ra);
    const pooled = await eventually(async () => {
      const seen = await registrationOn(scene, device.hash);
      return seen.onItsWay.inShuffle > 0 ? seen : undefined;
    });
    assert.deepEqual(pooled.onItsWay, {
      inShuffle: 3,
      waiting: 0,
      repeated: 0,
      mostAttempts: 0,
      nextAttemptAt: undefined,
      batches: 1,
    });
    assert.equal(pooled.nextStep, 'the shuffle: 3 requests wait in it for others');
    scene.clock.advance(scene.options.policy.shuffleMaxAgeSec);
    ra.wake();
    const down = await eventually(async () => {
      const seen = await registrationOn(scene, device.hash);
      return seen.onItsWay.repeated === 3 ? seen : undefined;
    });
    assert.equal(down.onItsWay.inShuffle + down.onItsWay.waiting, 0);
    assert.equal(down.onItsWay.mostAttempts, 1);
    assert.match(
      down.nextStep,
      /^another attempt at the PCA 2026-11-23T12:00:0\dZ, for 3 requests$/,
    );
    assert.equal(down.filedThrough, undefined);
  });

  it('tells of a device that fails, is given up, has paused or has asked anew', async (t) => {
    const scene = await createScene(t);
    const { database, clock, options } = scene;
    const now = timeOf(clock);
    const i = options.iPeriod.at(now);
    const enrollment_hash = systemRandom(32);
    const base = { enrollment_hash, first_i: i, filed_through: i - 1, expanded_through: i - 1 };
    const row = (more: object) => insertDevice(database, { ...base, ...more });
    await row({ status: 'replaced' });
    await row({ failures: 4, retry_at: now + 16 });
    const [replaced, failing] = (await reportOn(scene, enrollment_hash)).registrations;
    assert.equal(replaced?.nextStep, 'none: the device has asked anew with other keys');
    assert.deepEqual([failing?.failures, failing?.nextTryAt], [4, now + 16]);
    assert.equal(failing?.nextStep, 'another try 2026-11-21T12:00:16Z, after 4 failures in a row');
    for (const [more, nextStep] of [
      [{ status: 'failed' }, 'none: the device has to ask anew, with other keys'],
      [{ status: 'paused' }, 'its next contact: until then nothing more is made'],
      [{ linked_through: i - 1 }, `pre-linkage values of the LAs for i = ${i}`],
      [{ linked_through: i }, `the requests to the PCA for i = ${i}`],
      [
        { last_i: i, expanded_through: i, filed_through: i },
        'none: everything is made that its enrollment certificate allows',
      ],
    ] as const) {
      const request_hash = systemRandom(8);
      const other = systemRandom(32);
      await row({ ...more, enrollment_hash: other, request_hash });
      assert.equal((await registrationOn(scene, request_hash)).nextStep, nextStep);
    }
  });

  it('knows a certificate that is blacklisted and has asked for nothing', async (t) => {
    const scene = await createScene(t);
    const ra = await scene.start();
    const hash = systemRandom(32);
    await ra.blacklist.add(hash, 'lost', timeOf(scene.clock));
    const report = await reportOn(scene, hash.subarray(-8));
    assert.deepEqual(report.enrollmentHash, hash);
    assert.deepEqual(report.registrations, []);
    assert.equal(report.blacklist?.reason, 'lost');
  });

  it('shows no key, no permission and no linkage chain', async (t) => {
    const scene = await createScene(t);
    const ra = await scene.start();
    const device = await scene.register(ra);
    await served(scene, ra, device);
    const report = await reportOn(scene, device.hash);
    const shown = JSON.stringify(report, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
    );
    const row = await scene.database.query
      .selectFrom('device')
      .selectAll()
      .executeTakeFirstOrThrow();
    const public_ = ['request_hash', 'files_hash', 'enrollment_hash'];
    for (const [name, value] of Object.entries(row)) {
      if (!(value instanceof Uint8Array) || value.length === 0) continue;
      const isShown = shown.includes(Buffer.from(value).toString('hex'));
      assert.equal(isShown, public_.includes(name), name);
    }
    assert(row.la1_chain, 'expected a chain to keep secret');
  });
});
