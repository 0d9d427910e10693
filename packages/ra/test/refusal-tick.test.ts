import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { leaveAt, RefusalTick } from '../src/refusal-tick.ts';

describe('leaveAt', () => {
  for (const [name, arrival, now, tick, expected] of [
    ['at the first tick, however soon it is ready', 1000, 1000, 100, 1100],
    ['at the first tick when it is ready just before', 1000, 1099.99, 100, 1100],
    ['at once when it is ready on the tick', 1000, 1100, 100, 1100],
    ['at the second when the first is over', 1000, 1100.01, 100, 1200],
    ['at once without a tick', 1000, 1042.5, 0, 1042.5],
  ] as const) {
    it(name, () => assert.equal(leaveAt(arrival, now, tick), expected));
  }

  it('never early, never a tick late, and alike for all that are ready within one tick', () => {
    const ms = fc.integer({ min: 0, max: 1_000_000 });
    const property = fc.property(
      ms,
      ms,
      fc.integer({ min: 1, max: 5000 }),
      (arrival, took, tick) => {
        const at = leaveAt(arrival, arrival + took, tick);
        assert(at >= arrival + took && at >= arrival + tick);
        assert(at < arrival + took + tick || took === 0);
        assert.equal((at - arrival) % tick, 0);
      },
    );
    fc.assert(property);
  });
});

/** Timers that run when the test says so. */
function fakeTime() {
  const timers = new Map<number, { readonly at: number; readonly run: () => void }>();
  let next = 0;
  let now = 5000;
  return {
    now: () => now,
    setTimeout(run: () => void, ms: number) {
      timers.set(++next, { at: now + ms, run });
      return next;
    },
    setImmediate(run: () => void) {
      return this.setTimeout(run, 0.125);
    },
    advance(ms: number) {
      for (const end = now + ms; ; ) {
        const [due] = [...timers].sort(([, a], [, b]) => a.at - b.at);
        if (due === undefined || due[1].at > end) {
          now = end;
          return;
        }
        now = due[1].at;
        timers.delete(due[0]);
        due[1].run();
      }
    },
    get pending() {
      return timers.size;
    },
  };
}

describe('a refusal', () => {
  const scene = (tickMs: number, maxHeld?: number) => {
    const time = fakeTime();
    const left: string[] = [];
    const tick = new RefusalTick(tickMs, maxHeld, time);
    const start = time.now();
    const say = (name: string) => () => void left.push(`${name} ${time.now() - start}`);
    return { time, left, tick, say };
  };

  it('leaves on the first tick whether it was ready at once or a moment before', () => {
    const { time, left, tick, say } = scene(100);
    const [early, late] = [tick.arrive(), tick.arrive()];
    early.refuse(say('early'), say('closed'));
    time.advance(99);
    late.refuse(say('late'), say('closed'));
    assert.deepEqual([left, tick.held], [[], 2]);
    time.advance(1);
    assert.deepEqual([left, tick.held], [['early 100', 'late 100'], 0]);
  });

  it('that was not ready on a tick leaves on the next', () => {
    const { time, left, tick, say } = scene(100);
    const arrival = tick.arrive();
    time.advance(130);
    arrival.refuse(say('late'), say('closed'));
    time.advance(69);
    assert.deepEqual(left, []);
    time.advance(1);
    assert.deepEqual(left, ['late 200']);
  });

  it('counts from the last octet, whenever the peer sends it', () => {
    for (const delay of [10, 99, 100, 250]) {
      const { time, left, tick, say } = scene(100);
      const arrival = tick.arrive();
      time.advance(delay);
      arrival.complete();
      time.advance(3);
      arrival.refuse(say('refused'), say('closed'));
      time.advance(1000);
      assert.deepEqual(left, [`refused ${delay + 100}`]);
    }
  });

  it('leaves at once without a tick, and needs no timer', () => {
    const { time, left, tick, say } = scene(0);
    tick.arrive().refuse(say('refused'), say('closed'));
    assert.deepEqual([left, time.pending], [['refused 0'], 0]);
  });

  it('beyond the bound is none: the peer is cut off, on the tick as well', () => {
    const { time, left, tick, say } = scene(100, 2);
    for (const name of ['a', 'b', 'c']) tick.arrive().refuse(say(name), say(`close ${name}`));
    assert.deepEqual([tick.held, tick.dropped, left], [2, 1, []]);
    time.advance(100);
    assert.deepEqual(left, ['a 100', 'b 100', 'close c 100']);
    tick.arrive().refuse(say('d'), say('close d'));
    time.advance(100);
    assert.deepEqual([left.at(-1), tick.held], ['d 200', 0]);
  });

  it('that never comes leaves nothing behind', () => {
    const { time, tick } = scene(100);
    for (let n = 0; n < 1000; n++) tick.arrive();
    assert.deepEqual([time.pending, tick.held], [0, 0]);
  });
});
