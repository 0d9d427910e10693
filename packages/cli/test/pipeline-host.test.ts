/** The pipeline in its own thread: what monitoring is told of it while it lives, dies and is started again. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { getPriority, setPriority } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Log } from '@chrysalis/ra';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { PipelineThread } from '../src/pipeline-host.ts';
import { run } from './run-main.ts';

it('a pipeline whose thread dies is down until it is started again', async (t) => {
  const directory = join(temporaryDirectory(), 'state');
  const made = await run(['--dir', directory, 'init', '--port', '0', '--weeks-ahead', '1']);
  assert.equal(made.status, 0, made.stderr);
  const logged: string[] = [];
  const write = (_fields: object, message: string) => void logged.push(message);
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const host = new PipelineThread({ directory, logLevel: 'error' }, log);
  t.after(() => host.stop());
  assert.equal(host.state, 'starting');
  await host.start();
  assert.equal(host.state, 'running');

  const threads: Worker[] = [];
  const post = Worker.prototype.postMessage;
  t.mock.method(Worker.prototype, 'postMessage', function (this: Worker, message: unknown) {
    threads.push(this);
    post.call(this, message);
  });
  host.wake();
  await threads[0]?.terminate();
  assert.equal(host.state, 'down');
  assert.deepEqual(logged, ['the pipeline is started again']);
  for (const end = Date.now() + 30_000; host.state === 'down' && Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal(host.state, 'running');
  await host.stop();
  assert.equal(host.state, 'stopped');
});

it('a pipeline that is stopped while it starts ends', async () => {
  const directory = join(temporaryDirectory(), 'state');
  const made = await run(['--dir', directory, 'init', '--port', '0', '--weeks-ahead', '1']);
  assert.equal(made.status, 0, made.stderr);
  const write = () => {};
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const host = new PipelineThread({ directory, logLevel: 'error' }, log);
  const started = host.start();
  // The keys are on their way to the thread.
  await new Promise(setImmediate);
  await host.stop();
  await started;
  assert.equal(host.state, 'stopped');
});

it('a pipeline that cannot start says why, and what can be done about it', async () => {
  const directory = join(temporaryDirectory(), 'state');
  const made = await run(['--dir', directory, 'init', '--port', '0', '--weeks-ahead', '1']);
  assert.equal(made.status, 0, made.stderr);
  const file = join(directory, 'chrysalis.toml');
  const toml = await readFile(file, 'utf8');
  const url = 'url = "postgres://ra@127.0.0.1:1/ra?sslmode=disable"';
  await writeFile(file, toml.replace(/^url = "sqlite:.*"$/m, url));
  const write = () => {};
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const host = new PipelineThread({ directory, logLevel: 'error' }, log);
  await assert.rejects(host.start(), {
    name: 'CliError',
    message: /ECONNREFUSED.*, in: connect/,
    hint: /see that the server runs/,
  });
});

it('a pipeline that was never started holds nobody up', async () => {
  const write = () => {};
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const host = new PipelineThread({ directory: temporaryDirectory(), logLevel: 'error' }, log);
  await host.stop();
});

const isLinux = process.platform === 'linux';

it('a pipeline yields to the thread that answers devices, however nice that is', {
  skip: !isLinux,
}, async (t) => {
  const directory = join(temporaryDirectory(), 'state');
  const made = await run(['--dir', directory, 'init', '--port', '0', '--weeks-ahead', '1']);
  assert.equal(made.status, 0, made.stderr);
  // As `nice -n 5 chrysalis serve` starts it.
  setPriority(0, Math.max(5, getPriority(0)));
  const write = () => {};
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const host = new PipelineThread({ directory, logLevel: 'error' }, log);
  t.after(() => host.stop());
  await host.start();
  const threads = await readdir('/proc/self/task');
  const names = await Promise.all(
    threads.map((id) => readFile(`/proc/self/task/${id}/comm`, 'utf8')),
  );
  const id = threads[names.indexOf('pipeline\n')];
  assert.equal(getPriority(Number(id)), Math.min(19, getPriority(0) + 10));
});
