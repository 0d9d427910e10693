import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { systemRandom } from '../src/index.ts';

suite('systemRandom', () => {
  test('gives as many octets as asked for, fresh every time', () => {
    for (const length of [0, 1, 12, 32, 1000]) {
      assert.equal(systemRandom(length).length, length);
    }
    assert.notDeepEqual(systemRandom(32), systemRandom(32));
    assert.equal(systemRandom(32).buffer.byteLength, 32);
  });

  test('gives no octets twice, and none of zeros, whatever the sizes and whatever becomes of them', () => {
    const seen = new Set<string>();
    let pieces = 0;
    for (let draw = 0; draw < 3000; draw += 1) {
      const drawn = systemRandom([16, 32, 48, 64, 80][draw % 5]!);
      for (let at = 0; at < drawn.length; at += 16) {
        seen.add(Buffer.from(drawn.subarray(at, at + 16)).toString('hex'));
        pieces += 1;
      }
      drawn.fill(0);
      systemRandom(draw % 13);
    }
    assert.equal(seen.size, pieces);
    assert(!seen.has('00'.repeat(16)));
  });

  test('refuses a negative number, and goes on with fresh octets', () => {
    const before = systemRandom(16);
    for (const wrong of [-1, -64, -5000]) assert.throws(() => systemRandom(wrong), RangeError);
    assert.notDeepEqual(systemRandom(16), before);
    assert.notDeepEqual(systemRandom(64), new Uint8Array(64));
  });
});
