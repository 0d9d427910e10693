/** What waits to be made, and how fast it is made: how long the file of a device waits behind those of others. */
import type { Time32 } from '@chrysalis/ieee1609dot2';
import type { Database } from '@chrysalis/store';
import type { RaSchema } from './schema.ts';
import { readSetting, writeSetting } from './setting.ts';

/** Certificates that the pipeline makes in an hour in which it has something to do all the time; written by it. */
const PACE_SETTING = 'pace_per_hour';
const HOUR_MS = 3_600_000;
/** Work after which the pace is taken: expansion, PCA and filing of the same certificates are all in it. */
const TAKEN_AFTER_MS = 30_000;
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
  /** The youngest registration. */
  readonly greatestId: number;
}

/** What a wait depends on. */
interface Place {
  readonly device: { readonly id: number };
  readonly i: number;
  /** The current i-period: nothing is made for those before. */
  readonly current: number;
  readonly certificatesPerPeriod: number;
}

/** Seconds for which the pipeline works on what is made before a file. */
export interface Wait {
  /** On the files of periods before: the nearest weeks of all devices come first. */
  readonly beforePeriodSec: number;
  /** On those of the same period: the oldest device comes first. */
  readonly inPeriodSec: number;
}

const NO_WAIT: Wait = { beforePeriodSec: 0, inPeriodSec: 0 };

/** @throws StoreError */
export async function readBacklog(database: Database<RaSchema>): Promise<Backlog> {
  const { query } = database;
  const perHour = await readSetting(query, PACE_SETTING);
  if (perHour === undefined) return { perSec: undefined, groups: [], greatestId: 0 };
  const [groups, youngest] = await Promise.all([
    query
      .selectFrom('device_count')
      .select(['last_i as lastI', 'filed_through as filedThrough', 'count'])
      .where('kind', '=', 'pseudonym')
      .where('status', '=', 'active')
      .where('blocked', '=', 0)
      .execute(),
    query
      .selectFrom('device')
      .select(({ fn }) => fn.max('id').as('id'))
      .executeTakeFirst(),
  ]);
  return { perSec: perHour / 3600, groups, greatestId: youngest?.id ?? 0 };
}

export function waitOf({ perSec, groups, greatestId }: Backlog, place: Place): Wait {
  if (perSec === undefined) return NO_WAIT;
  const { device, i, current, certificatesPerPeriod } = place;
  let filesBefore = 0;
  let filesBeside = 0;
  for (const { lastI, filedThrough, count } of groups) {
    const done = Math.max(filedThrough, current - 1);
    filesBefore += count * Math.max(0, Math.min(i - 1, lastI) - done);
    if (done < i && i <= lastI) filesBeside += count;
  }
  const older = Math.min(1, device.id / Math.max(1, greatestId));
  const secondsOf = (files: number) => Math.ceil((files * certificatesPerPeriod) / perSec);
  return {
    beforePeriodSec: secondsOf(filesBefore),
    inPeriodSec: secondsOf(filesBeside * older),
  };
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

  /** Notes a step that found something to do. @throws StoreError */
  async worked(milliseconds: number, certificates: number): Promise<void> {
    this.#workedMs += milliseconds;
    this.#certificates += certificates;
    if (this.#workedMs < TAKEN_AFTER_MS) return;
    const measured = (this.#certificates * HOUR_MS) / this.#workedMs;
    this.#workedMs = 0;
    this.#certificates = 0;
    if (measured === 0) return;
    const before = await readSetting(this.#database.query, PACE_SETTING);
    const pace = before === undefined ? measured : before + WEIGHT * (measured - before);
    await writeSetting(this.#database.query, PACE_SETTING, Math.max(1, Math.round(pace)));
  }
}
