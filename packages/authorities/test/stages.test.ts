import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Failed, stage, stageTogether, stillThere } from '../src/stages.ts';

const evenOnly = (n: number): number => {
  if (n % 2 === 1) throw new RangeError(`expected an even number, saw ${n}`);
  return n / 2;
};
const shown = (all: readonly unknown[]) =>
  all.map((one) => (one instanceof Failed ? (one.error as Error).message : one));

suite('stages', () => {
  test('each has its place, and what fails goes through no other stage', () => {
    const once = stage([8, 3, 6], evenOnly);
    assert.deepEqual(shown(once), [4, 'expected an even number, saw 3', 3]);
    const places: number[] = [];
    const twice = stage(once, (n, place) => {
      places.push(place);
      return evenOnly(n);
    });
    assert.deepEqual(shown(twice), [
      2,
      'expected an even number, saw 3',
      'expected an even number, saw 3',
    ]);
    assert.deepEqual(places, [0, 2]);
    assert.deepEqual(stillThere(twice), [2]);
  });

  test('a stage for many at once sees those that are there, and each result finds its place', () => {
    const seen: number[][] = [];
    const halves = stageTogether(stage([8, 3, 6, 2], evenOnly), (those) => {
      seen.push([...those]);
      return those.map(String);
    });
    assert.deepEqual(seen, [[4, 3, 1]]);
    assert.deepEqual(shown(halves), ['4', 'expected an even number, saw 3', '3', '1']);
  });

  test('what a stage for many throws is thrown', () => {
    const work = () => stageTogether([1], (those) => those.map(evenOnly));
    assert.throws(work, RangeError);
  });
});
