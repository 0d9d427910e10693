/** What `serve` does while `chrysalis copy` moves the state that it serves from. */
import { setTimeout as delay } from 'node:timers/promises';
import { FenceWatch } from '@chrysalis/store/fence';
import { isStoreError } from '@chrysalis/store/files';
import { type ChrysalisConfig, loadConfig } from './config.ts';
import { CliError } from './context.ts';
import { parseNote } from './copy-note.ts';
import { databaseFile } from './store-places.ts';
import { openRaStore } from './stores.ts';

/** From the moment on in which nothing can be written any more: devices wait for what comes after it. */
const LOOK_MS = 200;
/**
 * What is waited for while a copy ends. A server that is away is one of it: there is no other state. The old database is locked
 * for a moment, or lacks its log, when whoever copies it closes it.
 */
const NOT_YET = ['moved', 'incomplete', 'away', 'busy', 'io'] as const;

/**
 * Resolves when there is a state to serve from: the new one that the configuration names, or the old one if the copy was taken
 * back.
 *
 * @throws CliError when the state is in another directory
 */
export async function movedOver(directory: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const config = await loadConfig(directory);
    try {
      await expectSameDirectory(config);
      const database = await openRaStore(config, { readsOnly: true });
      return await database.close();
    } catch (error) {
      if (!NOT_YET.some((code) => isStoreError(error, code))) throw error;
    }
    await delay(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

async function expectSameDirectory(config: ChrysalisConfig): Promise<void> {
  const file = databaseFile(config);
  if (file === undefined) return;
  const watch = await FenceWatch.open(file);
  const { destination } = watch;
  watch.close();
  const note = destination === undefined ? undefined : parseNote(destination);
  if (note === undefined || !('directory' in note)) return;
  throw new CliError(`this state moves to ${note.directory}`, {
    hint: `when the copy is complete: chrysalis --dir ${note.directory} serve`,
  });
}
