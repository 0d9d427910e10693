/** Copies of databases that are written meanwhile: one moment of all of them. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { openDatabase } from '../src/database.ts';
import { copyDatabases } from '../src/database-copy.ts';
import { isStoreError } from '../src/store-error.ts';

const MIGRATIONS = [
  {
    name: 'test-0001',
    statements: ['create table step (n integer primary key, padding blob not null) strict'],
  },
];
const COPIES = 12;

interface Schema {
  readonly step: { readonly n: number; readonly padding: Uint8Array };
}

describe('copies of databases', () => {
  it('are of one moment: what is asked in one before it is answered in the other', async (t) => {
    const directory = temporaryDirectory();
    const path = (name: string) => join(directory, `${name}.db`);
    const [asked, answered] = await Promise.all(
      ['asked', 'answered'].map((name) => openDatabase<Schema>(`sqlite:${path(name)}`, MIGRATIONS)),
    );
    assert(asked && answered);
    t.after(async () => {
      await asked.close();
      await answered.close();
    });
    let isOver = false;
    const writing = (async () => {
      for (let n = 1; !isOver; n++) {
        const padding = new Uint8Array(2000);
        await asked.query.insertInto('step').values({ n, padding }).execute();
        await answered.query.insertInto('step').values({ n, padding }).execute();
        // The statements never wait for anything: without it, nobody else has a turn.
        await setImmediate();
        // Pages are used anew: a copy that is not of one moment would be torn.
        await asked.query
          .updateTable('step')
          .set({ padding: sql`randomblob(2000)` })
          .where('n', '>', n - 20)
          .execute();
      }
    })();
    const moments: number[] = [];
    for (let copy = 0; copy < COPIES; copy++) {
      const to = (name: string) => path(`${name}-${copy}`);
      const applied = await copyDatabases([
        { from: path('asked'), to: to('asked') },
        { from: path('answered'), to: to('answered') },
      ]);
      assert.deepEqual(applied, [['test-0001'], ['test-0001']]);
      const [a, b] = [lastOf(to('asked')), lastOf(to('answered'))];
      assert(b <= a && a <= b + 1, `${a} asked, ${b} answered`);
      assert.equal((await stat(to('asked'))).mode & 0o777, 0o600);
      moments.push(a);
    }
    isOver = true;
    await writing;
    assert((moments.at(-1) ?? 0) > (moments[0] ?? 0), 'it was written meanwhile');
  });

  it('replace nothing, and are not made of what is not there or no database', async () => {
    const directory = temporaryDirectory();
    const from = join(directory, 'a.db');
    await (await openDatabase(`sqlite:${from}`, MIGRATIONS)).close();
    const to = join(directory, 'b.db');
    await copyDatabases([{ from, to }]);
    await assert.rejects(copyDatabases([{ from, to }]), (error) => isStoreError(error, 'io'));
    const none = join(directory, 'no', 'c.db');
    await assert.rejects(copyDatabases([{ from: none, to }]), (error) => isStoreError(error, 'io'));
  });
});

function lastOf(path: string): number {
  const database = new DatabaseSync(path);
  const row = database.prepare('select coalesce(max(n), 0) as n from step').get();
  database.close();
  return Number(row?.n);
}
