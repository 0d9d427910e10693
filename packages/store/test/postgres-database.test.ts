import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { CompiledQuery } from 'kysely';
import { type CommitFate, startLossyProxy } from '../../../test/support/lossy-proxy.ts';
import {
  type PostgresServer,
  startPostgres,
  withoutPostgres,
} from '../../../test/support/postgres-server.ts';
import { type DatabaseOptions, openDatabase } from '../src/database.ts';
import type { Migration } from '../src/migration.ts';
import { parsePostgresUrl } from '../src/postgres-url.ts';
import { isStoreError, type StoreErrorCode } from '../src/store-error.ts';
import { databaseConformance, idsOf, insert, range } from './database-conformance.ts';
import { databaseFaultConformance } from './database-fault-conformance.ts';
import { DEVICE_MIGRATIONS, type DeviceSchema } from './device-schema.ts';

const failure = (code: StoreErrorCode) => (error: unknown) => isStoreError(error, code);

describe('PostgreSQL', { skip: withoutPostgres }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server?.close());

  async function open(
    t: TestContext,
    url: string,
    options: DatabaseOptions = { migrates: true },
    migrations: readonly Migration[] = DEVICE_MIGRATIONS,
  ) {
    const database = await openDatabase<DeviceSchema>(url, migrations, options);
    t.after(() => database.close());
    return database;
  }

  databaseConformance('PostgreSQL', (t) => open(t, server.newUrl()));

  databaseFaultConformance('PostgreSQL behind a bad network', async (t) => {
    const fates: readonly CommitFate[] = ['works', 'cut-before', 'cut-after', 'delays'];
    // The first commits are those of the migrations.
    const proxy = await startLossyProxy(server.port, (count) =>
      count < 5 ? 'works' : (fates[count % fates.length] as CommitFate),
    );
    t.after(() => proxy.close());
    const url = server.newUrl().replace(`:${server.port}`, `:${proxy.port}`);
    const database = await open(t, url);
    t.after(() => assert(proxy.cuts.before > 0 && proxy.cuts.after > 0));
    return database;
  });

  it('is refused while it has no tables, or not all, and takes what is missing by command', async (t) => {
    const url = server.newUrl();
    await assert.rejects(open(t, url, {}), failure('missing'));
    await open(t, url, { migrates: true }, DEVICE_MIGRATIONS.slice(0, 1));
    await assert.rejects(open(t, url, {}), failure('older-schema'));
    await Promise.all(range(3).map(() => open(t, url)));
    await open(t, url, {});
  });

  it('is shared by an older and a newer program, unless a step ends the older one', async (t) => {
    const url = server.newUrl();
    const old = await open(t, url);
    await idsOf(old);
    const rows = old.query.selectFrom('device').selectAll();
    await rows.execute();
    const step = (name: string, more: Partial<Migration>): Migration => ({
      name,
      statements: [],
      postgres: [`alter table device add column ${name} bigint`],
      ...more,
    });
    const newer = [...DEVICE_MIGRATIONS, step('added', {})];
    await open(t, url, { migrates: true }, newer);
    // The plan that was prepared is out of date: one answer is lost, and not the next.
    await rows.execute().catch((error) => assert(isStoreError(error, 'busy')));
    await insert(old.query, 1);
    assert.equal((await rows.execute()).length, 1);
    await open(t, url, {});
    await open(t, url, { migrates: true }, [...newer, step('ending', { endsFormer: true })]);
    await assert.rejects(open(t, url, {}), failure('newer-schema'));
  });

  it('leaves nothing of a step that fails', async (t) => {
    const url = server.newUrl();
    const broken = {
      name: 'broken',
      statements: [],
      postgres: ['create table a (b bigint)', 'nonsense'],
    };
    await assert.rejects(
      open(t, url, { migrates: true }, [...DEVICE_MIGRATIONS, broken]),
      failure('migration-failed'),
    );
    const database = await open(t, url, {});
    await assert.rejects(
      database.query.executeQuery(CompiledQuery.raw('select * from a')),
      failure('query'),
    );
  });

  it('takes turns with other openers, and loses no increment', async (t) => {
    const url = server.newUrl();
    const openers = [await open(t, url), await open(t, url)];
    const increment = (index: number) =>
      openers[index % 2]!.transaction(async (query) => {
        const rows = await query.selectFrom('device').select('id').execute();
        await setTimeout(0);
        await insert(query, rows.length + 1);
      });
    await Promise.all(range(20).map(increment));
    assert.deepEqual(await idsOf(openers[0]!), range(20));
  });

  it('answers reads while a transaction is under way, also of another opener', async (t) => {
    const url = server.newUrl();
    const [one, other] = [await open(t, url), await open(t, url)];
    await one.transaction(async (query) => {
      await insert(query, 1);
      const reading = await new Promise((resolve) => void idsOf(other).then(resolve));
      assert.deepEqual(reading, []);
    });
    assert.deepEqual(await idsOf(other), [1]);
  });

  it('carries many reads at a time on few connections', async (t) => {
    const database = await open(t, server.newUrl());
    await insert(database.query, 1);
    const answers = await Promise.all(range(200).map(() => idsOf(database)));
    assert.deepEqual(new Set(answers.map(String)), new Set(['1']));
    const seen = server.psql(
      "select count(*) from pg_stat_activity where application_name = 'chrysalis'",
    );
    assert(Number(seen) <= 60, seen);
  });

  it('writes nothing when it is opened to be looked at', async (t) => {
    const url = server.newUrl();
    const database = await open(t, url);
    await insert(database.query, 1);
    const looking = await open(t, url, { readsOnly: true });
    assert.deepEqual(await idsOf(looking), [1]);
    await assert.rejects(insert(looking.query, 2), failure('io'));
    await assert.rejects(
      looking.transaction((query) => insert(query, 2)),
      failure('io'),
    );
    assert.deepEqual(await idsOf(looking), [1]);
  });

  it('refuses a server that forgets what it acknowledged', async (t) => {
    server.psql(
      'create role careless login superuser; alter role careless set synchronous_commit = off',
    );
    const url = server.newUrl().replace('owner@', 'careless@');
    await assert.rejects(open(t, url), failure('unsupported-server'));
  });

  it('says so of an end in the middle, and goes on when the server is back', async (t) => {
    const url = server.newUrl();
    const database = await open(t, url);
    await insert(database.query, 1);
    await idsOf(database);
    const interrupted = database.transaction(async (query) => {
      await insert(query, 2);
      await server.stop('immediate');
      await insert(query, 3);
    });
    await assert.rejects(interrupted, failure('away'));
    await assert.rejects(idsOf(database), failure('away'));
    await assert.rejects(insert(database.query, 4), failure('away'));
    await server.start();
    assert.deepEqual(await idsOf(database), [1]);
    await insert(database.query, 5);
    assert.deepEqual(await idsOf(database), [1, 5]);
  });

  it('makes one connection in the place of one that was lost, however many ask meanwhile', async (t) => {
    const database = await open(t, server.newUrl());
    const ask = () => Promise.allSettled(range(40).map(() => idsOf(database)));
    await ask();
    await server.stop('immediate');
    await ask();
    await server.start();
    await ask();
    // More would be those that nobody holds, which keep their process from ending.
    const held = server.psql(
      `select count(*) from pg_stat_activity where application_name = 'chrysalis'`,
    );
    assert(Number(held) <= 4, `${held} connections`);
  });
});

describe('URLs of PostgreSQL', () => {
  const parts = (url: string) => {
    const { host, port, user, database, schema, tls } = parsePostgresUrl(url);
    return [host, port, user, database, schema, tls];
  };

  it('say where it is; TLS is left out on this machine only, or when that is asked for', () => {
    assert.deepEqual(parts('postgres://ra@db.example/scms'), [
      'db.example',
      undefined,
      'ra',
      'scms',
      undefined,
      true,
    ]);
    assert.equal(parsePostgresUrl('postgres://db.example/x?sslmode=disable').tls, false);
    assert.equal(parsePostgresUrl('postgresql://localhost/x?sslmode=verify-full').tls, true);
    assert.deepEqual(parts('postgres:///x?host=/run/postgresql&schema=ra'), [
      '/run/postgresql',
      undefined,
      undefined,
      'x',
      'ra',
      false,
    ]);
    assert.deepEqual(parts('postgres://127.0.0.1:6000/x').slice(1, 2), [6000]);
  });

  it('are refused with a password, or with what is not known, and not repeated', () => {
    for (const url of [
      'postgres://user:secret@db/x',
      'postgres://db/x?sslmode=require',
      'postgres://db/x?password=secret',
      'postgres://db/x?schema=secret;drop',
      'postgres://%zz@db/x',
      'postgres://db:secret/x',
    ]) {
      assert.throws(
        () => parsePostgresUrl(url),
        (error) => isStoreError(error, 'unsupported-url') && !error.message.includes('secret'),
      );
    }
  });
});
