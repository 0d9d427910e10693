import assert from 'node:assert/strict';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { sql } from 'kysely';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { openDatabase } from '../src/database.ts';
import { createFailingDatabase, type TransactionOutcome } from '../src/failing-database.ts';
import { isStoreError } from '../src/store-error.ts';
import { databaseConformance, idsOf, insert, range } from './database-conformance.ts';
import { databaseFaultConformance } from './database-fault-conformance.ts';
import { DEVICE_MIGRATIONS, type DeviceSchema } from './device-schema.ts';
import { recordSyncs } from './sync-recorder.ts';

const onLinux = { skip: process.platform !== 'linux' && 'names of open files come from /proc' };

const OUTCOMES: readonly TransactionOutcome[] = ['works', 'fails', 'applied-and-fails', 'delays'];

const open = (url: string) => openDatabase<DeviceSchema>(url, DEVICE_MIGRATIONS);

databaseConformance('sqlite in memory', async (t) => {
  const database = await open('sqlite::memory:');
  t.after(() => database.close());
  return database;
});

databaseConformance('sqlite in a file', async (t) => {
  const database = await open(`sqlite:${temporaryDirectory()}/test.db`);
  t.after(() => database.close());
  return database;
});

databaseFaultConformance('sqlite in a file', async (t) => {
  const database = await open(`sqlite:${temporaryDirectory()}/test.db`);
  t.after(() => database.close());
  return createFailingDatabase(database, (count) => OUTCOMES[count % OUTCOMES.length]!);
});

describe('sqlite in a file', () => {
  it('is there again after close, in one file that only its owner reads', async () => {
    const path = join(temporaryDirectory(), 'test.db');
    const first = await open(`sqlite:${path}`);
    await insert(first.query, 1);
    for (const file of [path, `${path}-wal`, `${path}-shm`]) {
      assert.equal((await stat(file)).mode & 0o777, 0o600, file);
    }
    await first.close();
    await assert.rejects(stat(`${path}-wal`), 'the log is folded in at close');
    const second = await open(`sqlite:${path}`);
    assert.deepEqual(await idsOf(second), [1]);
    await second.close();
  });

  it('closes what was opened and never queried', async () => {
    const directory = temporaryDirectory();
    const database = await open(`sqlite:${directory}/test.db`);
    assert.deepEqual((await readdir(directory)).toSorted(), [
      'test.db',
      'test.db-shm',
      'test.db-wal',
    ]);
    await database.close();
    await database.close();
    // SQLite removes the other two with the last connection.
    assert.deepEqual(await readdir(directory), ['test.db']);
    await assert.rejects(idsOf(database), /destroyed/);
  });

  it('syncs every commit: write-ahead log, synchronous FULL, foreign keys', async (t) => {
    const database = await open(`sqlite:${temporaryDirectory()}/test.db`);
    t.after(() => database.close());
    const pragma = async (name: string) => {
      const { rows } = await sql
        .raw<Record<string, unknown>>(`pragma ${name}`)
        .execute(database.query);
      return Object.values(rows[0]!)[0];
    };
    assert.equal(await pragma('journal_mode'), 'wal');
    assert.equal(await pragma('synchronous'), 2);
    assert.equal(await pragma('foreign_keys'), 1);
  });

  it('makes the name of a new database durable', onLinux, async (t) => {
    const directory = temporaryDirectory();
    const synced = await recordSyncs(t);
    const database = await open(`sqlite:${directory}/test.db`);
    t.after(() => database.close());
    assert.deepEqual(synced, [directory]);
  });

  it('answers reads while a transaction is under way, with the state before it', async (t) => {
    const database = await open(`sqlite:${temporaryDirectory()}/test.db`);
    t.after(() => database.close());
    await insert(database.query, 1);
    const { promise: hold, resolve: go } = Promise.withResolvers<void>();
    const { promise: written, resolve: wrote } = Promise.withResolvers<void>();
    const writing = database.transaction(async (query) => {
      await insert(query, 2);
      wrote();
      await hold;
    });
    await written;
    assert.deepEqual(await idsOf(database), [1]);
    go();
    await writing;
    assert.deepEqual(await idsOf(database), [1, 2]);
  });

  it('takes turns with another opener of the file, and the event loop runs meanwhile', async (t) => {
    const url = `sqlite:${temporaryDirectory()}/test.db`;
    const [one, other] = await Promise.all([open(url), open(url)]);
    t.after(() => Promise.all([one.close(), other.close()]));
    const holding = one.transaction(async (query) => {
      await insert(query, 1);
      // Longer than SQLite's own patience, in the very process that waits: a wait inside SQLite
      // would stop this timer, and the two would wait for each other.
      await setTimeout(60);
    });
    await setTimeout(5);
    await Promise.all([
      other.transaction((query) => insert(query, 2)),
      insert(other.query, 3),
      holding,
    ]);
    assert.deepEqual(await idsOf(one), [1, 2, 3]);
    assert.deepEqual(await idsOf(other), [1, 2, 3]);
  });

  it('lets a single statement wait for another opener too', async (t) => {
    const url = `sqlite:${temporaryDirectory()}/test.db`;
    const [one, other] = await Promise.all([open(url), open(url)]);
    t.after(() => Promise.all([one.close(), other.close()]));
    const holding = one.transaction(async (query) => {
      await insert(query, 1);
      await setTimeout(40);
    });
    await setTimeout(5);
    await insert(other.query, 2);
    await holding;
    assert.deepEqual(await idsOf(one), [1, 2]);
  });

  it('loses no increment between two openers', async (t) => {
    const url = `sqlite:${temporaryDirectory()}/test.db`;
    const openers = await Promise.all([open(url), open(url)]);
    t.after(() => Promise.all(openers.map((database) => database.close())));
    const increment = (index: number) =>
      openers[index % 2]!.transaction(async (query) => {
        const rows = await query.selectFrom('device').select('id').execute();
        await setTimeout(0);
        await insert(query, rows.length + 1);
      });
    await Promise.all(range(20).map(increment));
    assert.deepEqual(await idsOf(openers[0]!), range(20));
  });

  it('refuses what follows in a transaction that the engine itself gave up', async (t) => {
    const database = await open(`sqlite:${temporaryDirectory()}/test.db`);
    t.after(() => database.close());
    await insert(database.query, 1);
    const attempt = database.transaction(async (query) => {
      await insert(query, 2);
      const conflict = sql`insert or rollback into device values (1, x'00', null)`;
      await assert.rejects(conflict.execute(query), (error) => isStoreError(error, 'constraint'));
      // Without the guard this row would be committed by itself.
      await insert(query, 3).catch((error) => assert(isStoreError(error, 'rolled-back')));
    });
    await assert.rejects(attempt, (error) => isStoreError(error, 'rolled-back'));
    assert.deepEqual(await idsOf(database), [1]);
    await insert(database.query, 4);
    assert.deepEqual(await idsOf(database), [1, 4]);
  });

  it('says full when there is no space, and goes on when there is', async (t) => {
    const database = await open(`sqlite:${temporaryDirectory()}/test.db`);
    t.after(() => database.close());
    const limit = (pages: number) =>
      sql.raw(`pragma max_page_count = ${pages}`).execute(database.query);
    await limit(20);
    const hash = new Uint8Array(200_000);
    const large = database.transaction((query) =>
      query.insertInto('device').values({ id: 1, hash, note: null }).execute(),
    );
    await assert.rejects(large, (error) => isStoreError(error, 'full'));
    await limit(1_000_000);
    await insert(database.query, 2);
    assert.deepEqual(await idsOf(database), [2]);
  });

  it('refuses to stream', async (t) => {
    const database = await open(`sqlite:${temporaryDirectory()}/test.db`);
    t.after(() => database.close());
    const stream = database.query.selectFrom('device').selectAll().stream();
    await assert.rejects(stream.next(), (error) => isStoreError(error, 'query'));
  });

  it('says corrupt of a file that is not a database, and leaves it alone', async () => {
    const path = join(temporaryDirectory(), 'test.db');
    await writeFile(path, 'this is a letter and not a database\n'.repeat(100));
    await assert.rejects(open(`sqlite:${path}`), (error) => isStoreError(error, 'corrupt'));
    assert.equal((await stat(path)).size, 3600);
  });

  it('says io of a directory that is missing', async () => {
    const path = join(temporaryDirectory(), 'missing', 'test.db');
    await assert.rejects(open(`sqlite:${path}`), (error) => isStoreError(error, 'io'));
  });

  it('takes a path that looks like a URI for a path', async (t) => {
    const directory = temporaryDirectory();
    const home = process.cwd();
    process.chdir(directory);
    t.after(() => process.chdir(home));
    const url = 'sqlite:file:test.db?mode=memory';
    const first = await open(url);
    await insert(first.query, 1);
    await first.close();
    const second = await open(url);
    t.after(() => second.close());
    assert.deepEqual(await idsOf(second), [1]);
    assert.deepEqual((await readdir(directory)).sort()[0], 'file:test.db?mode=memory');
  });
});

describe('database URLs', () => {
  it('are refused when nothing here implements them, without showing a password', async () => {
    const secret = 'postgres://user:secret@host/name';
    for (const url of [
      secret,
      'postgres://host/db?password=secret',
      'mysql://secret@host',
      'sqlite:',
      'secret',
      '',
      'SQLITE:x',
    ]) {
      await assert.rejects(open(url), (error) => {
        return isStoreError(error, 'unsupported-url') && !error.message.includes('secret');
      });
    }
  });
});
