import { fixIPeriod, type RaSchema, recordedIPeriod } from '@chrysalis/ra';
import {
  type Clock,
  I_PERIOD_LENGTH_SEC,
  IPeriodClock,
  openGlobalPolicyFile,
  policyAt,
  ScmsDataError,
  timeOf,
} from '@chrysalis/scms';
import type { Database } from '@chrysalis/store';
import { isStoreError, type StoreErrorCode } from '@chrysalis/store/files';
import type { ChrysalisConfig } from './config.ts';
import { CliError } from './context.ts';
import { readPolicyState } from './pg-state.ts';
import { isSharedByNodes } from './store-places.ts';
import { openRaStore } from './stores.ts';

/** The i-periods of the RA: those that it is configured with, or those that were recorded at its first start. */
export async function openIPeriod(
  { iperiod }: ChrysalisConfig,
  database: Database<RaSchema>,
  ofPolicy: () => Promise<number>,
): Promise<IPeriodClock> {
  try {
    return await fixIPeriod(database, iperiod, ofPolicy);
  } catch (cause) {
    if (!(cause instanceof ScmsDataError)) throw cause;
    throw new CliError(`iperiod: ${cause.message}`, {
      hint: 'certificates that were made count by the first: another length or epoch takes another database',
      cause,
    });
  }
}

/**
 * The same for who enrolls a device, perhaps before the RA was ever started. The database of one that was is only looked at:
 * an older RA may be serving from it.
 *
 * @throws CliError when the RA's database is of another version
 */
export async function iPeriodOfDevices(
  config: ChrysalisConfig,
  directory: string,
  time: number,
): Promise<IPeriodClock> {
  const { epoch, lengthSec } = config.iperiod;
  if (lengthSec !== undefined) return new IPeriodClock(epoch, lengthSec);
  const ofPolicy = async () => {
    if (config.pg === undefined) return I_PERIOD_LENGTH_SEC;
    const { policy } = await readPolicyState(directory);
    return policyAt({ global: policy }, time).iPeriodSec;
  };
  await using resources = new AsyncDisposableStack();
  const looked = await lookAtRaDatabase(config);
  if (looked !== undefined) {
    resources.defer(() => looked.close());
    const isRecorded = (await recordedIPeriod(looked)) !== undefined;
    if (isRecorded) return await openIPeriod(config, looked, ofPolicy);
  }
  // No RA was started yet: the first device decides what its first start will find.
  const database = await openRaStore(config);
  resources.defer(() => database.close());
  // Awaited here: the database is closed when the work is done, not when it has begun.
  return await openIPeriod(config, database, ofPolicy);
}

const OTHER_VERSION: Partial<Record<StoreErrorCode, string>> = {
  'older-schema': 'start chrysalis serve of this version first: it brings the database up to date',
  'newer-schema': 'use the chrysalis that the RA was started with',
};

/** Undefined when there is none. */
async function lookAtRaDatabase(config: ChrysalisConfig): Promise<Database<RaSchema> | undefined> {
  try {
    return await openRaStore(config, { readsOnly: true });
  } catch (cause) {
    if (!isStoreError(cause)) throw cause;
    // Where it is made by command there is nothing to make here.
    if (isSharedByNodes(config)) throw cause;
    if (cause.code === 'missing') return undefined;
    const hint = OTHER_VERSION[cause.code];
    if (hint === undefined) throw cause;
    throw new CliError(`the RA's database: ${cause.message}`, { hint, cause });
  }
}

/**
 * What a GPF says of i-periods now, once it is verified; CAMP's week without a PG.
 *
 * @param clock asked once the file is here: one that is made meanwhile holds from then on
 * @throws ScmsDataError, Ieee1609Dot2Error
 */
export async function iPeriodOfPolicy(
  gpf: (() => Promise<Uint8Array>) | undefined,
  trust: Parameters<typeof openGlobalPolicyFile>[1],
  clock: Clock,
): Promise<number> {
  if (gpf === undefined) return I_PERIOD_LENGTH_SEC;
  const octets = await gpf();
  // A PG in process makes its file when it is asked: a second may have begun since, from which on the policy holds.
  const time = timeOf(clock);
  const { policy } = openGlobalPolicyFile(octets, trust, time);
  return policyAt({ global: policy }, time).iPeriodSec;
}
