import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const made: string[] = [];

/**
 * A directory of its own. It is removed when the process of the test file ends, and not by a hook of the test: hooks run in
 * the order in which they were registered, so that one would take the directory from under what the next one stops.
 */
export function temporaryDirectory(): string {
  if (made.length === 0) process.once('exit', removeAll);
  const path = mkdtempSync(join(tmpdir(), 'chrysalis-test-'));
  made.push(path);
  return path;
}

function removeAll(): void {
  for (const path of made) {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    } catch (error) {
      process.stderr.write(`a directory of this test is left behind: ${error}\n`);
    }
  }
}
