/**
 * Damage that a disk or a power cut leaves: pages of the database, the end of its log, the end of a file. What is whole is
 * served, what is not is refused and said, and a sound copy put back brings the rest.
 */
import assert from 'node:assert/strict';
import { copyFile, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { createTestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import {
  copyDatabases,
  createMemoryObjectStore,
  type Database,
  openDatabase,
  openDirectoryObjectStore,
} from '@chrysalis/store';
import { isStoreError } from '@chrysalis/store/files';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { createScene, eventually, type Registered, type Scene } from './scene.ts';

const NOW = 722_000_000;
const PAGE = 4096;

describe('a database with a damaged page', () => {
  it('costs the devices on that page, and nobody else; a sound copy brings them back', async (t) => {
    const { scene, path, devices, scms } = await servedOn(t, 8);
    const [first] = devices as [Registered];
    const last = devices.at(-1) as Registered;
    const sound = `${path}.sound`;
    await copyDatabases([{ from: path, to: sound }]);
    // Pages with the row of the last device: by its enrollment certificate, which no other has.
    const octets = await readFile(sound);
    const pages = pagesWith(octets, last.device.certificate.octets.subarray(-40));
    assert(pages.size > 0);
    for (const page of pages) octets.fill(0x5a, page * PAGE, (page + 1) * PAGE);
    const damaged = `${path}.damaged`;
    await writeFile(damaged, octets);

    const again = await goOn(t, scene, damaged, scms);
    assert(await again.scene.download(again.ra, first), 'whoever is whole is served');
    assert.equal(await again.scene.download(again.ra, last), undefined);
    assert(said(again.scene, /malformed|corrupt/), 'the operator is told');
    await again.close();

    const mended = await goOn(t, scene, sound, scms);
    for (const device of devices) assert(await mended.scene.download(mended.ra, device));
    await mended.ra.close();
  });

  it('is not backed up', async (t) => {
    const { path } = await servedOn(t, 4);
    const copy = `${path}.copy`;
    await copyDatabases([{ from: path, to: copy }]);
    const octets = await readFile(copy);
    octets.fill(0x5a, PAGE, 3 * PAGE);
    await writeFile(copy, octets);
    await assert.rejects(copyDatabases([{ from: copy, to: `${copy}.2` }]), (error) =>
      isStoreError(error, 'corrupt'),
    );
  });
});

describe('a write-ahead log that was cut off anywhere', () => {
  it('is a database of some moment before: sound, with every row whole, and the RA goes on', async (t) => {
    const { scene, path, devices, scms } = await servedOn(t, 4);
    // As a kill leaves it: what was written, without the end that close would make.
    const torn = `${path}.torn`;
    await copyFile(path, torn);
    await copyFile(`${path}-wal`, `${torn}-wal`);
    const wal = await readFile(`${torn}-wal`);
    const base = await readFile(torn);
    assert(wal.length > 20 * PAGE, `${wal.length} octets of log`);
    const counts: number[] = [];
    for (let n = 0; n <= 40; n++) {
      const cut = Math.floor((wal.length * n) / 40) - (n % 2 === 0 ? 0 : 1777);
      await rm(`${torn}-shm`, { force: true });
      await writeFile(torn, base);
      await writeFile(`${torn}-wal`, wal.subarray(0, Math.max(0, cut)));
      const database = new DatabaseSync(torn);
      const [check] = database.prepare('pragma integrity_check').all();
      assert.deepEqual({ ...check }, { integrity_check: 'ok' }, `cut at ${cut}`);
      const table = "select 1 from sqlite_schema where name = 'device'";
      const hasTable = database.prepare(table).all().length > 0;
      const count = hasTable ? database.prepare('select count(*) as n from device').get()?.n : 0;
      counts.push(Number(count));
      database.close();
    }
    assert.deepEqual(
      counts,
      counts.toSorted((a, b) => a - b),
      'later cuts have no less',
    );
    assert.equal(counts.at(-1), devices.length, 'without a cut, everything that was acknowledged');

    // An octet that was turned over counts as an end: frames have checksums.
    await rm(`${torn}-shm`, { force: true });
    await writeFile(torn, base);
    const turned = Buffer.from(wal);
    turned[Math.floor(turned.length / 2)]! ^= 0xff;
    await writeFile(`${torn}-wal`, turned);
    const again = await goOn(t, scene, torn, scms);
    const another = await again.scene.register(again.ra);
    await eventually(() => again.scene.download(again.ra, another));
    await again.close();
  });
});

describe('a file that was cut off', () => {
  it('is refused, not sent in part; a sound copy put back is served', async (t) => {
    const { scene, ra, devices, objectsDirectory } = await servedOn(t, 2);
    const [first, second] = devices as [Registered, Registered];
    const path = await zipOf(objectsDirectory, first.hash);
    const whole = await readFile(path);
    for (const length of [0, 1, 21, 22, Math.floor(whole.length / 2), whole.length - 1]) {
      await writeFile(path, whole);
      await truncate(path, length);
      assert.equal(await scene.download(ra, first), undefined, `${length} octets`);
    }
    assert(said(scene, /expected .*\.zip whole, saw \d+ octets of it/), 'the operator is told');
    assert(await scene.download(ra, second), 'whoever is whole is served');
    await writeFile(path, whole);
    assert.deepEqual(await scene.download(ra, first), new Uint8Array(whole));
  });
});

/** An RA on files, with devices that have their certificates. */
async function servedOn(t: TestContext, count: number) {
  const directory = temporaryDirectory();
  const path = join(directory, 'ra.db');
  const database = await openDatabase<RaSchema>(`sqlite:${path}`, RA_MIGRATIONS);
  t.after(() => database.close());
  const objectsDirectory = join(directory, 'objects');
  const objects = await openDirectoryObjectStore(objectsDirectory);
  const scms = createTestScms({ now: NOW, random: systemRandom, raHostname: 'localhost' });
  const scene = await createScene(t, {
    now: NOW,
    scms,
    database,
    objects,
    linkageCache: 2 * count,
  });
  const ra = await scene.start();
  const devices: Registered[] = [];
  for (let n = 0; n < count; n++) devices.push(await scene.register(ra));
  for (const device of devices) {
    await eventually(async () => {
      ra.wake();
      return scene.download(ra, device);
    });
  }
  return { scene, ra, path, devices, objectsDirectory, scms };
}

/** Another RA of the same SCMS and files, on another database. */
async function goOn(
  t: TestContext,
  { options, clock }: Scene,
  path: string,
  scms: ReturnType<typeof createTestScms>,
) {
  const database: Database<RaSchema> = await openDatabase(`sqlite:${path}`, RA_MIGRATIONS);
  t.after(() => database.close().catch(() => {}));
  const scene = await createScene(t, {
    now: NOW,
    scms,
    database,
    objects: path.endsWith('torn') ? createMemoryObjectStore() : options.objects,
  });
  assert.equal(scene.clock.now(), clock.now());
  const ra = await scene.start();
  return { scene, ra, close: () => ra.close() };
}

function pagesWith(octets: Buffer, needle: Uint8Array): Set<number> {
  const pages = new Set<number>();
  for (let at = octets.indexOf(needle); at !== -1; at = octets.indexOf(needle, at + 1)) {
    pages.add(Math.floor(at / PAGE));
  }
  // The first page is the schema: without it there is no database.
  pages.delete(0);
  return pages;
}

async function zipOf(directory: string, hash: string): Promise<string> {
  const { readdir } = await import('node:fs/promises');
  const names = await readdir(directory, { recursive: true });
  const name = names.find((candidate) => candidate.toLowerCase().endsWith(`${hash}.zip`));
  assert(name !== undefined, `expected a file of ${hash}`);
  assert((await stat(join(directory, name))).size > 0);
  return join(directory, name);
}

function said({ logged }: Scene, pattern: RegExp): boolean {
  return logged.some(
    ({ message, fields }) => pattern.test(message) || pattern.test(String(fields.err)),
  );
}
