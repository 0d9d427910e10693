/** What `.info` tells a device: when the first file that is not there yet will be. */
import { endOfChain, type Time32 } from '@chrysalis/ieee1609dot2';
import type { Database } from '@chrysalis/store';
import { type Backlog, type KnownBacklog, type Wait, waitOf } from './backlog.ts';
import type { Device } from './device-registry.ts';
import {
  type Horizon,
  lastPeriodIssuedBy,
  OVERLAP_SEC,
  skipsShuffle,
  supplySec,
} from './horizon.ts';
import { MAX_WAITING } from './pca-requests.ts';
import { DROP_GRACE_MS, type OverClaim, readOverClaim } from './periods-over.ts';
import type { RaSchema } from './schema.ts';
import { endOf, startOf } from './validity.ts';

/** The part of a device's row that decides what it gets, and when. */
export type Schedule = Pick<
  Device,
  | 'id'
  | 'kind'
  | 'status'
  | 'registered_at'
  | 'available_at'
  | 'first_start'
  | 'lifetime_sec'
  | 'period_sec'
  | 'first_i'
  | 'last_i'
  | 'expanded_through'
  | 'filed_through'
  | 'failures'
  | 'retry_at'
>;

export interface NextFileOptions extends Horizon {
  readonly database: Database<RaSchema>;
  readonly dropGraceMs?: number;
}

export interface NextFile {
  readonly i: number;
  /** When its making begins, or began. */
  readonly begunAt: Time32;
  /** When it is there; 0 when it never will be, nor any after it. */
  readonly time: Time32;
}

/** Seconds that a file which is being made is expected to need still. */
const IN_THE_MAKING_SEC = 60;

/**
 * The first file that is not there, and the time at which it will be: late rather than early. A file is begun when it comes
 * within the supply and those before it are made, and may wait in the shuffle as long as the policy lets it. One that should
 * be there already is looked for among what is being made.
 */
export async function nextFile(
  device: Schedule,
  options: NextFileOptions,
  backlog: KnownBacklog,
  now: Time32,
): Promise<NextFile> {
  const soonest = firstPossible(device, options, now);
  // Of most devices nothing is due, and their row says it all.
  const isDue = scheduledAt(device, soonest, options) <= now;
  const making = isDue ? await makingOf(options.database, device) : NOTHING;
  let i = soonest;
  while (making.filed.has(i)) i++;
  const begunAt = Math.max(
    scheduledAt(device, i, options),
    isBegun(device, i) ? 0 : heldUntil(device, making, options, now),
  );
  const never = { i, begunAt, time: 0 };
  if (device.status !== 'active' || !isPossible(device, i, options)) return never;
  if (device.filed_through < device.first_i && now < device.available_at) {
    return { i, begunAt, time: device.available_at };
  }
  const wait = waitFor(device, i, await backlog.at(now), options, now);
  const leavesAt = leavesShuffleAt(device, i, { making, options, begunAt, wait, now });
  const atPcaSec = isBegun(device, i) ? wait.begunSec : 0;
  return { i, begunAt, time: Math.max(now, leavesAt) + atPcaSec + IN_THE_MAKING_SEC };
}

interface Waits extends Wait {
  /** Of a file whose requests are there: behind no more than are let wait for the PCA. */
  readonly begunSec: number;
}

/** Behind what others get; one that is made alone waits for nobody. */
function waitFor(
  device: Schedule,
  i: number,
  backlog: Backlog,
  { iPeriod, policy }: Horizon,
  now: Time32,
): Waits {
  const { certificatesPerPeriod } = policy;
  if (device.kind !== 'pseudonym') return { beforePeriodSec: 0, inPeriodSec: 0, begunSec: 0 };
  const current = iPeriod.at(now);
  const periodSec = iPeriod.lengthSec;
  const wait = waitOf(backlog, { device, i, current, certificatesPerPeriod, periodSec });
  const mostSec = Math.ceil(MAX_WAITING / (backlog.perSec ?? Number.POSITIVE_INFINITY));
  return { ...wait, begunSec: Math.min(wait.beforePeriodSec + wait.inPeriodSec, mostSec) };
}

/** What was not made in its period is not made any more. */
function firstPossible(device: Schedule, { iPeriod }: Horizon, now: Time32): number {
  const next = device.filed_through + 1;
  const current = iPeriod.at(now);
  if (device.kind === 'pseudonym') return Math.max(next, current);
  // Its period is the one in which it ends.
  const { first_start, lifetime_sec, period_sec } = device;
  const first = Math.ceil((iPeriod.start(current) - lifetime_sec - first_start) / period_sec);
  return Math.max(next, first);
}

function isPossible(device: Schedule, i: number, { iPeriod, pca }: Horizon): boolean {
  if (i > device.last_i) return false;
  return device.kind === 'pseudonym'
    ? i <= lastPeriodIssuedBy(pca.certificate, iPeriod)
    : endOf(device, i) <= endOfChain(pca.certificate);
}

function isBegun(device: Schedule, i: number): boolean {
  return i <= device.expanded_through;
}

/** When a file comes within the supply. */
function scheduledAt(device: Schedule, i: number, horizon: Horizon): Time32 {
  if (device.kind !== 'pseudonym') return startOf(device, i) - supplySec(horizon);
  const { iPeriod, policy } = horizon;
  return Math.max(device.registered_at, iPeriod.start(i - policy.weeksAhead + 1));
}

/** What keeps a file from being begun that is due: a failure of the device's own; a period that is not over for sure. */
function heldUntil(
  device: Schedule,
  { overClaim }: Making,
  { iPeriod, dropGraceMs = DROP_GRACE_MS }: NextFileOptions,
  now: Time32,
): Time32 {
  const retryAt = device.failures > 0 ? device.retry_at : 0;
  const current = iPeriod.at(now);
  // It would be moved past the periods between (`weeks-ahead.ts`).
  const isBehind = device.kind === 'pseudonym' && device.expanded_through < current - 1;
  if (!isBehind) return retryAt;
  const isClaimed = overClaim !== undefined && overClaim.period >= current - 1;
  const sureAt = isClaimed
    ? overClaim.sureAt
    : Math.max(now, iPeriod.start(current) + OVERLAP_SEC) + Math.ceil(dropGraceMs / 1000);
  return Math.max(retryAt, sureAt);
}

interface Underway {
  readonly making: Making;
  readonly options: NextFileOptions;
  readonly begunAt: Time32;
  readonly wait: Wait;
  readonly now: Time32;
}

/** When the last of its requests goes to the PCA. */
function leavesShuffleAt(
  device: Schedule,
  i: number,
  { making, options, begunAt, wait, now }: Underway,
): Time32 {
  const { shuffleMaxAgeSec } = options.policy;
  if (!isBegun(device, i)) {
    const isPooled = device.kind === 'pseudonym' && !skipsShuffle(device, i, options);
    // What is due before is worked on until then.
    const itsTurnAt = Math.max(now + wait.beforePeriodSec, begunAt) + wait.inPeriodSec;
    return itsTurnAt + (isPooled ? shuffleMaxAgeSec : 0);
  }
  const { epochs, filling } = making;
  const epoch = epochs.get(i);
  const isWaiting = epoch !== undefined && filling !== undefined && epoch >= filling.epoch;
  return isWaiting ? filling.oldestAt + shuffleMaxAgeSec : now;
}

/** What is on its way for a device, as far as it decides when its files are there. */
interface Making {
  /** Files that are there beyond a gap. */
  readonly filed: ReadonlySet<number>;
  /** Of the files that are being made, the epoch of the shuffle that they went into. */
  readonly epochs: ReadonlyMap<number, number>;
  /** The epoch that is filling up. */
  readonly filling: { readonly epoch: number; readonly oldestAt: Time32 } | undefined;
  readonly overClaim: OverClaim | undefined;
}

const NOTHING: Making = {
  filed: new Set(),
  epochs: new Map(),
  filling: undefined,
  overClaim: undefined,
};

async function makingOf(database: Database<RaSchema>, { id }: Schedule): Promise<Making> {
  const { query } = database;
  const [filed, batches, shuffle, overClaim] = await Promise.all([
    query.selectFrom('filed').select('i').where('device_id', '=', id).execute(),
    query.selectFrom('batch').select(['i', 'epoch']).where('device_id', '=', id).execute(),
    query.selectFrom('shuffle').select(['epoch', 'oldest_at']).executeTakeFirst(),
    readOverClaim(query),
  ]);
  return {
    filed: new Set(filed.map(({ i }) => i)),
    epochs: new Map(batches.map(({ i, epoch }) => [i, epoch])),
    filling: shuffle && { epoch: shuffle.epoch, oldestAt: shuffle.oldest_at },
    overClaim,
  };
}
