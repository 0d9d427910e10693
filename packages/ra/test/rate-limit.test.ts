import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RateLimit } from '../src/rate-limit.ts';

const takeAll = (limit: RateLimit, nowMs: number) => {
  let taken = 0;
  while (limit.take(nowMs)) taken++;
  return taken;
};

describe('RateLimit', () => {
  it('lets a minute of them through at once, and then as many as time passes', () => {
    const limit = new RateLimit(60);
    assert.equal(takeAll(limit, 1_000_000), 60);
    assert.equal(takeAll(limit, 1_000_999), 0);
    assert.equal(takeAll(limit, 1_001_000), 1);
    assert.equal(takeAll(limit, 1_011_000), 10);
  });

  it('saves up no more than a minute', () => {
    const limit = new RateLimit(60);
    takeAll(limit, 0);
    assert.equal(takeAll(limit, 3_600_000), 60);
  });

  it('gives nothing for a clock that is set back, and goes on from there', () => {
    const limit = new RateLimit(60);
    takeAll(limit, 1_000_000);
    assert.equal(takeAll(limit, 0), 0);
    assert.equal(takeAll(limit, 2000), 2);
  });
});
