import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sha256 } from '@chrysalis/crypto';
import { Refusal } from '../src/refusal.ts';
import { type TriedService, Tries } from '../src/tries.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const START_MS = 1_800_000_000_000;

class SetClock {
  ms = START_MS;
  now(): number {
    return this.ms;
  }
}

const certificate = (n: number) => sha256(Uint8Array.of(n >>> 8, n));
const missing = async (): Promise<never> => {
  throw new Refusal('raNoCertFileAvailable', 'expected a file that is there, saw none');
};
const found = async () => 'file';

/** The reason of the refusal, or what came of it. */
async function outcome(work: Promise<string>): Promise<string> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.reason;
  }
}

function start(maxEntries?: number) {
  const clock = new SetClock();
  const policy = { provisioningPerHour: 5, downloadsPerHour: 10 };
  const tries = new Tries(policy, clock, maxEntries);
  const call = (
    work: () => Promise<string>,
    who = 1,
    service: TriedService = 'provision-pseudonym',
  ) => outcome(tries.run(certificate(who), service, work));
  const failUntilRefused = async (who = 1, service: TriedService = 'provision-pseudonym') => {
    for (let n = 0; ; n++) {
      if ((await call(missing, who, service)) === 'raMoreThanAllowedTries') return n;
    }
  };
  return { clock, tries, call, failUntilRefused };
}

describe('Tries', () => {
  it('lets five failures through, and then nothing, not even what would succeed', async () => {
    const { failUntilRefused, call } = start();
    assert.equal(await failUntilRefused(), 5);
    assert.equal(await call(found), 'raMoreThanAllowedTries');
  });

  it('counts no success, and no call that it refuses', async () => {
    const { clock, failUntilRefused, call } = start();
    for (let n = 0; n < 100; n++) assert.equal(await call(found), 'file');
    assert.equal(await failUntilRefused(), 5);
    for (let n = 0; n < 100; n++) assert.equal(await call(missing), 'raMoreThanAllowedTries');
    clock.ms += HOUR_MS / 5;
    assert.equal(await call(found), 'file');
  });

  it('does not forgive failures for a success in between', async () => {
    const { call } = start();
    for (let n = 0; n < 5; n++) {
      assert.equal(await call(found), 'file');
      assert.equal(await call(missing), 'raNoCertFileAvailable');
    }
    assert.equal(await call(found), 'raMoreThanAllowedTries');
  });

  it('counts no fault of ours', async () => {
    const { tries, call } = start();
    const broken = () =>
      tries.run(certificate(1), 'provision-pseudonym', async () => {
        throw new Error('the disk is full');
      });
    for (let n = 0; n < 10; n++) await assert.rejects(broken, /the disk is full/);
    assert.equal(await call(found), 'file');
    assert.equal(tries.size, 0);
  });

  it('gives one back every twelve minutes, and no more than five', async () => {
    const { clock, failUntilRefused } = start();
    await failUntilRefused();
    clock.ms += 12 * MINUTE_MS - 1;
    assert.equal(await failUntilRefused(), 0);
    clock.ms += 1;
    assert.equal(await failUntilRefused(), 1);
    clock.ms += 10 * HOUR_MS;
    assert.equal(await failUntilRefused(), 5);
  });

  it('gives nothing for a clock that is set back, and an hour later all', async () => {
    const { clock, failUntilRefused } = start();
    await failUntilRefused();
    clock.ms -= 1000 * HOUR_MS;
    assert.equal(await failUntilRefused(), 0);
    clock.ms += HOUR_MS;
    assert.equal(await failUntilRefused(), 5);
  });

  it('keeps devices, and services of one device, apart', async () => {
    const { failUntilRefused } = start();
    assert.equal(await failUntilRefused(1), 5);
    assert.equal(await failUntilRefused(2), 5);
    assert.equal(await failUntilRefused(1, 'provision-application'), 5);
    assert.equal(await failUntilRefused(1, 'batch'), 10);
    assert.equal(await failUntilRefused(1, 'info'), 10);
  });

  it('lets calls that come together in while a try is left, and counts each that fails', async () => {
    const { clock, call } = start();
    const together = await Promise.all(Array.from({ length: 20 }, () => call(missing)));
    assert(together.every((reason) => reason === 'raNoCertFileAvailable'));
    assert.equal(await call(found), 'raMoreThanAllowedTries');
    clock.ms += 12 * MINUTE_MS;
    assert.equal(await call(found), 'file', 'there is no debt');
  });

  it('is off at 0', async () => {
    const tries = new Tries({ provisioningPerHour: 0 }, new SetClock());
    for (let n = 0; n < 100; n++) {
      const call = outcome(tries.run(certificate(1), 'provision-pseudonym', missing));
      assert.equal(await call, 'raNoCertFileAvailable');
    }
    assert.equal(tries.size, 0);
  });

  it('forgets those that have all tries again, and beyond its bound the one that failed longest ago', async () => {
    const { clock, tries, call, failUntilRefused } = start(100);
    for (let who = 0; who < 100; who++) await failUntilRefused(who);
    await failUntilRefused(0, 'batch');
    assert.equal(tries.size, 100);
    assert.equal(await call(found, 1), 'raMoreThanAllowedTries');
    assert.equal(await call(found, 0), 'file', 'it made room for its own second entry');
    clock.ms += HOUR_MS;
    await call(missing, 7);
    assert.equal(tries.size, 1);
  });
});
