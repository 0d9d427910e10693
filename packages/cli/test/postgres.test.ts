/** An RA on PostgreSQL, with its objects in a directory and in S3: from `migrate` to a device with certificates. */
import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  type PostgresServer,
  startPostgres,
  withoutPostgres,
} from '../../../test/support/postgres-server.ts';
import { type S3Stub, startS3Stub } from '../../../test/support/s3-stub.ts';
import { run } from './run-main.ts';
import { type Served, stateDirectory } from './served.ts';

const PASSWORD = 'a secret of the database';

describe('an RA on PostgreSQL', { skip: withoutPostgres }, () => {
  let server: PostgresServer;
  let s3: S3Stub;
  before(async () => {
    server = await startPostgres();
    s3 = await startS3Stub();
    Object.assign(process.env, s3.env);
  });
  after(async () => {
    for (const name of Object.keys(s3.env)) delete process.env[name];
    await s3.close();
    await server.close();
  });

  it('is refused until it is migrated, and then serves: objects in a directory', async (t) => {
    const state = await stateDirectory(t);
    await useStores(state, server.newUrl());
    const early = await state.cli('serve');
    assert.equal(early.status, 1);
    assert.match(
      early.stderr,
      /expected a database with tables in it.*\n.*hint: chrysalis migrate/,
    );
    await migrated(state);
    await provision(state);
    const status = (await state.json('status')) as { devices: object[] };
    assert.match(JSON.stringify(status), /"kind":"pseudonym"/);
    assert.match(
      (await state.cli('device', 'list')).stdout + (await state.cli('status')).stdout,
      /1/,
    );
  });

  it('answers devices here, and has a worker make their certificates', async (t) => {
    const state = await stateDirectory(t);
    const inFile = [await state.cli('worker'), await state.cli('serve', '--no-pipeline')];
    for (const { status, stderr } of inFile) {
      assert.equal(status, 1);
      assert.match(stderr, /expected a database that nodes share, saw one in a file\n.*hint/);
    }
    await useStores(state, server.newUrl());
    await migrated(state);
    const { url, stop } = await state.serve('--no-pipeline');
    const device = await state.enroll(url);
    const warningsOf = async () => {
      const { workers, warnings } = (await state.json('status')) as {
        workers: number;
        warnings: { code: string }[];
      };
      return [workers, warnings.some(({ code }) => code === 'no-worker')];
    };
    assert.deepEqual(await warningsOf(), [0, true]);
    const refused = await device.ee('topup');
    assert.notEqual(refused.status, 0, 'nobody has brought a chain of linkage values');
    const stopping = new AbortController();
    const printed = Promise.withResolvers<string>();
    const working = run(['--dir', state.directory, 'worker', '--log-level', 'error'], {
      clock: state.clock,
      signal: stopping.signal,
      stdout: { write: (text) => printed.resolve(text) },
    });
    t.after(() => stopping.abort());
    const failed = working.then(({ stderr }) => stderr);
    const [, opsUrl] =
      /^certificates are made\noperations: (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(
        await Promise.race([printed.promise, failed]),
      ) ?? [];
    await device.topUp();
    assert.deepEqual(await warningsOf(), [1, false]);
    assert.equal((await fetch(`${opsUrl}/readyz`)).status, 200);
    const figures = await (await fetch(`${opsUrl}/metrics`)).text();
    assert.match(figures, /^chrysalis_worker_share 1$/m);
    assert.match(figures, /^chrysalis_worker_certificates_total 40$/m);
    const port = new URL(opsUrl ?? '').port;
    const second = await state.cli('worker', '--name', 'b', '--ops-port', port);
    assert.equal(second.status, 1);
    assert.match(second.stderr, /EADDRINUSE.*\n.*hint/);
    stopping.abort();
    const { status, stderr } = await working;
    assert.deepEqual([status, stderr], [0, '']);
    await assert.rejects(fetch(`${opsUrl}/healthz`));
    const named = await printedBy(state, 'worker', '--json', '--name', 'b');
    assert.deepEqual(JSON.parse(named), { working: true });
    await stop();
    const audit = (await state.json('audit', 'verify')) as { findings?: unknown[] };
    assert.match(JSON.stringify(audit), /worker/);
  });

  it('serves with its objects in S3, and a password from a file', async (t) => {
    const state = await stateDirectory(t);
    server.psql(
      `create role ra login password '${PASSWORD}'; grant create on database postgres to ra`,
    );
    server.demandPassword('ra');
    const url = server.newUrl().replace('owner@', 'ra@');
    await useStores(state, url, `s3://${s3.bucket}/state?endpoint=${s3.endpoint}`);
    const without = await state.cli('migrate');
    assert.match(without.stderr, /password/);
    const file = join(state.directory, 'ra', 'database-password');
    await writeFile(file, `${PASSWORD}\n`, { mode: 0o644 });
    await edit(state, (text) =>
      text.replace(
        '# password-file = "ra/database-password"',
        'password-file = "ra/database-password"',
      ),
    );
    await chmod(file, 0o644);
    const readable = await state.cli('migrate');
    assert.match(readable.stderr, /only its owner can read.*\n.*hint: chmod 600/);
    await chmod(file, 0o600);
    await migrated(state);
    await provision(state);
    assert.equal([...s3.objects.keys()].filter((key) => /^state\/\d+\//.test(key)).length, 2);
    const backup = join(state.directory, '..', 'backup.tar');
    const backedUp = (await state.json('backup', '--to', backup)) as { elsewhere: string[] };
    assert.deepEqual(backedUp.elsewhere.slice(0, 2), [
      'the database, which a PostgreSQL has',
      'the objects, which an S3 has',
    ]);
    const all = await Promise.all([early(state), readFile(backup, 'latin1')]);
    assert(!all[0].includes(PASSWORD), 'no message has the password');
  });
});

async function early(state: Served): Promise<string> {
  const outcomes = [await state.cli('status'), await state.cli('--json', 'status')];
  return outcomes.map(({ stdout, stderr }) => stdout + stderr).join('');
}

async function useStores(state: Served, url: string, objects = 'file:ra/objects'): Promise<void> {
  await edit(state, (text) =>
    text.replace('sqlite:ra/chrysalis.db"', `${url}"`).replace('file:ra/objects"', `${objects}"`),
  );
}

async function edit({ directory }: Served, change: (text: string) => string): Promise<void> {
  const file = join(directory, 'chrysalis.toml');
  const text = await readFile(file, 'utf8');
  const changed = change(text);
  assert.notEqual(changed, text);
  await writeFile(file, changed);
}

async function migrated(state: Served): Promise<void> {
  const outcome = await state.cli('migrate');
  assert.equal(outcome.status, 0, outcome.stderr);
  assert.match(outcome.stdout, /^up to date: /);
}

/** The first that a command prints, which is stopped then. */
async function printedBy(state: Served, ...args: string[]): Promise<string> {
  const stopping = new AbortController();
  let printed = '';
  const { status, stderr } = await run(['--dir', state.directory, ...args], {
    clock: state.clock,
    signal: stopping.signal,
    stdout: {
      write(text) {
        printed = text;
        stopping.abort();
      },
    },
  });
  assert.equal(status, 0, stderr);
  return printed;
}

/** Enrolls a device, which then has two weeks of certificates: `topup` opens and verifies each. */
async function provision(state: Served): Promise<void> {
  const { url, stop } = await state.serve();
  const device = await state.enroll(url);
  await device.topUp();
  const { supplies } = JSON.parse((await device.ee('status', '--json')).stdout);
  assert.equal(supplies[0].batches.length, 2);
  assert.doesNotMatch(await stop(), /secret|error/i);
}
