import { fixIPeriod, RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import {
  I_PERIOD_LENGTH_SEC,
  IPeriodClock,
  openGlobalPolicyFile,
  policyAt,
  ScmsDataError,
} from '@chrysalis/scms';
import { type Database, openDatabase } from '@chrysalis/store';
import type { ChrysalisConfig } from './config.ts';
import { CliError } from './context.ts';
import { readPolicyState } from './pg-state.ts';

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

/** The same for who enrolls a device, perhaps before the RA was ever started. */
export async function iPeriodOfDevices(
  config: ChrysalisConfig,
  directory: string,
  time: number,
): Promise<IPeriodClock> {
  const { epoch, lengthSec } = config.iperiod;
  if (lengthSec !== undefined) return new IPeriodClock(epoch, lengthSec);
  await using resources = new AsyncDisposableStack();
  const database = await openDatabase<RaSchema>(config.store.url, RA_MIGRATIONS);
  resources.defer(() => database.close());
  // Awaited here: the database is closed when the work is done, not when it has begun.
  return await openIPeriod(config, database, async () => {
    if (config.pg === undefined) return I_PERIOD_LENGTH_SEC;
    const { policy } = await readPolicyState(directory);
    return policyAt({ global: policy }, time).iPeriodSec;
  });
}

/** What a GPF says of i-periods now, once it is verified; CAMP's week without a PG. @throws ScmsDataError, Ieee1609Dot2Error */
export async function iPeriodOfPolicy(
  gpf: (() => Promise<Uint8Array>) | undefined,
  trust: Parameters<typeof openGlobalPolicyFile>[1],
  time: number,
): Promise<number> {
  if (gpf === undefined) return I_PERIOD_LENGTH_SEC;
  const { policy } = openGlobalPolicyFile(await gpf(), trust, time);
  return policyAt({ global: policy }, time).iPeriodSec;
}
