import { readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { TestContext } from 'node:test';

/**
 * Records, for the rest of the test, which files and directories are synced, in order: a kill
 * leaves what the kernel has, so only this shows what would survive a power cut. `fail` is called
 * before each sync, which fails when it returns true. Linux only: names come from /proc.
 */
export async function recordSyncs(
  t: TestContext,
  fail: (path: string) => boolean | Promise<boolean> = () => false,
): Promise<string[]> {
  const synced: string[] = [];
  const handle = await open('/dev/null');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const original = prototype.sync;
  t.mock.method(prototype, 'sync', async function (this: FileHandle) {
    const path = readlinkSync(`/proc/self/fd/${this.fd}`);
    if (await fail(path)) throw Object.assign(new Error('injected'), { code: 'EIO' });
    await original.call(this);
    synced.push(path);
  });
  return synced;
}
