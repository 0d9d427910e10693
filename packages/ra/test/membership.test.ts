/** Who does which part: leases in a database that several share. Time passes by rows that are changed, not by waiting. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { systemRandom } from '@chrysalis/crypto';
import { type Database, openDatabase } from '@chrysalis/store';
import { CompiledQuery } from 'kysely';
import { newDatabaseUrl } from '../../../test/support/postgres-server.ts';
import { Membership, type MembershipOptions } from '../src/membership.ts';
import { RA_MIGRATIONS } from '../src/migrations.ts';
import type { RaSchema } from '../src/schema.ts';
import { eventually } from './scene.ts';

const LONG_MS = 3_600_000;

async function setUp(t: TestContext) {
  const url = await newDatabaseUrl('sqlite::memory:');
  const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS, { migrates: true });
  const warnings: string[] = [];
  const silent = () => {};
  const log = {
    ...{ debug: silent, info: silent, error: silent },
    warn: (_fields: object, message: string) => void warnings.push(message),
  };
  const members: Membership[] = [];
  t.after(async () => {
    for (const member of members) await member.stop();
    await database.close();
  });
  const join = async (changes: Partial<MembershipOptions> = {}) => {
    // Of those that come in one millisecond, the name decides which is the older.
    await setTimeout(5);
    const member = new Membership({
      ...{ database, role: 'pipeline', random: systemRandom, log },
      ...{ renewMs: 5, leaseMs: LONG_MS, settleMs: 0 },
      ...changes,
    });
    members.push(member);
    await member.start();
    return member;
  };
  return { database, warnings, join };
}

function run(database: Database<RaSchema>, sql: string): Promise<unknown> {
  return database.query.executeQuery(CompiledQuery.raw(sql));
}

function shareIs(member: Membership, rank: number, of: number): Promise<true> {
  return eventually(async () => {
    const { share } = member;
    return share?.rank === rank && share.of === of ? true : undefined;
  });
}

describe('members', () => {
  it('have all of the work alone, and a part of it among others, in the order in which they came', async (t) => {
    const { join } = await setUp(t);
    const first = await join();
    assert.deepEqual(first.share, { rank: 0, of: 1 }, 'at once');
    const second = await join();
    await shareIs(second, 1, 2);
    await shareIs(first, 0, 2);
    const third = await join();
    await shareIs(third, 2, 3);
    await second.stop();
    assert.equal(second.share, undefined);
    await shareIs(third, 1, 2);
    await shareIs(first, 0, 2);
    assert.deepEqual([first.isFirst, third.isFirst], [true, false]);
  });

  it('of one role have nothing to do with those of another', async (t) => {
    const { join } = await setUp(t);
    await join();
    const other = await join({ role: 'files' });
    assert.deepEqual(other.share, { rank: 0, of: 1 });
  });

  it('take over from one that died when its lease is over, and forget it', async (t) => {
    const { database, join } = await setUp(t);
    await run(
      database,
      `insert into member (role, name, joined_at, until) values ('pipeline', 'dead', 1, 9999999999999)`,
    );
    const member = await join();
    // Its lease is longer than any, as after a clock of the database that was set back.
    assert.deepEqual(member.share, { rank: 0, of: 1 });
    await run(
      database,
      `update member set until = (select until from member where name <> 'dead') where name = 'dead'`,
    );
    await shareIs(member, 1, 2);
    await run(database, `update member set until = 1 where name = 'dead'`);
    await shareIs(member, 0, 1);
    const names = await database.query.selectFrom('member').select('name').execute();
    assert.equal(names.length, 1);
  });

  it('begin only when the others have had the time to notice them', async (t) => {
    const { join } = await setUp(t);
    const first = await join();
    const second = await join({ settleMs: LONG_MS });
    await shareIs(first, 0, 2);
    assert.equal(second.share, undefined);
  });

  it('that cannot renew have no part when the lease is over, and say so; then begin behind the others', async (t) => {
    const { database, warnings, join } = await setUp(t);
    let isAway = false;
    const query = new Proxy(database.query, {
      get(target, name) {
        if (isAway) throw new Error('the database is away');
        const value = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const first = await join({ database: { ...database, query }, leaseMs: 1500 });
    const second = await join({ leaseMs: 1500 });
    await shareIs(first, 0, 2);
    isAway = true;
    await eventually(async () => (first.share === undefined ? true : undefined));
    assert.match(warnings.join(), /a lease is not renewed/);
    await shareIs(second, 0, 1);
    isAway = false;
    await shareIs(first, 1, 2);
    await shareIs(second, 0, 2);
  });
});
