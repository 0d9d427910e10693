/** What waits to be made, and how fast it is made: how long the file of a device waits behind those of others. */
import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Database } from '@chrysalis/store';
import { sql } from 'kysely';
import type { RaSchema } from './schema.ts';
import { readSetting, writeSetting } from './setting.ts';

/** Certificates that the pipeline makes in an hour in which it has something to do all the time; written by it. */
export const PACE_SETTING = 'pace_per_hour';
const HOUR_MS = 3_600_000;
/** Work after which the pace is taken: expansion, PCA and filing of the same certificates are all in it. */
const TAKEN_AFTER_MS = 30_000;
/** A step that brings fewer certificates says nothing of how fast many are made. */
const FEWEST_IN_STEP = 8;
/** What a pace counts that is just measured: one slow half minute is not the truth yet. */
const WEIGHT = 0.3;
/** Seconds for which what was read is true enough: a fleet that comes at once reads it once. */
const KNOWN_FOR_SEC = 10;

/** Of pseudonym certificates. */
export interface Backlog {
  /** Certificates in a second; undefined as long as it was never measured. */
  readonly perSec: number | undefined;
  /** Active devices by how far their files reach. */
  readonly groups: readonly {
    readonly lastI: number;
    readonly filedThrough: number;
    readonly count: number;
  }[];
  /** The oldest and the youngest registration in line. */
  readonly leastId: number;
  readonly greatestId: number;
}

/** What a wait depends on. */
interface Place {
  readonly device: { readonly id: number };
  readonly i: number;
  /** The current i-period: nothing is made for those before. */
  readonly current: number;
  readonly certificatesPerPeriod: number;
  /** Of an i-period: the longest wait that is told. */
  readonly periodSec: number;
}

/** Seconds for which the pipeline works on what is made before a file. */
export interface Wait {
  /** On the files of periods before: the nearest weeks of all devices come first. */
  readonly beforePeriodSec: number;
  /** On those of the same period: the oldest device comes first. */
  readonly inPeriodSec: number;
}

const NO_WAIT: Wait = { beforePeriodSec: 0, inPeriodSec: 0 };

/**
 * The first and the last id of those whom the scheduler has in line. They lie by how far they have come, and by id: from one
 * place to the next it takes one look each. Ids of other registrations, which come and go, say nothing of who is before whom.
 */
const IN_LINE = sql.raw(`kind = 'pseudonym' and status = 'active' and blocked = 0 and failures = 0
  and expanded_through < last_i`);
const ENDS_OF_LINE = sql<{ readonly least: number | null; readonly greatest: number | null }>`
  with recursive place (reached) as (
    select (select expanded_through from device where ${IN_LINE} order by expanded_through limit 1)
    union all
    select (select expanded_through from device where ${IN_LINE} and expanded_through > place.reached
      order by expanded_through limit 1)
    from place where place.reached is not null)
  select
    min((select id from device where ${IN_LINE} and expanded_through = place.reached order by id limit 1)) as least,
    max((select id from device where ${IN_LINE} and expanded_through = place.reached order by id desc limit 1)) as greatest
  from place`;

/** @throws StoreError */
export async function readBacklog(database: Database<RaSchema>): Promise<Backlog> {
  const { query } = database;
  const perHour = await readSetting(query, PACE_SETTING);
  if (perHour === undefined) return { perSec: undefined, groups: [], leastId: 0, greatestId: 0 };
  const [groups, { rows }] = await Promise.all([
    query
      .selectFrom('device_count')
      .select(['last_i as lastI', 'filed_through as filedThrough', 'count'])
      .where('kind', '=', 'pseudonym')
      .where('status', '=', 'active')
      .where('blocked', '=', 0)
      .execute(),
    ENDS_OF_LINE.execute(query),
  ]);
  const { least, greatest } = rows[0] ?? {};
  return { perSec: perHour / 3600, groups, leastId: least ?? 0, greatestId: greatest ?? 0 };
}

/**
 * No longer than an i-period: who needs that long for a week of all devices never gets done, or the pace was taken in a bad
 * hour, for which no device should stay away for years.
 */
export function waitOf({ perSec, groups, leastId, greatestId }: Backlog, place: Place): Wait {
  if (perSec === undefined) return NO_WAIT;
  const { device, i, current, certificatesPerPeriod, periodSec } = place;
  let filesBefore = 0;
  let filesBeside = 0;
  for (const { lastI, filedThrough, count } of groups) {
    const done = Math.max(filedThrough, current - 1);
    filesBefore += count * Math.max(0, Math.min(i - 1, lastI) - done);
    if (done < i && i <= lastI) filesBeside += count;
  }
  // Of those in line, the share up to this device.
  const share = (device.id - leastId + 1) / (greatestId - leastId + 1);
  const older = Math.max(0, Math.min(1, share));
  const secondsOf = (files: number) => Math.ceil((files * certificatesPerPeriod) / perSec);
  const beforePeriodSec = Math.min(periodSec, secondsOf(filesBefore));
  const inPeriodSec = Math.min(periodSec - beforePeriodSec, secondsOf(filesBeside * older));
  return { beforePeriodSec, inPeriodSec };
}

/** The backlog as it was read last: once for all who ask within some seconds. */
export class KnownBacklog {
  readonly #database: Database<RaSchema>;
  #read: { readonly at: Time32; readonly backlog: Promise<Backlog> } | undefined;

  constructor(database: Database<RaSchema>) {
    this.#database = database;
  }

  /** @throws StoreError; whoever asks next reads again */
  at(now: Time32): Promise<Backlog> {
    const known = this.#read;
    if (known && Math.abs(now - known.at) < KNOWN_FOR_SEC) return known.backlog;
    const read = { at: now, backlog: readBacklog(this.#database) };
    this.#read = read;
    read.backlog.catch(() => {
      if (this.#read === read) this.#read = undefined;
    });
    return read.backlog;
  }
}

/** Measures the pace of a pipeline, and writes it down. */
export class Pace {
  readonly #database: Database<RaSchema>;
  #workedMs = 0;
  #certificates = 0;

  constructor(database: Database<RaSchema>) {
    this.#database = database;
  }

  /**
   * Notes a step that found something to do. One that had little of it does not count: a certificate alone takes the PCA as
   * long as a window of them, and a period that is dropped brings none.
   *
   * @throws StoreError
   */
  async worked(milliseconds: number, certificates: number): Promise<void> {
    if (certificates < FEWEST_IN_STEP) return;
    this.#workedMs += milliseconds;
    this.#certificates += certificates;
    if (this.#workedMs < TAKEN_AFTER_MS) return;
    const measured = (this.#certificates * HOUR_MS) / this.#workedMs;
    this.#workedMs = 0;
    this.#certificates = 0;
    const before = await readSetting(this.#database.query, PACE_SETTING);
    const pace = before === undefined ? measured : before + WEIGHT * (measured - before);
    await writeSetting(this.#database.query, PACE_SETTING, Math.max(1, Math.round(pace)));
  }
}
