/** Pre-linkage values: the cache of fresh chains, and what devices have of theirs. */
import { CoerError } from '@chrysalis/coer';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { AuthorityUnavailableError, type EncryptedIndividualPlv } from '@chrysalis/scms';
import type { Database } from '@chrysalis/store';
import type { Transaction } from 'kysely';
import { Outage } from './back-off.ts';
import { change, insertRows } from './bulk.ts';
import { postponeDevice } from './device-progress.ts';
import type { Device } from './device-registry.ts';
import { lastPeriodOfAll } from './horizon.ts';
import {
  type LinkageChain,
  type LinkageRequest,
  plvsOfPeriod,
  requestLinkageChains,
} from './linkage-conversation.ts';
import type { OperatorsView } from './operators-view.ts';
import type { PipelineOptions } from './options.ts';
import type { RaSchema } from './schema.ts';

/** Periods of a chain that are fetched at a time: bounds what waits on disk for a device. */
const PERIODS = 8;
/** Values in one question: bounds an answer, and what an LA does before others get their turn. */
const VALUES_IN_QUESTION = 4000;
/** Chains in the cache when nothing else is configured, and the share of them at which it is filled up again. */
const CACHED_CHAINS = 200;
const REFILL_BELOW = 0.5;

/** A device that lacks the values of its next period. */
export interface Lacking {
  readonly device: Device;
  readonly i: number;
}

/** What one device has of its chains now: the pre-linkage values of one period from both LAs, by j. */
export interface PeriodValues {
  readonly la1: readonly EncryptedIndividualPlv[];
  readonly la2: readonly EncryptedIndividualPlv[];
}

/**
 * The PLV cache and the chains of devices. A device that is new takes a chain of each LA from the cache; one that has used up
 * its values has its chains continued, many devices in one question.
 */
export class LinkageSupply {
  readonly #options: PipelineOptions;
  readonly #view: OperatorsView;
  readonly #outage = new Outage();

  constructor(options: PipelineOptions, view: OperatorsView) {
    this.#options = options;
    this.#view = view;
  }

  /** Time before which the LAs are not asked. */
  pausedUntil(now: Time32): Time32 | undefined {
    return this.#outage.pausedUntil(now);
  }

  /** Fills the cache up when it has become low; true when chains came. */
  async refill(now: Time32): Promise<boolean> {
    if (this.#outage.pausedUntil(now) !== undefined) return false;
    const { database, policy, iPeriod } = this.#options;
    const { linkageCache: wanted = CACHED_CHAINS } = this.#options;
    const { count } = await database.query
      .selectFrom('linkage_cache')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    if (count > 0 && count >= wanted * REFILL_BELOW) return false;
    const iMin = Math.max(0, iPeriod.at(now));
    const iMax = Math.max(iMin, Math.min(iMin + PERIODS - 1, lastPeriodOfAll(this.#options, now)));
    const jMax = policy.certificatesPerPeriod;
    const most = Math.max(1, Math.floor(VALUES_IN_QUESTION / ((iMax - iMin + 1) * jMax)));
    const chains = Math.min(most, Math.max(1, wanted - count));
    const answers = await this.#ask({ iMin, iMax, jMax, chains }, now);
    if (answers === undefined) return false;
    await database.transaction((query) =>
      insertRows(
        query,
        'linkage_cache (i_min, i_max, per_period, la1_chain, la2_chain, la1_values, la2_values)',
        pairs(answers).map(([la1, la2]) => [
          iMin,
          iMax,
          jMax,
          la1.chainId,
          la2.chainId,
          la1.values,
          la2.values,
        ]),
      ),
    );
    return true;
  }

  /** Gives devices the values that they lack; true when one of them has more than before. */
  async provide(lacking: readonly Lacking[], now: Time32): Promise<boolean> {
    const fresh = lacking.filter(({ device }) => device.la1_chain === null);
    const assigned = fresh.length > 0 && (await this.#assign(fresh));
    let extended = false;
    const begun = lacking.filter(({ device }) => device.la1_chain !== null);
    for (const group of byPeriod(begun)) {
      if (this.#outage.pausedUntil(now) !== undefined) break;
      if (await this.#extend(group, now)) extended = true;
    }
    return assigned || extended;
  }

  /** The values of a device for one period; undefined when they are not there, or no values, whatever its row says. */
  async valuesOf(deviceId: number, i: number): Promise<PeriodValues | undefined> {
    const row = await this.#options.database.query
      .selectFrom('linkage')
      .select(['i_min', 'la1_values', 'la2_values'])
      .where('device_id', '=', deviceId)
      .where('i_min', '<=', i)
      .where('i_max', '>=', i)
      .executeTakeFirst();
    if (!row) return undefined;
    try {
      const la1 = plvsOfPeriod(row.la1_values, i - row.i_min);
      const la2 = plvsOfPeriod(row.la2_values, i - row.i_min);
      return la1 && la2 && { la1, la2 };
    } catch (error) {
      if (!(error instanceof CoerError)) throw error;
      this.#options.log.error({ err: error, deviceId }, 'pre-linkage values cannot be read');
      return undefined;
    }
  }

  /** Values of a device that are not there, or cannot be read, are asked for again from a period on. */
  async forget(device: Device, i: number): Promise<void> {
    await this.#options.database.transaction(async (query) => {
      const reset = 'update device set linked_through = ? where id = ? and linked_through = ?';
      const changed = await change(query, reset, [i - 1, device.id, device.linked_through]);
      if (changed > 0) await change(query, 'delete from linkage where device_id = ?', [device.id]);
    });
  }

  /** Chains from the cache for devices without; those that find none wait until it is filled up. */
  async #assign(fresh: readonly Lacking[]): Promise<boolean> {
    const { database, policy } = this.#options;
    return database.transaction(async (query) => {
      const chains = await query
        .selectFrom('linkage_cache')
        .selectAll()
        .orderBy('id')
        .limit(fresh.length)
        .execute();
      for (const [n, chain] of chains.entries()) {
        const { device, i } = fresh[n] as Lacking;
        // A chain that was cached for other weeks is continued where the device begins.
        const fits =
          chain.i_min <= i && i <= chain.i_max && chain.per_period === policy.certificatesPerPeriod;
        const taken = await change(
          query,
          'update device set la1_chain = ?, la2_chain = ?, linked_through = ? where id = ? and la1_chain is null',
          [chain.la1_chain, chain.la2_chain, fits ? chain.i_max : i - 1, device.id],
        );
        if (taken === 0) continue;
        if (fits) {
          await change(
            query,
            `insert into linkage (device_id, i_min, i_max, la1_values, la2_values)
              select ?, i_min, i_max, la1_values, la2_values from linkage_cache where id = ?`,
            [device.id, chain.id],
          );
        }
        await change(query, 'delete from linkage_cache where id = ?', [chain.id]);
      }
      return chains.length > 0;
    });
  }

  /** Continues the chains of devices that lack the same period, as many as fit in a question. */
  async #extend(group: readonly Lacking[], now: Time32): Promise<boolean> {
    const { policy } = this.#options;
    const iMin = (group[0] as Lacking).i;
    const iMax = Math.max(iMin, Math.min(iMin + PERIODS - 1, lastPeriodOfAll(this.#options, now)));
    const jMax = policy.certificatesPerPeriod;
    const most = Math.max(1, Math.floor(VALUES_IN_QUESTION / ((iMax - iMin + 1) * jMax)));
    return this.#extendThrough(group.slice(0, most), { iMin, iMax, jMax }, now);
  }

  /**
   * One chain that an LA does not know is refused together with all others of its question: halves tell whose it is,
   * and that device alone is postponed.
   */
  async #extendThrough(
    group: readonly Lacking[],
    range: Omit<LinkageRequest, 'chains'>,
    now: Time32,
  ): Promise<boolean> {
    const ids = group.map(({ device }) => ({ la1: device.la1_chain, la2: device.la2_chain }));
    let answers: Answers;
    try {
      answers = await this.#askBoth(
        { ...range, chains: ids.flatMap(({ la1 }) => la1 ?? []) },
        { ...range, chains: ids.flatMap(({ la2 }) => la2 ?? []) },
      );
    } catch (error) {
      if (error instanceof AuthorityUnavailableError) {
        this.#failed(error, now);
        await this.#view.incident('linkage authorities', error);
        return false;
      }
      if (group.length === 1) {
        await this.#postpone((group[0] as Lacking).device, error, now);
        return false;
      }
      const half = Math.ceil(group.length / 2);
      const first = await this.#extendThrough(group.slice(0, half), range, now);
      return (await this.#extendThrough(group.slice(half), range, now)) || first;
    }
    this.#outage.succeeded();
    await this.#view.over('linkage authorities');
    await this.#options.database.transaction(async (query) => {
      for (const [n, [la1, la2]] of pairs(answers).entries()) {
        await addValues(query, (group[n] as Lacking).device, range, la1, la2);
      }
    });
    return true;
  }

  async #postpone(device: Device, error: unknown, now: Time32): Promise<void> {
    this.#options.log.warn({ err: error, deviceId: device.id }, 'no pre-linkage values');
    await this.#view.incident('linkage authorities', error);
    await postponeDevice(this.#options, device, now);
  }

  /** Asks both LAs the same; undefined when one of them did not give what it should. */
  async #ask(wanted: LinkageRequest, now: Time32): Promise<Answers | undefined> {
    try {
      const answers = await this.#askBoth(wanted, wanted);
      this.#outage.succeeded();
      await this.#view.over('linkage authorities');
      return answers;
    } catch (error) {
      this.#failed(error, now);
      await this.#view.incident('linkage authorities', error);
      return undefined;
    }
  }

  #failed(error: unknown, now: Time32): void {
    this.#outage.failed(now);
    this.#options.log.warn({ err: error }, 'no pre-linkage values');
  }

  #askBoth(ofLa1: LinkageRequest, ofLa2: LinkageRequest): Promise<Answers> {
    const { identity, pca, la1, la2, trust, clock } = this.#options;
    const conversation = { identity, pcaHostname: pca.hostname, trust, clock };
    return Promise.all([
      requestLinkageChains(la1, ofLa1, conversation),
      requestLinkageChains(la2, ofLa2, conversation),
    ]);
  }
}

type Answers = readonly [readonly LinkageChain[], readonly LinkageChain[]];

function pairs([la1, la2]: Answers): readonly (readonly [LinkageChain, LinkageChain])[] {
  return la1.map((chain, n) => [chain, la2[n] as LinkageChain] as const);
}

function byPeriod(lacking: readonly Lacking[]): readonly (readonly Lacking[])[] {
  return [...Map.groupBy(lacking, ({ i }) => i).values()];
}

/** Whether a device that comes now can be given a chain. */
export async function hasLinkageChain(database: Database<RaSchema>): Promise<boolean> {
  const chain = await database.query
    .selectFrom('linkage_cache')
    .select('id')
    .limit(1)
    .executeTakeFirst();
  return chain !== undefined;
}

/** Files values that came for a device, unless another process was faster. */
async function addValues(
  query: Transaction<RaSchema>,
  device: Device,
  { iMin, iMax }: Omit<LinkageRequest, 'chains'>,
  la1: LinkageChain,
  la2: LinkageChain,
): Promise<void> {
  const changed = await change(
    query,
    'update device set linked_through = ? where id = ? and linked_through = ?',
    [iMax, device.id, device.linked_through],
  );
  if (changed === 0) return;
  await insertRows(query, 'linkage (device_id, i_min, i_max, la1_values, la2_values)', [
    [device.id, iMin, iMax, la1.values, la2.values],
  ]);
}
