import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EeError, type EeErrorCode, stay } from '../src/index.ts';
import { clockAtNow } from './device.ts';
import { NOW } from './mock-scms.ts';

/** Contacts that follow a script: a code to fail with, seconds until the next one, or never. */
function setUp(script: (EeErrorCode | number | undefined)[]) {
  const clock = clockAtNow();
  const begin = clock.now();
  const at: number[] = [];
  const run = stay({
    contact: async () => {
      at.push((clock.now() - begin) / 1_000);
      const next = script.shift();
      if (typeof next === 'string') throw new EeError(next, 'scripted');
      return next === undefined ? undefined : NOW + next;
    },
    clock,
    sleep: clock.sleep,
    random: (length) => new Uint8Array(length).fill(255),
  });
  return { run, at };
}

describe('stay', () => {
  it('makes contact when it is due, and ends when nothing is', async () => {
    const { run, at } = setUp([60, 7_200, undefined]);
    await run;
    assert.deepEqual(at, [0, 60, 7_200]);
  });

  it('asks again after five minutes when what was due is not there', async () => {
    const { run, at } = setUp([0, -5, undefined]);
    await run;
    assert.deepEqual(at, [0, 300, 600]);
  });

  it('doubles its pauses, with a share of chance, and gives up after five', async () => {
    const { run, at } = setUp(Array<EeErrorCode>(9).fill('unreachable'));
    await assert.rejects(run, { code: 'unreachable' });
    const pauses = at.slice(1).map((time, n) => time - at[n]!);
    assert.equal(at.length, 5);
    for (const [n, pause] of pauses.entries()) {
      assert(pause > 60 * 2 ** n && pause <= 90 * 2 ** n, `pause ${n}: ${pause}`);
    }
  });

  it('begins to count anew after a contact that was made', async () => {
    const four = Array<EeErrorCode>(4).fill('refused');
    const { run, at } = setUp([...four, 5_000, ...four, undefined]);
    await run;
    assert.equal(at.length, 10);
  });

  it('ends at once on what no later contact will cure', async () => {
    for (const code of ['storage', 'profile-damaged', 'not-bootstrapped', 'aborted'] as const) {
      const { run, at } = setUp([code]);
      await assert.rejects(run, { code });
      assert.equal(at.length, 1);
    }
  });
});
