/** PostgreSQL and objects backed up together and put back, by the commands of docs/guides/several-nodes.md. */
import assert from 'node:assert/strict';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  type PostgresServer,
  startPostgres,
  withoutPostgres,
} from '../../../test/support/postgres-server.ts';
import { type Served, stateDirectory } from './served.ts';

describe('a backup of PostgreSQL and objects', { skip: withoutPostgres }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.close());

  it('first the database and then the objects: a device gets all that it was promised', async (t) => {
    const state = await stateDirectory(t);
    const profile = join(state.directory, '..', 'obu');
    server.program('createdb', '--encoding=UTF8', '--template=template0', 'ra');
    await useDatabase(state, 'sqlite:ra/chrysalis.db', urlOf('ra'));
    assert.equal((await state.cli('migrate')).status, 0);
    const { url, stop } = await state.serve();
    const device = await state.enroll(url);
    assert.equal((await device.ee('request')).status, 0);
    await cp(profile, `${profile}-acknowledged`, { recursive: true });
    await device.topUp();
    await stop();
    const dump = join(server.socketDirectory, 'ra.dump');
    const backup = join(state.directory, '..', 'objects');
    server.program('pg_dump', '--format=custom', '--no-owner', `--file=${dump}`, 'ra');
    await cp(join(state.directory, 'ra/objects'), backup, { recursive: true });
    const before = await state.json('device', 'show', device.id);

    server.program('dropdb', 'ra');
    await rm(join(state.directory, 'ra/objects'), { recursive: true });
    const lost = await state.cli('status');
    assert.equal(lost.status, 1, lost.stdout);

    server.program('createdb', '--encoding=UTF8', '--template=template0', 'ra_restored');
    const into = ['--single-transaction', '--exit-on-error', '--dbname=ra_restored'];
    server.program('pg_restore', '--no-owner', ...into, dump);
    server.program('vacuumdb', '--quiet', '--analyze-only', 'ra_restored');
    await cp(backup, join(state.directory, 'ra/objects'), { recursive: true });
    await useDatabase(state, urlOf('ra'), urlOf('ra_restored'));
    const migrated = await state.cli('migrate');
    assert.equal(migrated.status, 0, migrated.stderr);
    assert.match(migrated.stdout, /^up to date: /);
    assert.deepEqual(await state.json('device', 'show', device.id), before);
    await state.json('audit', 'verify');

    // As a device that was acknowledged, and has fetched nothing yet.
    await rm(profile, { recursive: true });
    await cp(`${profile}-acknowledged`, profile, { recursive: true });
    const again = await state.serve();
    const moved = await device.ee('set-ra', again.url);
    assert.equal(moved.status, 0, moved.stderr);
    await device.topUp();
    await again.stop();
  });

  const urlOf = (database: string) => `postgres://owner@127.0.0.1:${server.port}/${database}`;
});

async function useDatabase({ directory }: Served, from: string, to: string): Promise<void> {
  const file = join(directory, 'chrysalis.toml');
  const text = await readFile(file, 'utf8');
  assert(text.includes(`url = "${from}"`));
  await writeFile(file, text.replace(`url = "${from}"`, `url = "${to}"`));
}
