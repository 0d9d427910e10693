/** Misbehavior reports from the End Entity SDK over TLS, through a real RA, to a real MA that opens them. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { decode } from '@chrysalis/coer';
import { DirectoryStorage, EndEntity } from '@chrysalis/ee';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { MisbehaviorReportContents } from '@chrysalis/scms';
import { enrolledEndEntity } from './support/enrolled-ee.ts';
import { type FixtureOptions, type RaFixture, startRaFixture } from './support/ra-fixture.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const NOW = time32FromUnix(Date.UTC(2026, 10, 21, 12));
const GHOST = { misbehavingDeviceInfo: new TextEncoder().encode('a ghost vehicle') };
const PLACE = { latitude: 42.28, longitude: -83.74, elevation: 256 };

async function start(t: TestContext, options: FixtureOptions = {}): Promise<RaFixture> {
  const fixture = await startRaFixture({ now: NOW, reports: { poolThreshold: 1 }, ...options });
  t.after(() => fixture.close());
  return fixture;
}

async function profileOf(): Promise<DirectoryStorage> {
  const path = temporaryDirectory();
  return DirectoryStorage.open(path);
}

/** A device that has its certificates of now. */
async function provisioned(t: TestContext, fixture: RaFixture) {
  const storage = await profileOf();
  const made = await enrolledEndEntity(fixture, storage);
  t.after(() => made.ee.close());
  const { certDLTime } = await made.ee.request('pseudonym');
  fixture.clock.set(certDLTime);
  await fixture.eventually(async () => {
    const { batches } = await made.ee.download('pseudonym', { count: 1 });
    return batches[0];
  });
  return { ...made, storage };
}

/** The first report that the MA opened. */
function firstRead({ eventually, ra, ma }: RaFixture) {
  return eventually(async () => {
    ra.wake();
    for await (const report of ma.reports()) return report;
    return undefined;
  });
}

describe('a misbehavior report of the EE', () => {
  it('is opened by the MA: signed with a pseudonym certificate of the device, of its time and place', async (t) => {
    const fixture = await start(t);
    const { ee, profile } = await provisioned(t, fixture);
    const made = fixture.clock.now();
    const outcome = await ee.report({ ...GHOST, place: PLACE });
    assert.deepEqual(outcome, { isSent: true, sent: 1, waiting: 0, dropped: 0 });
    const stored = await firstRead(fixture);

    const { certificates } = (await profile
      .certificates('pseudonym')
      .opened(ee.enrollment.iPeriods.at(time32FromUnix(made))))!;
    const own = certificates.map((c) => Buffer.from(c.certificate).toString('hex'));
    assert(own.includes(Buffer.from(stored.reporterCertificate).toString('hex')));
    assert.deepEqual(
      decode(MisbehaviorReportContents, stored.contents).misbehavingDeviceInfo,
      GHOST.misbehavingDeviceInfo,
    );
    assert.equal(stored.generationTime, time32FromUnix(made));
    assert.deepEqual(stored.generationLocation, {
      latitude: 422_800_000,
      longitude: -837_400_000,
      elevation: 6_656,
    });
    assert.deepEqual(await profile.reports(), []);
  });

  it('that the RA did not take lies in the profile, and the next top-up brings it', async (t) => {
    const fixture = await start(t);
    const { ee, storage, options, profile } = await provisioned(t, fixture);
    const away = await EndEntity.open(profile, {
      ...options,
      settings: { ...options.settings, raUrl: new URL('https://localhost:1') },
    });
    t.after(() => away.close());
    const outcome = await away.report(GHOST);
    assert.deepEqual([outcome.isSent, outcome.waiting], [false, 1]);
    assert.equal(outcome.reason?.code, 'unreachable');
    assert.equal((await readdir(join(storage.path, 'reports'))).length, 1);
    const { reports } = await ee.topUp({ weeks: 1 });
    assert.deepEqual(reports, { sent: 1, waiting: 0, dropped: 0 });
    await firstRead(fixture);
    assert.deepEqual(await readdir(join(storage.path, 'reports')), []);
  });

  it('is kept when the RA takes no more, and says why when the RA does', async (t) => {
    const fixture = await start(t, { reports: { perMinute: 1 } });
    const { ee } = await provisioned(t, fixture);
    assert.equal((await ee.report(GHOST)).isSent, true);
    const { isSent, waiting, reason } = await ee.report(GHOST);
    assert.deepEqual([isSent, waiting], [false, 1]);
    assert.equal(reason?.refusal?.name, 'raMoreThanAllowedTries');
    fixture.clock.advance(60);
    assert.equal((await ee.sendReports()).sent, 1);
  });
});

describe('the certificate of the RA', () => {
  it('comes for the asking from a real RA, and is the one of the bundle', async (t) => {
    const fixture = await start(t);
    const { ee } = await enrolledEndEntity(fixture, await profileOf());
    t.after(() => ee.close());
    assert.equal(await ee.fetchRaCertificate(), false);
    assert.deepEqual(ee.enrollment.ra.hash, fixture.scms.ra.certificate.hash);
  });
});
