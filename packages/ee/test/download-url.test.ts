import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeInfo, parseRaUrl, resolveDownloadUrl } from '../src/index.ts';

describe('resolveDownloadUrl', () => {
  it('takes a full URL as it is, and completes a host (Q21)', () => {
    const cases: [string, string][] = [
      ['https://ra.test:8892/download/batch', 'https://ra.test:8892/download/batch'],
      ['https://other.test/files/', 'https://other.test/files/'],
      // Recorded from a fielded client's RA, and from a public transcript.
      ['https://localhost:8892', 'https://localhost:8892/download/batch'],
      ['https://ra.qa.v2xscms.com', 'https://ra.qa.v2xscms.com:8892/download/batch'],
      ['ra.test', 'https://ra.test:8892/download/batch'],
      ['ra.test:9000', 'https://ra.test:9000/download/batch'],
      ['ra.test/download/batch', 'https://ra.test/download/batch'],
    ];
    for (const [given, expected] of cases)
      assert.equal(resolveDownloadUrl('pseudonym', given).href, expected);
  });

  it("lets the user's URL replace scheme, host and port", () => {
    const override = new URL('https://127.0.0.1:1234/x');
    for (const given of ['ra.test', 'https://ra.test:8892/download/batch']) {
      assert.equal(
        resolveDownloadUrl('pseudonym', given, override).href,
        'https://127.0.0.1:1234/download/batch',
      );
    }
  });

  it('refuses all but plain https', () => {
    const cases = [
      'http://ra.test',
      'https://a:b@ra.test',
      'https://ra.test/?x',
      'https://ra.test/#x',
      '',
      'ftp://ra.test',
      'https://',
    ];
    for (const given of cases) {
      assert.throws(() => resolveDownloadUrl('pseudonym', given), { code: 'invalid-url' }, given);
    }
    assert.throws(() => parseRaUrl('ra.test'), { code: 'invalid-url' });
  });
});

describe('decodeInfo', () => {
  it('reads 4 octets, tolerates 8 hex digits, and takes 0 as the end', () => {
    const ascii = (text: string) => new TextEncoder().encode(text);
    const time = 0x29aa0593;
    assert.deepEqual(decodeInfo(Uint8Array.of(0x29, 0xaa, 0x05, 0x93)), { type: 'next', time });
    assert.deepEqual(decodeInfo(ascii('29aa0593')), { type: 'next', time });
    assert.deepEqual(decodeInfo(ascii('29AA0593')), { type: 'next', time });
    assert.deepEqual(decodeInfo(new Uint8Array(4)), { type: 'stopped' });
    assert.deepEqual(decodeInfo(ascii('00000000')), { type: 'stopped' });
    for (const octets of [
      new Uint8Array(0),
      new Uint8Array(5),
      ascii('29aa059'),
      ascii('29aa059g'),
    ]) {
      assert.throws(() => decodeInfo(octets), { code: 'invalid-info' });
    }
  });

  it('reads 4 octets that lie inside a larger buffer', () => {
    const larger = Uint8Array.of(9, 9, 0, 0, 0, 1, 9);
    assert.deepEqual(decodeInfo(larger.subarray(2, 6)), { type: 'next', time: 1 });
  });
});
