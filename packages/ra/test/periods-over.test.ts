import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PeriodsOver } from '../src/periods-over.ts';

const NONE = Number.NEGATIVE_INFINITY;

describe('periods that are over', () => {
  it('are so for sure when the clock has said it for the whole while', () => {
    const periods = new PeriodsOver(100);
    assert.equal(periods.look(5, 0), NONE);
    assert.equal(periods.look(5, 99), NONE);
    assert.equal(periods.look(5, 100), 5);
    assert.equal(periods.look(6, 150), 5);
    assert.equal(periods.look(6, 200), 5, 'from 100 to 150 it said 5');
    assert.equal(periods.look(6, 300), 6);
  });

  it('are not because of a clock that was ahead for a moment, nor for two moments', () => {
    const periods = new PeriodsOver(100);
    periods.look(5, 0);
    assert.equal(periods.look(5, 100), 5);
    assert.equal(periods.look(15, 110), 5);
    assert.equal(periods.look(5, 120), 5);
    assert.equal(periods.look(15, 300), 5, 'a second jump starts anew');
    assert.equal(periods.look(5, 310), 5);
  });

  it('are fewer again when the clock is set back', () => {
    const periods = new PeriodsOver(100);
    periods.look(15, 0);
    assert.equal(periods.look(15, 100), 15);
    assert.equal(periods.look(5, 110), 5);
  });

  it('are what the clock says when no while is asked for', () => {
    const periods = new PeriodsOver(0);
    assert.deepEqual([periods.look(5, 0), periods.look(15, 0), periods.look(5, 0)], [5, 15, 5]);
  });
});
