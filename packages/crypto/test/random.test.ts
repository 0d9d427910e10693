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
});
