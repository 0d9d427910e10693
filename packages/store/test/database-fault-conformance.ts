import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Database } from '../src/database.ts';
import { GroupCommit } from '../src/group-commit.ts';
import { isStoreError } from '../src/store-error.ts';
import { idsOf, insert, range } from './database-conformance.ts';
import type { DeviceSchema } from './device-schema.ts';

const WRITES = 60;
/** More than any schedule makes necessary. */
const MOST_TRIES = 20;

/** What holds when transactions fail, and when they only say so; `open` gives such a database, without rows. */
export function databaseFaultConformance(
  name: string,
  open: (t: TestContext) => Promise<Database<DeviceSchema>>,
): void {
  describe(`${name}, whose transactions fail`, () => {
    it('has what was written once, however often the caller repeats', async (t) => {
      const database = await open(t);
      const seen = { failed: 0, applied: 0 };
      for (const id of range(WRITES)) await persistently(() => write(database, id), seen);
      assert.deepEqual(await idsOf(database), range(WRITES));
      assert(seen.failed > 0 && seen.applied > 0, JSON.stringify(seen));
      assert(seen.failed > seen.applied, 'some had no effect');
    });

    it('keeps what it acknowledged to those who shared a commit', async (t) => {
      const database = await open(t);
      const writes = new GroupCommit(database);
      const acknowledged: number[] = [];
      for (let round = 0; round < 12; round++) {
        const ids = range(5).map((n) => round * 5 + n);
        const ended = await Promise.allSettled(
          ids.map((id) => writes.run((query) => insert(query, id)).then(() => id)),
        );
        for (const end of ended) if (end.status === 'fulfilled') acknowledged.push(end.value);
      }
      const there = new Set(await idsOf(database));
      assert(acknowledged.length > 0);
      assert.deepEqual(
        acknowledged.filter((id) => !there.has(id)),
        [],
      );
    });
  });
}

async function write(database: Database<DeviceSchema>, id: number): Promise<void> {
  await database.transaction(async (query) => {
    await insert(query, id);
    await query.insertInto('batch').values({ device: id, period: id }).execute();
  });
}

/** As the rooms above do: what is there already was written by a try that seemed to fail. */
async function persistently(
  attempt: () => Promise<void>,
  seen: { failed: number; applied: number },
): Promise<void> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (isStoreError(error, 'constraint')) {
        seen.applied += 1;
        return;
      }
      if (!isStoreError(error, 'away')) throw error;
      seen.failed += 1;
    }
  }
  throw new Error('expected a try to succeed');
}
