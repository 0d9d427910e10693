import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isRangeApplicable, parseRange } from '../src/byte-range.ts';

describe('parseRange', () => {
  const cases: [string | undefined, number, ReturnType<typeof parseRange>][] = [
    ['Bytes=0-1', 10, { first: 0, last: 1 }],
    [undefined, 100, 'whole'],
    ['bytes=0-0', 100, { first: 0, last: 0 }],
    ['bytes=500-700', 8710, { first: 500, last: 700 }],
    ['bytes=1000-', 8710, { first: 1000, last: 8709 }],
    ['bytes=99-', 100, { first: 99, last: 99 }],
    ['bytes=100-', 100, 'unsatisfiable'],
    ['bytes=50-999', 100, { first: 50, last: 99 }],
    ['bytes=-10', 100, { first: 90, last: 99 }],
    ['bytes=-1000', 100, { first: 0, last: 99 }],
    ['bytes=-0', 100, 'unsatisfiable'],
    ['bytes=5-4', 100, 'whole'],
    ['bytes=0-1,3-4', 100, 'whole'],
    ['lines=0-1', 100, 'whole'],
    ['bytes=-', 100, 'whole'],
    ['bytes=a-b', 100, 'whole'],
    ['bytes=0-', 0, 'unsatisfiable'],
    [`bytes=${'9'.repeat(400)}-`, 100, 'whole'],
  ];
  for (const [header, length, expected] of cases) {
    it(`reads ${String(header).slice(0, 30)} of ${length} octets`, () => {
      assert.deepEqual(parseRange(header, length), expected);
    });
  }

  it('never leaves the file, whatever the header', () => {
    fc.assert(
      fc.property(fc.nat(300), fc.nat(300), fc.nat(200), (first, last, length) => {
        const range = parseRange(`bytes=${first}-${last}`, length);
        if (typeof range === 'string') return;
        assert(range.first >= 0 && range.first <= range.last && range.last < length);
      }),
      { seed: 1 },
    );
  });
});

describe('isRangeApplicable', () => {
  it('compares the whole tag', () => {
    assert.equal(isRangeApplicable(undefined, '"a"'), true);
    assert.equal(isRangeApplicable('"a"', '"a"'), true);
    assert.equal(isRangeApplicable('a', '"a"'), false);
    assert.equal(isRangeApplicable('W/"a"', '"a"'), false);
    assert.equal(isRangeApplicable('Sat, 21 Nov 2026 20:51:01 GMT', '"a"'), false);
  });
});
