import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  formatVersionedFileName,
  parseVersionedFileName,
  type VersionedFile,
} from '@chrysalis/scms';
import fc from 'fast-check';
import { SEED } from '../../ieee1609dot2/test/round-trip.ts';

describe('names with versions, sections 1.11 and 1.12', () => {
  const rows: readonly [string, VersionedFile][] = [
    ['local_policy_0001_0001.oer', { type: 'localPolicy', gpfVersion: 1, lpfVersion: 1 }],
    ['local_policy_FFFF_000A.oer', { type: 'localPolicy', gpfVersion: 0xffff, lpfVersion: 10 }],
    ['global_policy_0001.oer', { type: 'globalPolicy', gpfVersion: 1 }],
    [
      'local_certificate_chains_01_03.oer',
      { type: 'localCertificateChains', gccfVersion: 1, lccfVersion: 3 },
    ],
    [
      'local_certificate_chains_100_FFFF.oer',
      { type: 'localCertificateChains', gccfVersion: 0x100, lccfVersion: 0xffff },
    ],
    ['global_certificate_chains_01.oer', { type: 'globalCertificateChains', gccfVersion: 1 }],
  ];
  for (const [name, file] of rows) {
    test(name, () => {
      assert.equal(formatVersionedFileName(file), name);
      for (const form of [name, `"${name}"`, name.toUpperCase(), name.toLowerCase()]) {
        assert.deepEqual(parseVersionedFileName(form), file, form);
      }
    });
  }

  test('leading zeros do not count', () => {
    assert.deepEqual(
      parseVersionedFileName('local_certificate_chains_1_0003.oer'),
      parseVersionedFileName('local_certificate_chains_01_03.oer'),
    );
  });

  test('go there and back, whatever the versions', () => {
    const version = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(version, version, (first, second) => {
        for (const file of [
          { type: 'globalPolicy', gpfVersion: first },
          { type: 'localPolicy', gpfVersion: first, lpfVersion: second },
          { type: 'globalCertificateChains', gccfVersion: first },
          { type: 'localCertificateChains', gccfVersion: first, lccfVersion: second },
        ] as const) {
          assert.deepEqual(parseVersionedFileName(formatVersionedFileName(file)), file);
        }
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  for (const name of [
    '',
    '"',
    '*',
    'LCCF_v1.oer',
    'local_policy_0001.oer',
    'local_policy_00001_0001.oer',
    'local_policy_0001_000G.oer',
    'local_policy_0001_0001.xml',
    'global_policy_0001_0001.oer',
    '../local_policy_0001_0001.oer',
    '"local_policy_0001_0001.oer',
    '""local_policy_0001_0001.oer""',
    'local_policy_0001_0001.oer\n',
    'W/"local_policy_0001_0001.oer"',
  ]) {
    test(`${JSON.stringify(name)} is none`, () => {
      assert.throws(() => parseVersionedFileName(name), {
        name: 'ScmsDataError',
        code: 'invalid-file-name',
      });
    });
  }
});
