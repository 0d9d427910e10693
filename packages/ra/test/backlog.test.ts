/** How long a file waits behind those of other devices, and that `.info` says so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { timeOf } from '@chrysalis/scms';
import { KnownBacklog, Pace, readBacklog, waitOf } from '../src/backlog.ts';
import { readSetting, writeSetting } from '../src/setting.ts';
import { insertDevice } from './device-rows.ts';
import { createScene, type Registered } from './scene.ts';
import { createStage } from './stage.ts';

const CURRENT = 100;
/** What a file that is begun is expected to need. */
const MAKING = 60;
const WEEK = 604_800;
/** What a first file needs when nothing else is waiting. */
const PROMPT = 5;

function waitAmong(groups: [lastI: number, filedThrough: number, count: number][], id = 1000) {
  const backlog = {
    perSec: 10,
    groups: groups.map(([lastI, filedThrough, count]) => ({ lastI, filedThrough, count })),
    leastId: 1,
    greatestId: 1000,
  };
  const of = (i: number) => {
    const place = {
      device: { id },
      i,
      current: CURRENT,
      certificatesPerPeriod: 20,
      periodSec: WEEK,
    };
    const { beforePeriodSec, inPeriodSec } = waitOf(backlog, place);
    return [beforePeriodSec, inPeriodSec];
  };
  return of;
}

describe('a backlog', () => {
  it('is what the nearer weeks of all devices take, and the same week of older devices', () => {
    const wait = waitAmong([[1000, CURRENT - 1, 50]]);
    assert.deepEqual(wait(CURRENT), [0, 100]);
    assert.deepEqual(wait(CURRENT + 3), [300, 100]);
    assert.deepEqual(waitAmong([[1000, CURRENT - 1, 50]], 500)(CURRENT + 3), [300, 50]);
  });

  it('has none of what is there, over, or behind the end of a device', () => {
    const lagging = waitAmong([[1000, -1, 50]]);
    assert.deepEqual(lagging(CURRENT), [0, 100], 'weeks that are over are not made');
    const ahead = waitAmong([[1000, CURRENT + 9, 50]]);
    assert.deepEqual(ahead(CURRENT + 9), [0, 0]);
    assert.deepEqual(ahead(CURRENT + 10), [0, 100]);
    const ending = waitAmong([[CURRENT + 1, CURRENT - 1, 50]]);
    assert.deepEqual(ending(CURRENT + 9), [200, 0]);
  });

  it('is as long as the sum over its groups', () => {
    const wait = waitAmong([
      [1000, CURRENT - 1, 50],
      [1000, CURRENT + 1, 7],
    ]);
    assert.deepEqual(wait(CURRENT + 2), [200, 114]);
  });

  it('is nothing that is said before the pace was ever measured', () => {
    const backlog = { perSec: undefined, groups: [], leastId: 0, greatestId: 0 };
    const place = {
      device: { id: 1 },
      i: 9,
      current: 1,
      certificatesPerPeriod: 20,
      periodSec: WEEK,
    };
    assert.deepEqual(waitOf(backlog, place), { beforePeriodSec: 0, inPeriodSec: 0 });
  });

  it('is never longer than a period, whatever the pace', () => {
    const wait = waitAmong([[60_000, CURRENT - 1, 50_000_000]]);
    assert.deepEqual(wait(CURRENT), [0, WEEK]);
    assert.deepEqual(wait(CURRENT + 100), [WEEK, 0]);
    const some = waitAmong([[60_000, CURRENT - 1, 200_000]]);
    assert.deepEqual(some(CURRENT + 1), [400_000, WEEK - 400_000]);
  });

  it('goes by the place of a device in the line, wherever in the numbers the line lies', () => {
    const groups = [{ lastI: 1000, filedThrough: CURRENT - 1, count: 100 }];
    const backlog = { perSec: 10, groups, leastId: 5001, greatestId: 5100 };
    const inPeriod = (id: number) => {
      const of = { i: CURRENT, current: CURRENT, certificatesPerPeriod: 20, periodSec: WEEK };
      return waitOf(backlog, { device: { id }, ...of }).inPeriodSec;
    };
    assert.deepEqual([5001, 5050, 5100].map(inPeriod), [2, 100, 200]);
    assert.deepEqual([3, 9999].map(inPeriod), [0, 200], 'of a device that is not in it');
  });

  it('is read with the devices that get something', async (t) => {
    const { database } = await createScene(t);
    await writeSetting(database.query, 'pace_per_hour', 7200);
    await insertDevice(database, { last_i: 9 });
    const id = await insertDevice(database, { last_i: 9 });
    await insertDevice(database, { last_i: 9, kind: 'identification' });
    await insertDevice(database, { last_i: 9, status: 'paused' });
    const youngest = await insertDevice(database, { last_i: 9 });
    await database.query.updateTable('device').set({ blocked: 1 }).where('id', '=', id).execute();
    assert.deepEqual(await readBacklog(database), {
      perSec: 2,
      groups: [{ lastI: 9, filedThrough: -1, count: 2 }],
      leastId: id - 1,
      greatestId: youngest,
    });
  });

  it('has in line those who lack a period, at whichever they are, and no other registration', async (t) => {
    const { database } = await createScene(t);
    await writeSetting(database.query, 'pace_per_hour', 7200);
    const line = async () => {
      const { leastId, greatestId } = await readBacklog(database);
      return [leastId, greatestId];
    };
    const past = { last_i: 9, expanded_through: 9 };
    await insertDevice(database, past);
    await insertDevice(database, { kind: 'application' });
    assert.deepEqual(await line(), [0, 0], 'nobody');
    const first = await insertDevice(database, { expanded_through: 7 });
    assert.deepEqual(await line(), [first, first]);
    await insertDevice(database, { expanded_through: 3 });
    const last = await insertDevice(database, { expanded_through: 5 });
    // Certificates of roadside units, which ask for another each week, have the numbers after them.
    for (let n = 0; n < 5; n++) await insertDevice(database, { kind: 'application' });
    await insertDevice(database, { status: 'replaced' });
    await insertDevice(database, past);
    assert.deepEqual(await line(), [first, last]);
  });

  it('is read once for all who ask within ten seconds, whatever the clock does', async (t) => {
    const { database } = await createScene(t);
    const known = new KnownBacklog(database);
    const perSec = async (now: number) => (await known.at(now)).perSec;
    assert.equal(await perSec(1000), undefined);
    await writeSetting(database.query, 'pace_per_hour', 3600);
    assert.equal(await perSec(1009), undefined);
    assert.equal(await perSec(1010), 1);
    await writeSetting(database.query, 'pace_per_hour', 7200);
    assert.equal(await perSec(900), 2);
  });

  it('that could not be read is read anew', async (t) => {
    const { database } = await createScene(t);
    const known = new KnownBacklog(database);
    const { query } = database;
    let isBroken = true;
    const broken = new KnownBacklog({
      ...database,
      get query() {
        if (isBroken) throw new Error('broken');
        return query;
      },
    });
    await assert.rejects(broken.at(5));
    isBroken = false;
    assert.deepEqual(await broken.at(5), await known.at(5));
  });
});

describe('the pace of a pipeline', () => {
  it('is taken after half a minute of work, and believed by and by', async (t) => {
    const { database } = await createScene(t);
    const pace = new Pace(database);
    const known = () => readSetting(database.query, 'pace_per_hour');
    await pace.worked(29_999, 292);
    assert.equal(await known(), undefined);
    await pace.worked(1, 8);
    assert.equal(await known(), 36_000);
    await pace.worked(30_000, 600);
    assert.equal(await known(), 46_800, 'three tenths of the way to 72,000');
    const next = new Pace(database);
    await next.worked(3_600_000, 46_800);
    assert.equal(await known(), 46_800);
  });

  it('is not that of a certificate now and then, nor of work that brings none', async (t) => {
    const { database } = await createScene(t);
    await writeSetting(database.query, 'pace_per_hour', 1_000_000);
    const pace = new Pace(database);
    // A period is dropped; application certificates are asked for one by one.
    for (let n = 0; n < 20; n++) {
      await pace.worked(60_000, 0);
      await pace.worked(60_000, 7);
    }
    assert.equal(await readSetting(database.query, 'pace_per_hour'), 1_000_000);
  });
});

describe('.info behind a backlog', () => {
  it('says when it is the turn of the device', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2, shuffleMaxAgeSec: 0 } });
    const devices: Registered[] = [];
    for (let n = 0; n < 4; n++) devices.push(await stage.register(stage.ra));
    // A certificate a second; a week has three.
    await writeSetting(stage.database.query, 'pace_per_hour', 3600);
    stage.clock.advance(600);
    const infos = () => Promise.all(devices.map((device) => stage.info(device)));
    const now = timeOf(stage.clock);
    assert.deepEqual(
      await infos(),
      [3, 6, 9, 12].map((sec) => now + sec + MAKING),
    );
    await stage.settle();
    stage.clock.advance(10);
    // Both weeks are there. The third is begun with the next period, for all at once.
    const begins = stage.options.iPeriod.start(stage.currentI() + 1);
    const third = [3, 6, 9, 12].map((sec) => begins + sec + MAKING);
    assert.deepEqual(await infos(), third);
    stage.toPeriod(1);
    assert.deepEqual(await infos(), third);
    await stage.settle();
    for (const device of devices) {
      assert(await stage.download(stage.ra, device, stage.currentI() + 1));
    }
  });

  it('is acknowledged to a new device', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2, shuffleMaxAgeSec: 0 } });
    for (let n = 0; n < 4; n++) await stage.register(stage.ra);
    await writeSetting(stage.database.query, 'pace_per_hour', 3600);
    stage.clock.advance(600);
    const device = await stage.register(stage.ra);
    // Four devices with three certificates each come first.
    assert.equal(await stage.info(device), timeOf(stage.clock) + 12 + PROMPT);
  });

  it('is acknowledged, and told, as no longer than a period even in the worst of hours', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2, shuffleMaxAgeSec: 0 } });
    const first = await stage.register(stage.ra);
    // A certificate an hour, for a fleet of many millions: longer than a Time32 can say.
    await writeSetting(stage.database.query, 'pace_per_hour', 1);
    await insertDevice(stage.database, { last_i: 60_000 });
    await stage.database.query
      .updateTable('device_count')
      .set({ count: 10_000_000 })
      .where('last_i', '=', 60_000)
      .execute();
    stage.clock.advance(600);
    const now = timeOf(stage.clock);
    assert.equal(await stage.info(first), now + WEEK + MAKING);
    const device = await stage.register(stage.ra);
    assert.equal(await stage.info(device), now + WEEK + PROMPT);
  });

  it('counts behind its requests no more than are let wait for the PCA', async (t) => {
    const stage = await createStage(t, {
      policy: { weeksAhead: 1, shuffleInitial: 'pooled', shuffleMaxAgeSec: 7200 },
    });
    const device = await stage.register(stage.ra);
    await stage.settle();
    await writeSetting(stage.database.query, 'pace_per_hour', 3600);
    for (let n = 0; n < 3; n++) await insertDevice(stage.database, { last_i: 60_000 });
    await stage.database.query
      .updateTable('device_count')
      .set({ count: 10_000_000 })
      .where('last_i', '=', 60_000)
      .execute();
    // The time of its acknowledgement is over.
    stage.clock.advance(9000);
    assert.equal(await stage.info(device), timeOf(stage.clock) + 20_000 + MAKING);
  });
});
