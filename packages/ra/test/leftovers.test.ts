/** What a killed process left in the object store goes while devices get their certificates, and keeps nobody waiting. */
import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createMemoryObjectStore, openDirectoryObjectStore } from '@chrysalis/store';
import { StoreError } from '@chrysalis/store/files';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { createStage } from './stage.ts';

/** More than go in ten steps. */
const FILES = 1050;

describe('what a killed process left of a period', () => {
  it('goes in the steps of the pipeline, which makes certificates meanwhile', async (t) => {
    const { stage, left } = await createLeft(t);
    const pipeline = stage.restart();
    const device = await stage.register(stage.ra);
    while (stage.atPca.length === 0) assert(await pipeline.step());
    const rest = await left();
    assert(rest > 0 && rest < FILES, `${rest} files when the PCA was first asked`);
    await stage.settle();
    assert.equal(await left(), 0);
    assert(await stage.download(stage.ra, device));
  });

  it('is left to the next pipeline by one that stops', async (t) => {
    const { stage, left } = await createLeft(t);
    const pipeline = stage.restart();
    await pipeline.step();
    await pipeline.stop();
    const rest = await left();
    assert(rest > 0 && rest < FILES, `${rest} files after a step`);
    await pipeline.step();
    assert.equal(await left(), rest);
    stage.restart();
    await stage.settle();
    assert.equal(await left(), 0);
  });

  it('stays, and says so, when it cannot be removed; devices are served', async (t) => {
    const store = createMemoryObjectStore();
    let tries = 0;
    const stage = await createStage(t, {
      policy: { weeksAhead: 1 },
      objects: {
        put: (key, octets) => store.put(key, octets),
        get: (key) => store.get(key),
        delete: (key) => store.delete(key),
        deleteAll: (prefix) => store.deleteAll(prefix),
        list: (prefix) => store.list(prefix),
        // biome-ignore lint/correctness/useYield: it fails before its first step
        async *removeAbandoned() {
          tries += 1;
          throw new StoreError('io', 'could not remove what was left: EACCES');
        },
      },
    });
    const device = await stage.register(stage.ra);
    await stage.settle();
    await stage.settle();
    assert(await stage.download(stage.ra, device));
    const said = stage.logged.filter(({ fields }) => /EACCES/.test(String(fields.err)));
    assert.deepEqual([tries, said.length], [1, 1], 'once in the life of a pipeline');
  });
});

async function createLeft(t: TestContext) {
  const directory = temporaryDirectory();
  const objects = await openDirectoryObjectStore(directory);
  const stage = await createStage(t, { policy: { weeksAhead: 1 }, objects });
  const period = join(directory, '.incoming', '0.0123456789ab.1');
  await mkdir(period);
  for (let n = 0; n < FILES; n++) await writeFile(join(period, String(n)), '');
  const left = async () => {
    const names = await readdir(period).catch(() => []);
    return names.length;
  };
  return { stage, left };
}
