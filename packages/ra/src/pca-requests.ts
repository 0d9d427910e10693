/** Requests to the PCA as rows: put in, shuffled, sent, answered. */
import type { Random } from '@chrysalis/crypto';
import type { Time32 } from '@chrysalis/ieee1609dot2';
import { type Database, type SqlWords, wordsOf } from '@chrysalis/store';
import { CompiledQuery, type Transaction } from 'kysely';
import { change, insertRows, portions } from './bulk.ts';
import type { Device } from './device-registry.ts';
import type { ComposedRequest } from './expand.ts';
import { moveOn as markFiled } from './filing.ts';
import { isIn, isWhole, type Share, WHOLE } from './membership.ts';
import type { RaSchema } from './schema.ts';

/** Octets of a request's hash by which its certificate is found again: two requests never share as many. */
const INDEX_OCTETS = 16;
/** The first epoch of the shuffle. */
const FIRST_EPOCH = 1;
/**
 * Requests that skip the shuffle leave by the second in which they were made, as epochs before the first: none waits
 * while others that came later go on and on.
 */
const SKIPPING_EPOCH = -(2 ** 40);
/** Steps after which what waits is counted anew: other processes put in and take out as well. */
const RECOUNT_AFTER = 100;

/** Requests that wait for the PCA before no more are made: bounds the database when the PCA is down. */
export const MAX_WAITING = 20_000;

/** Attempts after which a file is given up when the PCA says that it never will certify what is in it. */
const GIVE_UP_AFTER = 3;

/** The requests of one file. */
export interface ComposedFile {
  readonly device: Device;
  readonly i: number;
  /** The i-period with which they are over. */
  readonly period: number;
  readonly requests: readonly ComposedRequest[];
  /** Whether they skip the shuffle. */
  readonly isReleased: boolean;
}

/** A request that is due. */
export interface DueRequest {
  readonly epoch: number;
  readonly key: number;
  readonly octets: Uint8Array;
  readonly deviceId: number;
  readonly i: number;
  readonly j: number;
  readonly attempts: number;
  /** Of its device. */
  readonly failures: number;
}

/** What came of sending it. */
export type Outcome =
  /** The checked SignedEncryptedCertificateResponse. */
  | { readonly type: 'answered'; readonly octets: Uint8Array }
  /** The PCA answered, but not with a certificate. */
  | {
      readonly type: 'refused';
      readonly retryAt: Time32;
      /** When something more may be begun for its device. */
      readonly deviceRetryAt: Time32;
      readonly error: unknown;
      /** Whether it never will answer with one. */
      readonly isFinal: boolean;
    }
  /** The PCA did not answer. */
  | { readonly type: 'silent'; readonly retryAt: Time32; readonly error: unknown };

const DUE_COLUMNS = [
  'pca_request.epoch',
  'pca_request.key',
  'pca_request.octets',
  'pca_request.device_id as deviceId',
  'pca_request.i',
  'pca_request.j',
  'pca_request.attempts',
  'device.failures',
] as const;

/**
 * Each method that writes is one transaction, and looks in it whether the step is still to be done: another process may
 * share the database, and have been faster.
 */
export class PcaRequests {
  readonly #database: Database<RaSchema>;
  readonly #random: Random;
  #waiting: number | undefined;
  #steps = 0;

  constructor(database: Database<RaSchema>, random: Random) {
    this.#database = database;
    this.#random = random;
  }

  /**
   * Puts the requests of files into the shuffle, indexes them for revocation, and drops what they were made from. A file
   * whose device has moved on meanwhile is left out.
   */
  async add(files: readonly ComposedFile[], now: Time32): Promise<void> {
    await this.#database.transaction(async (query) => {
      const taken: ComposedFile[] = [];
      for (const file of files) if (await moveOn(query, file)) taken.push(file);
      if (taken.length === 0) return;
      const pooled = taken.filter(({ isReleased }) => !isReleased);
      const skipping = SKIPPING_EPOCH + now;
      const filling = pooled.length > 0 ? await this.#fill(query, pooled, now) : skipping;
      await insertRows(
        query,
        'batch (device_id, i, period, missing, epoch)',
        taken.map(({ device, i, period, requests, isReleased }) => [
          device.id,
          i,
          period,
          requests.length,
          isReleased ? skipping : filling,
        ]),
      );
      const rows = taken.flatMap(({ device, i, period, requests, isReleased }) =>
        requests.map(({ j, octets }) => [
          isReleased ? skipping : filling,
          this.#randomKey(),
          device.id,
          i,
          j,
          period,
          octets,
          now,
          0,
          now,
        ]),
      );
      // In the order of the table: neighbours share a page.
      rows.sort((a, b) => Number(a[1]) - Number(b[1]));
      await insertRows(
        query,
        'pca_request (epoch, key, device_id, i, j, period, octets, created_at, attempts, next_attempt_at)',
        rows,
      );
      await addToIndex(query, taken);
      this.#waiting = this.#waiting === undefined ? undefined : this.#waiting + rows.length;
    });
  }

  /** Lets the shuffle go when enough requests are in it, or one has waited long enough; how many they were. */
  async open(threshold: number, oldestBefore: Time32): Promise<number> {
    const filling = await this.filling();
    if (filling === undefined || filling.size === 0) return 0;
    if (filling.size < threshold && filling.oldest_at > oldestBefore) return 0;
    return this.#database.transaction(async (query) => {
      const { epoch } = filling;
      const left = await change(query, 'delete from shuffle where epoch = ?', [epoch]);
      if (left === 0) return 0;
      // What was put in may be gone: a device has asked anew, or a period is over.
      const { size, oldest } = await contentOf(query, epoch);
      const isDue = size >= threshold || (size > 0 && oldest <= oldestBefore);
      const next = isDue ? [epoch + 1, 0, 0] : [epoch, size, oldest];
      await insertRows(query, 'shuffle (epoch, size, oldest_at)', [next]);
      return isDue ? size : 0;
    });
  }

  /** The epoch that is filling up. */
  filling(): Promise<{ epoch: number; size: number; oldest_at: Time32 } | undefined> {
    return this.#database.query.selectFrom('shuffle').selectAll().executeTakeFirst();
  }

  /**
   * Requests to send, in the order of the shuffle; repetitions that are due take up to half of the places. None of a
   * period before `firstI`, which is over. Shares go by the keys, which are random: that the PCA sees who sends a request
   * tells it nothing of the device.
   */
  async due(
    now: Time32,
    firstI: number,
    limit: number,
    share: Share = WHOLE,
  ): Promise<readonly DueRequest[]> {
    const repeated = await this.#sendable(firstI, share)
      .where('attempts', '>', 0)
      .where('next_attempt_at', '<=', now)
      .orderBy('next_attempt_at')
      .limit(Math.ceil(limit / 2))
      .execute();
    if (repeated.length >= limit) return repeated;
    const filling = await this.filling();
    const fresh = await this.#sendable(firstI, share)
      .where('attempts', '=', 0)
      .where('epoch', '<', filling?.epoch ?? FIRST_EPOCH)
      .orderBy('epoch')
      .orderBy('key')
      .limit(limit - repeated.length)
      .execute();
    return [...repeated, ...fresh];
  }

  #sendable(firstI: number, share: Share) {
    const sendable = this.#database.query
      .selectFrom('pca_request')
      .innerJoin('device', 'device.id', 'pca_request.device_id')
      .select(DUE_COLUMNS)
      .where('period', '>=', firstI)
      .where('blocked', '=', 0);
    return isWhole(share) ? sendable : sendable.where(isIn(share, 'key'));
  }

  /** Records what came of a number of requests, and files the answers with their batches. */
  async record(
    results: readonly { readonly request: DueRequest; readonly outcome: Outcome }[],
  ): Promise<number> {
    return this.#database.transaction(async (query) => {
      const answers: (readonly [number, number, number, Uint8Array])[] = [];
      const answered = results.filter(({ outcome }) => outcome.type === 'answered');
      const taken = await take(
        query,
        answered.map(({ request }) => request),
      );
      for (const { request, outcome } of results) {
        if (outcome.type !== 'answered') {
          await postpone(query, request, outcome);
        } else if (taken.has(request)) {
          answers.push([request.deviceId, request.i, request.j, outcome.octets]);
        }
        if (outcome.type === 'answered' && request.failures > 0) {
          await change(query, 'update device set failures = 0, retry_at = 0 where id = ?', [
            request.deviceId,
          ]);
        }
      }
      await insertRows(query, 'response (device_id, i, j, octets)', answers);
      const byBatch = Map.groupBy(answers, ([deviceId, i]) => `${deviceId} ${i}`);
      for (const batch of byBatch.values()) {
        const [deviceId, i] = batch[0] as (typeof answers)[number];
        const missing = 'update batch set missing = missing - ? where device_id = ? and i = ?';
        await change(query, missing, [batch.length, deviceId, i]);
      }
      const sentFirst = results.filter(({ request }) => request.attempts === 0).length;
      if (this.#waiting !== undefined) this.#waiting -= sentFirst;
      return answers.length;
    });
  }

  /**
   * Gives up files of which the PCA has said again and again that it will certify nothing more: what belongs to them goes,
   * their devices move on to the files after them, and it is written down for operators. A file that was there before stays.
   *
   * @returns those that are given up now
   */
  async giveUp(
    results: readonly { readonly request: DueRequest; readonly outcome: Outcome }[],
    now: Time32,
  ): Promise<readonly { readonly deviceId: number; readonly i: number }[]> {
    const hopeless = results.filter(
      ({ request, outcome }) =>
        outcome.type === 'refused' && outcome.isFinal && request.attempts + 1 >= GIVE_UP_AFTER,
    );
    if (hopeless.length === 0) return [];
    return this.#database.transaction(async (query) => {
      const givenUp: { readonly deviceId: number; readonly i: number }[] = [];
      for (const { request } of hopeless) {
        const { deviceId, i } = request;
        const batch = 'delete from batch where device_id = ? and i = ? returning period';
        const { rows } = await query.executeQuery<{ period: number }>(
          CompiledQuery.raw(batch, [deviceId, i]),
        );
        const noted = rows.map(({ period }) => [deviceId, i, period, now]);
        if (noted.length === 0) continue;
        await insertRows(query, 'given_up (device_id, i, period, given_up_at)', noted);
        await change(query, 'delete from response where device_id = ? and i = ?', [deviceId, i]);
        await markFiled(query, deviceId, i);
        // Nothing of this speaks against what comes next.
        await change(query, 'update device set failures = 0, retry_at = 0 where id = ?', [
          deviceId,
        ]);
        givenUp.push({ deviceId, i });
      }
      // One walk over all that wait, however many are given up.
      const weeks = JSON.stringify(givenUp.map(({ deviceId, i }) => [deviceId, i]));
      await change(
        query,
        `delete from pca_request
          where (device_id, i) in (${wordsOf(query).pairsOf('?')})`,
        [weeks],
      );
      this.#waiting = undefined;
      return givenUp;
    });
  }

  /**
   * What a clock that was ahead has put off by more than a pause lasts is due now, and what it has put into the shuffle
   * begins to wait now.
   */
  async bringBack(now: Time32, longestPauseSec: number): Promise<void> {
    const most = now + longestPauseSec;
    await this.#database.transaction(async (query) => {
      await change(
        query,
        'update pca_request set next_attempt_at = ? where attempts > 0 and next_attempt_at > ?',
        [now, most],
      );
      await change(
        query,
        `update device set retry_at = ?
          where failures > 0 and status = 'active' and blocked = 0 and retry_at > ?`,
        [now, most],
      );
      const moved = 'update shuffle set oldest_at = ? where oldest_at > ?';
      if ((await change(query, moved, [now, now])) === 0) return;
      await change(
        query,
        `update pca_request set created_at = ?
          where epoch = (select epoch from shuffle) and created_at > ?`,
        [now, now],
      );
    });
  }

  /** When the next repetition falls due after `now`; undefined when nothing waits for one. */
  async nextAttempt(now: Time32): Promise<Time32 | undefined> {
    const row = await this.#database.query
      .selectFrom('pca_request')
      .select(({ fn }) => fn.min('next_attempt_at').as('at'))
      .where('attempts', '>', 0)
      .where('next_attempt_at', '>', now)
      .executeTakeFirst();
    return row?.at ?? undefined;
  }

  /**
   * Whether fewer requests than `most` were not sent yet, give or take what other processes do. Those that the PCA
   * refuses do not count, nor those of blocked devices: they would stop the others for good.
   *
   * @param isDraining whether some were sent in this step: if not, a count that says no is not believed
   */
  async hasRoom(most: number, isDraining: boolean): Promise<boolean> {
    const isDoubtful = this.#waiting !== undefined && this.#waiting >= most && !isDraining;
    if (this.#waiting === undefined || isDoubtful || ++this.#steps % RECOUNT_AFTER === 0) {
      const { count } = await this.#database.query
        .selectFrom('pca_request')
        .innerJoin('device', 'device.id', 'pca_request.device_id')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('attempts', '=', 0)
        .where('blocked', '=', 0)
        .executeTakeFirstOrThrow();
      this.#waiting = count;
    }
    return this.#waiting < most;
  }

  /** Adds to the epoch that is filling up; which one that is. */
  async #fill(
    query: Transaction<RaSchema>,
    pooled: readonly ComposedFile[],
    now: Time32,
  ): Promise<number> {
    const count = pooled.reduce((sum, { requests }) => sum + requests.length, 0);
    const row = await query.selectFrom('shuffle').selectAll().executeTakeFirst();
    const epoch = row?.epoch ?? FIRST_EPOCH;
    const oldest = row === undefined || row.size === 0 ? now : row.oldest_at;
    await change(
      query,
      `insert into shuffle (epoch, size, oldest_at) values (?, ?, ?)
        on conflict (epoch) do update set size = shuffle.size + excluded.size, oldest_at = excluded.oldest_at`,
      [epoch, count, oldest],
    );
    return epoch;
  }

  /** 48 random bits. Two alike in one epoch are refused by the table, and the step is done again with others. */
  #randomKey(): number {
    return this.#random(6).reduce((key, octet) => key * 256 + octet, 0);
  }
}

/** What is in an epoch now. */
async function contentOf(
  query: Transaction<RaSchema>,
  epoch: number,
): Promise<{ readonly size: number; readonly oldest: Time32 }> {
  const { size, oldest } = await query
    .selectFrom('pca_request')
    .select(({ fn }) => [fn.countAll<number>().as('size'), fn.min('created_at').as('oldest')])
    .where('epoch', '=', epoch)
    .executeTakeFirstOrThrow();
  return { size, oldest: oldest ?? 0 };
}

/** The device has what it takes to make this file; false when another process has made it. */
async function moveOn(query: Transaction<RaSchema>, { device, i }: ComposedFile): Promise<boolean> {
  // Periods that were over before they could be made are passed over for good.
  const isSkip = i > device.expanded_through + 1;
  const changed = await change(
    query,
    `update device set expanded_through = ?, filed_through = ${wordsOf(query).greatest}(filed_through, ?)
      where id = ? and expanded_through = ? and status <> 'replaced'`,
    [i, isSkip ? i - 1 : device.filed_through, device.id, device.expanded_through],
  );
  if (changed === 0) return false;
  await change(query, 'delete from linkage where device_id = ? and i_max <= ?', [device.id, i]);
  return true;
}

/** One index for each period, so that it is dropped whole. */
async function addToIndex(
  query: Transaction<RaSchema>,
  files: readonly ComposedFile[],
): Promise<void> {
  for (const [period, ofPeriod] of Map.groupBy(files, (file) => file.period)) {
    await query.executeQuery(
      CompiledQuery.raw(createIndexTable(indexTable(period), wordsOf(query))),
    );
    const rows = ofPeriod.flatMap(({ device, requests }) =>
      requests.map(({ hpcr }) => [indexKey(hpcr), device.id] as const),
    );
    await insertRows(query, `${indexTable(period)} (hpcr, device_id)`, rows);
  }
}

/** Takes requests that were answered; those that nobody else has taken. */
async function take(
  query: Transaction<RaSchema>,
  requests: readonly DueRequest[],
): Promise<ReadonlySet<DueRequest>> {
  const taken = new Set<DueRequest>();
  for (const [epoch, ofEpoch] of Map.groupBy(requests, (request) => request.epoch)) {
    for (const some of portions(ofEpoch)) {
      const keys = some.map(({ key }) => key);
      const { rows } = await query.executeQuery<{ key: number }>(
        CompiledQuery.raw(
          `delete from pca_request where epoch = ? and key in (${keys.map(() => '?').join(', ')}) returning key`,
          [epoch, ...keys],
        ),
      );
      const gone = new Set(rows.map(({ key }) => key));
      for (const request of some) if (gone.has(request.key)) taken.add(request);
    }
  }
  return taken;
}

/** The request is repeated. The first time that the PCA refuses it, nothing more is begun for its device for a while. */
async function postpone(
  query: Transaction<RaSchema>,
  { epoch, key, deviceId, attempts, failures }: DueRequest,
  outcome: Exclude<Outcome, { readonly type: 'answered' }>,
): Promise<void> {
  await change(
    query,
    'update pca_request set attempts = attempts + 1, next_attempt_at = ? where epoch = ? and key = ?',
    [outcome.retryAt, epoch, key],
  );
  // Repetitions of one week that is refused for good do not keep all others from being made.
  if (outcome.type !== 'refused' || attempts > 0) return;
  const { greatest } = wordsOf(query);
  await change(
    query,
    `update device set failures = ${greatest}(failures, ?), retry_at = ${greatest}(retry_at, ?) where id = ?`,
    [failures + 1, outcome.deviceRetryAt, deviceId],
  );
}

/** By what a request is found in the index of its period. Indexes of the first schema have whole hashes. */
export function indexKey(hpcr: Uint8Array): Uint8Array {
  return hpcr.subarray(0, INDEX_OCTETS);
}

/** Of the names of its tables: a number follows. */
export const INDEX_PREFIX = 'hpcr_';

/** `i` is an integer of ours, never a string of somebody else's. */
export function indexTable(i: number): string {
  return `${INDEX_PREFIX}${Math.trunc(i)}`;
}

/** @param table of {@link indexTable} */
export function createIndexTable(table: string, { octets, integer, ordered }: SqlWords): string {
  return `create table if not exists ${table} (hpcr ${octets} primary key, device_id ${integer} not null) ${ordered}`;
}
