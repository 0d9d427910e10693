import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type Database, openDatabase } from '@chrysalis/store';
import { fixIPeriod } from '../src/i-period-setting.ts';
import type { RaSchema } from '../src/schema.ts';
import { RA_MIGRATIONS } from '../src/schema-migrations.ts';

const EPOCH = 347_619_603;
const WEEK = 604_800;
const DAY = 86_400;

async function database(t: TestContext): Promise<Database<RaSchema>> {
  const opened = await openDatabase<RaSchema>('sqlite::memory:', RA_MIGRATIONS);
  t.after(() => opened.close());
  return opened;
}

const never = () => Promise.reject(new Error('the policy was asked'));

describe('the i-period of an RA', () => {
  it('is the policy of its first start, for ever', async (t) => {
    const db = await database(t);
    const first = await fixIPeriod(db, { epoch: EPOCH }, async () => DAY);
    assert.deepEqual([first.epoch, first.lengthSec], [EPOCH, DAY]);
    const later = await fixIPeriod(db, { epoch: EPOCH }, never);
    assert.equal(later.lengthSec, DAY);
    assert.equal((await fixIPeriod(db, { epoch: EPOCH, lengthSec: DAY }, never)).lengthSec, DAY);
  });

  it('is what its operator says, when he says it at the first start', async (t) => {
    const db = await database(t);
    await fixIPeriod(db, { epoch: EPOCH, lengthSec: WEEK }, never);
    assert.equal((await fixIPeriod(db, { epoch: EPOCH }, never)).lengthSec, WEEK);
  });

  it('is no other later: neither length nor epoch', async (t) => {
    const db = await database(t);
    await fixIPeriod(db, { epoch: EPOCH }, async () => WEEK);
    await assert.rejects(fixIPeriod(db, { epoch: EPOCH, lengthSec: DAY }, never), {
      code: 'policy',
      message: `expected i-periods of ${WEEK} s from ${EPOCH}, as at the first start, saw ${DAY} s from ${EPOCH}`,
    });
    await assert.rejects(
      fixIPeriod(db, { epoch: 0 }, never),
      /from 347619603, .*saw 604800 s from 0/,
    );
    assert.equal((await fixIPeriod(db, { epoch: EPOCH }, never)).lengthSec, WEEK);
  });

  it('is nothing yet when the policy cannot be had', async (t) => {
    const db = await database(t);
    await assert.rejects(fixIPeriod(db, { epoch: EPOCH }, never), /the policy was asked/);
    assert.equal((await fixIPeriod(db, { epoch: EPOCH }, async () => DAY)).lengthSec, DAY);
  });
});
