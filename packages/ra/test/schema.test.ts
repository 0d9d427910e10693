/** A database of the first release goes on under this one. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { sha256 } from '@chrysalis/crypto';
import { linkageChainsOf } from '@chrysalis/ra';
import { timeOf } from '@chrysalis/scms';
import { openDatabase } from '@chrysalis/store';
import { unzipSync } from 'fflate';
import { CompiledQuery } from 'kysely';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { Pipeline } from '../src/pipeline.ts';
import type { RaSchema } from '../src/schema.ts';
import { RA_MIGRATIONS } from '../src/schema-migrations.ts';
import type { Registered } from './scene.ts';
import { cocoonKeyOf, cocoonKeysOf, createStage, hexOf } from './stage.ts';

type Value = number | string | Uint8Array | null;

describe('migration 0003', () => {
  it('takes over what was under way, and the pipeline finishes it', async (t) => {
    const directory = temporaryDirectory();
    const url = `sqlite:${join(directory, 'ra.db')}`;
    const policy = { weeksAhead: 2, shuffleInitial: 'pooled', shuffleMaxAgeSec: 3600 } as const;
    const stage = await createStage(t, { policy });
    const now = timeOf(stage.clock);
    const i = stage.currentI();
    // Four devices of now, whose rows and requests are then written as the first release had them.
    const devices: Registered[] = [];
    for (let n = 0; n < 4; n++) devices.push(await stage.register(stage.ra));
    await stage.settle();
    const rows = await stage.database.query.selectFrom('device').selectAll().execute();
    const requests = await stage.database.query.selectFrom('pca_request').selectAll().execute();
    assert.equal(requests.length, 4 * 2 * 3);

    const old = await openDatabase<RaSchema>(url, RA_MIGRATIONS.slice(0, 2));
    const insert = async (table: string, row: Record<string, Value>) => {
      const names = Object.keys(row);
      await old.query.executeQuery(
        CompiledQuery.raw(
          `insert into ${table} (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`,
          Object.values(row),
        ),
      );
    };
    const { rows: columns } = await old.query.executeQuery<{ name: string }>(
      CompiledQuery.raw(`select name from pragma_table_info('device')`),
    );
    for (const row of rows) {
      const known = columns.map(({ name }) => [
        name,
        (row as Record<string, unknown>)[name] ?? null,
      ]);
      await insert('device', Object.fromEntries(known) as Record<string, Value>);
    }
    await old.query.executeQuery(
      CompiledQuery.raw(
        `create table hpcr_${i} (hpcr blob primary key, device_id integer not null) strict, without rowid`,
      ),
    );
    const answers = new Map<string, Uint8Array>();
    const { checkReply } = await import('../src/pca-conversation.ts');
    for (const [n, request] of requests.entries()) {
      const { device_id, j, octets, period, created_at } = request;
      const hpcr = sha256(octets);
      // Device 1 waits in the shuffle, 2 is sent, 3 is half answered, 4 wholly answered and not filed.
      const isAnswered = device_id === 4 || (device_id === 3 && j > 0);
      let response: Uint8Array | null = null;
      if (isAnswered) {
        const reply = await stage.options.pca.port.requestCertificate(octets);
        response = checkReply(reply, octets, stage.options);
        answers.set(hexOf(hpcr), response);
      }
      await insert('pca_request', {
        hpcr,
        device_id,
        i: request.i,
        j,
        period,
        octets,
        // Two that were let go have the same key, as they might.
        shuffle_key: device_id === 2 && j < 2 ? 77 : n,
        created_at,
        released: device_id === 1 ? 0 : 1,
        attempts: device_id === 2 && j === 2 ? 3 : 0,
        next_attempt_at: now,
        response,
      });
      if (request.i === i) await insert(`hpcr_${i}`, { hpcr, device_id });
    }
    for (const id of [1, 2]) {
      const value = Uint8Array.of(1, 2, 3);
      await insert('pre_linkage', {
        device_id: id,
        i: i + 2,
        la1_values: value,
        la2_values: value,
      });
    }
    await insert('filed', { device_id: 1, i: i + 9 });
    const black = devices[1]!.device.certificate.hash;
    await insert('blacklist', { enrollment_hash: black, reason: 'test', added_at: now });
    await insert('setting', { name: 'dropped_through', value: i - 1 });
    await old.close();

    const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS);
    t.after(() => database.close());
    const after = await database.query.selectFrom('device').selectAll().orderBy('id').execute();
    for (const [n, row] of after.entries()) {
      const before = rows[n]!;
      assert.equal(row.last_seen, before.registered_at);
      assert.equal(row.fetched_through, -1);
      assert.equal(row.blocked, n === 1 ? 1 : 0);
      assert.equal(
        row.linked_through,
        row.expanded_through,
        'values of a period alone are asked for again',
      );
      for (const { name } of columns) {
        if (name === 'linked_through') continue;
        const key = name as keyof typeof row;
        assert.deepEqual(row[key], before[key], name);
      }
    }
    const batches = await database.query.selectFrom('batch').selectAll().execute();
    assert.deepEqual(
      batches.map(({ device_id, missing }) => [device_id, missing]),
      [1, 2, 3, 4].flatMap((id) => [0, 1].map(() => [id, { 1: 3, 2: 3, 3: 1, 4: 0 }[id]])),
    );
    const kept = await database.query.selectFrom('response').selectAll().execute();
    assert.deepEqual(
      kept.map(({ octets }) => hexOf(octets)).sort(),
      [...answers.values()].map(hexOf).sort(),
    );
    const waiting = await database.query.selectFrom('pca_request').selectAll().execute();
    assert.equal(waiting.length + kept.length, requests.length, 'none is lost');
    const [shuffle] = await database.query.selectFrom('shuffle').selectAll().execute();
    assert.deepEqual(shuffle, { epoch: 1, size: 6, oldest_at: now });

    // What is made now lies in the objects that the RA of the stage serves, under the same names.
    const pipeline = new Pipeline({ ...stage.options, database });
    const settle = async () => {
      while (await pipeline.step());
    };
    stage.atPca.length = 0;
    await settle();
    const keysOf = (n: number) =>
      [i, i + 1].flatMap((week) => cocoonKeysOf(devices[n]!.device, week, 3));
    const sent = () => stage.atPca.map(cocoonKeyOf);
    assert.deepEqual(
      sent().sort(),
      keysOf(2)
        .filter((_, n) => n % 3 === 0)
        .sort(),
      'what device 3 lacked',
    );
    stage.clock.advance(3600);
    await settle();
    assert.equal(keysOf(0).filter((key) => sent().includes(key)).length, 6, 'the shuffle opened');
    assert.equal(keysOf(1).filter((key) => sent().includes(key)).length, 0, 'blacklisted');
    await database.query.deleteFrom('blacklist').execute();
    await database.query.updateTable('device').set({ blocked: 0 }).execute();
    await settle();
    for (const device of devices) {
      for (const week of [i, i + 1]) {
        const zip = await stage.download(stage.ra, device, week);
        assert.equal(zip && Object.keys(unzipSync(zip)).length, 3);
      }
    }
    assert.equal((await stage.issued()).length, 24, 'nothing was certified twice');
    assert.deepEqual(await database.query.selectFrom('pca_request').select('i').execute(), []);
    // The index of the first release has whole hashes.
    const origin = await linkageChainsOf(database, sha256(requests.find((r) => r.i === i)!.octets));
    assert(
      origin &&
        rows.some(({ enrollment_hash }) => hexOf(enrollment_hash) === hexOf(origin.enrollmentHash)),
    );
    // The chains go on.
    stage.toPeriod(1);
    await settle();
    stage.clock.advance(3600);
    await settle();
    const last = await database.query.selectFrom('device').selectAll().execute();
    assert(last.every(({ filed_through }) => filed_through === i + 2));
  });

  it('of an empty database leaves the shuffle empty, and one epoch filling', async (t) => {
    const database = await openDatabase<RaSchema>('sqlite::memory:', RA_MIGRATIONS);
    t.after(() => database.close());
    assert.deepEqual(await database.query.selectFrom('shuffle').selectAll().execute(), [
      { epoch: 1, size: 0, oldest_at: 0 },
    ]);
  });
});
