/**
 * Forgets periods that are over, and whatever was still on its way for them, in short steps. Each is one transaction that
 * leaves rows as they may be, and is done by the conditions in it: a drop that was interrupted begins anew and finds less
 * to do. Devices are served, and their weeks made, between any two.
 */
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { type Database, wordsOf } from '@chrysalis/store';
import { CompiledQuery, sql, type Transaction } from 'kysely';
import { change } from './bulk.ts';
import { indexTable } from './pca-requests.ts';
import type { RaSchema } from './schema.ts';
import { writeSetting } from './setting.ts';

/**
 * How many periods the index of a period's requests outlives its certificates: a report of misbehavior may be a week
 * old when a device sends it, waits in a pool, and is looked into (sections 3.6, 6.3).
 */
const KEEP_INDEX_PERIODS = 12;
/** How long the tallies of hours are kept. */
const KEEP_TALLIES_SEC = 90 * 86_400;
/** Of the names of indexes: `indexTable`. */
const INDEX_PREFIX = 'hpcr_';
/** How long a step waits for files to be gone. */
const LOOK_AGAIN_MS = 10;
/** Rows that a step looks at or changes: some 10 ms at most, in which others wait to write. */
const ROWS_IN_STEP = 500;

export interface PeriodDrop {
  readonly database: Database<RaSchema>;
  /** The first period that was not dropped yet. */
  readonly first: number;
  /** The last that is over for sure. */
  readonly last: number;
  /** The end of the last. */
  readonly end: Time32;
  /** Devices that were last heard of before pause. */
  readonly seenBefore?: Time32;
  /** Deletes the files of a period. @throws StoreError */
  readonly deleteFiles: (i: number) => Promise<void>;
  readonly onDropped?: (i: number) => void;
  /** Another size of steps, for tests. */
  readonly rowsInStep?: number;
}

/** Goes on with each call of `next`. The periods count as dropped when it is done. */
export async function* dropPeriods(drop: PeriodDrop): AsyncGenerator<void, void> {
  const { database, first, last, end, seenBefore } = drop;
  // What was asked of the PCA first: from here on no answer completes a batch of these periods, nor makes a response.
  yield* forgetRequests(drop);
  yield* forgetBatches(drop);
  yield* forgetLinkage(drop);
  yield* whileAny(drop, (query, most) => forgetGivenUp(query, last, most));
  if (await someMayBeBehind(drop)) yield* catchUpAll(drop);
  if (seenBefore !== undefined) {
    yield* whileAny(drop, (query, most) => pause(query, seenBefore, most));
  }
  for (let i = first; i <= last; i++) {
    yield* forgetIndex(drop, i - KEEP_INDEX_PERIODS);
    // Nothing is filed for it any more, now that its batches are gone.
    yield* whileUnderWay(drop.deleteFiles(i));
    await writeSetting(database.query, 'dropped_through', i);
    drop.onDropped?.(i);
    yield;
  }
  await change(database.query, 'delete from tally where hour < ?', [end - KEEP_TALLIES_SEC]);
}

async function* forgetRequests({
  database,
  last,
  rowsInStep = ROWS_IN_STEP,
}: PeriodDrop): AsyncGenerator<void, void> {
  for (;;) {
    // They are gone through before the transaction, which others would wait for.
    const rows = await database.query
      .selectFrom('pca_request')
      .select(['epoch', 'key'])
      .where('period', '<=', last)
      .limit(rowsInStep)
      .execute();
    if (rows.length === 0) return;
    await change(
      database.query,
      `delete from pca_request
        where (epoch, key) in (${wordsOf(database.query).pairsOf('?')})`,
      [JSON.stringify(rows.map(({ epoch, key }) => [epoch, key]))],
    );
    yield;
  }
}

/** Files that were being made, each with the answers that have come. */
async function* forgetBatches({
  database,
  last,
  rowsInStep = ROWS_IN_STEP,
}: PeriodDrop): AsyncGenerator<void, void> {
  for (;;) {
    const rows = await database.query
      .selectFrom('batch')
      .select(['device_id', 'i'])
      .where('period', '<=', last)
      .limit(rowsInStep)
      .execute();
    if (rows.length === 0) return;
    const these = `(device_id, i) in (${wordsOf(database.query).pairsOf('?')})`;
    const keys = JSON.stringify(rows.map(({ device_id, i }) => [device_id, i]));
    await database.transaction(async (query) => {
      await change(query, `delete from response where ${these}`, [keys]);
      await change(query, `delete from batch where ${these}`, [keys]);
    });
    yield;
  }
}

/** The index of the requests of a period, by which a report leads to a device. */
async function* forgetIndex(
  { database, rowsInStep = ROWS_IN_STEP }: PeriodDrop,
  i: number,
): AsyncGenerator<void, void> {
  const table = indexTable(i);
  if (!(await exists(database, table))) return;
  for (;;) {
    // Neighbours, which share pages. To drop the table whole would go through all of them at once.
    const gone = await change(
      database.query,
      `delete from ${table} where hpcr <= coalesce(
        (select hpcr from ${table} order by hpcr limit 1 offset ?),
        (select hpcr from ${table} order by hpcr desc limit 1))`,
      [rowsInStep - 1],
    );
    if (gone === 0) break;
    yield;
  }
  await change(database.query, `drop table if exists ${table}`, []);
  yield;
}

async function exists(database: Database<RaSchema>, table: string): Promise<boolean> {
  const { query } = database;
  const { rows } = await query.executeQuery<{ name: string }>(
    CompiledQuery.raw(wordsOf(query).tablesNumbered(INDEX_PREFIX)),
  );
  return rows.some(({ name }) => name === table);
}

/** The files of a fleet are many: others go on meanwhile. @throws what the work rejects with */
async function* whileUnderWay(work: Promise<void>): AsyncGenerator<void, void> {
  const state = { isDone: false };
  const done = work.finally(() => {
    state.isDone = true;
  });
  // Whoever stops calling us leaves it to itself.
  done.catch(() => {});
  for (;;) {
    const timer = Promise.withResolvers<void>();
    const timeout = setTimeout(timer.resolve, LOOK_AGAIN_MS);
    await Promise.race([done, timer.promise]);
    clearTimeout(timeout);
    if (state.isDone) return done;
    yield;
  }
}

/** Values for periods that were never made, and chains of the cache that have become useless. */
async function* forgetLinkage(drop: PeriodDrop): AsyncGenerator<void, void> {
  const { database, last, rowsInStep = ROWS_IN_STEP } = drop;
  for (let from = -1; ; ) {
    const rows = await database.query
      .selectFrom('linkage')
      .select(['device_id', 'i_max'])
      .where('device_id', '>', from)
      .orderBy('device_id')
      .limit(rowsInStep)
      .execute();
    const to = rows.at(-1)?.device_id;
    if (to === undefined) break;
    // The last of them may have more than were looked at.
    if (rows.length === rowsInStep || rows.some(({ i_max }) => i_max <= last)) {
      await change(
        database.query,
        'delete from linkage where device_id > ? and device_id <= ? and i_max <= ?',
        [from, to, last],
      );
    }
    from = to;
    yield;
  }
  await change(database.query, 'delete from linkage_cache where i_max <= ?', [last]);
  yield;
}

async function* catchUpAll(drop: PeriodDrop): AsyncGenerator<void, void> {
  const { database, last, end, rowsInStep = ROWS_IN_STEP } = drop;
  for (let from = -1; ; ) {
    const rows = await database.query
      .selectFrom('device')
      .select('id')
      .where('id', '>', from)
      .orderBy('id')
      .limit(rowsInStep)
      .execute();
    const to = rows.at(-1)?.id;
    if (to === undefined) return;
    const portion = { from, to, last, end };
    await database.transaction(async (query) => {
      await forgetApplications(query, portion);
      await catchUp(query, portion);
    });
    from = to;
    yield;
  }
}

/** Repeats what changes up to so many rows, until it changes fewer. */
async function* whileAny(
  { database, rowsInStep = ROWS_IN_STEP }: PeriodDrop,
  work: (query: Database<RaSchema>['query'], most: number) => Promise<number>,
): AsyncGenerator<void, void> {
  for (;;) {
    const count = await work(database.query, rowsInStep);
    yield;
    if (count < rowsInStep) return;
  }
}

/**
 * Whether some device may lack a file of these periods, or hold an application certificate that is over. Mostly only
 * pseudonym certificates are there, and nobody lags: then no device is looked at.
 */
async function someMayBeBehind({ database, last }: PeriodDrop): Promise<boolean> {
  const behind = await database.query
    .selectFrom('device_count')
    .select('count')
    .where(
      sql<boolean>`(kind = 'application' or (kind = 'identification' and status <> 'replaced')
        or (kind = 'pseudonym' and status <> 'replaced' and filed_through < ${sql.raw(wordsOf(database.query).least)}(last_i, ${last})))`,
    )
    .executeTakeFirst();
  const beyondGap = await database.query.selectFrom('filed').select('i').limit(1).execute();
  return behind !== undefined || beyondGap.length > 0;
}

interface Portion {
  /** Ids above this, up to and including `to`. */
  readonly from: number;
  readonly to: number;
  readonly last: number;
  readonly end: Time32;
}

/** Those that are over: an RSE has asked for others since. */
function forgetApplications(
  query: Transaction<RaSchema>,
  { from, to, end }: Portion,
): Promise<number> {
  return change(
    query,
    `delete from device
      where id > ? and id <= ? and kind = 'application' and first_start + lifetime_sec <= ?`,
    [from, to, end],
  );
}

/** Devices whose files were not made in time have them no more to be made. */
async function catchUp(
  query: Transaction<RaSchema>,
  { from, to, last, end }: Portion,
): Promise<void> {
  const { greatest, least } = wordsOf(query);
  // filed_through <= expanded_through <= linked_through: no device lags in another column alone.
  await change(
    query,
    `update device set
        filed_through = ${least}(last_i, ?),
        expanded_through = ${greatest}(expanded_through, ${least}(last_i, ?)),
        linked_through = ${greatest}(linked_through, ${least}(last_i, ?))
      where id > ? and id <= ?
        and kind = 'pseudonym' and status <> 'replaced' and filed_through < ${least}(last_i, ?)`,
    [last, last, last, from, to, last],
  );
  const over = `${least}(last_i, (? - lifetime_sec - first_start) / period_sec)`;
  await change(
    query,
    `update device set
        filed_through = ${over},
        expanded_through = ${greatest}(expanded_through, ${over})
      where id > ? and id <= ? and kind = 'identification' and status <> 'replaced'
        and first_start + lifetime_sec <= ? and filed_through < ${over}`,
    [end - 1, end - 1, from, to, end - 1, end - 1],
  );
  await closeGaps(query, from, to);
}

/** Files that were noted beyond a gap count once there is none any more, and their notes go. */
async function closeGaps(query: Transaction<RaSchema>, from: number, to: number): Promise<void> {
  await forgetClosed(query, from, to);
  await change(
    query,
    `update device set filed_through = (
        with recursive next (i) as (
          select device.filed_through
          union all select next.i + 1 from next join filed on filed.device_id = device.id and filed.i = next.i + 1
        ) select max(i) from next)
      where id in (select device_id from filed where device_id > ? and device_id <= ?)`,
    [from, to],
  );
  await forgetClosed(query, from, to);
}

async function forgetClosed(query: Transaction<RaSchema>, from: number, to: number): Promise<void> {
  await change(
    query,
    `delete from filed where device_id > ? and device_id <= ?
      and i <= (select filed_through from device where id = device_id)`,
    [from, to],
  );
}

/** Files that were given up are lacking no more when their period is over. */
function forgetGivenUp(
  query: Database<RaSchema>['query'],
  last: number,
  most: number,
): Promise<number> {
  return change(
    query,
    `delete from given_up where (device_id, i) in (
      select device_id, i from given_up where period <= ? limit ?)`,
    [last, most],
  );
}

/** Devices that were last heard of before: nothing more is made for them until they are. What is made stays. */
function pause(
  query: Database<RaSchema>['query'],
  seenBefore: Time32,
  most: number,
): Promise<number> {
  return change(
    query,
    `update device set status = 'paused' where id in (select id from device
      where status = 'active' and kind <> 'application' and last_seen < ? limit ?)`,
    [seenBefore, most],
  );
}
