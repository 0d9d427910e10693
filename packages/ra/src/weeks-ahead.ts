/** The scheduler of pseudonym certificates: every device has its weeks ahead, the nearest first. */
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { wordsOf } from '@chrysalis/store';
import { sql } from 'kysely';
import { change } from './bulk.ts';
import { giveUp } from './device-progress.ts';
import type { Device } from './device-registry.ts';
import { composeRequests } from './expand.ts';
import { lastPeriodOfAll, skipsShuffle } from './horizon.ts';
import type { Lacking, LinkageSupply } from './linkage-supply.ts';
import { isIn, isWhole, type Share, WHOLE } from './membership.ts';
import type { PipelineOptions } from './options.ts';
import type { ComposedFile, PcaRequests } from './pca-requests.ts';

/** Devices looked at in a step: those that lack pre-linkage values are asked for together. */
const DEVICES_IN_STEP = 64;
/** Requests made in a step: enough to share a commit, few enough to yield to devices. */
const REQUESTS_IN_STEP = 256;

/** Expands one period of many devices in a step: cocoon keys, and the octets of the requests to the PCA. */
export class WeeksAhead {
  readonly #options: PipelineOptions;
  readonly #linkage: LinkageSupply;
  readonly #requests: PcaRequests;
  /** The end of a pause of the LAs in which nobody was found who can do without them. */
  #nobodyUntil: Time32 | undefined;

  constructor(options: PipelineOptions, linkage: LinkageSupply, requests: PcaRequests) {
    this.#options = options;
    this.#linkage = linkage;
    this.#requests = requests;
  }

  /**
   * @param overForSure the last period that is over for sure
   * @returns false when there was nothing to do, or nothing that can be done now
   */
  async step(overForSure: number, now: Time32, share: Share = WHOLE): Promise<boolean> {
    const { iPeriod } = this.#options;
    const last = lastPeriodOfAll(this.#options, now);
    const current = iPeriod.at(now);
    // The PCA's certificate, or one above it, ends before this period does: nobody gets anything until there is another.
    if (last < current) return false;
    // What is over is not made any more: a device that lags behind goes on with the current period, once that is sure.
    const leastExpanded = overForSure >= current - 1 ? -1 : current - 1;
    const first = Math.min(current, last);
    const awayUntil = this.#linkage.pausedUntil(now);
    const wereAway = awayUntil !== undefined;
    // Looked at once for each pause: whom the LAs keep waiting, all of a fleet perhaps, is gone over for it.
    if (wereAway && awayUntil === this.#nobodyUntil) return false;
    const devices = await this.#lackingPeriod({ first, last, leastExpanded }, now, share);
    this.#nobodyUntil = devices.length === 0 ? awayUntil : undefined;
    const plan = devices.map((device) => ({
      device,
      i: Math.max(device.expanded_through + 1, first),
    }));
    const ended = plan.filter(({ device, i }) => i > device.last_i);
    for (const { device } of ended) await this.#end(device);
    const alive = plan.filter(({ device, i }) => i <= device.last_i);
    const unlinked = alive.filter(({ device, i }) => i > device.linked_through);
    const isLinked = unlinked.length > 0 && (await this.#linkage.provide(unlinked, now));
    const linked = alive.filter(({ device, i }) => i <= device.linked_through);
    const isExpanded = linked.length > 0 && (await this.#expand(linked, now));
    // The LAs are away, as it turns out: there may be devices that can do without them.
    const areAway = !wereAway && this.#linkage.pausedUntil(now) !== undefined;
    return ended.length > 0 || isLinked || isExpanded || areAway;
  }

  /**
   * Devices that lack a period up to `last`: nearest weeks first, oldest device first. Devices that failed come after all
   * others, and not before their time: what is wrong with one of them costs the others nothing. While the LAs are away,
   * only those that can do without them.
   */
  async #lackingPeriod(
    { first, last, leastExpanded }: { first: number; last: number; leastExpanded: number },
    now: Time32,
    share: Share,
  ): Promise<Device[]> {
    const greatest = sql.raw(wordsOf(this.#options.database.query).greatest);
    const isProvided =
      this.#linkage.pausedUntil(now) === undefined
        ? sql<boolean>`true`
        : sql<boolean>`(linked_through >= ${greatest}(expanded_through + 1, ${first})
            or (la1_chain is null and exists (select 1 from linkage_cache)))`;
    // The constants are literals, so that SQLite knows the indexes that are made for them.
    const ofAll = this.#options.database.query
      .selectFrom('device')
      .selectAll()
      .where(sql<boolean>`kind = 'pseudonym' and status = 'active' and blocked = 0`)
      .where(sql<boolean>`expanded_through < last_i`)
      .where('expanded_through', '<', last)
      .where('expanded_through', '>=', leastExpanded)
      .where(isProvided)
      .limit(DEVICES_IN_STEP);
    const lacking = isWhole(share) ? ofAll : ofAll.where(isIn(share, 'id'));
    const sound = await lacking
      .where(sql<boolean>`failures = 0`)
      .orderBy('expanded_through')
      .orderBy('id')
      .execute();
    if (sound.length > 0) return sound;
    return lacking
      .where(sql<boolean>`failures > 0`)
      .where('retry_at', '<=', now)
      .orderBy('retry_at')
      .limit(1)
      .execute();
  }

  async #expand(linked: readonly Lacking[], now: Time32): Promise<boolean> {
    const files: ComposedFile[] = [];
    let count = 0;
    for (const { device, i } of linked) {
      if (count >= REQUESTS_IN_STEP) break;
      const file = await this.#compose(device, i, now);
      if (file === undefined) continue;
      files.push(file);
      count += file.requests.length;
    }
    if (files.length > 0) await this.#requests.add(files, now);
    return true;
  }

  async #compose(device: Device, i: number, now: Time32): Promise<ComposedFile | undefined> {
    const values = await this.#linkage.valuesOf(device.id, i);
    if (values === undefined) {
      await this.#linkage.forget(device, i);
      return undefined;
    }
    try {
      const requests = composeRequests(device, i, values, this.#options);
      const isReleased = skipsShuffle(device, i, this.#options);
      return { device, i, period: i, requests, isReleased };
    } catch (error) {
      await giveUp(this.#options, device, error, now);
      return undefined;
    }
  }

  /** The last periods of a device were over before they could be made: there is nothing more to do for it. */
  async #end({ id, last_i }: Device): Promise<void> {
    await change(
      this.#options.database.query,
      `update device set expanded_through = ?, filed_through = ? where id = ? and status <> 'replaced'`,
      [last_i, last_i, id],
    );
  }
}
