import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { CompiledQuery, sql } from 'kysely';
import type { Database } from '../src/database.ts';
import { wordsOf } from '../src/sql-words.ts';
import { isStoreError } from '../src/store-error.ts';
import { type DeviceSchema, deviceRow } from './device-schema.ts';

/** What every Database promises; `open` gives one with the device schema and no rows. */
export function databaseConformance(
  name: string,
  open: (t: TestContext) => Promise<Database<DeviceSchema>>,
): void {
  describe(`${name} as a database`, () => {
    it('keeps what a transaction wrote, for the very next read', async (t) => {
      const database = await open(t);
      for (let id = 1; id <= 20; id++) {
        await database.transaction((query) => insert(query, id));
        assert.deepEqual(await idsOf(database), range(id));
      }
    });

    it('gives octets as plain Uint8Array, integers as numbers, absent values as null', async (t) => {
      const database = await open(t);
      const hash = Buffer.from('0123456789', 'hex');
      const id = 2 ** 53 - 1;
      await database.query.insertInto('device').values({ id, hash, note: null }).execute();
      const row = await database.query.selectFrom('device').selectAll().executeTakeFirstOrThrow();
      assert.deepEqual(row, { id, hash: Uint8Array.from(hash), note: null });
      assert.equal(Object.getPrototypeOf(row.hash), Uint8Array.prototype);
    });

    it('keeps octets whole, none and many', async (t) => {
      const database = await open(t);
      const rows = [new Uint8Array(0), new Uint8Array(100_000).fill(0xff), Uint8Array.of(0)];
      for (const [id, hash] of rows.entries()) {
        await database.query.insertInto('device').values({ id, hash, note: 'é' }).execute();
      }
      const seen = await database.query.selectFrom('device').selectAll().orderBy('id').execute();
      assert.deepEqual(
        seen,
        rows.map((hash, id) => ({ id, hash, note: 'é' })),
      );
    });

    it('counts what it changed and returns what it is asked to return', async (t) => {
      const database = await open(t);
      const inserted = await database.query
        .insertInto('device')
        .values([deviceRow(1), deviceRow(2)])
        .returning('id')
        .execute();
      assert.deepEqual(inserted, [{ id: 1 }, { id: 2 }]);
      const updated = await database.query
        .updateTable('device')
        .set({ note: 'x' })
        .executeTakeFirst();
      assert.equal(updated.numUpdatedRows, 2n);
      const deleted = await database.query.deleteFrom('device').executeTakeFirst();
      assert.equal(deleted.numDeletedRows, 2n);
    });

    it('leaves nothing of a transaction whose work throws, and throws what it threw', async (t) => {
      const database = await open(t);
      const reason = new Error('changed my mind');
      const attempt = database.transaction(async (query) => {
        await insert(query, 1);
        await insert(query, 2);
        throw reason;
      });
      await assert.rejects(attempt, (error) => error === reason);
      assert.deepEqual(await idsOf(database), []);
      await database.transaction((query) => insert(query, 3));
      assert.deepEqual(await idsOf(database), [3]);
    });

    it('reports a refused row as constraint, and what does not let the error out commits nothing', async (t) => {
      const database = await open(t);
      const constraint = (error: unknown) => isStoreError(error, 'constraint');
      const rolledBack = (error: unknown) => isStoreError(error, 'rolled-back');
      await insert(database.query, 1);
      const stubborn = database.transaction(async (query) => {
        await insert(query, 2);
        await assert.rejects(insert(query, 1), constraint);
        await assert.rejects(insert(query, 3), rolledBack);
      });
      await assert.rejects(stubborn, rolledBack);
      const orphan = database.query.insertInto('batch').values({ device: 99, period: 1 });
      await assert.rejects(orphan.execute(), constraint, 'foreign keys are checked');
      assert.deepEqual(await idsOf(database), [1]);
    });

    it('goes on after a refused row from the savepoint before it', async (t) => {
      const database = await open(t);
      await insert(database.query, 1);
      await database.transaction(async (query) => {
        await insert(query, 2);
        await query.executeQuery(CompiledQuery.raw('savepoint here'));
        await insert(query, 3);
        await assert.rejects(insert(query, 1), (error) => isStoreError(error, 'constraint'));
        await query.executeQuery(CompiledQuery.raw('rollback to here'));
        await insert(query, 4);
        await query.executeQuery(CompiledQuery.raw('release here'));
      });
      assert.deepEqual(await idsOf(database), [1, 2, 4]);
    });

    it('takes values as ? in text', async (t) => {
      const database = await open(t);
      const raw = (text: string, values: unknown[]) =>
        database.query.executeQuery(CompiledQuery.raw(text, values));
      await raw('insert into device (id, hash, note) values (?, ?, ?)', [
        7,
        Uint8Array.of(1),
        'a?b',
      ]);
      const { numAffectedRows } = await raw(
        'update device set note = ? where id = ? and note = ?',
        [null, 7, 'a?b'],
      );
      assert.equal(numAffectedRows, 1n);
    });

    it('refuses values that one of the databases would not keep, and does not show them', async (t) => {
      const database = await open(t);
      for (const note of ['secret\0', Number.NaN, { secret: 1 }, new Date(0), true, undefined]) {
        const wrong = sql`update device set note = ${note}`.execute(database.query);
        await assert.rejects(wrong, (error) => {
          return isStoreError(error, 'query') && !error.message.includes('secret');
        });
      }
    });

    it('speaks both dialects in one set of words', async (t) => {
      const database = await open(t);
      const words = wordsOf(database.query);
      const one = async (text: string, values: unknown[] = []) =>
        (await database.query.executeQuery(CompiledQuery.raw(text, values))).rows as object[];
      const hash = Uint8Array.from({ length: 32 }, (_, n) => n);
      await database.query.insertInto('device').values({ id: 5, hash, note: null }).execute();
      assert.deepEqual(
        await one(
          `select ${words.greatest}(id, ?) as a, ${words.least}(id, ?) as b from device`,
          [9, 9],
        ),
        [{ a: 9, b: 5 }],
      );
      const last = hash.subarray(24);
      assert.deepEqual(
        await one(`select id from device where ${words.lastOctets('hash', 8)} = ?`, [last]),
        [{ id: 5 }],
      );
      const hex = JSON.stringify(['00', Buffer.from(hash).toString('hex')]);
      assert.deepEqual(
        await one(`select id from device where hash in (${words.octetsOf('?')})`, [hex]),
        [{ id: 5 }],
      );
      const pairs = JSON.stringify([
        [5, 5],
        [6, 7],
      ]);
      assert.deepEqual(
        await one(`select id from device where (id, id) in (${words.pairsOf('?')})`, [pairs]),
        [{ id: 5 }],
      );
      await one('create table numbered_7 (id integer)');
      await one('create table numbered_x (id integer)');
      assert.deepEqual(await one(words.tablesNumbered('numbered_')), [{ name: 'numbered_7' }]);
      const json = `select ${words.jsonArrayOf(`${words.jsonObject}('id', id)`)} as json from device`;
      const text = async (query: string) => JSON.parse(Object.values((await one(query))[0]!)[0]);
      assert.deepEqual(await text(json), [{ id: 5 }]);
      assert.deepEqual(await text(`${json} where id > 5`), []);
      assert.deepEqual(await text(`select ${words.jsonArray}(max(id), null) from device`), [
        5,
        null,
      ]);
      await one(`select id from device ${words.indexedBy('sqlite_autoindex_device_1')}`);
    });

    it('reports wrong SQL as query and does not show the values', async (t) => {
      const database = await open(t);
      const wrong = sql`select ${'secret'} from nowhere`.execute(database.query);
      await assert.rejects(wrong, (error) => {
        assert(isStoreError(error, 'query'));
        return !error.message.includes('secret') && error.message.includes('nowhere');
      });
    });

    it('hides a transaction from others until it resolves', async (t) => {
      const database = await open(t);
      const { promise: hold, resolve: go } = Promise.withResolvers<void>();
      const { promise: written, resolve: wrote } = Promise.withResolvers<void>();
      const writing = database.transaction(async (query) => {
        await insert(query, 1);
        wrote();
        await hold;
      });
      await written;
      const reading = idsOf(database);
      const before = await Promise.race([reading, setTimeout(20, 'waits' as const)]);
      assert.notDeepEqual(before, [1]);
      go();
      await writing;
      assert.deepEqual(await idsOf(database), [1]);
    });

    it('looks up by a statement that was compiled once what its other reads see', async (t) => {
      const database = await open(t);
      const compiled = database.query
        .selectFrom('device')
        .select('id')
        .where('id', '>', 0)
        .where('id', '<', 0)
        .compile();
      const between = database.lookUp(compiled);
      assert.deepEqual(await between([0, 10]), []);
      await database.transaction(async (query) => {
        await insert(query, 1);
        await assert.rejects(between([0, 10]), (error: unknown) => isStoreError(error, 'nested'));
      });
      await insert(database.query, 2);
      assert.deepEqual(await between([0, 10]), [{ id: 1 }, { id: 2 }]);
      assert.deepEqual(await between([1, 10]), [{ id: 2 }]);
      await assert.rejects(between([{}, 10]), (error: unknown) => isStoreError(error, 'query'));
    });

    it('serializes transactions: a read and a write in one are never torn apart', async (t) => {
      const database = await open(t);
      const increment = () =>
        database.transaction(async (query) => {
          const ids = await query.selectFrom('device').select('id').execute();
          await setTimeout(0);
          await insert(query, ids.length + 1);
        });
      await Promise.all(Array.from({ length: 20 }, increment));
      assert.deepEqual(await idsOf(database), range(20));
    });

    it('keeps the order of asking', async (t) => {
      const database = await open(t);
      const order: number[] = [];
      const ask = (id: number) =>
        database.transaction(async (query) => {
          order.push(id);
          await insert(query, id);
        });
      await Promise.all(range(10).map(ask));
      assert.deepEqual(order, range(10));
    });

    it('refuses, instead of waiting for ever, its own use inside a transaction', async (t) => {
      const database = await open(t);
      const nested = (error: unknown) => isStoreError(error, 'nested');
      await database.transaction(async (query) => {
        await assert.rejects(
          database.transaction(async () => {}),
          nested,
        );
        await assert.rejects(idsOf(database), nested);
        await assert.rejects(insert(database.query, 1), nested);
        await insert(query, 2);
      });
      assert.deepEqual(await idsOf(database), [2]);
    });

    it('serves work that a transaction started and that outlives it', async (t) => {
      const database = await open(t);
      let later: Promise<void> | undefined;
      await database.transaction(async (query) => {
        await insert(query, 1);
        later = setTimeout(5).then(() => database.transaction((inner) => insert(inner, 2)));
      });
      await later;
      assert.deepEqual(await idsOf(database), [1, 2]);
    });

    it('refuses a statement on the query of a transaction that has ended', async (t) => {
      const database = await open(t);
      const kept = await database.transaction(async (query) => ({ query }));
      await assert.rejects(insert(kept.query, 1));
      assert.deepEqual(await idsOf(database), []);
    });

    it('ends what has begun before it closes, and refuses what comes after', async (t) => {
      const database = await open(t);
      const begun = database.transaction(async (query) => {
        await setTimeout(10);
        await insert(query, 1);
        return 'done';
      });
      const waiting = database.transaction((query) => insert(query, 2));
      await setTimeout(1);
      await database.close();
      assert.equal(await begun, 'done');
      await waiting;
      await assert.rejects(idsOf(database));
      await assert.rejects(database.transaction(async () => {}));
      await database.close();
    });

    it('holds exactly what the resolved transactions wrote, whatever fails among them', async (t) => {
      const database = await open(t);
      const attempt = fc.record({
        ids: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 4 }),
        fails: fc.boolean(),
      });
      const sequence = fc.asyncProperty(fc.array(attempt, { maxLength: 15 }), async (attempts) => {
        await database.query.deleteFrom('device').execute();
        const kept = new Set<number>();
        const run = async ({ ids, fails }: { ids: number[]; fails: boolean }) => {
          await database.transaction(async (query) => {
            for (const id of ids) await insert(query, id);
            if (fails) throw new Error('after the inserts');
          });
          for (const id of ids) kept.add(id);
        };
        await Promise.allSettled(attempts.map(run));
        assert.deepEqual(
          await idsOf(database),
          [...kept].sort((a, b) => a - b),
        );
      });
      await fc.assert(sequence, { numRuns: 40 });
    });
  });
}

/** Inserts the test row of this id. */
export async function insert(query: Database<DeviceSchema>['query'], id: number): Promise<void> {
  await query.insertInto('device').values(deviceRow(id)).execute();
}

/** The ids of all devices, in order. */
export async function idsOf(database: Database<DeviceSchema>): Promise<number[]> {
  const rows = await database.query.selectFrom('device').select('id').orderBy('id').execute();
  return rows.map((row) => row.id);
}

/** 1, 2, ... last. */
export function range(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}
