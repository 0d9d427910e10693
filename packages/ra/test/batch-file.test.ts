import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IPeriodClock } from '@chrysalis/scms';
import { unzipSync } from 'fflate';

import { fileKey, zipBatch, zipFile } from '../src/batch-file.ts';

const HOUR = 3600;
const TERMS = {
  pseudonym: { lifetime_sec: 0, period_sec: 0 },
  identification: { lifetime_sec: 721 * HOUR, period_sec: 720 * HOUR },
  application: { lifetime_sec: 169 * HOUR, period_sec: 168 * HOUR },
} as const;

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
    const request_hash = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 0xab);
    const iPeriod = new IPeriodClock();
    const first_start = iPeriod.start(600) + 1;
    const key = (kind: 'pseudonym' | 'identification' | 'application', i: number) =>
      fileKey({ kind, request_hash, files_hash: null, first_start, ...TERMS[kind] }, i, iPeriod);
    assert.equal(key('pseudonym', 425), '425/01/01020304050607AB.zip');
    // 721 hours are four weeks, two days and an hour; the eleventh certificate begins 300 days later.
    assert.equal(key('identification', 0), '604/01/01020304050607AB_0.zip');
    assert.equal(key('identification', 10), '647/01/01020304050607AB_A.zip');
    assert.equal(key('application', 0), '601/01/01020304050607AB.zip');
  });
});

describe('the zip of one certificate', () => {
  it('has one entry, named as the file', () => {
    const request_hash = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 0xab);
    const entries = (kind: 'identification' | 'application', i: number) =>
      Object.keys(
        unzipSync(
          zipFile({ kind, request_hash, files_hash: null, first_start: 0, ...TERMS[kind] }, i, [
            Uint8Array.of(9),
          ]),
        ),
      );
    assert.deepEqual(entries('identification', 0x1b), ['01020304050607AB_1B']);
    assert.deepEqual(entries('application', 0), ['01020304050607AB']);
  });
});
