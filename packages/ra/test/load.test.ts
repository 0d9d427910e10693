import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Load, type LoadClass, type LoadLimits } from '../src/load.ts';
import { Refusal } from '../src/refusal.ts';

const CLASSES: readonly LoadClass[] = ['provisioning', 'download', 'anonymous'];

function scene(limits: Partial<LoadLimits> = {}) {
  let mean = 0;
  let nowMs = 0;
  const load = new Load(limits, { takeMeanMs: () => mean, stop() {} }, () => nowMs);
  return {
    load,
    pass(ms: number) {
      nowMs += ms;
    },
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
  it('gives up provisioning, then what anybody may ask for, then everything, and takes all again', async () => {
    const { load, late, taken } = scene({
      shedProvisioningMs: 250,
      shedAnonymousMs: 500,
      shedDownloadsMs: 1000,
    });
    const seen: [number, readonly LoadClass[]][] = [];
    for (const ms of [0, 249, 250, 499, 500, 999, 1000, 600, 300, 200]) {
      late(ms);
      seen.push([ms, await taken()]);
    }
    const files = ['download', 'anonymous'];
    assert.deepEqual(seen, [
      [0, CLASSES],
      [249, CLASSES],
      [250, files],
      [499, files],
      [500, ['download']],
      [999, ['download']],
      [1000, []],
      [600, ['download']],
      [300, files],
      [200, CLASSES],
    ]);
    assert.deepEqual(load.shed, { provisioning: 7, download: 1, anonymous: 4 });
    assert.equal(load.overBudget, 0);
    assert.deepEqual(load.underWay, { provisioning: 0, download: 0, anonymous: 0 });
  });

  it('answers so many anonymous calls a second, though none is ever under way with another', async () => {
    const { load, pass } = scene({ anonymousPerSecond: 2 });
    const served = async (calls: number) => {
      let count = 0;
      const answer = () => {
        count++;
      };
      for (let n = 0; n < calls; n++) await load.run('anonymous', answer).catch(isOverloaded);
      return count;
    };
    assert.equal(await served(300), 20, 'ten seconds at once');
    pass(1500);
    assert.equal(await served(300), 3);
    pass(3_600_000);
    assert.equal(await served(300), 20);
    assert.deepEqual([load.overBudget, load.shed.anonymous], [857, 857]);
    for (const kind of ['provisioning', 'download'] as const) {
      for (let n = 0; n < 300; n++) await load.run(kind, () => undefined);
    }
  });

  it('does not take from the budget what it refuses for another reason', async () => {
    const { load, late } = scene({ anonymousPerSecond: 1, shedAnonymousMs: 500 });
    late(500);
    for (let n = 0; n < 300; n++) await load.run('anonymous', () => {}).catch(isOverloaded);
    late(0);
    for (let n = 0; n < 10; n++) await load.run('anonymous', () => {});
    assert.equal(load.overBudget, 0);
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
    const { late, taken } = scene({
      anonymousPerSecond: 0,
      shedAnonymousMs: 0,
      shedProvisioningMs: 0,
      shedDownloadsMs: 0,
    });
    late(100_000);
    for (let n = 0; n < 100; n++) assert.deepEqual(await taken(), CLASSES);
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
