import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { unzipSync } from 'fflate';
import { batchKey, zipBatch } from '../src/batch-file.ts';

describe('the zip of a period', () => {
  const responses = Array.from({ length: 20 }, (_, j) => new Uint8Array(348).fill(j));

  it('is flat and stored, with entries I_J in upper-case hex, in the order of j', () => {
    const zip = zipBatch(0x1a9, responses);
    const entries = unzipSync(zip);
    const names = responses.map((_, j) => `1A9_${j.toString(16).toUpperCase()}`);
    assert.deepEqual(Object.keys(entries), names);
    assert.deepEqual(
      Object.values(entries).map((octets) => new Uint8Array(octets)),
      responses,
    );
    assert.equal(names.at(10), '1A9_A');
    assert.equal(names.at(19), '1A9_13');
    // Method 0 in the first local header, and as many octets as 20 stored entries take.
    assert.deepEqual([...zip.subarray(8, 10)], [0, 0]);
    assert(zip.length > 20 * 348 && zip.length < 9000);
  });

  it('is the same octets whenever and wherever it is made', () => {
    const zone = process.env.TZ;
    const first = zipBatch(1, responses);
    process.env.TZ = 'Asia/Seoul';
    const second = zipBatch(1, responses);
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
    assert.deepEqual(first, second);
  });

  it('lies under its period first', () => {
    assert.equal(
      batchKey(425, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 0xab)),
      '425/01020304050607AB.zip',
    );
  });
});
