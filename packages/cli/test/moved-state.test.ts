/** What `serve` does while `chrysalis copy` moves the state that it serves from. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { FenceWatch } from '@chrysalis/store/fence';
import { StoreError } from '@chrysalis/store/files';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { loadConfig } from '../src/config.ts';
import { movedAway } from '../src/moved-away.ts';
import { run } from './run-main.ts';

it('a look at the state that fails ends no RA: the next tells', async (t) => {
  const directory = join(temporaryDirectory(), 'state');
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  assert.equal((await run(['--dir', directory, 'init', '--port', '0'])).status, 0);
  // The first start makes the database.
  const served = Promise.withResolvers<void>();
  const once = new AbortController();
  const running = run(['--dir', directory, '--json', 'serve'], {
    clock: { now: Date.now },
    signal: once.signal,
    stdout: { write: () => served.resolve() },
  });
  await Promise.race([served.promise, running]);
  once.abort();
  assert.equal((await running).status, 0);

  const answers: (StoreError | boolean)[] = [
    new StoreError('busy', 'locked'),
    new StoreError('io', 'unable to open database file'),
    false,
    true,
  ];
  t.mock.getter(FenceWatch.prototype, 'isMoved', () => {
    const answer = answers.shift();
    if (answer instanceof StoreError) throw answer;
    return answer;
  });
  await movedAway(await loadConfig(directory), stopping.signal);
  assert.deepEqual(answers, []);
});
