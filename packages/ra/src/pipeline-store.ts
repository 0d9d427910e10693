import type { Random } from '@chrysalis/crypto';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { type Database, GroupCommit } from '@chrysalis/store';
import { CompiledQuery, type ExpressionBuilder, sql, type Transaction } from 'kysely';
import type { FileOwner } from './batch-file.ts';
import type { Device } from './device-registry.ts';
import type { ComposedRequest } from './expand.ts';
import type { LinkageValues } from './linkage-conversation.ts';
import type { RaSchema } from './schema.ts';
import { lifetimeSecOf, periodSecOf } from './validity.ts';

/**
 * How many periods the index of a period's requests outlives its certificates: a report of misbehavior may be a week
 * old when a device sends it, waits in a pool, and is looked into (sections 3.6, 6.3).
 */
const KEEP_INDEX_PERIODS = 12;

/** A PCA request that is due, with what its answer is checked against. */
export interface DueRequest {
  readonly hpcr: Uint8Array;
  readonly octets: Uint8Array;
  readonly deviceId: number;
  readonly i: number;
  readonly attempts: number;
}

/** A batch whose every request is answered. */
export interface CompleteBatch extends FileOwner {
  readonly deviceId: number;
  readonly i: number;
}

/**
 * The pipeline's durable state. Each method that writes is one transaction: a kill between two of them leaves a state
 * from which the pipeline goes on. Each looks in its transaction whether the step is still to be done, and does
 * nothing otherwise: another process may share the database, and have been faster.
 */
export class PipelineStore {
  readonly #database: Database<RaSchema>;
  readonly #writes: GroupCommit<RaSchema>;

  constructor(database: Database<RaSchema>) {
    this.#database = database;
    this.#writes = new GroupCommit(database);
  }

  /**
   * The device that lacks the nearest period up to `last`: nearest weeks first, oldest device first. Not one whose
   * enrollment certificate ends before, nor one that is blacklisted. Devices that failed come after all others, and
   * not before their time: what is wrong with one of them costs the others nothing. None that lags behind
   * `leastExpanded`.
   */
  async nextToExpand(
    last: number,
    leastExpanded: number,
    now: Time32,
  ): Promise<Device | undefined> {
    const lacking = this.#lackingPeriod(last).where('expanded_through', '>=', leastExpanded);
    const fresh = await lacking
      .where('failures', '=', 0)
      .orderBy('expanded_through')
      .orderBy('id')
      .executeTakeFirst();
    if (fresh) return fresh;
    return lacking
      .where('failures', '>', 0)
      .where('retry_at', '<=', now)
      .orderBy('retry_at')
      .executeTakeFirst();
  }

  #lackingPeriod(last: number) {
    return this.#database.query
      .selectFrom('device')
      .selectAll()
      .where('kind', '=', 'pseudonym')
      .where('status', '=', 'active')
      .where('expanded_through', '<', last)
      .whereRef('expanded_through', '<', 'last_i')
      .where(isNotBlacklisted)
      .limit(1);
  }

  /** A device whose next identification certificate begins by `latestStart`, or whose application certificate is to be made. */
  nextNumbered(latestStart: Time32, now: Time32): Promise<Device | undefined> {
    const isDue = sql<boolean>`first_start + (expanded_through + 1) * ${periodSecOf('identification')} <= ${latestStart}`;
    return this.#database.query
      .selectFrom('device')
      .selectAll()
      .where('kind', 'in', ['identification', 'application'])
      .where('status', '=', 'active')
      .whereRef('expanded_through', '<', 'last_i')
      .where('retry_at', '<=', now)
      .where((eb) => eb.or([eb('kind', '=', 'application'), isDue]))
      .where(isNotBlacklisted)
      .orderBy('failures')
      .orderBy('expanded_through')
      .limit(1)
      .executeTakeFirst();
  }

  /** Files the pre-linkage values of both LAs for periods from `iMin` on. */
  async addLinkage(
    device: Device,
    iMin: number,
    la1: LinkageValues,
    la2: LinkageValues,
  ): Promise<void> {
    await this.#writes.run(async (query) => {
      const { numUpdatedRows } = await query
        .updateTable('device')
        .set({
          linked_through: iMin + la1.byPeriod.length - 1,
          la1_chain: la1.chainId,
          la2_chain: la2.chainId,
        })
        .where('id', '=', device.id)
        .where('linked_through', '=', device.linked_through)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return;
      for (const [n, la1Values] of la1.byPeriod.entries()) {
        const la2Values = la2.byPeriod[n];
        if (!la2Values) throw new RangeError('expected as many periods from both LAs');
        await query
          .insertInto('pre_linkage')
          .values({
            device_id: device.id,
            i: iMin + n,
            la1_values: la1Values,
            la2_values: la2Values,
          })
          .execute();
      }
    });
  }

  linkageOf(deviceId: number, i: number) {
    return this.#database.query
      .selectFrom('pre_linkage')
      .select(['la1_values', 'la2_values'])
      .where('device_id', '=', deviceId)
      .where('i', '=', i)
      .executeTakeFirst();
  }

  /** Puts the requests of one file into the shuffle, indexes them for revocation, and drops what they were made from. */
  async addRequests(
    device: Device,
    i: number,
    requests: readonly ComposedRequest[],
    { at, released, period }: { at: Time32; released: boolean; period: number },
    random: Random,
  ): Promise<void> {
    // Periods that were over before they could be made are passed over for good.
    const isSkip = i > device.expanded_through + 1;
    await this.#writes.run(async (query) => {
      const { numUpdatedRows } = await query
        .updateTable('device')
        .set({ expanded_through: i, ...(isSkip && { filed_through: i - 1 }) })
        .where('id', '=', device.id)
        .where('expanded_through', '=', device.expanded_through)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return;
      await query.executeQuery(CompiledQuery.raw(createHpcrTable(period)));
      for (const { j, octets, hpcr } of requests) {
        await query
          .insertInto('pca_request')
          .values({
            hpcr,
            device_id: device.id,
            i,
            j,
            period,
            octets,
            shuffle_key: randomKey(random),
            created_at: at,
            released: released ? 1 : 0,
            attempts: 0,
            next_attempt_at: at,
            response: null,
          })
          .execute();
        await sql`insert into ${sql.table(hpcrTable(period))} (hpcr, device_id) values (${hpcr}, ${device.id})`.execute(
          query,
        );
      }
      await query
        .deleteFrom('pre_linkage')
        .where('device_id', '=', device.id)
        .where('i', '=', i)
        .execute();
    });
  }

  /** Opens the shuffle when enough requests wait in it, or one has waited long enough. */
  async releaseShuffle(threshold: number, oldestBefore: Time32): Promise<number> {
    const pool = await this.#database.query
      .selectFrom('pca_request')
      .select(({ fn }) => [fn.countAll<number>().as('count'), fn.min('created_at').as('oldest')])
      .where('response', 'is', null)
      .where('released', '=', 0)
      .executeTakeFirstOrThrow();
    const isDue = pool.count >= threshold || (pool.count > 0 && pool.oldest <= oldestBefore);
    if (!isDue) return 0;
    await this.#database.query
      .updateTable('pca_request')
      .set({ released: 1 })
      .where('response', 'is', null)
      .where('released', '=', 0)
      .execute();
    return pool.count;
  }

  /** When the shuffle opens by age if nothing else happens; undefined when it is empty. */
  async oldestInShuffle(): Promise<Time32 | undefined> {
    const row = await this.#database.query
      .selectFrom('pca_request')
      .select(({ fn }) => fn.min('created_at').as('oldest'))
      .where('response', 'is', null)
      .where('released', '=', 0)
      .executeTakeFirst();
    return row?.oldest ?? undefined;
  }

  /** Released requests without an answer, in the order of the shuffle; none of a period before `firstI`, which is over. */
  async due(now: Time32, firstI: number, limit: number): Promise<DueRequest[]> {
    return this.#database.query
      .selectFrom('pca_request')
      .innerJoin('device', 'device.id', 'pca_request.device_id')
      .select([
        'pca_request.hpcr',
        'pca_request.octets',
        'pca_request.device_id as deviceId',
        'pca_request.i',
        'pca_request.attempts',
      ])
      .where('response', 'is', null)
      .where('released', '=', 1)
      .where('next_attempt_at', '<=', now)
      .where('pca_request.period', '>=', firstI)
      .where(isNotBlacklisted)
      .orderBy('shuffle_key')
      .limit(limit)
      .execute();
  }

  /** When the next repetition falls due after `now`; undefined when nothing waits for one. */
  async nextAttempt(now: Time32): Promise<Time32 | undefined> {
    const row = await this.#database.query
      .selectFrom('pca_request')
      .select(({ fn }) => fn.min('next_attempt_at').as('at'))
      .where('response', 'is', null)
      .where('released', '=', 1)
      .where('next_attempt_at', '>', now)
      .executeTakeFirst();
    return row?.at ?? undefined;
  }

  /** Requests that were not sent yet. Those that the PCA refuses do not count: they would stop the others for good. */
  async countWaiting(): Promise<number> {
    const row = await this.#database.query
      .selectFrom('pca_request')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('response', 'is', null)
      .where('attempts', '=', 0)
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** Files an answer; the device has no failures any more. */
  async recordResponse({ hpcr, deviceId }: DueRequest, response: Uint8Array): Promise<void> {
    await this.#writes.run(async (query) => {
      await query.updateTable('pca_request').set({ response }).where('hpcr', '=', hpcr).execute();
      await query
        .updateTable('device')
        .set({ failures: 0, retry_at: 0 })
        .where('id', '=', deviceId)
        .where('failures', '>', 0)
        .execute();
    });
  }

  async postpone({ hpcr }: DueRequest, until: Time32): Promise<void> {
    await this.#writes.run((query) => postponeRequest(query, hpcr, until));
  }

  /** Notes that the PCA refuses a request: it is repeated, but nothing more is begun for its device before `until`. */
  async refuse({ hpcr, deviceId, attempts }: DueRequest, until: Time32): Promise<void> {
    await this.#writes.run(async (query) => {
      await postponeRequest(query, hpcr, until);
      await query
        .updateTable('device')
        .set({
          failures: sql<number>`max(failures, ${attempts + 1})`,
          retry_at: sql<number>`max(retry_at, ${until})`,
        })
        .where('id', '=', deviceId)
        .execute();
    });
  }

  /** Notes a failure that is a device's own: nothing more is begun for it before `until`. */
  async postponeDevice({ id, failures }: Device, until: Time32): Promise<void> {
    await this.#writes.run((query) =>
      query
        .updateTable('device')
        .set({ failures: failures + 1, retry_at: until })
        .where('id', '=', id)
        .execute(),
    );
  }

  /** Batches whose every request is answered. */
  complete(limit: number): Promise<CompleteBatch[]> {
    return this.#database.query
      .selectFrom('pca_request')
      .innerJoin('device', 'device.id', 'pca_request.device_id')
      .select(['device_id as deviceId', 'i', 'kind', 'request_hash', 'first_start'])
      .groupBy(['device_id', 'i'])
      .having((eb) => eb(eb.fn.countAll(), '=', eb.fn.count('response')))
      .limit(limit)
      .execute();
  }

  /** The responses of one batch, by j; none when another process has filed it meanwhile. */
  async responsesOf(deviceId: number, i: number): Promise<Uint8Array[]> {
    const rows = await this.#database.query
      .selectFrom('pca_request')
      .select('response')
      .where('device_id', '=', deviceId)
      .where('i', '=', i)
      .orderBy('j')
      .execute();
    return rows.map(({ response }) => {
      if (response === null) throw new RangeError('expected a complete batch');
      return response;
    });
  }

  /** Notes that a batch lies in the object store: its rows disappear, and the device's horizon moves on. */
  async markFiled(deviceId: number, i: number): Promise<void> {
    await this.#writes.run(async (query) => {
      const { numDeletedRows } = await query
        .deleteFrom('pca_request')
        .where('device_id', '=', deviceId)
        .where('i', '=', i)
        .executeTakeFirst();
      if (numDeletedRows === 0n) return;
      await query
        .insertInto('filed')
        .values({ device_id: deviceId, i })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      const { filed_through: from } = await query
        .selectFrom('device')
        .select('filed_through')
        .where('id', '=', deviceId)
        .executeTakeFirstOrThrow();
      const filed = await query
        .selectFrom('filed')
        .select('i')
        .where('device_id', '=', deviceId)
        .where('i', '>', from)
        .orderBy('i')
        .execute();
      let through = from;
      for (const row of filed) if (row.i === through + 1) through = row.i;
      if (through === from) return;
      await query
        .updateTable('device')
        .set({ filed_through: through })
        .where('id', '=', deviceId)
        .execute();
      await query
        .deleteFrom('filed')
        .where('device_id', '=', deviceId)
        .where('i', '<=', through)
        .execute();
    });
  }

  /** Notes that the last periods of a device were over before they could be made: there is nothing more to do for it. */
  async endDevice({ id, last_i }: Device): Promise<void> {
    await this.#writes.run((query) =>
      query
        .updateTable('device')
        .set({ expanded_through: last_i, filed_through: last_i })
        .where('id', '=', id)
        .execute(),
    );
  }

  /** Gives up on a device whose keys cannot be expanded: its own fault, and it costs nobody else anything. */
  async markFailed(deviceId: number): Promise<void> {
    await this.#writes.run((query) =>
      query.updateTable('device').set({ status: 'failed' }).where('id', '=', deviceId).execute(),
    );
  }

  async setting(name: string): Promise<number | undefined> {
    const row = await this.#database.query
      .selectFrom('setting')
      .select('value')
      .where('name', '=', name)
      .executeTakeFirst();
    return row?.value;
  }

  /**
   * Forgets a period that is over, and whatever was still on its way; its index of requests stays a while. Devices
   * that lag behind, after an outage, go on with the period after it. So are application certificates forgotten that
   * ended by `end`, the end of the period: an RSE has asked for others since.
   */
  async dropPeriod(i: number, end: Time32): Promise<void> {
    await this.#writes.run(async (query) => {
      await query.executeQuery(
        CompiledQuery.raw(`drop table if exists ${hpcrTable(i - KEEP_INDEX_PERIODS)}`),
      );
      await query.deleteFrom('pca_request').where('period', '<=', i).execute();
      await query
        .deleteFrom('device')
        .where('kind', '=', 'application')
        .where('first_start', '<=', end - lifetimeSecOf('application'))
        .execute();
      await query.deleteFrom('pre_linkage').where('i', '<=', i).execute();
      await query
        .deleteFrom('filed')
        .where('i', '<=', i)
        .where('device_id', 'in', (eb) =>
          eb.selectFrom('device').select('id').where('kind', '=', 'pseudonym'),
        )
        .execute();
      // filed_through <= expanded_through <= linked_through: no device lags in another column alone.
      await query
        .updateTable('device')
        .set({
          filed_through: i,
          expanded_through: sql<number>`max(expanded_through, ${i})`,
          linked_through: sql<number>`max(linked_through, ${i})`,
        })
        .where('kind', '=', 'pseudonym')
        .where('filed_through', '<', i)
        .execute();
      await query
        .insertInto('setting')
        .values({ name: 'dropped_through', value: i })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: i }))
        .execute();
    });
  }
}

/** Nothing is generated for a device while it is blacklisted, not even what was begun before (section 3.7). */
function isNotBlacklisted({ not, exists, selectFrom }: ExpressionBuilder<RaSchema, 'device'>) {
  return not(
    exists(
      selectFrom('blacklist')
        .select('added_at')
        .whereRef('blacklist.enrollment_hash', '=', 'device.enrollment_hash'),
    ),
  );
}

async function postponeRequest(
  query: Transaction<RaSchema>,
  hpcr: Uint8Array,
  until: Time32,
): Promise<void> {
  await query
    .updateTable('pca_request')
    .set((eb) => ({ attempts: eb('attempts', '+', 1), next_attempt_at: until }))
    .where('hpcr', '=', hpcr)
    .execute();
}

/** The index of requests of one period; `i` is an integer of ours, never a string of somebody else's. */
function hpcrTable(i: number): string {
  return `hpcr_${Math.trunc(i)}`;
}

function createHpcrTable(i: number): string {
  return `create table if not exists ${hpcrTable(i)} (hpcr blob primary key, device_id integer not null) strict, without rowid`;
}

/** 48 random bits: two requests with the same key are no harm. */
function randomKey(random: Random): number {
  return random(6).reduce((key, octet) => key * 256 + octet, 0);
}
