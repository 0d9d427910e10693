import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as setImmediateCallback } from 'node:timers';
import { setImmediate, setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { sql } from 'kysely';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { type Database, openDatabase } from '../src/database.ts';
import { GroupCommit } from '../src/group-commit.ts';
import { isStoreError } from '../src/store-error.ts';
import { idsOf, insert, range } from './database-conformance.ts';
import { DEVICE_MIGRATIONS, type DeviceSchema } from './device-schema.ts';

/** A database in a file that counts its transactions. */
async function open(t: TestContext) {
  const url = `sqlite:${temporaryDirectory()}/test.db`;
  const database = await openDatabase<DeviceSchema>(url, DEVICE_MIGRATIONS);
  t.after(() => database.close());
  const counted = { transactions: 0 };
  const counting: Database<DeviceSchema> = {
    query: database.query,
    lookUp: (select) => database.lookUp(select),
    transaction: (work) => {
      counted.transactions++;
      return database.transaction(work);
    },
    close: () => database.close(),
  };
  return { database, counted, writes: new GroupCommit(counting) };
}

describe('group commit', () => {
  it('puts what waits into one transaction, up to a hundred', async (t) => {
    const { database, counted, writes } = await open(t);
    await Promise.all(range(250).map((id) => writes.run((query) => insert(query, id))));
    assert.deepEqual(await idsOf(database), range(250));
    assert.equal(counted.transactions, 3);
  });

  it('gives each caller its own result, after the commit', async (t) => {
    const { database, writes } = await open(t);
    const results = range(5).map(async (id) => {
      const result = await writes.run(async (query) => {
        await insert(query, id);
        return id * 10;
      });
      assert((await idsOf(database)).includes(id), 'committed before the caller hears of it');
      return result;
    });
    assert.deepEqual(await Promise.all(results), [10, 20, 30, 40, 50]);
  });

  it('undoes the whole of a failing item and applies its neighbours', async (t) => {
    const { database, counted, writes } = await open(t);
    const reason = new Error('changed my mind');
    const settled = await Promise.allSettled([
      writes.run((query) => insert(query, 1)),
      writes.run(async (query) => {
        await insert(query, 2);
        await insert(query, 3);
        throw reason;
      }),
      writes.run(async (query) => {
        await insert(query, 4);
        await insert(query, 1);
      }),
      writes.run((query) => insert(query, 5)),
    ]);
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
    );
    assert.equal((settled[1] as PromiseRejectedResult).reason, reason);
    assert(isStoreError((settled[2] as PromiseRejectedResult).reason, 'constraint'));
    assert.deepEqual(await idsOf(database), [1, 5]);
    assert.equal(counted.transactions, 1);
  });

  it('undoes a failing item that caught its own error inside', async (t) => {
    const { database, writes } = await open(t);
    await writes.run((query) => insert(query, 1));
    const [stubborn] = await Promise.allSettled([
      writes.run(async (query) => {
        await insert(query, 2);
        await insert(query, 1).catch(() => {});
      }),
      writes.run((query) => insert(query, 4)),
    ]);
    assert(isStoreError((stubborn as PromiseRejectedResult).reason, 'rolled-back'));
    assert.deepEqual(await idsOf(database), [1, 4]);
  });

  it('takes what arrives during a commit into the next one', async (t) => {
    const { database, counted, writes } = await open(t);
    const { promise: hold, resolve: go } = Promise.withResolvers<void>();
    const first = writes.run(async (query) => {
      await insert(query, 1);
      await hold;
    });
    await setTimeout(2);
    const others = range(20).map((id) => writes.run((query) => insert(query, id + 1)));
    await setImmediate();
    go();
    await Promise.all([first, ...others]);
    assert.deepEqual(await idsOf(database), range(21));
    assert.equal(counted.transactions, 2);
  });

  it('brings together writers that come by separate events', async (t) => {
    const { database, counted, writes } = await open(t);
    const done = range(20).map((id) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      setImmediateCallback(() => resolve(writes.run((query) => insert(query, id))));
      return promise;
    });
    await Promise.all(done);
    assert.deepEqual(await idsOf(database), range(20));
    assert.equal(counted.transactions, 1);
  });

  it('rejects every member when the shared commit fails, and then goes on', async (t) => {
    const { database, writes } = await open(t);
    // A deferred foreign key is checked at COMMIT only.
    await sql`create table late (device integer references device (id) deferrable initially deferred)`.execute(
      database.query,
    );
    const settled = await Promise.allSettled([
      writes.run((query) => insert(query, 1)),
      writes.run((query) => sql`insert into late values (99)`.execute(query)),
    ]);
    for (const outcome of settled) {
      assert.equal(outcome.status, 'rejected');
      assert(isStoreError((outcome as PromiseRejectedResult).reason, 'constraint'));
    }
    assert.deepEqual(await idsOf(database), []);
    await writes.run((query) => insert(query, 2));
    assert.deepEqual(await idsOf(database), [2]);
  });

  it('tells the cause when the engine gives the whole group up', async (t) => {
    const { database, writes } = await open(t);
    await insert(database.query, 1);
    const conflict = sql`insert or rollback into device values (1, x'00', null)`;
    const settled = await Promise.allSettled([
      writes.run((query) => insert(query, 2)),
      writes.run((query) => conflict.execute(query)),
      writes.run((query) => insert(query, 3)),
    ]);
    for (const outcome of settled) {
      assert(isStoreError((outcome as PromiseRejectedResult).reason, 'constraint'));
    }
    assert.deepEqual(await idsOf(database), [1]);
  });

  it('refuses when ten thousand wait, and loses none of those', async (t) => {
    const { database, writes } = await open(t);
    const accepted = range(10_000).map((id) => writes.run((query) => insert(query, id)));
    const refused = writes.run((query) => insert(query, 10_001));
    await assert.rejects(refused, (error) => isStoreError(error, 'overloaded'));
    await Promise.all(accepted);
    assert.equal((await idsOf(database)).length, 10_000);
  });

  it('holds exactly what the resolved items wrote, whatever fails among them', async (t) => {
    const { database, writes } = await open(t);
    const item = fc.record({
      ids: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 3 }),
      fails: fc.boolean(),
      pause: fc.boolean(),
    });
    const sequence = fc.asyncProperty(fc.array(item, { maxLength: 30 }), async (items) => {
      await database.query.deleteFrom('device').execute();
      const kept: number[] = [];
      await Promise.allSettled(
        items.map(async ({ ids, fails, pause }) => {
          if (pause) await setImmediate();
          await writes.run(async (query) => {
            for (const id of ids) await insert(query, id);
            if (fails) throw new Error('after the inserts');
          });
          kept.push(...ids);
        }),
      );
      assert.deepEqual(
        await idsOf(database),
        kept.sort((a, b) => a - b),
      );
    });
    await fc.assert(sequence, { numRuns: 40 });
  });
});
