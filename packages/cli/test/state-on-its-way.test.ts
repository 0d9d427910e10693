/** What `worker` does where `chrysalis copy` moves a state: it writes nothing, and begins when the new one is complete. */
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import {
  type PostgresServer,
  startPostgres,
  withoutPostgres,
} from '../../../test/support/postgres-server.ts';
import { noteText } from '../src/copy-note.ts';
import { CopyProgressLines } from '../src/copy-progress.ts';
import { copyState } from '../src/state-copy.ts';
import { run } from './run-main.ts';
import { type Served, stateDirectory } from './served.ts';

describe('a worker of a state that is moved', { skip: withoutPostgres }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.close());

  /** A state in a file that was served from once, and whose copy was interrupted when everything was held. */
  async function heldState(t: TestContext): Promise<{ state: Served; url: string }> {
    const state = await stateDirectory(t);
    await (await state.serve()).stop();
    const url = server.newUrl();
    const interrupted = new Error('interrupted');
    const copying = copyState(
      {
        database: join(state.directory, 'ra/chrysalis.db'),
        objects: undefined,
        destination: noteText({ store: url }),
        databaseUrl: url,
        databaseOptions: {},
        objectsUrl: undefined,
      },
      {
        signal: new AbortController().signal,
        progress: new CopyProgressLines({ write() {} }),
        async whileHeld() {
          throw interrupted;
        },
      },
    );
    await assert.rejects(copying, interrupted);
    return { state, url };
  }

  it('waits where the state was and where it will be, and begins at both when it is there', async (t) => {
    const { state, url } = await heldState(t);
    const elsewhere = join(state.directory, '..', 'another-host');
    await cp(state.directory, elsewhere, { recursive: true });
    const config = join(elsewhere, 'chrysalis.toml');
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace('sqlite:ra/chrysalis.db"', `${url}"`));
    const workers = [startWorker(t, state, state.directory), startWorker(t, state, elsewhere)];
    for (const { waits } of workers) assert.match(await waits, /the state is moved/);
    const schema = new URL(url).searchParams.get('schema');
    const members = () => server.psql(`select count(*) from ${schema}.member`).trim();
    assert.equal(members(), '0');
    assert.deepEqual(
      workers.map(({ printed }) => printed()),
      ['', ''],
    );

    const copied = await state.cli('copy', '--to', url);
    assert.equal(copied.status, 0, copied.stderr);
    for (const { works } of workers) assert.match(await works, /^certificates are made\n/);
    assert.equal(members(), '2');
    for (const { stop } of workers) assert.equal((await stop()).status, 0);
  });

  it('is told what is missing when the copy is taken back', async (t) => {
    const { state } = await heldState(t);
    const worker = startWorker(t, state, state.directory);
    await worker.waits;
    assert.equal((await state.cli('copy', '--take-back')).status, 0);
    const { status, stderr } = await worker.ended;
    assert.equal(status, 1);
    assert.match(stderr, /expected a database that nodes share, saw one in a file\n.*hint/);
    assert.equal(worker.printed(), '');
  });

  it('ends when it is told to, however long the copy takes', async (t) => {
    const { state } = await heldState(t);
    const worker = startWorker(t, state, state.directory);
    await worker.waits;
    assert.equal((await worker.stop()).status, 0);
    assert.equal(worker.printed(), '');
  });
});

function startWorker(t: TestContext, { clock }: Served, directory: string) {
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  const [waits, works] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  let [logged, printed] = ['', ''];
  const running = run(['--dir', directory, 'worker', '--log-level', 'warn'], {
    clock,
    signal: stopping.signal,
    stderr: {
      write(line) {
        logged += line;
        if (line.includes('the state is moved')) waits.resolve(line);
      },
    },
    stdout: {
      write(text) {
        printed += text;
        works.resolve(text);
      },
    },
  });
  const ended = running.then(({ status }) => ({ status, stderr: logged }));
  void ended.then(({ stderr }) => {
    const early = new Error(`expected a worker, saw it end: ${stderr}`);
    for (const one of [waits, works]) one.reject(early);
  });
  for (const one of [waits, works]) one.promise.catch(() => {});
  return {
    waits: waits.promise,
    works: works.promise,
    printed: () => printed,
    ended,
    stop() {
      stopping.abort();
      return ended;
    },
  };
}
