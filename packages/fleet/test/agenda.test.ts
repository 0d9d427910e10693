import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Agenda } from '../src/agenda.ts';

describe('Agenda', () => {
  it('gives back everything, the earliest first, and nothing before it is due', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50)), (dues) => {
        const agenda = new Agenda<number>();
        for (const [n, due] of dues.entries()) agenda.add(due, n);
        const taken: number[] = [];
        for (let now = 0; now <= 50; now += 1) {
          for (let next = agenda.take(now); next !== undefined; next = agenda.take(now)) {
            assert.equal(next.due, now);
            assert.equal(dues[next.item], now);
            taken.push(next.item);
          }
        }
        assert.equal(agenda.size, 0);
        assert.deepEqual(
          taken.toSorted((a, b) => a - b),
          [...dues.keys()],
        );
      }),
    );
  });
});
