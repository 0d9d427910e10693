import type { Time32 } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import { wordsOf } from '@chrysalis/store';
import { CompiledQuery, type Transaction } from 'kysely';
import { Outage } from './back-off.ts';
import { change } from './bulk.ts';
import type { OperatorsView } from './operators-view.ts';
import type { PipelineOptions } from './options.ts';
import { indexTable } from './pca-requests.ts';
import type { RaSchema } from './schema.ts';

/**
 * How many periods the index of a period's requests outlives its certificates: a report of misbehavior may be a week
 * old when a device sends it, waits in a pool, and is looked into (sections 3.6, 6.3).
 */
const KEEP_INDEX_PERIODS = 12;
/** How long the tallies of hours are kept. */
const KEEP_TALLIES_SEC = 90 * 86_400;

/** What is over goes: the files of a period, the index of its requests; and devices that are not heard of any more pause. */
export class Retirement {
  readonly #options: PipelineOptions;
  readonly #view: OperatorsView;
  /** Of the object store, when files that are over cannot be deleted. */
  readonly #outage = new Outage();

  constructor(options: PipelineOptions, view: OperatorsView) {
    this.#options = options;
    this.#view = view;
  }

  /**
   * Drops each period that is over whole. A period's files stay as long as its certificates are valid (Q23).
   *
   * @param last the last period that is over for sure
   */
  async step(last: number): Promise<void> {
    const { iPeriod, clock, objects, log } = this.#options;
    const now = timeOf(clock);
    if (this.#outage.pausedUntil(now) !== undefined) return;
    const dropped = await this.#droppedThrough();
    if (last < 0 || (dropped !== undefined && dropped >= last)) return;
    try {
      for (let i = dropped === undefined ? last : dropped + 1; i <= last; i++) {
        await objects.deleteAll(String(i));
        await this.#drop(i, iPeriod.start(i + 1));
        log.info({ i }, 'period dropped');
      }
      this.#outage.succeeded();
      await this.#view.over('objects');
    } catch (error) {
      // What is over can wait; devices that lack certificates cannot.
      this.#outage.failed(now);
      await this.#view.incident('objects', error);
      log.error({ err: error }, 'period not dropped');
    }
  }

  async #droppedThrough(): Promise<number | undefined> {
    const row = await this.#options.database.query
      .selectFrom('setting')
      .select('value')
      .where('name', '=', 'dropped_through')
      .executeTakeFirst();
    return row?.value;
  }

  /**
   * Forgets a period that is over, and whatever was still on its way; its index of requests stays a while. Devices
   * that lag behind, after an outage, go on with the period after it. So are application certificates forgotten that
   * ended by `end`, the end of the period: an RSE has asked for others since.
   */
  async #drop(i: number, end: Time32): Promise<void> {
    const { database, pauseAfterSec } = this.#options;
    await database.transaction(async (query) => {
      await query.executeQuery(
        CompiledQuery.raw(`drop table if exists ${indexTable(i - KEEP_INDEX_PERIODS)}`),
      );
      await change(query, 'delete from pca_request where period <= ?', [i]);
      await change(
        query,
        `delete from response where (device_id, i) in (select device_id, i from batch where period <= ?)`,
        [i],
      );
      await change(query, 'delete from batch where period <= ?', [i]);
      await change(query, 'delete from linkage where i_max <= ?', [i]);
      await change(query, 'delete from linkage_cache where i_max <= ?', [i]);
      await change(
        query,
        `delete from device where kind = 'application' and first_start + lifetime_sec <= ?`,
        [end],
      );
      await catchUp(query, i, end);
      await change(
        query,
        `insert into setting (name, value) values ('dropped_through', ?)
          on conflict (name) do update set value = excluded.value`,
        [i],
      );
      await change(query, 'delete from tally where hour < ?', [end - KEEP_TALLIES_SEC]);
      if (pauseAfterSec !== undefined) await pause(query, end - pauseAfterSec);
    });
  }
}

/** Devices whose files were not made in time have them no more to be made. */
async function catchUp(query: Transaction<RaSchema>, i: number, end: Time32): Promise<void> {
  const { greatest, least } = wordsOf(query);
  // filed_through <= expanded_through <= linked_through: no device lags in another column alone.
  await change(
    query,
    `update device set
        filed_through = ${least}(last_i, ?),
        expanded_through = ${greatest}(expanded_through, ${least}(last_i, ?)),
        linked_through = ${greatest}(linked_through, ${least}(last_i, ?))
      where kind = 'pseudonym' and status <> 'replaced' and filed_through < ${least}(last_i, ?)`,
    [i, i, i, i],
  );
  const over = `${least}(last_i, (? - lifetime_sec - first_start) / period_sec)`;
  await change(
    query,
    `update device set
        filed_through = ${over},
        expanded_through = ${greatest}(expanded_through, ${over})
      where kind = 'identification' and status <> 'replaced'
        and first_start + lifetime_sec <= ? and filed_through < ${over}`,
    [end - 1, end - 1, end - 1, end - 1],
  );
  await closeGaps(query);
}

/** Files that were noted beyond a gap count once there is none any more, and their notes go. */
async function closeGaps(query: Transaction<RaSchema>): Promise<void> {
  await forgetClosed(query);
  await change(
    query,
    `update device set filed_through = (
        with recursive next (i) as (
          select device.filed_through
          union all select next.i + 1 from next join filed on filed.device_id = device.id and filed.i = next.i + 1
        ) select max(i) from next)
      where id in (select device_id from filed)`,
    [],
  );
  await forgetClosed(query);
}

async function forgetClosed(query: Transaction<RaSchema>): Promise<void> {
  await change(
    query,
    'delete from filed where i <= (select filed_through from device where id = device_id)',
    [],
  );
}

/** Devices that were last heard of before: nothing more is made for them until they are. What is made stays. */
async function pause(query: Transaction<RaSchema>, seenBefore: Time32): Promise<void> {
  await change(
    query,
    `update device set status = 'paused' where status = 'active' and kind <> 'application' and last_seen < ?`,
    [seenBefore],
  );
}
