/**
 * Loaded first into the process of every test file (`scripts/test.ts`): one that does not end is ended, with what keeps it.
 * The runner limits the time of a test, not that of a process whose tests have ended and that holds a server open.
 */
import { isMainThread } from 'node:worker_threads';

const limitMs = Number(process.env.CHRYSALIS_TEST_FILE_LIMIT_MS);

if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined && limitMs > 0) {
  setTimeout(() => {
    const open = [...new Set(process.getActiveResourcesInfo())].join(', ');
    process.stderr.write(
      `${process.argv[1]}: expected to end within ${limitMs} ms, still has open: ${open}\n`,
    );
    process.exit(1);
  }, limitMs).unref();
}
