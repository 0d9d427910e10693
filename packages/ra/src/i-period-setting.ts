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
 * @returns what is recorded, durably; when it was before, nothing is written and no lock taken
 * @throws ScmsDataError `policy` when the wish is another than what is recorded; what `ofPolicy` throws; StoreError
 */
export async function fixIPeriod(
  database: Database<RaSchema>,
  wish: IPeriodWish,
  ofPolicy: () => Promise<number>,
): Promise<IPeriodClock> {
  const recorded = await recordedIPeriod(database);
  if (recorded !== undefined) return expectAsRecorded(recorded, wish);
  const first = wish.lengthSec ?? (await ofPolicy());
  const { epoch, lengthSec } = await database.transaction(async (query) => {
    const before = await readSetting(query, LENGTH);
    if (before === undefined) {
      await writeSetting(query, LENGTH, first);
      await writeSetting(query, EPOCH, wish.epoch);
    }
    const epoch = (await readSetting(query, EPOCH)) ?? wish.epoch;
    return { epoch, lengthSec: before ?? first };
  });
  // Another process may have been the first.
  return expectAsRecorded(new IPeriodClock(epoch, lengthSec), wish);
}

function expectAsRecorded(recorded: IPeriodClock, wish: IPeriodWish): IPeriodClock {
  const { epoch, lengthSec } = recorded;
  const wished = wish.lengthSec ?? lengthSec;
  if (lengthSec === wished && epoch === wish.epoch) return recorded;
  const expected = `i-periods of ${lengthSec} s from ${epoch}, as at the first start`;
  throw new ScmsDataError('policy', `expected ${expected}, saw ${wished} s from ${wish.epoch}`);
}
