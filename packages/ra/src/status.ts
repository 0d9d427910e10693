/** One look at the whole of an RA, for its operators. */
import { type Time32, time32FromUnix, unixFromTime32 } from '@chrysalis/ieee1609dot2';
import { type Database, type SqlWords, wordsOf } from '@chrysalis/store';
import { type RawBuilder, sql } from 'kysely';
import { PACE_SETTING } from './backlog.ts';
import { type GenerationEnd, generationEnd } from './generation-end.ts';
import { lastPeriodOfAll } from './horizon.ts';
import type { RaOptions } from './options.ts';
import { MAX_WAITING } from './pca-requests.ts';
import type { CertificateKind, DeviceStatus, IncidentTable, RaSchema } from './schema.ts';
import { type Warning, warningsOf } from './status-warnings.ts';
import { byEnd, type CertificatesInUse, type Ending, endingsOf } from './what-ends.ts';

const HOUR_SEC = 3600;
const DAY_SEC = 86_400;
/** Of a person. */
const LIFETIME_SEC = 100 * 365 * DAY_SEC;
/** How far ahead enrollment certificates are counted. */
export const ENROLLMENT_NOTICE_SEC = 90 * DAY_SEC;

/**
 * Registrations are read one by one in two places, for what nobody counts as it changes: each may be a page of its own on
 * the disk. Beyond this the answer is that there are more.
 */
export const MOST_COUNTED = 1000;

/** What the database is read with: the policy in force, and whose certificates make or break it. */
export interface StatusSurroundings
  extends CertificatesInUse,
    Pick<RaOptions, 'iPeriod' | 'policy' | 'linkageCache' | 'isShared'> {
  /** The policy file in force, when there is one. */
  readonly policyEnding?: Ending | undefined;
}

/** Registrations that are alike. */
export interface DeviceCount {
  readonly kind: CertificateKind;
  readonly status: DeviceStatus;
  readonly blocked: boolean;
  readonly count: number;
}

/** Pseudonym certificates of active devices that are not blocked. */
export interface HorizonStatus {
  readonly currentI: number;
  /** i-periods that are kept ready, the current one included. */
  readonly weeksAhead: number;
  /** The last i that is to be there now: less than the policy wants where the PCA cannot go on. */
  readonly lastI: number;
  /** Devices with all of it, as far as their enrollment certificates reach. */
  readonly complete: number;
  readonly lagging: number;
  /** Of those that lag, devices that lack the current period: at most so many of them can be new ones in the shuffle. */
  readonly withoutCurrent: number;
  readonly newRegistrations: number;
  /** Devices whose enrollment certificate is over before the current period. */
  readonly ended: number;
  /** The next i of the device that lags most, when that begins, and how many lag as much. */
  readonly furthestBehind?: { readonly i: number; readonly start: Time32; readonly count: number };
  /** Registrations that wait for their first file. */
  readonly waitingForFirst: Readonly<Record<'identification' | 'application', number>>;
}

export interface PcaStatus {
  /** Let go by the shuffle, and not sent yet. */
  readonly waiting: number;
  /** Sent, and to be sent again. */
  readonly repeated: number;
  readonly mostAttempts: number;
  /** When the oldest of both was made; without those of blocked devices, which stay. */
  readonly oldestAt?: Time32;
  readonly nextAttemptAt?: Time32;
}

export interface ShuffleStatus {
  readonly size: number;
  /** Of the policy; no more than are let wait. */
  readonly threshold: number;
  readonly oldestAt?: Time32;
  /** When it opens if it does not fill up before; absent while it is empty. */
  readonly opensAt?: Time32;
}

/** Pseudonym certificates that are to be there now and are not. */
export interface BacklogStatus {
  readonly certificates: number;
  /** What the pipeline makes in an hour when it has plenty to do; absent before that was ever measured. */
  readonly perHour?: number;
  /** When all of them are there at that pace; absent when there are none, and when no living person will see it. */
  readonly doneAt?: Time32;
}

/** Files that will never be made, for the PCA certifies none of their keys a second time, and whose periods are not over. */
export interface GivenUpStatus {
  /** {@link MOST_COUNTED} or more of them. */
  readonly count: number;
  readonly isMore?: true;
  readonly firstAt?: Time32;
  readonly lastAt?: Time32;
  /** The number of the last one. */
  readonly lastI?: number;
}

export interface RateStatus {
  /** Since the full hour. */
  readonly thisHour: number;
  /** The full hour before. */
  readonly lastHour: number;
  /** The 24 full hours before this one. */
  readonly last24Hours: number;
}

export interface Incident extends Omit<IncidentTable, 'first_at' | 'last_at'> {
  readonly firstAt: Time32;
  readonly lastAt: Time32;
}

/** What {@link raStatus} tells. Times are Time32. */
export interface RaStatus {
  readonly at: Time32;
  readonly devices: readonly DeviceCount[];
  /** Active devices that failed, {@link MOST_COUNTED} or more of them, and the time at which the first of them is tried again. */
  readonly failing: {
    readonly count: number;
    readonly isMore?: true;
    readonly nextTryAt?: Time32;
  };
  readonly blacklisted: number;
  readonly horizon: HorizonStatus;
  /** Pairs of fresh chains for new devices, and how many are wanted. */
  readonly linkageCache: { readonly chains: number; readonly wanted: number };
  /** Who makes certificates now, where several may: workers, and nodes that do it too. */
  readonly workers?: number;
  readonly shuffle: ShuffleStatus;
  readonly pca: PcaStatus;
  /** Files that lack certificates, and complete ones that wait to be filed. */
  readonly batches: { readonly inTheMaking: number; readonly complete: number };
  readonly backlog: BacklogStatus;
  readonly givenUp: GivenUpStatus;
  readonly rates: Readonly<Record<'certificates' | 'batches' | 'registrations', RateStatus>>;
  /** Beginning of the last hour in which anything was filed or registered. */
  readonly lastActivity?: Time32;
  /** The last of each source; open while `count` is above 0. */
  readonly incidents: readonly Incident[];
  /** The first to end first. */
  readonly endings: readonly Ending[];
  readonly generation: GenerationEnd;
  /**
   * Enrollment certificates, each once, that end within 90 days, by month (UTC): those of the first {@link MOST_COUNTED}
   * registrations of a month, or more. Months without any are left out.
   */
  readonly enrollmentsEnding: readonly EnrollmentsEnding[];
  readonly warnings: readonly Warning[];
}

export interface EnrollmentsEnding {
  readonly month: string;
  readonly count: number;
  readonly isMore?: true;
}

/** Chains in the cache when nothing else is configured. */
const CACHED_CHAINS = 200;

/**
 * What an operator wants to know, from one statement: one state of the database, that no writer waits for. What there is of
 * a fleet is counted as it changes (`device_count`), or up to a bound, so that it takes as long for a million devices as for one.
 *
 * @throws StoreError
 */
export async function raStatus(
  database: Database<RaSchema>,
  surroundings: StatusSurroundings,
  now: Time32,
): Promise<RaStatus> {
  const { iPeriod, policy, linkageCache = CACHED_CHAINS, policyEnding } = surroundings;
  const lastI = lastPeriodOfAll(surroundings, now);
  const months = monthsWithin(now, now + ENROLLMENT_NOTICE_SEC);
  const newSince = now - policy.shuffleMaxAgeSec - DAY_SEC;
  const currentI = iPeriod.at(now);
  const read = await readAll(database, { now, lastI, currentI, months, newSince });
  const endings = endingsOf(surroundings);
  const status: Omit<RaStatus, 'warnings'> = {
    at: now,
    devices: read.devices.map((row) => ({ ...row, blocked: row.blocked === 1 })),
    failing: {
      ...countedOf(read.failing.count, read.failing.count),
      ...given('nextTryAt', read.failing.nextTryAt),
    },
    blacklisted: read.blacklisted,
    horizon: horizonOf(read, lastI, surroundings, now),
    linkageCache: { chains: read.chains, wanted: linkageCache },
    ...(surroundings.isShared && { workers: read.workers }),
    shuffle: shuffleOf(read.shuffle, policy),
    pca: pcaOf(read.pca),
    batches: read.batches,
    backlog: backlogOf(read, policy, now),
    givenUp: givenUpOf(read.givenUp),
    rates: ratesOf(read.tallies, now),
    ...given('lastActivity', read.lastActivity),
    incidents: read.incidents.toSorted((a, b) => b.lastAt - a.lastAt),
    endings: byEnd(policyEnding === undefined ? endings : [...endings, policyEnding]),
    generation: generationEnd(surroundings, endings),
    enrollmentsEnding: read.enrollments
      .filter(({ count }) => count > 0)
      .map(({ month, count, seen }) => ({ month, ...countedOf(count, seen) })),
  };
  return { ...status, warnings: warningsOf(status, surroundings) };
}

/** What the one statement gives. */
interface Read {
  readonly devices: readonly (Omit<DeviceCount, 'blocked'> & { readonly blocked: number })[];
  readonly failing: { readonly count: number; readonly nextTryAt: Time32 | null };
  readonly blacklisted: number;
  readonly supply: {
    readonly complete: number | null;
    readonly ended: number | null;
    readonly withoutCurrent: number | null;
    readonly lackingFiles: number | null;
  };
  readonly perHour: number | null;
  readonly registeredLately: number;
  readonly behind: readonly { readonly filedThrough: number; readonly count: number }[];
  readonly first: readonly { readonly kind: CertificateKind; readonly count: number }[];
  readonly chains: number;
  readonly workers: number;
  readonly shuffle: readonly { readonly size: number; readonly oldestAt: Time32 }[];
  readonly pca: {
    readonly waiting: number;
    readonly repeated: number;
    readonly mostAttempts: number | null;
    readonly oldestAt: Time32 | null;
    readonly nextAttemptAt: Time32 | null;
  };
  readonly batches: { readonly inTheMaking: number; readonly complete: number };
  readonly givenUp: {
    readonly count: number;
    readonly firstAt: Time32 | null;
    readonly lastAt: Time32 | null;
    readonly lastI: number | null;
  };
  readonly tallies: readonly {
    readonly hour: Time32;
    readonly name: string;
    readonly count: number;
  }[];
  readonly lastActivity: Time32 | null;
  readonly incidents: readonly Incident[];
  readonly enrollments: readonly {
    readonly month: string;
    readonly count: number;
    /** Registrations. */
    readonly seen: number;
  }[];
}

interface Month {
  readonly month: string;
  readonly from: Time32;
  readonly until: Time32;
}

interface Asked {
  readonly now: Time32;
  readonly lastI: number;
  readonly currentI: number;
  readonly months: readonly Month[];
  /** Since when a device may still wait for its first certificates. */
  readonly newSince: Time32;
}

/**
 * Scalar queries of one SELECT see one state. Each gives JSON: the only way in which rows come there. `indexed by` and
 * `cross join` keep SQLite from the indexes of the whole fleet, which it would choose without statistics.
 */
async function readAll(
  database: Database<RaSchema>,
  { now, lastI, currentI, months, newSince }: Asked,
): Promise<Read> {
  const words = wordsOf(database.query);
  const object = sql.raw(words.jsonObject);
  const array = sql.raw(words.jsonArray);
  const number = sql.raw(words.jsonOf);
  const least = sql.raw(words.least);
  const greatest = sql.raw(words.greatest);
  const failing = sql.raw(words.indexedBy('device_to_try_again'));
  const rows = (columns: readonly string[], query: RawBuilder<unknown>) =>
    rowsOf(words, columns, query);
  const active = sql`kind = 'pseudonym' and status = 'active' and blocked = 0`;
  const filling = sql`coalesce((select epoch from shuffle), 1)`;
  const parts: Record<keyof Read, RawBuilder<unknown>> = {
    devices: rows(
      ['kind', 'status', 'blocked', 'count'],
      sql`select kind, status, blocked, sum(count) as count from device_count group by 1, 2, 3`,
    ),
    failing: sql`select ${object}('count', count(*), 'nextTryAt', min(retry_at)) from (
      select retry_at from device ${failing} where failures > 0 and status = 'active' and blocked = 0
      order by retry_at limit ${sql.lit(MOST_COUNTED + 1)}) as found`,
    blacklisted: sql`select ${number}(count(*)) from blacklist`,
    supply: sql`select ${object}(
        'ended', sum(count) filter (where last_i < ${currentI}),
        'complete', sum(count) filter (where last_i >= ${currentI} and filed_through >= ${least}(last_i, ${lastI})),
        'withoutCurrent', sum(count) filter (where last_i >= ${currentI} and filed_through < ${currentI}),
        'lackingFiles', sum(count * ${greatest}(0,
          ${least}(last_i, ${lastI}) - ${greatest}(filed_through, ${currentI - 1}))))
      from device_count where ${active}`,
    perHour: sql`select value from setting where name = ${PACE_SETTING}`,
    registeredLately: sql`select ${number}(coalesce(sum(count), 0)) from tally
      where name = 'registrations' and hour >= ${hourOf(newSince)}`,
    behind: rows(
      ['filedThrough', 'count'],
      sql`select filed_through as "filedThrough", sum(count) as count from device_count
        where ${active} and last_i >= ${currentI} and filed_through < ${least}(last_i, ${lastI})
        group by 1`,
    ),
    first: rows(
      ['kind', 'count'],
      sql`select kind, sum(count) as count from device_count
        where kind <> 'pseudonym' and status = 'active' and blocked = 0 and filed_through < 0 group by 1`,
    ),
    chains: sql`select ${number}(count(*)) from linkage_cache`,
    workers: sql`select ${number}(count(*)) from member
      where role = 'pipeline' and until > ${sql.raw(words.nowMs)}`,
    shuffle: rows(['size', 'oldestAt'], sql`select size, oldest_at as "oldestAt" from shuffle`),
    pca: sql`select ${object}(
        'waiting', count(*) filter (where attempts = 0),
        'repeated', count(*) filter (where attempts > 0),
        'mostAttempts', max(attempts),
        'oldestAt', min(created_at),
        'nextAttemptAt', min(next_attempt_at) filter (where attempts > 0))
      from pca_request where epoch < ${filling} and device_id not in (
        select device.id from blacklist cross join device
        where device.enrollment_hash = blacklist.enrollment_hash)`,
    batches: sql`select ${object}(
        'inTheMaking', count(*) filter (where missing > 0),
        'complete', count(*) filter (where missing = 0)) from batch`,
    givenUp: sql`select ${object}(
        'count', (select count(*) from (select 1 from given_up limit ${sql.lit(MOST_COUNTED + 1)}) as found),
        'firstAt', (select min(given_up_at) from given_up),
        'lastAt', (select max(given_up_at) from given_up),
        'lastI', (select i from given_up order by given_up_at desc, i desc limit 1))`,
    tallies: rows(
      ['hour', 'name', 'count'],
      sql`select hour, name, count from tally where hour >= ${hourOf(now) - DAY_SEC}`,
    ),
    lastActivity: sql`select ${number}(max(hour)) from tally`,
    incidents: rows(
      ['source', 'message', 'firstAt', 'lastAt', 'count'],
      sql`select source, message, first_at as "firstAt", last_at as "lastAt", count from incident`,
    ),
    enrollments: sql`select ${array}(${sql.join(
      months.map(
        ({ month, from, until }) => sql`(
          select ${object}('month', cast(${month} as text), 'count', count(distinct enrollment_hash), 'seen', count(*))
          from (select enrollment_hash from device
            where enrollment_end >= ${from} and enrollment_end < ${until}
            order by enrollment_end, enrollment_hash limit ${sql.lit(MOST_COUNTED + 1)}) as found)`,
      ),
    )})`,
  };
  const names = Object.keys(parts) as (keyof Read)[];
  const row = (await database.query
    .selectNoFrom(names.map((name) => sql<string>`(${parts[name]})`.as(name)))
    .executeTakeFirstOrThrow()) as Readonly<Record<keyof Read, string | number>>;
  return Object.fromEntries(names.map((name) => [name, JSON.parse(String(row[name]))])) as never;
}

/** @param seen how many were found, of those that were looked for */
function countedOf(
  count: number,
  seen: number,
): { readonly count: number; readonly isMore?: true } {
  return seen > MOST_COUNTED ? { count: Math.min(count, MOST_COUNTED), isMore: true } : { count };
}

/** An array of objects with these columns, in no order. */
function rowsOf(
  { jsonObject, jsonArrayOf }: SqlWords,
  columns: readonly string[],
  query: RawBuilder<unknown>,
): RawBuilder<unknown> {
  const fields = columns.map((name) => `'${name}', "${name}"`).join(', ');
  return sql`select ${sql.raw(jsonArrayOf(`${jsonObject}(${fields})`))} from (${query}) as found`;
}

function horizonOf(
  { supply, registeredLately, behind, first }: Read,
  lastI: number,
  { iPeriod, policy }: StatusSurroundings,
  now: Time32,
): HorizonStatus {
  const [furthest] = behind.toSorted((a, b) => a.filedThrough - b.filedThrough);
  const firsts = (kind: CertificateKind) => first.find((row) => row.kind === kind)?.count ?? 0;
  return {
    currentI: iPeriod.at(now),
    weeksAhead: policy.weeksAhead,
    lastI,
    complete: supply.complete ?? 0,
    lagging: behind.reduce((sum, { count }) => sum + count, 0),
    withoutCurrent: supply.withoutCurrent ?? 0,
    newRegistrations: registeredLately,
    ended: supply.ended ?? 0,
    ...(furthest && {
      furthestBehind: {
        i: furthest.filedThrough + 1,
        start: iPeriod.start(furthest.filedThrough + 1),
        count: furthest.count,
      },
    }),
    waitingForFirst: {
      identification: firsts('identification'),
      application: firsts('application'),
    },
  };
}

function shuffleOf([filling]: Read['shuffle'], policy: RaOptions['policy']): ShuffleStatus {
  const threshold = Math.min(policy.shuffleThreshold, MAX_WAITING);
  if (filling === undefined || filling.size === 0) return { size: 0, threshold };
  const { size, oldestAt } = filling;
  return { size, threshold, oldestAt, opensAt: oldestAt + policy.shuffleMaxAgeSec };
}

function pcaOf({ waiting, repeated, mostAttempts, oldestAt, nextAttemptAt }: Read['pca']) {
  return {
    waiting,
    repeated,
    mostAttempts: mostAttempts ?? 0,
    ...given('oldestAt', oldestAt),
    ...given('nextAttemptAt', nextAttemptAt),
  };
}

function backlogOf(
  { supply, perHour }: Pick<Read, 'supply' | 'perHour'>,
  policy: RaOptions['policy'],
  now: Time32,
): BacklogStatus {
  const certificates = (supply.lackingFiles ?? 0) * policy.certificatesPerPeriod;
  if (perHour === null) return { certificates };
  const lastsSec = Math.ceil((certificates * HOUR_SEC) / perHour);
  const isTold = certificates > 0 && lastsSec < LIFETIME_SEC;
  return { certificates, perHour, ...given('doneAt', isTold ? now + lastsSec : null) };
}

function givenUpOf({ count, firstAt, lastAt, lastI }: Read['givenUp']): GivenUpStatus {
  return {
    ...countedOf(count, count),
    ...given('firstAt', firstAt),
    ...given('lastAt', lastAt),
    ...given('lastI', lastI),
  };
}

function ratesOf(tallies: Read['tallies'], now: Time32): RaStatus['rates'] {
  const hour = hourOf(now);
  const rate = (name: string): RateStatus => {
    const of = tallies.filter((tally) => tally.name === name);
    const at = (time: Time32) => of.find((tally) => tally.hour === time)?.count ?? 0;
    const before = of.filter((tally) => tally.hour < hour);
    return {
      thisHour: at(hour),
      lastHour: at(hour - HOUR_SEC),
      last24Hours: before.reduce((sum, { count }) => sum + count, 0),
    };
  };
  return {
    certificates: rate('certificates'),
    batches: rate('batches'),
    registrations: rate('registrations'),
  };
}

/** The months, in UTC, that lie at least in part in the time from `from` to before `until`. */
function monthsWithin(from: Time32, until: Time32): readonly Month[] {
  const months: Month[] = [];
  for (let begin = from; begin < until; ) {
    const date = new Date(unixFromTime32(begin));
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
    const end = Math.min(until, time32FromUnix(Date.UTC(year, month + 1, 1)));
    months.push({ month: date.toISOString().slice(0, 7), from: begin, until: end });
    begin = end;
  }
  return months;
}

function hourOf(now: Time32): Time32 {
  return now - (now % HOUR_SEC);
}

/** An optional property, absent when SQL says null. */
function given<K extends string>(name: K, value: number | null): { readonly [P in K]?: number } {
  return value === null ? {} : ({ [name]: value } as { readonly [P in K]: number });
}
