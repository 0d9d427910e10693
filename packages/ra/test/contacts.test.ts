/** Devices that are not heard of, and devices that may not be served. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { timeOf } from '@chrysalis/scms';
import { createDevice } from '../../../test/support/device.ts';
import { Contacts } from '../src/contacts.ts';
import { DeviceRegistry, type KnownDevice } from '../src/device-registry.ts';
import { cocoonKeyOf, cocoonKeysOf, createStage, type Stage } from './stage.ts';

const DAY = 86_400;

describe('contacts', () => {
  it('are noted behind the answer, by the hour, and never go back', async (t) => {
    const stage = await createStage(t);
    const device = await stage.register(stage.ra);
    await stage.settle();
    const registeredAt = timeOf(stage.clock);
    const contacts = new Contacts(stage.options, () => {});
    const contact = async (after: number) => {
      await contacts.seen(await known(stage), registeredAt + after);
      await contacts.flush();
      return (await known(stage)).last_seen - registeredAt;
    };
    assert.equal(await contact(3599), 0, 'less than an hour is not worth a write');
    assert.equal(await contact(3600), 3600);
    assert.equal(await contact(3601), 3600);
    assert.equal(await contact(-5000), 3600, 'a clock that was set back');
    assert.equal(await contact(9000), 9000);
    contacts.fetched(await known(stage), 7, registeredAt);
    contacts.fetched(await known(stage), 5, registeredAt);
    await contacts.flush();
    assert.equal((await known(stage)).fetched_through, 7);
    assert.equal((await known(stage)).last_seen, registeredAt + 9000);
    assert(device);
  });

  it('of a registration that is closed give nothing, until all who closed it have opened it', async (t) => {
    const stage = await createStage(t);
    await stage.register(stage.ra);
    const contacts = new Contacts(stage.options, () => {});
    const device = await known(stage);
    const now = timeOf(stage.clock);
    await Promise.all([contacts.close(device.id), contacts.close(device.id)]);
    assert.equal(contacts.fetched(device, 3, now), false);
    contacts.open(device.id);
    assert.equal(contacts.fetched(device, 3, now), false, 'the other may have replaced it');
    contacts.open(device.id);
    assert.equal(contacts.fetched(device, 3, now), true);
    for (let id = 1; id <= 10_001; id++) void contacts.close(id);
    assert.equal(contacts.fetched({ ...device, id: 10_001 }, 3, now), false);
    assert.equal(contacts.fetched(device, 3, now), true, 'the bound');
  });
});

describe('a device that is not heard of', () => {
  it('pauses when a period is dropped, and goes on at its next contact', async (t) => {
    const policy = { weeksAhead: 2, shuffleMaxAgeSec: 0 };
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const stage = await createStage(t, { policy, pauseAfterSec: 7 * DAY });
    const [silent, lively] = [await stage.register(stage.ra), await stage.register(stage.ra)];
    await stage.settle();
    const i = stage.currentI();
    const nextWeek = async () => {
      stage.toPeriod(1);
      stage.clock.advance(3600);
      assert.notEqual(await stage.info(lively), 0);
      // What is heard of devices is written ten seconds later.
      t.mock.timers.tick(10_000);
      await stage.settle();
    };
    await nextWeek();
    assert(await stage.download(stage.ra, lively, i + 2));
    await nextWeek();
    assert.deepEqual(await statuses(stage), ['paused', 'active']);
    const made = (await stage.issued()).length;
    await nextWeek();
    assert.equal((await stage.issued()).length, made + 3, 'only for the one that is heard of');
    const now = timeOf(stage.clock);
    const info = await stage.info(silent);
    assert(info !== undefined && info > now, 'more is to come, from this contact on');
    assert.deepEqual(await statuses(stage), ['active', 'active']);
    await stage.settle();
    for (const week of [i + 3, i + 4]) {
      assert(await stage.download(stage.ra, silent, week), `week ${week - i}`);
    }
    assert.equal(await stage.info(silent), stage.options.iPeriod.start(i + 4) + 60);
  });

  it('never pauses when no time is set for it', async (t) => {
    const policy = { weeksAhead: 1, shuffleMaxAgeSec: 0 };
    const stage = await createStage(t, { policy });
    await stage.register(stage.ra);
    for (let week = 0; week < 5; week++) {
      stage.toPeriod(1);
      stage.clock.advance(3600);
      await stage.settle();
    }
    assert.deepEqual(await statuses(stage), ['active']);
  });
});

describe('a device that is blocked', () => {
  it('has nothing sent of what waits, and all of it once it is not any more', async (t) => {
    const policy = { weeksAhead: 2, shuffleInitial: 'pooled', shuffleMaxAgeSec: 3600 } as const;
    const stage = await createStage(t, { policy });
    const [black, other] = [await stage.register(stage.ra), await stage.register(stage.ra)];
    await stage.settle();
    const { hash } = black.device.certificate;
    await stage.ra.blacklist.add(hash, 'test', timeOf(stage.clock));
    stage.clock.advance(3600);
    await stage.settle();
    const i = stage.currentI();
    const own = new Set([i, i + 1].flatMap((week) => cocoonKeysOf(black.device, week, 3)));
    assert.equal(stage.atPca.length, 6);
    assert(!stage.atPca.some((request) => own.has(cocoonKeyOf(request))));
    assert(await stage.download(stage.ra, other));
    assert.equal(await stage.info(black), undefined, 'it may not even ask');
    await stage.ra.blacklist.remove(hash);
    await stage.settle();
    assert.equal(stage.atPca.filter((request) => own.has(cocoonKeyOf(request))).length, 6);
    for (const week of [i, i + 1]) assert(await stage.download(stage.ra, black, week));
  });

  it('while it registers is blocked from its first row on', async (t) => {
    const stage = await createStage(t);
    const device = createDevice(stage.scms, systemRandom, timeOf(stage.clock));
    await stage.register(stage.ra, device);
    const [row] = await stage.database.query.selectFrom('device').selectAll().execute();
    assert(row);
    await stage.database.query.deleteFrom('device').execute();
    // The entry comes after the look at the blacklist, and before the row.
    await stage.ra.blacklist.add(device.certificate.hash, 'test', timeOf(stage.clock));
    const { id: _, blocked: __, ...columns } = row;
    assert(await new DeviceRegistry(stage.database).register(columns, timeOf(stage.clock)));
    const after = await stage.database.query.selectFrom('device').select('blocked').execute();
    assert.deepEqual(after, [{ blocked: 1 }]);
    await stage.settle();
    assert.equal(stage.atPca.length, 0);
    await stage.ra.blacklist.remove(device.certificate.hash);
    await stage.settle();
    assert.equal(stage.atPca.length, 3);
  });

  it('with all the room there is leaves room for others', async (t) => {
    const policy = { weeksAhead: 1, shuffleInitial: 'pooled' } as const;
    const stage = await createStage(t, { policy });
    const black = await stage.register(stage.ra);
    await stage.settle();
    await fill(stage, 20_000);
    stage.restart();
    const other = await stage.register(stage.ra);
    await stage.settle();
    assert.equal(await waitingOf(stage, 2), 0, 'nothing more is made while 20,000 wait');
    await stage.ra.blacklist.add(black.device.certificate.hash, 'test', timeOf(stage.clock));
    await stage.settle();
    assert.equal(await waitingOf(stage, 2), 3);
    stage.clock.advance(48 * 3600);
    await stage.settle();
    assert(await stage.download(stage.ra, other));
  });
});

async function known({ database }: Stage): Promise<KnownDevice> {
  return database.query.selectFrom('device').selectAll().executeTakeFirstOrThrow();
}

async function statuses({ database }: Stage): Promise<string[]> {
  const rows = await database.query.selectFrom('device').select('status').orderBy('id').execute();
  return rows.map(({ status }) => status);
}

async function waitingOf({ database }: Stage, id: number): Promise<number> {
  const rows = await database.query
    .selectFrom('pca_request')
    .select('j')
    .where('device_id', '=', id)
    .execute();
  return rows.length;
}

/** Requests of the first device, as many as are made before some are sent. */
async function fill({ database, clock }: Stage, count: number): Promise<void> {
  const octets = new Uint8Array(1);
  const now = timeOf(clock);
  const { i } = await database.query.selectFrom('batch').select('i').executeTakeFirstOrThrow();
  await database.transaction(async (query) => {
    for (let at = 0; at < count; at += 1000) {
      const rows = Array.from({ length: 1000 }, (_, n) => ({
        epoch: 1,
        key: at + n,
        device_id: 1,
        i,
        j: at + n,
        period: i,
        octets,
        created_at: now,
        attempts: 0,
        next_attempt_at: now,
      }));
      await query.insertInto('pca_request').values(rows).execute();
    }
  });
}
