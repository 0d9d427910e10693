/** What `worker` does where `chrysalis copy` moves a state to what nodes share: it begins when that is done. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '@chrysalis/ra';
import { FenceWatch } from '@chrysalis/store/fence';
import { isStoreError } from '@chrysalis/store/files';
import { type ChrysalisConfig, loadConfig } from './config.ts';
import { parseNote } from './copy-note.ts';
import { databaseFile } from './store-places.ts';
import { openRaStore } from './stores.ts';

/** A copy takes minutes: nobody waits for this second. */
const LOOK_MS = 1000;
/** So that whoever looks for the reason ten minutes later finds it. */
const LOOKS_PER_LINE = 600;
/** A look that fails while a copy ends says nothing: the next tells. */
const PASSING = ['away', 'busy', 'io'] as const;

/**
 * The configuration of a state that is not on its way to a server: it is there, or it never left. Nothing is written while a
 * copy goes on, at neither end: not even a lease.
 *
 * @returns at once after `signal`, whatever there is
 * @throws CliError, StoreError
 */
export async function stateAtRest(
  directory: string,
  log: Log,
  signal: AbortSignal,
): Promise<ChrysalisConfig> {
  for (let looks = 0; ; looks++) {
    const config = await loadConfig(directory);
    const goesOn = await isOnItsWay(config).catch((error: unknown) => {
      if (looks > 0 && PASSING.some((code) => isStoreError(error, code))) return true;
      throw error;
    });
    if (!goesOn || signal.aborted) return config;
    if (looks % LOOKS_PER_LINE === 0) {
      log.warn({}, 'the state is moved by chrysalis copy: certificates are made when that is done');
    }
    await delay(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

function isOnItsWay(config: ChrysalisConfig): Promise<boolean> {
  const file = databaseFile(config);
  return file === undefined ? isBeingFilled(config) : isCopiedToServer(file);
}

/** @throws StoreError when it cannot be opened for another reason */
async function isBeingFilled(config: ChrysalisConfig): Promise<boolean> {
  try {
    const database = await openRaStore(config, { readsOnly: true });
    await database.close();
    return false;
  } catch (error) {
    if (isStoreError(error, 'incomplete')) return true;
    throw error;
  }
}

/** The configuration will name it. A copy to another directory goes where no worker can work. */
async function isCopiedToServer(file: string): Promise<boolean> {
  let watch: FenceWatch;
  try {
    watch = await FenceWatch.open(file);
  } catch (error) {
    if (isStoreError(error, 'missing')) return false;
    throw error;
  }
  try {
    const { destination } = watch;
    return destination !== undefined && 'store' in parseNote(destination);
  } finally {
    watch.close();
  }
}
