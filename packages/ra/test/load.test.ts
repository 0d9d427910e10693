import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Load, type LoadClass, type LoadLimits } from '../src/load.ts';
import { Refusal } from '../src/refusal.ts';

const CLASSES: readonly LoadClass[] = ['provisioning', 'download', 'anonymous'];

function scene(limits: Partial<LoadLimits> = {}) {
  let mean = 0;
  const load = new Load(limits, { takeMeanMs: () => mean, stop() {} });
  return {
    load,
    late(ms: number) {
      mean = ms;
      load.look();
    },
    /** Classes that are taken now. */
    async taken(): Promise<readonly LoadClass[]> {
      const taken: LoadClass[] = [];
      for (const kind of CLASSES) {
        await load.run(kind, () => taken.push(kind)).catch(isOverloaded);
      }
      return taken;
    },
  };
}

function isOverloaded(error: unknown): void {
  assert(error instanceof Refusal, String(error));
  assert.deepEqual([error.reason, error.code], ['chrysalisOverloaded', 5903]);
}

describe('load', () => {
  it('gives up provisioning first, then everything, and takes both again', async () => {
    const { load, late, taken } = scene({ shedProvisioningMs: 250, shedDownloadsMs: 1000 });
    const seen: [number, readonly LoadClass[]][] = [];
    for (const ms of [0, 249, 250, 999, 1000, 300, 100]) {
      late(ms);
      seen.push([ms, await taken()]);
    }
    const later = ['download', 'anonymous'];
    assert.deepEqual(seen, [
      [0, CLASSES],
      [249, CLASSES],
      [250, later],
      [999, later],
      [1000, []],
      [300, later],
      [100, CLASSES],
    ]);
    assert.deepEqual(load.shed, { provisioning: 4, download: 1, anonymous: 1 });
    assert.deepEqual(load.underWay, { provisioning: 0, download: 0, anonymous: 0 });
  });

  it('bounds each class by itself, and counts what failed as over', async () => {
    const { load, taken } = scene({
      provisioningUnderWay: 2,
      downloadsUnderWay: 1,
      anonymousUnderWay: 0,
    });
    const gate = Promise.withResolvers<void>();
    const under = [
      load.run('provisioning', () => gate.promise),
      load.run('provisioning', () => gate.promise),
      load.run('anonymous', () => gate.promise),
    ];
    assert.deepEqual(await taken(), ['download', 'anonymous']);
    const download = load.run('download', () => gate.promise);
    assert.deepEqual(await taken(), ['anonymous']);
    gate.reject(new Error('the disk is full'));
    const outcomes = await Promise.allSettled([...under, download]);
    assert(outcomes.every(({ status }) => status === 'rejected'));
    assert.deepEqual(await taken(), CLASSES);
    assert.deepEqual(load.shed, { provisioning: 2, download: 1, anonymous: 0 });
  });

  it('without limits takes everything', async () => {
    const { late, taken } = scene({ shedProvisioningMs: 0, shedDownloadsMs: 0 });
    late(100_000);
    assert.deepEqual(await taken(), CLASSES);
  });

  it('sees a loop that is kept busy, and that it is idle again', async () => {
    const load = new Load();
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    for (let n = 0; n < 4; n++) {
      for (const end = performance.now() + 100; performance.now() < end; );
      await turn();
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
    load.look();
    assert(load.lagMs > 20, `${load.lagMs} ms`);
    load.stop();
  });
});
