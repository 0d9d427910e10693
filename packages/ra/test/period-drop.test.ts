/** A period that is over is dropped in short steps: killed between any two, it ends as if it had not been. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { type Database, openDatabase } from '@chrysalis/store';
import { CompiledQuery } from 'kysely';
import type { NewDevice } from '../src/device-registry.ts';
import { dropPeriods } from '../src/period-drop.ts';

/** The periods that are dropped; the time is that of the test alone. */
const FIRST = 99;
const LAST = 100;
const END = 1_000_000;
const HOUR = 3600;

/** What differs from a device that has all that it is to have. */
const DEVICES = {
  'up to date': {},
  lagging: { filed_through: 90, expanded_through: 92, linked_through: 96 },
  'lagging, with files beyond a gap': { filed_through: 94, expanded_through: 102 },
  'at its end, without the last file': { last_i: 95, filed_through: 93, expanded_through: 95 },
  replaced: { status: 'replaced', filed_through: 90, expanded_through: 92 },
  'not heard of': { last_seen: 1 },
  // Numbers 0 to 3 are over at the end of the period.
  identification: {
    kind: 'identification',
    ...{ first_start: END - 4000, lifetime_sec: 1000, period_sec: 900 },
    ...{ filed_through: 0, expanded_through: 2, linked_through: -1, last_i: 50 },
  },
  'an application that is over': { kind: 'application', first_start: 10, lifetime_sec: 10 },
  'an application that is not': { kind: 'application', first_start: END - 5, lifetime_sec: 10 },
} as const satisfies Record<string, Partial<NewDevice>>;
type Name = keyof typeof DEVICES;
const NAMES = Object.keys(DEVICES) as Name[];
const idOf = (name: Name) => NAMES.indexOf(name) + 1;

async function createState(t: TestContext): Promise<Database<RaSchema>> {
  const database = await openDatabase<RaSchema>('sqlite::memory:', RA_MIGRATIONS);
  t.after(() => database.close());
  const { query } = database;
  const octets = (n: number) => Uint8Array.of(n);
  for (const [n, name] of NAMES.entries()) {
    await query
      .insertInto('device')
      .values({
        id: idOf(name),
        kind: 'pseudonym',
        request_hash: octets(n),
        body_hash: octets(n),
        inner_hash: octets(n),
        enrollment_hash: octets(n),
        enrollment_certificate: octets(n),
        public_key: octets(n),
        permissions: octets(n),
        region: null,
        verify_seed: octets(n),
        verify_expansion: octets(n),
        encryption_seed: octets(n),
        encryption_expansion: octets(n),
        cert_encryption_seed: null,
        cert_encryption_expansion: null,
        registered_at: 0,
        ack: octets(n),
        available_at: 0,
        status: 'active',
        last_seen: END,
        first_start: 0,
        lifetime_sec: 0,
        period_sec: 0,
        first_i: 90,
        last_i: 200,
        linked_through: 110,
        expanded_through: 102,
        filed_through: 102,
        la1_chain: null,
        la2_chain: null,
        ...DEVICES[name],
      })
      .execute();
  }
  const gap = idOf('lagging, with files beyond a gap');
  for (const i of [96, 98, 101, 102]) {
    await query.insertInto('filed').values({ device_id: gap, i }).execute();
  }
  const up = idOf('up to date');
  for (const [n, period] of [97, 99, 100, 100, 101].entries()) {
    const file = { device_id: up + n, i: period, period };
    await query
      .insertInto('batch')
      .values({ ...file, missing: n % 2 })
      .execute();
    await query
      .insertInto('pca_request')
      .values([0, 1, 2].map((j) => ({ ...file, ...REQUEST, key: 3 * n + j, j })))
      .execute();
    await query
      .insertInto('response')
      .values([3, 4].map((j) => ({ device_id: up + n, i: period, j, octets: octets(j) })))
      .execute();
    const values = { la1_values: octets(1), la2_values: octets(2), i_min: 90, i_max: period };
    await query
      .insertInto('linkage')
      .values({ device_id: up + n, ...values })
      .execute();
    const chains = { la1_chain: octets(3), la2_chain: octets(4), per_period: 1 };
    await query
      .insertInto('linkage_cache')
      .values({ ...values, ...chains })
      .execute();
  }
  await query
    .insertInto('given_up')
    .values(
      [97, 98, 99, 100, 100, 101].map((period, n) => {
        return { device_id: up + n, i: period, period, given_up_at: 0 };
      }),
    )
    .execute();
  for (const period of [87, 88, 89]) {
    const create = `create table hpcr_${period} (hpcr blob primary key, device_id integer not null) strict, without rowid`;
    await query.executeQuery(CompiledQuery.raw(create));
    for (let n = 0; n < 5; n++) {
      const insert = `insert into hpcr_${period} values (?, 1)`;
      await query.executeQuery(CompiledQuery.raw(insert, [octets(n)]));
    }
  }
  const hours = [END - 91 * 24 * HOUR, END];
  await query
    .insertInto('tally')
    .values(hours.map((hour) => ({ hour, name: 'batches', count: 1 })))
    .execute();
  await query.insertInto('setting').values({ name: 'dropped_through', value: 98 }).execute();
  return database;
}

const REQUEST = {
  epoch: 1,
  octets: new Uint8Array(3),
  created_at: 0,
  attempts: 0,
  next_attempt_at: 0,
};

async function rowsOf(database: Database<RaSchema>, sql: string) {
  return (await database.query.executeQuery<Record<string, unknown>>(CompiledQuery.raw(sql))).rows;
}

/** All rows of all tables. */
async function contentOf(database: Database<RaSchema>) {
  const tables = await rowsOf(database, `select name from sqlite_schema where type = 'table'`);
  const content: Record<string, unknown[]> = {};
  for (const { name } of tables) {
    if (name === 'migration') continue;
    content[String(name)] = await rowsOf(database, `select * from ${name} order by 1, 2`);
  }
  return content;
}

/** Steps of a drop of the two periods; `deleted` gets the periods whose files went. */
function dropOf(database: Database<RaSchema>, deleted: number[]) {
  return dropPeriods({
    database,
    ...{ first: FIRST, last: LAST, end: END, seenBefore: 1000, rowsInStep: 2 },
    async deleteFiles(i) {
      const under = `select 1 from batch where period <= ${i}`;
      assert.deepEqual(await rowsOf(database, under), [], 'nothing can be filed for it any more');
      deleted.push(i);
    },
  });
}

describe('a period that is over', () => {
  it('is forgotten, and those who lag behind move on', async (t) => {
    const database = await createState(t);
    const deleted: number[] = [];
    for await (const _ of dropOf(database, deleted));
    assert.deepEqual(deleted, [99, 100]);
    const { device, ...content } = await contentOf(database);
    const numbers = (name: Name) => {
      const row = (device as RaSchema['device'][]).find(({ id }) => Number(id) === idOf(name));
      return row && [row.filed_through, row.expanded_through, row.linked_through, row.status];
    };
    assert.deepEqual(Object.fromEntries(NAMES.map((name) => [name, numbers(name)])), {
      'up to date': [102, 102, 110, 'active'],
      lagging: [100, 100, 100, 'active'],
      'lagging, with files beyond a gap': [102, 102, 110, 'active'],
      'at its end, without the last file': [95, 95, 110, 'active'],
      replaced: [90, 92, 110, 'replaced'],
      'not heard of': [102, 102, 110, 'paused'],
      identification: [3, 3, -1, 'active'],
      'an application that is over': undefined,
      'an application that is not': [102, 102, 110, 'active'],
    });
    const periods = (table: string, column: string) =>
      (content[table] as Record<string, unknown>[]).map((row) => row[column]);
    assert.deepEqual(periods('batch', 'period'), [101]);
    assert.deepEqual(periods('pca_request', 'period'), [101, 101, 101]);
    assert.deepEqual(periods('response', 'i'), [101, 101]);
    assert.deepEqual(periods('linkage', 'i_max'), [101]);
    assert.deepEqual(periods('linkage_cache', 'i_max'), [101]);
    assert.deepEqual(content.filed, []);
    assert.deepEqual(periods('given_up', 'period'), [101]);
    assert.deepEqual(
      Object.keys(content).filter((name) => name.startsWith('hpcr')),
      ['hpcr_89'],
    );
    assert.deepEqual(periods('tally', 'hour'), [END]);
    assert.deepEqual(content.setting, [{ name: 'dropped_through', value: LAST }]);
  });

  it('is so too when it was killed between any two steps', async (t) => {
    const whole = await createState(t);
    let steps = 0;
    for await (const _ of dropOf(whole, [])) steps++;
    assert(steps > 20, `${steps} steps`);
    const expected = await contentOf(whole);
    for (let killedAfter = 1; killedAfter <= steps; killedAfter++) {
      const database = await createState(t);
      const first = dropOf(database, []);
      for (let n = 0; n < killedAfter; n++) await first.next();
      await expectSound(database);
      // As the next start finds it.
      const [{ value } = { value: 98 }] = await rowsOf(
        database,
        `select value from setting where name = 'dropped_through'`,
      );
      const deleted: number[] = [];
      if (Number(value) < LAST) for await (const _ of dropOf(database, deleted));
      else await first.next();
      const end = await contentOf(database);
      assert.deepEqual(end, expected, `killed after step ${killedAfter} of ${steps}`);
    }
  });
});

/** What holds between any two steps, so that pipeline and services can go on. */
async function expectSound(database: Database<RaSchema>): Promise<void> {
  for (const [problem, sql] of [
    [
      'an answer without its batch',
      'select * from response where (device_id, i) not in (select device_id, i from batch)',
    ],
    [
      'a batch that has lost answers',
      `select * from batch where 2 <>
        (select count(*) from response r where r.device_id = batch.device_id and r.i = batch.i)`,
    ],
    [
      'a device that has more than was made for it',
      'select * from device where filed_through > expanded_through',
    ],
    [
      'a count that is wrong',
      `select kind, status, blocked, last_i, filed_through, count from device_count except
        select kind, status, blocked, last_i, filed_through, count(*) from device group by 1, 2, 3, 4, 5`,
    ],
  ] as const) {
    assert.deepEqual(await rowsOf(database, sql), [], problem);
  }
}
