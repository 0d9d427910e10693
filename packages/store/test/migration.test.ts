import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { sql } from 'kysely';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { type Database, type Migration, openDatabase } from '../src/database.ts';
import { migrate } from '../src/migration.ts';
import { SqliteConnection } from '../src/sqlite-connection.ts';
import { isStoreError, type StoreErrorCode } from '../src/store-error.ts';

const ONE: Migration = { name: 'one', statements: ['create table a (x integer) strict'] };
const TWO: Migration = {
  name: 'two',
  statements: ['insert into a values (1)', 'insert into a values (2)'],
};
const THREE: Migration = { name: 'three', statements: ['insert into a select x + 10 from a'] };

interface Schema {
  a: { x: number };
  chrysalis_migration: { position: number; name: string };
}

async function temporaryUrl(): Promise<string> {
  return `sqlite:${join(temporaryDirectory(), 'test.db')}`;
}

async function contentOf(url: string, migrations: readonly Migration[]): Promise<number[]> {
  const database = await openDatabase<Schema>(url, migrations);
  const rows = await database.query.selectFrom('a').select('x').orderBy('x').execute();
  await database.close();
  return rows.map((row) => row.x);
}

async function appliedIn(database: Database<Schema>): Promise<string[]> {
  const rows = await database.query
    .selectFrom('chrysalis_migration')
    .select('name')
    .orderBy('position')
    .execute();
  return rows.map((row) => row.name);
}

describe('migrations', () => {
  it('are applied in order, once', async () => {
    const url = await temporaryUrl();
    assert.deepEqual(await contentOf(url, [ONE]), []);
    assert.deepEqual(await contentOf(url, [ONE, TWO]), [1, 2]);
    assert.deepEqual(await contentOf(url, [ONE, TWO, THREE]), [1, 2, 11, 12]);
    assert.deepEqual(await contentOf(url, [ONE, TWO, THREE]), [1, 2, 11, 12]);
    const database = await openDatabase<Schema>(url, [ONE, TWO, THREE]);
    assert.deepEqual(await appliedIn(database), ['one', 'two', 'three']);
    await database.close();
  });

  it('of a newer program make an older one refuse the database, unchanged', async () => {
    const url = await temporaryUrl();
    await contentOf(url, [ONE, TWO]);
    const older = openDatabase(url, [ONE, THREE]);
    await assert.rejects(older, (error) => isStoreError(error, 'newer-schema'));
    assert.deepEqual(await contentOf(url, [ONE, TWO]), [1, 2]);
  });

  it('leave no trace when they fail, those before them stay', async () => {
    const url = await temporaryUrl();
    const wrong: Migration = {
      name: 'wrong',
      statements: ['insert into a values (9)', 'nonsense'],
    };
    const attempt = openDatabase(url, [ONE, TWO, wrong]);
    await assert.rejects(attempt, (error) => {
      assert(isStoreError(error, 'migration-failed'));
      assert.match(error.message, /statement 2 of migration wrong/);
      return isStoreError(error.cause, 'query');
    });
    assert.deepEqual(await contentOf(url, [ONE, TWO]), [1, 2]);
  });

  it('of one name twice are refused', async () => {
    const attempt = openDatabase('sqlite::memory:', [ONE, ONE]);
    await assert.rejects(attempt, (error) => isStoreError(error, 'invalid-migration'));
  });

  it('are applied once when many open the database at the same time', async () => {
    const url = await temporaryUrl();
    const opened = await Promise.all(
      Array.from({ length: 6 }, () => openDatabase<Schema>(url, [ONE, TWO, THREE])),
    );
    for (const database of opened) {
      const { rows } = await sql<{ n: number }>`select count(*) as n from a`.execute(
        database.query,
      );
      assert.deepEqual(rows, [{ n: 4 }]);
    }
    await Promise.all(opened.map((database) => database.close()));
  });

  it('are read again under the lock, by which another may have been faster', async (t) => {
    const path = join(temporaryDirectory(), 'test.db');
    const connect = () => {
      const connection = new SqliteConnection(path);
      t.after(() => connection.close());
      connection.configure(false);
      return connection;
    };
    const [one, other] = [connect(), connect()];
    // Both see an empty database before either writes.
    await Promise.all([migrate(one, [ONE, TWO]), migrate(other, [ONE, TWO])]);
    assert.deepEqual(one.run('select x from a order by x', []).rows, [{ x: 1 }, { x: 2 }]);

    const newer = migrate(one, [ONE, TWO, THREE]);
    const older = migrate(other, [ONE, TWO, { name: 'of another branch', statements: [] }]);
    await newer;
    await assert.rejects(older, (error) => isStoreError(error, 'newer-schema'));
  });

  describe('and a program that only looks', () => {
    const look = (url: string, migrations: readonly Migration[]) =>
      openDatabase<Schema>(url, migrations, { readsOnly: true });
    const refused = (code: StoreErrorCode, message: RegExp) => (error: unknown) => {
      assert(isStoreError(error, code));
      assert.match(error.message, message);
      return true;
    };

    it('refuse each other when one is older, and nothing changes', async () => {
      const directory = temporaryDirectory();
      const path = join(directory, 'test.db');
      const url = `sqlite:${path}`;
      await contentOf(url, [ONE, TWO]);
      const before = await readFile(path);
      await assert.rejects(
        look(url, [ONE, TWO, THREE]),
        refused('older-schema', /none called three/),
      );
      await assert.rejects(look(url, [ONE]), refused('newer-schema', /saw two/));
      assert.deepEqual(await readFile(path), before);
      assert.deepEqual(await readdir(directory), ['test.db']);
    });

    it('find no database where none was made, and make none', async () => {
      const directory = temporaryDirectory();
      const path = join(directory, 'test.db');
      await assert.rejects(
        look(`sqlite:${path}`, [ONE]),
        refused('missing', /test\.db, saw no file/),
      );
      assert.deepEqual(await readdir(directory), []);
      // What a program leaves that was killed between making the file and its first table.
      await writeFile(path, '');
      await assert.rejects(look(`sqlite:${path}`, [ONE]), refused('missing', /saw an empty one/));
      assert.deepEqual(await readFile(path), Buffer.alloc(0));
    });

    it('read what a writer has committed, while it goes on, and write nothing', async (t) => {
      const url = await temporaryUrl();
      const writer = await openDatabase<Schema>(url, [ONE, TWO]);
      t.after(() => writer.close());
      const reader = await look(url, [ONE, TWO]);
      t.after(() => reader.close());
      const count = async () => (await reader.query.selectFrom('a').select('x').execute()).length;
      await writer.transaction(async (query) => {
        await query.insertInto('a').values({ x: 3 }).execute();
        assert.equal(await count(), 2);
      });
      assert.equal(await count(), 3);
      const write = reader.query.insertInto('a').values({ x: 4 }).execute();
      await assert.rejects(write, refused('io', /readonly/));
      assert.equal(await count(), 3);
    });
  });

  it('do not make an up-to-date database wait for a writer', async () => {
    const url = await temporaryUrl();
    const database = await openDatabase<Schema>(url, [ONE]);
    await database.transaction(async (query) => {
      await query.insertInto('a').values({ x: 1 }).execute();
      const other = await openDatabase<Schema>(url, [ONE]);
      await other.close();
    });
    await database.close();
  });
});
