/** That `chrysalis copy` has moved the state from which `serve` serves. */
import { setTimeout as delay } from 'node:timers/promises';
import { FenceWatch } from '@chrysalis/store/fence';
import { isStoreError } from '@chrysalis/store/files';
import type { ChrysalisConfig } from './config.ts';
import { databaseFile } from './store-places.ts';

/** From the moment on in which nothing can be written any more: devices wait for what comes after it. */
const LOOK_MS = 200;

/** Resolves when nothing is written to the database in a file any more; never for another, nor after `signal`. */
export async function movedAway(config: ChrysalisConfig, signal: AbortSignal): Promise<void> {
  const file = databaseFile(config);
  if (file === undefined || file === ':memory:') return new Promise(() => {});
  const watch = await FenceWatch.open(file);
  try {
    while (!isMoved(watch)) await delay(LOOK_MS, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    return new Promise(() => {});
  } finally {
    watch.close();
  }
}

function isMoved(watch: FenceWatch): boolean {
  try {
    return watch.isMoved;
  } catch (error) {
    // Somebody works on it, or the disk does not answer: the next look tells, and no RA ends for it. That nothing is written
    // any more is not up to this look.
    if (isStoreError(error)) return false;
    throw error;
  }
}
