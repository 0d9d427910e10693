import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { patiently, SqliteConnection } from '../src/sqlite-connection.ts';
import { isStoreError, StoreError } from '../src/store-error.ts';

function open(t: TestContext): SqliteConnection {
  const connection = new SqliteConnection(':memory:');
  t.after(() => connection.close());
  return connection;
}

const query = (error: unknown) => isStoreError(error, 'query');

describe('sqlite connection', () => {
  it('gives right answers with more different statements than it keeps', (t) => {
    const connection = open(t);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 600; i++) {
        assert.deepEqual(connection.run(`select ${i} as x where ?`, [1]).rows, [{ x: i }]);
        assert.deepEqual(connection.run('select ? as often', [i]).rows, [{ often: i }]);
      }
    }
  });

  it('follows a change of the schema under a statement that it kept', (t) => {
    const connection = open(t);
    connection.exec('create table a (x integer)');
    connection.run('insert into a values (?)', [1]);
    assert.deepEqual(connection.run('select * from a', []).rows, [{ x: 1 }]);
    connection.exec('alter table a add column y text');
    assert.deepEqual(connection.run('select * from a', []).rows, [{ x: 1, y: null }]);
  });

  it('refuses an integer that a number cannot hold, rather than round it', (t) => {
    const connection = open(t);
    assert.throws(() => connection.run('select 9007199254740993 as x', []), query);
    const stored = connection.run('select typeof(?) as type', [2n ** 60n]).rows;
    assert.deepEqual(stored, [{ type: 'integer' }], 'a bigint goes in');
  });

  it('refuses a value that SQLite cannot hold', (t) => {
    const connection = open(t);
    const values = [
      undefined,
      true,
      Number.NaN,
      new Date(0),
      {},
      Object.create(null),
      [1],
      () => 1,
    ];
    for (const value of [...values, new Uint16Array(1), new ArrayBuffer(1), 2n ** 64n]) {
      for (const parameters of [
        [value, 1],
        [1, value],
      ]) {
        const attempt = () => connection.run('select ? as x, ? as y', parameters);
        assert.throws(attempt, query, typeof value);
      }
    }
  });

  it('takes whole numbers for integers and others for reals', (t) => {
    const connection = open(t);
    const types = 'select typeof(?) as whole, typeof(?) as part, 10 / ? as quotient';
    const { rows } = connection.run(types, [-(2 ** 53) + 1, 0.5, 4]);
    assert.deepEqual(rows, [{ whole: 'integer', part: 'real', quotient: 2 }]);
    assert.deepEqual(connection.run('select ? as x', [1e300]).rows, [{ x: 1e300 }]);
  });

  it('that only reads refuses to write', async (t) => {
    const path = join(temporaryDirectory(), 'test.db');
    const connections = [new SqliteConnection(path), new SqliteConnection(path)] as const;
    t.after(() => connections.forEach((connection) => void connection.close()));
    const [writer, reader] = connections;
    writer.configure(false);
    reader.configure(true);
    writer.exec('create table a (x integer)');
    assert.deepEqual(reader.run('select * from a', []).rows, []);
    assert.throws(
      () => reader.run('insert into a values (1)', []),
      (error) => isStoreError(error, 'io'),
    );
  });

  it('says closed after close, which may be repeated', (t) => {
    const connection = open(t);
    connection.run('select 1', []);
    connection.close();
    connection.close();
    assert.throws(
      () => connection.run('select 1', []),
      (error) => isStoreError(error, 'closed'),
    );
  });

  it('shows the statement in its errors only so far', (t) => {
    const connection = open(t);
    const long = `nonsense ${'x'.repeat(5000)}`;
    assert.throws(
      () => connection.exec(long),
      (error) => query(error) && (error as Error).message.length < 400,
    );
  });
});

describe('patience with another process’s lock', () => {
  it('repeats while the database is busy, and gives the result in the end', async () => {
    let attempts = 0;
    const result = await patiently(() => {
      attempts += 1;
      if (attempts < 4) throw new StoreError('busy', 'database is locked');
      return 'done';
    });
    assert.equal(result, 'done');
    assert.equal(attempts, 4);
  });

  it('ends with the lock’s own error after ten seconds', async (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => {
      now += 4000;
      return now;
    });
    const attempt = patiently(() => {
      throw new StoreError('busy', 'database is locked');
    });
    await assert.rejects(attempt, (error) => isStoreError(error, 'busy'));
  });

  it('does not repeat any other failure', async () => {
    let attempts = 0;
    const attempt = patiently(() => {
      attempts += 1;
      throw new StoreError('full', 'disk is full');
    });
    await assert.rejects(attempt, (error) => isStoreError(error, 'full'));
    assert.equal(attempts, 1);
  });
});
