import { IPeriodClock, ScmsDataError } from '@chrysalis/scms';
import type { Database } from '@chrysalis/store';
import type { RaSchema } from './schema.ts';
import { readSetting, writeSetting } from './setting.ts';

const EPOCH = 'iperiod_epoch';
const LENGTH = 'iperiod_length_sec';

/** The start of i = 0 in Time32, and the length of a period, when anybody has said it. */
export interface IPeriodWish {
  readonly epoch: number;
  readonly lengthSec?: number | undefined;
}

/** The i-periods that were recorded; undefined before the first start. Changes nothing. */
export async function recordedIPeriod(
  database: Database<RaSchema>,
): Promise<IPeriodClock | undefined> {
  const epoch = await readSetting(database.query, EPOCH);
  const lengthSec = await readSetting(database.query, LENGTH);
  if (epoch === undefined || lengthSec === undefined) return undefined;
  return new IPeriodClock(epoch, lengthSec);
}

/**
 * The i-periods of an RA: those of its first start, for ever. A certificate, its file and its linkage value are named by
 * i, so that another length or epoch would give the same name to something else.
 *
 * @param ofPolicy the i-period of the policy in force, in seconds: asked when neither the wish nor an earlier start says
 *   how long a period is
 * @returns what is recorded, durably
 * @throws ScmsDataError `policy` when the wish is another than what is recorded; what `ofPolicy` throws; StoreError
 */
export async function fixIPeriod(
  database: Database<RaSchema>,
  wish: IPeriodWish,
  ofPolicy: () => Promise<number>,
): Promise<IPeriodClock> {
  const recorded = await readSetting(database.query, LENGTH);
  const first = recorded ?? wish.lengthSec ?? (await ofPolicy());
  const { epoch, lengthSec } = await database.transaction(async (query) => {
    const before = await readSetting(query, LENGTH);
    if (before === undefined) {
      await writeSetting(query, LENGTH, first);
      await writeSetting(query, EPOCH, wish.epoch);
    }
    const epoch = (await readSetting(query, EPOCH)) ?? wish.epoch;
    return { epoch, lengthSec: before ?? first };
  });
  if (lengthSec !== (wish.lengthSec ?? lengthSec) || epoch !== wish.epoch) {
    const expected = `i-periods of ${lengthSec} s from ${epoch}, as at the first start`;
    const seen = `${wish.lengthSec ?? lengthSec} s from ${wish.epoch}`;
    throw new ScmsDataError('policy', `expected ${expected}, saw ${seen}`);
  }
  return new IPeriodClock(epoch, lengthSec);
}
