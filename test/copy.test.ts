/**
 * `chrysalis copy` of a state from which an RA serves: to PostgreSQL and S3, and to another directory; killed at any point;
 * taken back. Whoever was acknowledged gets everything, no cocoon key is certified twice, and never two states can serve.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openPseudonymLog } from '@chrysalis/authorities';
import { main } from '@chrysalis/cli';
import { RA_MIGRATIONS } from '@chrysalis/ra';
import { openDatabase, openObjectStore } from '@chrysalis/store';
import { isStoreError } from '@chrysalis/store/files';
import { unzipSync } from 'fflate';
import { type CommitFate, startLossyProxy } from './support/lossy-proxy.ts';
import { cli, contextOf, done, startLoad, startRa } from './support/moving-ra.ts';
import { type PostgresServer, startPostgres, withoutPostgres } from './support/postgres-server.ts';
import { eventually, type Promised, type PromisedDevices } from './support/promised-devices.ts';
import { type S3Thread, startS3Thread } from './support/s3-thread.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const WEEKS = 2;
const PER_WEEK = 20;
const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');

describe('a state that is copied while it serves', { timeout: 600_000 }, () => {
  let s3: S3Thread;
  let postgres: PostgresServer | undefined;
  before(async () => {
    s3 = await startS3Thread();
    Object.assign(process.env, s3.env);
    if (withoutPostgres === false) postgres = await startPostgres();
  });
  after(async () => {
    for (const name of Object.keys(s3.env)) delete process.env[name];
    await s3.close();
    await postgres?.close();
  });
  const objectsUrl = (prefix: string) => `s3://${s3.bucket}/${prefix}?endpoint=${s3.endpoint}`;

  it('goes on from PostgreSQL and S3 by itself', { skip: withoutPostgres }, async (t) => {
    const ra = await startRa(t, { weeks: WEEKS });
    const promised: Promised[] = [];
    for (let n = 0; n < 5; n++) promised.push(await ra.devices.register());
    const [first] = promised as [Promised];
    await eventually(() => ra.devices.download(first, first.firstI));

    const load = startLoad(ra.devices, first, promised);
    const to = postgres!.newUrl();
    const { stdout } = await done(
      ...['--json', 'copy', '--from', ra.state],
      ...['--to', to, '--objects', objectsUrl('moved')],
    );
    const after = await ra.devices.register();
    const { longestMs, refused } = await load.stop();
    promised.push(after);
    const copied = JSON.parse(stdout);
    const held = Math.round(copied.heldMs);
    t.diagnostic(
      `${promised.length} devices, ${copied.objects} objects; held ${held} ms, ${refused} refused, longest pause ${longestMs} ms`,
    );
    assert(
      copied.tables.some(
        ({ name, rows }: { name: string; rows: number }) => name === 'device' && rows >= 5,
      ),
    );
    for (const device of promised) await expectSupply(ra.devices, device);
    await ra.stop();
    await expectNoKeyTwice(ra.state, promised.length * WEEKS * PER_WEEK);
    await expectMoved(join(ra.state, 'ra/chrysalis.db'));
    assert.match(await readFile(join(ra.state, 'chrysalis.toml'), 'utf8'), /^url = "s3:/m);
    assert((await s3.keys()).filter((key) => key.endsWith('.zip')).length >= 5 * WEEKS);
    await done('--dir', ra.state, 'audit', 'verify');
    const again = await done('copy', '--from', ra.state, '--to', to);
    assert.match(again.stdout, /already: nothing was done/);
  });

  it('goes on in another directory, with its authorities, keys and audit log', async (t) => {
    const ra = await startRa(t, { weeks: WEEKS });
    const promised: Promised[] = [];
    for (let n = 0; n < 4; n++) promised.push(await ra.devices.register());
    const [first] = promised as [Promised];
    await eventually(() => ra.devices.download(first, first.firstI));
    const load = startLoad(ra.devices, first, promised);
    const to = join(temporaryDirectory(), 'moved');
    const { stdout } = await done('copy', '--from', ra.state, '--to', to);
    assert.match(stdout, /serve from it: chrysalis --dir/);
    // The old one ends by itself, and nobody starts it again.
    await ra.ended();
    const refused = await cli('--dir', ra.state, 'serve');
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /copied to another.*\n.*hint: serve from where it went/);
    assert(!(await readdir(to)).includes('.chrysalis-copy'));

    const moved = await startRa(t, { existing: to, weeks: WEEKS });
    await load.stop();
    promised.push(await moved.devices.register());
    for (const device of promised) await expectSupply(moved.devices, device);
    await moved.stop();
    await expectNoKeyTwice(to, promised.length * WEEKS * PER_WEEK);
    await done('--dir', to, 'audit', 'verify');
  });

  it('killed at any point goes on with the same command', { skip: withoutPostgres }, async (t) => {
    const ra = await startRa(t, { weeks: WEEKS });
    const device = await ra.devices.register();
    await eventually(() => ra.devices.download(device, device.firstI));
    let fate: (count: number) => CommitFate = () => 'works';
    let commits = 0;
    const proxy = await startLossyProxy(postgres!.port, () => fate(commits++));
    t.after(() => proxy.close());
    const to = postgres!.newUrl().replace(`:${postgres!.port}`, `:${proxy.port}`);
    const argv = ['copy', '--from', ra.state, '--to', to, '--objects', objectsUrl('killed')];
    const config = join(ra.state, 'chrysalis.toml');
    const before = await readFile(config, 'utf8');

    /** @param at the commit at which it dies; of those after the old state is held, with `isHeld` */
    const runAndKill = async (at: number, isHeld: boolean, how: CommitFate) => {
      const child = spawn(process.execPath, [BIN, ...argv], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let [seen, counting] = ['', !isHeld];
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        seen += text;
        counting ||= seen.includes('is held');
      });
      let count = 0;
      fate = () => {
        if (!counting || count++ < at) return 'works';
        child.kill('SIGKILL');
        return how;
      };
      const [status] = await once(child, 'close');
      fate = () => 'works';
      await expectAtMostOne(join(ra.state, 'ra/chrysalis.db'), to);
      return status as number | null;
    };
    const points: [number, boolean, CommitFate][] = [
      [4, false, 'cut-before'],
      [16, false, 'works'],
      [60, false, 'cut-after'],
      [0, true, 'cut-before'],
      [3, true, 'works'],
      [9, true, 'cut-after'],
    ];
    for (const point of points) assert.equal(await runAndKill(...point), null, String(point));
    await expectMoved(join(ra.state, 'ra/chrysalis.db'));
    assert.equal(await readFile(config, 'utf8'), before);
    await done(...argv);
    // As killed between the last commit and the configuration.
    const complete = await readFile(config, 'utf8');
    await ra.stop();
    await writeFile(config, before);
    const late = await cli('copy', '--from', ra.state, '--take-back');
    assert.match(late.stderr, /expected a copy that is not complete.*\n.*hint: it may have served/);
    await done(...argv);
    assert.equal(await readFile(config, 'utf8'), complete);
    await ra.start();
    await expectSupply(ra.devices, device);
    await expectSupply(ra.devices, await ra.devices.register());
    await ra.stop();
    await expectNoKeyTwice(ra.state, 2 * WEEKS * PER_WEEK);
  });

  it('taken back serves as before, and its copy never', { skip: withoutPostgres }, async (t) => {
    const ra = await startRa(t, { weeks: WEEKS });
    const device = await ra.devices.register();
    await eventually(() => ra.devices.download(device, device.firstI));
    const to = postgres!.newUrl();
    const argv = ['copy', '--from', ra.state, '--to', to, '--objects', objectsUrl('back')];
    // The bucket takes nothing.
    await s3.deny('back/');
    const failed = await cli(...argv);
    assert.equal(failed.status, 1);
    assert.match(failed.stderr, /could not put object/);
    await s3.deny(undefined);
    // It was not held yet: devices are served as if nothing had been.
    await expectSupply(ra.devices, await ra.devices.register());

    const other = await cli('copy', '--from', ra.state, '--to', postgres!.newUrl());
    assert.match(other.stderr, /expected the places of the copy that was begun.*\n.*--take-back/);
    const held = await holdAndInterrupt(argv);
    assert.match(held, /the old state is held: run the same command again, or copy --take-back/);
    assert.equal(await ra.devices.tryToRegister(), undefined);
    const { stdout } = await done('copy', '--from', ra.state, '--take-back');
    assert.match(stdout, /is served from again/);
    await expectSupply(ra.devices, await ra.devices.register());
    await expectSupply(ra.devices, device);
    const never = await cli('--dir', ra.state, ...argv);
    assert.match(never.stderr, /expected no objects at|expected an empty database/);
    await assert.rejects(openDatabase(to, RA_MIGRATIONS), (error) =>
      isStoreError(error, 'incomplete'),
    );
    await ra.stop();
    await expectNoKeyTwice(ra.state, 3 * WEEKS * PER_WEEK);
  });

  it('is refused where something else is', { skip: withoutPostgres }, async (t) => {
    const ra = await startRa(t, { weeks: WEEKS });
    await ra.devices.register();
    await ra.stop();
    const used = postgres!.newUrl();
    const database = await openDatabase<{ setting: object }>(used, RA_MIGRATIONS, {
      migrates: true,
    });
    t.after(() => database.close());
    await database.query.insertInto('setting').values({ name: 'other', value: 1 }).execute();
    const store = await openObjectStore(objectsUrl('other'));
    await store.put('policy/mine', new Uint8Array(3));
    const full = join(temporaryDirectory(), 'full');
    await mkdir(full);
    await writeFile(join(full, 'a'), 'mine');
    const refusals: [RegExp, ...string[]][] = [
      [/expected an empty database, saw one with rows/, '--to', used],
      [
        /expected no objects at .*, saw policy\/mine/,
        '--to',
        postgres!.newUrl(),
        '--objects',
        objectsUrl('other'),
      ],
      [/expected .* to be empty, saw 1 files/, '--to', full],
      [/none is in the other/, '--to', join(ra.state, 'inside')],
      [/expected postgres:\/\//, '--to', 'mysql://db/ra'],
      [/expected no password in the URL/, '--to', 'postgres://ra:secret@127.0.0.1/ra'],
      [/expected --to with a URL or a directory/],
      [/expected a copy that was begun, saw none/, '--take-back'],
    ];
    for (const [pattern, ...args] of refusals) {
      const { status, stderr } = await cli('copy', '--from', ra.state, ...args);
      assert.equal(status, 1, stderr);
      assert.match(stderr, pattern);
      assert.doesNotMatch(stderr, /secret/);
    }
    // The one that is in use goes on being used, and the state has not changed.
    await (await openDatabase(used, RA_MIGRATIONS)).close();
    await ra.start();
    await ra.devices.register();
    await ra.stop();
  });
});

/** A copy that is interrupted when the old state is held; what it said. */
async function holdAndInterrupt(argv: readonly string[]): Promise<string> {
  let written = '';
  const stopping = new AbortController();
  const context = contextOf((text) => {
    written += text;
    if (text.includes('is held: the rest')) stopping.abort();
  });
  const status = await main(argv, { ...context, signal: stopping.signal });
  assert.equal(status, 130, written);
  return written;
}

async function expectSupply(devices: PromisedDevices, device: Promised): Promise<void> {
  for (let i = device.firstI; i < device.firstI + WEEKS; i++) {
    const zip = await eventually(() => devices.download(device, i));
    assert.equal(Object.keys(unzipSync(zip)).length, PER_WEEK);
  }
}

async function expectNoKeyTwice(state: string, atLeast: number): Promise<void> {
  // A copy of it: a state that was moved is opened by nobody.
  const copy = join(temporaryDirectory(), 'pca.db');
  await cp(join(state, 'authorities/pca/pca.db'), copy);
  const log = await openPseudonymLog(`sqlite:${copy}`);
  const keys: string[] = [];
  for await (const { cocoonKey } of log.all()) keys.push(Buffer.from(cocoonKey).toString('hex'));
  await log.close();
  assert(keys.length >= atLeast, `${keys.length} certificates, at least ${atLeast} promised`);
  assert.equal(new Set(keys).size, keys.length);
}

async function expectMoved(database: string): Promise<void> {
  const opening = openDatabase(`sqlite:${database}`, RA_MIGRATIONS);
  await assert.rejects(opening, (error) => isStoreError(error, 'moved'));
}

/** Of the two, at most one can be served from. */
async function expectAtMostOne(old: string, copy: string): Promise<void> {
  const isOpen = async (url: string) => {
    try {
      await (await openDatabase(url, RA_MIGRATIONS, { readsOnly: true })).close();
      return true;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      return false;
    }
  };
  const open = [await isOpen(`sqlite:${old}`), await isOpen(copy)];
  assert(!(open[0] && open[1]), 'expected one of the two at most');
}
