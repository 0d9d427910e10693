/** Changes of the blacklist are in the audit log, whatever falls between the row and its line. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PrivateKey, PublicKey, sha256, systemRandom } from '@chrysalis/crypto';
import {
  type AuditEvent,
  type AuditLog,
  AuditWriter,
  Blacklist,
  BlacklistChanges,
  RA_MIGRATIONS,
  type RaSchema,
  readAuditLines,
  verifyAuditLog,
} from '@chrysalis/ra';
import { createFailingDatabase, type Database, openDatabase } from '@chrysalis/store';
import { StoreError } from '@chrysalis/store/files';
import {
  type PostgresServer,
  startPostgres,
  withoutPostgres,
} from '../../../test/support/postgres-server.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';

const KEY = PrivateKey.generate(systemRandom);
const RA = '0011223344556677';
const NOON = Date.UTC(2026, 10, 21, 12);
const NOW = 720_000_000;
const LOG = { debug() {}, info() {}, warn() {}, error() {} };
const ONE = sha256(Uint8Array.of(1));
const TWO = sha256(Uint8Array.of(2));

describe('a change of the blacklist', () => {
  it('is in the audit log when it is told, once', async (t) => {
    const { blacklist, lines } = await start(t);
    const list = blacklist();
    assert.equal(await list.add(ONE, 'stolen', NOW), true);
    assert.equal(await list.add(ONE, 'again', NOW), false);
    assert.equal(await list.remove(ONE), true);
    assert.equal(await list.remove(ONE), false);
    const [added, removed, ...none] = await lines();
    assert.deepEqual(none, []);
    const at = '2026-11-21T12:00:00.000Z';
    const enrollment = hex(ONE);
    const change = { event: 'blacklist', enrollment, at };
    assert.deepEqual(added, { ...change, change: 'added', reason: 'stolen', id: added?.id });
    assert.deepEqual(removed, { ...change, change: 'removed', id: removed?.id });
    assert.match(String(added?.id), /^[0-9a-f]{16}$/);
    assert.notEqual(added?.id, removed?.id);
  });

  it('whose line the disk did not take counts, and is written by whoever asks next', async (t) => {
    const { blacklist, lines, clock, left } = await start(t);
    const isMissing = (error: Error) =>
      error instanceof StoreError &&
      error.code === 'full' &&
      error.message.startsWith('a change of the blacklist counts, and its line is not in');
    const list = blacklist({ audit: FULL });
    await assert.rejects(list.add(ONE, 'stolen', NOW), isMissing);
    assert.equal(await list.has(ONE), true);
    await assert.rejects(
      list.add(ONE, 'stolen', NOW),
      isMissing,
      'the repetition is told no sooner',
    );
    clock.ms += 1000;
    assert.equal(await blacklist().add(ONE, 'again', NOW), false);
    assert.deepEqual(summary(await lines()), [['added', 1, '2026-11-21T12:00:00.000Z', 'stolen']]);

    await assert.rejects(list.remove(ONE), isMissing);
    assert.equal(await list.has(ONE), false);
    clock.ms += 1000;
    assert.equal(await blacklist().remove(ONE), false);
    assert.deepEqual(summary(await lines()).slice(1), [
      ['removed', 1, '2026-11-21T12:00:01.000Z', undefined],
    ]);
    assert.equal(await left(), 0);
  });

  it('of many at once likewise', async (t) => {
    const { blacklist, lines, left } = await start(t);
    const many = Array.from({ length: 450 }, (_, n) => sha256(Uint8Array.of(n, n >> 8)));
    const failing = blacklist({ audit: FULL });
    await assert.rejects(
      failing.addAll(many, 'the MA', NOW, async () => {}),
      StoreError,
    );
    assert.equal(await left(), 450);
    await blacklist().recorded();
    const all = await lines();
    assert.deepEqual(
      all.map(({ enrollment }) => enrollment),
      many.map(hex),
    );
    assert.equal(await left(), 0);
  });

  it('that was killed before its line has it from whoever starts next', async (t) => {
    const { blacklist, changes, lines, left } = await start(t);
    // Nobody ever hears of this one.
    void blacklist({ audit: HANGING }).add(ONE, 'stolen', NOW);
    while ((await left()) === 0) await new Promise(setImmediate);
    const ofRa = changes();
    t.after(() => ofRa.stop());
    ofRa.start();
    await ofRa.stop();
    assert.deepEqual(summary(await lines()), [['added', 1, '2026-11-21T12:00:00.000Z', 'stolen']]);
    assert.equal(await left(), 0);
  });

  it('that was killed after its line has another, with the same id', async (t) => {
    const { blacklist, database, lines, left } = await start(t);
    // The transaction after that of the change is the one that ends its row.
    const dying = createFailingDatabase(database, (count) => (count === 1 ? 'fails' : 'works'));
    await assert.rejects(blacklist({ database: dying }).add(ONE, 'stolen', NOW), StoreError);
    await blacklist().recorded();
    const [first, second, ...none] = await lines();
    assert.deepEqual(none, []);
    assert.deepEqual(first, second);
    assert.equal(await left(), 0);
  });

  it('never ends the row of another, though SQLite gives numbers again', async (t) => {
    const { blacklist, changes, left } = await start(t);
    await assert.rejects(blacklist({ audit: FULL }).add(ONE, 'stolen', NOW), StoreError);
    // Two processes write the line; before the slower one ends the row, there is a new one of the same number.
    const slow = slowed();
    const late = changes({ audit: slow.audit }).handOn();
    await slow.begun;
    await changes().handOn();
    await assert.rejects(blacklist({ audit: FULL }).add(TWO, 'lost', NOW), StoreError);
    slow.goOn();
    await late;
    assert.deepEqual(slow.enrollments, [hex(ONE), hex(TWO)]);
    assert.equal(await left(), 0);
  });

  it('that is rolled back has no line', async (t) => {
    const { blacklist, database, lines, left } = await start(t);
    const failing = createFailingDatabase(database, () => 'fails');
    await assert.rejects(blacklist({ database: failing }).add(ONE, 'stolen', NOW), StoreError);
    await blacklist().recorded();
    assert.deepEqual([await left(), await lines()], [0, []]);
  });

  it('does not begin while the audit log takes nothing', async (t) => {
    const { blacklist, left } = await start(t);
    const audit = { ...FULL, ready: () => Promise.reject(fullDisk()) };
    const list = blacklist({ audit });
    await assert.rejects(list.add(ONE, 'stolen', NOW), StoreError);
    assert.deepEqual([await list.has(ONE), await left()], [false, 0]);
  });

  it('leaves nothing behind where there is no audit log', async (t) => {
    const { database, left } = await start(t);
    const list = new Blacklist(database);
    assert.deepEqual([await list.add(ONE, 'stolen', NOW), await list.remove(ONE)], [true, true]);
    assert.equal(await left(), 0);
  });
});

describe('a change of the blacklist on PostgreSQL', { skip: withoutPostgres }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server?.close());

  it('whose line the disk did not take is written by whoever asks next', async (t) => {
    const { blacklist, lines, left } = await start(t, server.newUrl());
    const list = blacklist({ audit: FULL });
    await assert.rejects(list.add(ONE, 'stolen', NOW), StoreError);
    await assert.rejects(
      list.addAll([ONE, TWO], 'the MA', NOW, async () => {}),
      StoreError,
    );
    await assert.rejects(list.remove(ONE), StoreError);
    assert.equal(await left(), 3);
    assert.equal(await blacklist().add(TWO, 'again', NOW), false);
    const at = '2026-11-21T12:00:00.000Z';
    assert.deepEqual(summary(await lines()), [
      ['added', 1, at, 'stolen'],
      ['added', 2, at, 'the MA'],
      ['removed', 1, at, undefined],
    ]);
    assert.equal(await left(), 0);
  });
});

interface Parts {
  readonly database?: Database<RaSchema>;
  readonly audit?: AuditLog;
}

async function start(t: { after(work: () => Promise<void>): void }, postgresUrl?: string) {
  const folder = temporaryDirectory();
  const url = postgresUrl ?? `sqlite:${join(folder, 'ra.db')}`;
  const directory = join(folder, 'audit');
  const clock = { ms: NOON, now: () => clock.ms };
  const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS, { migrates: true });
  const writer = await AuditWriter.open({
    ...{ directory, writer: 'server', sign: { id: RA, signer: KEY }, keepDays: 0, clock, log: LOG },
    maxFileOctets: 64_000_000,
  });
  t.after(async () => {
    await writer.close();
    await database.close();
  });
  const changes = (parts: Parts = {}) =>
    new BlacklistChanges({
      database,
      audit: writer,
      ...parts,
      clock,
      random: systemRandom,
      log: LOG,
    });
  return {
    database,
    clock,
    changes,
    /** As another process has it. */
    blacklist: (parts: Parts = {}) => new Blacklist(parts.database ?? database, changes(parts)),
    /** Rows whose lines are not written for certain. */
    async left() {
      const rows = await database.query.selectFrom('blacklist_change').select('id').execute();
      return rows.length;
    },
    /** What the audit log says, once it is verified. */
    async lines() {
      const keys = new Map([[RA, PublicKey.fromPoint(KEY.publicPoint)]]);
      await verifyAuditLog({ directory, keys, unsigned: [] });
      const found: Record<string, unknown>[] = [];
      for await (const { line } of readAuditLines(directory, 'server')) {
        const { seq, time, hash, ...content } = line.members;
        if (line.event === 'blacklist') found.push(content);
      }
      return found;
    },
  };
}

function summary(lines: readonly Record<string, unknown>[]): unknown[][] {
  return lines.map(({ change, enrollment, at, reason }) => [
    change,
    enrollment === hex(ONE) ? 1 : 2,
    at,
    reason,
  ]);
}

function fullDisk(): StoreError {
  return new StoreError('full', 'could not append: ENOSPC');
}

/** A disk that has filled up since it was last asked. */
const FULL: AuditLog = {
  record: () => Promise.reject(fullDisk()),
  note() {},
  ready: async () => {},
};

/** Who is killed between the row and its line. */
const HANGING: AuditLog = { ...FULL, record: () => new Promise(() => {}) };

/** One that is slow with a single write. */
function slowed() {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { promise: gone, resolve: goOn } = Promise.withResolvers<void>();
  const enrollments: string[] = [];
  const record = async (...written: readonly AuditEvent[]) => {
    for (const event of written) if ('enrollment' in event) enrollments.push(event.enrollment);
    begin();
    await gone;
  };
  return { audit: { ...FULL, record }, begun, goOn, enrollments };
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
