/**
 * Disks that are full, read-only or held by somebody else, under an RA that serves: what cannot be done is refused, what can is
 * done, the operator is told which it was, and afterwards everything goes on.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import type { RegistrationAuthority } from '@chrysalis/ra/server';
import {
  createFailingObjectStore,
  createMemoryObjectStore,
  type Database,
  type ObjectStore,
  openDatabase,
} from '@chrysalis/store';
import { isStoreError, StoreError } from '@chrysalis/store/files';
import { CompiledQuery } from 'kysely';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { createScene, eventually, type Registered, type Scene } from './scene.ts';

/** More registrations than fit into the pages that a database has to spare. */
const MANY = 60;

describe('a disk that is full', () => {
  it('takes no registration, serves files all the same, and goes on when there is room', async (t) => {
    const { scene, ra, served } = await serving(t);
    const [{ page_count: pages }] = await pragma(scene, 'page_count');
    // SQLite says SQLITE_FULL of a page beyond this one, as it does of ENOSPC.
    await pragma(scene, `max_page_count = ${pages}`);
    const { refusal, taken } = await registerUntilRefused(scene, ra);
    assert.match(refusal, /internal error/);
    assert(said(scene, /database or disk is full/), 'the operator is told');
    assert(await scene.download(ra, served), 'what is there is served');

    await pragma(scene, 'max_page_count = 1073741823');
    taken.push(await scene.register(ra));
    ra.wake();
    for (const device of taken) await eventually(() => waking(scene, ra, device));
  });

  it('for files files them when there is room, and registers devices meanwhile', async (t) => {
    let isFull = false;
    const inner = createMemoryObjectStore();
    const objects = failing(inner, () => isFull);
    const { scene, ra, served } = await serving(t, objects);
    isFull = true;
    const device = await scene.register(ra);
    await eventually(async () => (said(scene, /pipeline step failed/) ? true : undefined));
    assert(said(scene, /no space left/), 'the operator is told');
    assert(await scene.download(ra, served));
    assert.equal(await scene.download(ra, device), undefined);
    isFull = false;
    await eventually(() => waking(scene, ra, device));
  });

  it('that has written, and says that it has not, makes no file twice', async (t) => {
    let isLying = false;
    const inner = createMemoryObjectStore();
    const objects = createFailingObjectStore(inner, ({ method }) =>
      isLying && method === 'put' ? 'applied-and-fails' : 'works',
    );
    const { scene, ra } = await serving(t, objects);
    isLying = true;
    const device = await scene.register(ra);
    await eventually(async () => (said(scene, /pipeline step failed/) ? true : undefined));
    const before = await eventually(() => scene.download(ra, device));
    isLying = false;
    scene.clock.advance(60);
    ra.wake();
    await eventually(async () => {
      ra.wake();
      const left = await scene.options.database.query.selectFrom('batch').selectAll().execute();
      return left.length === 0 ? true : undefined;
    });
    assert.deepEqual(await scene.download(ra, device), before);
    const keys = await scene.issued();
    assert.equal(new Set(keys).size, keys.length);
  });
});

describe('a disk that is read-only', () => {
  it('takes no registration, serves files all the same, and goes on when it can be written', async (t) => {
    const { scene, ra, served } = await serving(t);
    // What SQLite says of a file system that went read-only as well: SQLITE_READONLY.
    await pragma(scene, 'query_only = on');
    const { refusal } = await registerUntilRefused(scene, ra);
    assert.match(refusal, /internal error/);
    assert(said(scene, /readonly database/), 'the operator is told');
    assert(await scene.download(ra, served));

    await pragma(scene, 'query_only = off');
    const device = await scene.register(ra);
    await eventually(() => waking(scene, ra, device));
  });

  it('where the database should be made is said before anything listens', async (t) => {
    const { directory } = await ownDatabase(t);
    const url = `sqlite:${join(directory, 'no', 'ra.db')}`;
    await assert.rejects(openDatabase<RaSchema>(url, RA_MIGRATIONS), (error) =>
      isStoreError(error, 'io'),
    );
  });
});

describe('a database that another program has locked', () => {
  it('makes registrations wait and downloads not', async (t) => {
    const { scene, ra, served, path } = await serving(t);
    const other = new DatabaseSync(path);
    other.exec('begin immediate');
    const registering = scene.register(ra);
    let isAnswered = false;
    void registering.then(
      () => {
        isAnswered = true;
      },
      () => {},
    );
    for (let n = 0; n < 5; n++) assert(await scene.download(ra, served));
    assert.equal(isAnswered, false, 'nothing is acknowledged that is not written');
    other.exec('rollback');
    other.close();
    const device = await registering;
    await eventually(() => waking(scene, ra, device));
  });

  it('for longer than anybody should refuses, and goes on afterwards', async (t) => {
    const { scene, ra, served, path } = await serving(t);
    const other = new DatabaseSync(path);
    other.exec('begin immediate');
    await assert.rejects(scene.register(ra), /internal error/);
    assert(said(scene, /database is locked/), 'the operator is told');
    assert(await scene.download(ra, served));
    other.exec('rollback');
    other.close();
    const device = await scene.register(ra);
    await eventually(() => waking(scene, ra, device));
  });
});

/** An RA on a database of its own file, and a device that has got its certificates. */
async function serving(t: TestContext, objects: ObjectStore = createMemoryObjectStore()) {
  const { database, path } = await ownDatabase(t);
  const scene = await createScene(t, { database, objects, linkageCache: MANY });
  const ra = await scene.start();
  const served = await scene.register(ra);
  await eventually(() => scene.download(ra, served));
  return { scene, ra, served, path };
}

async function ownDatabase(t: TestContext): Promise<{
  database: Database<RaSchema>;
  directory: string;
  path: string;
}> {
  const directory = temporaryDirectory();
  const path = join(directory, 'ra.db');
  const database = await openDatabase<RaSchema>(`sqlite:${path}`, RA_MIGRATIONS);
  t.after(() => database.close());
  return { database, directory, path };
}

/** On the connection that writes. */
async function pragma(scene: Scene, text: string): Promise<[Record<string, number>]> {
  const { rows } = await scene.options.database.query.executeQuery(
    CompiledQuery.raw(`pragma ${text}`),
  );
  return rows as [Record<string, number>];
}

async function registerUntilRefused(
  scene: Scene,
  ra: RegistrationAuthority,
): Promise<{ refusal: string; taken: Registered[] }> {
  const taken: Registered[] = [];
  for (let n = 0; n < MANY; n++) {
    try {
      taken.push(await scene.register(ra));
    } catch (error) {
      return { refusal: String(error), taken };
    }
  }
  throw new Error(`expected a refusal, saw ${MANY} registrations`);
}

/** The download, when it is there; the pipeline is woken from its pause after a fault. */
async function waking(
  scene: Scene,
  ra: RegistrationAuthority,
  device: Registered,
): Promise<Uint8Array | undefined> {
  ra.wake();
  return scene.download(ra, device);
}

function failing(inner: ObjectStore, isFull: () => boolean): ObjectStore {
  return {
    ...pick(inner),
    put: (key, octets) =>
      isFull()
        ? Promise.reject(new StoreError('full', `could not put object ${key}: no space left`))
        : inner.put(key, octets),
  };
}

function pick(store: ObjectStore): ObjectStore {
  return {
    put: (key, octets) => store.put(key, octets),
    get: (key) => store.get(key),
    delete: (key) => store.delete(key),
    deleteAll: (prefix) => store.deleteAll(prefix),
    list: (prefix) => store.list(prefix),
    removeAbandoned: () => store.removeAbandoned(),
  };
}

/** Whether the log at warn and above has it, in the message or the error. */
function said({ logged }: Scene, pattern: RegExp): boolean {
  return logged.some(
    ({ message, fields }) => pattern.test(message) || pattern.test(String(fields.err)),
  );
}
