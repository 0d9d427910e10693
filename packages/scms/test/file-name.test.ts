import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type DownloadFile,
  formatEntryName,
  formatFileName,
  formatHex,
  parseEntryName,
  parseFileName,
} from '@chrysalis/scms';
import fc from 'fast-check';
import { fromHex } from '../../ieee1609dot2/test/pki.ts';
import { SEED } from '../../ieee1609dot2/test/round-trip.ts';

const requestHash = fromHex('AB09281C9867DE53');

describe('names of files, sections 1.5, 1.6, 1.9 and 1.10', () => {
  const rows: readonly [string, DownloadFile][] = [
    ['AB09281C9867DE53_F.zip', { type: 'batch', requestHash, i: 15 }],
    ['AB09281C9867DE53_0.zip', { type: 'batch', requestHash, i: 0 }],
    ['AB09281C9867DE53_1A9.zip', { type: 'batch', requestHash, i: 0x1a9 }],
    ['AB09281C9867DE53_FFFFFFFF.zip', { type: 'batch', requestHash, i: 0xffff_ffff }],
    ['AB09281C9867DE53.info', { type: 'info', requestHash }],
    ['AB09281C9867DE53.zip', { type: 'application', requestHash }],
  ];
  for (const [name, file] of rows) {
    test(name, () => {
      assert.deepEqual(parseFileName(name), file);
      assert.equal(formatFileName(file), name);
      assert.deepEqual(parseFileName(name.toLowerCase()), file);
    });
  }

  test('the hash in lower case and i in upper case, as fielded devices write them', () => {
    assert.deepEqual(parseFileName('c4e1f7bd5034f181_1A9.zip'), {
      type: 'batch',
      requestHash: fromHex('c4e1f7bd5034f181'),
      i: 0x1a9,
    });
  });

  test('go there and back, whatever the hash and i', () => {
    const hash = fc.uint8Array({ minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(hash, fc.integer({ min: 0, max: 0xffff_ffff }), (requestHash, i) => {
        for (const file of [
          { type: 'batch', requestHash, i },
          { type: 'info', requestHash },
          { type: 'application', requestHash },
        ] as const) {
          assert.deepEqual(parseFileName(formatFileName(file)), file);
        }
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  const refused = [
    '',
    'AB09281C9867DE5.info',
    'AB09281C9867DE533.info',
    'AB09281C9867DE53_F.info',
    'AB09281C9867DE53_.zip',
    'AB09281C9867DE53_123456789.zip',
    'AB09281C9867DE53_G.zip',
    'AB09281C9867DE53_-1.zip',
    'AB09281C9867DE53',
    'AB09281C9867DE53.tar',
    'AB09281C9867DE53.zip\n',
    '../AB09281C9867DE53.zip',
    'AB09281C9867DE53.zip\0',
    '/etc/passwd',
    'ＡB09281C9867DE53.zip',
  ];
  for (const name of refused) {
    test(`${JSON.stringify(name)} is refused`, () => {
      assert.throws(() => parseFileName(name), {
        name: 'ScmsDataError',
        code: 'invalid-file-name',
      });
    });
  }

  test('a name from a stranger is shown without control characters, and not at any length', () => {
    assert.throws(
      () => parseFileName(`\u001b[31m${'a'.repeat(500)}`),
      (error: Error) => {
        assert.ok(error.message.length < 150);
        assert.ok(!error.message.includes('\u001b'));
        return true;
      },
    );
  });
});

describe('names of entries', () => {
  test('of one i-period: 1A9_0 to 1A9_13', () => {
    const names = Array.from({ length: 20 }, (_, j) => formatEntryName(0x1a9, j));
    assert.deepEqual(
      [names[0], names[9], names[10], names[19]],
      ['1A9_0', '1A9_9', '1A9_A', '1A9_13'],
    );
    assert.deepEqual(parseEntryName('1A9_13'), { i: 0x1a9, j: 19 });
    assert.deepEqual(parseEntryName('1a9_a'), { i: 0x1a9, j: 10 });
  });

  for (const name of ['1A9', '1A9_', '_0', '1A9_0.zip', '1A9_0_0', 'x_0', '']) {
    test(`${JSON.stringify(name)} is none`, () => assert.equal(parseEntryName(name), undefined));
  }
});

test('hex is in upper case', () => {
  assert.equal(formatHex(fromHex('00ab')), '00AB');
});
