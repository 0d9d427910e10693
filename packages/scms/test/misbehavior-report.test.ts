import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encode } from '@chrysalis/coer';
import {
  decrypterOf,
  encryptForCertificate,
  type HeaderInfo,
  signData,
} from '@chrysalis/ieee1609dot2';
import {
  type MisbehaviorReportContents,
  type MisbehaviorReportParts,
  openMisbehaviorReport,
  ScmsPdu122,
  secureMisbehaviorReport,
} from '@chrysalis/scms';
import { fixedRandom, issue, keyOf, NOW } from '../../ieee1609dot2/test/pki.ts';
import { ma, maKey, pca, ra, signerOf, trust } from './component.ts';

const reporter = issue(
  'reporter',
  {
    id: { type: 'linkageData', value: { iCert: 619, linkageValue: new Uint8Array(9) } },
    crlSeries: 1,
    validityPeriod: { start: NOW - 1000, duration: { type: 'hours', value: 169 } },
    appPermissions: [{ psid: 0x20 }, { psid: 0x26 }],
  },
  pca,
);
const mute = issue('mute', { appPermissions: [{ psid: 0x20 }] }, pca);
const place = { latitude: 423_456_789, longitude: -830_000_000, elevation: 4096 };
const contents: MisbehaviorReportContents = {
  version: 1,
  misbehavingDeviceInfo: new Uint8Array(0),
  misbehavingDeviceBSMs: Uint8Array.of(1, 2, 3),
};
const parts = { contents, generationTime: NOW, generationLocation: place };
const random = fixedRandom('reports');

function report(more: Partial<MisbehaviorReportParts> = {}, by = reporter): Uint8Array {
  return secureMisbehaviorReport({ ...parts, ...more }, signerOf(by), ma.certificate, random);
}

const open = (octets: Uint8Array, time = NOW, key = maKey) =>
  openMisbehaviorReport(octets, {
    ma: ma.certificate,
    key: decrypterOf(key),
    trust: trust(),
    time,
  });

/** A report whose signed part is made by hand. */
function handmade(
  headerInfo: HeaderInfo,
  payload: Uint8Array,
  signerIdentifier: 'certificate' | 'digest' = 'certificate',
): Uint8Array {
  const { certificate, key } = reporter;
  const signed = signData({ payload, headerInfo, certificate, key, signerIdentifier });
  return encryptForCertificate(signed, ma.certificate, random);
}
const pdu = encode(ScmsPdu122, {
  version: 1,
  content: { type: 'eeMa', value: { type: 'misbehaviorReport', value: contents } },
});
const header = {
  psid: 0x26,
  generationTime: BigInt(NOW) * 1_000_000n,
  generationLocation: place,
};

describe('a misbehavior report, section 4.12', () => {
  test('is opened by the MA, with reporter, time and place', () => {
    const opened = open(report());
    assert.deepEqual(opened.contents, contents);
    assert.deepEqual(opened.reporter.id, reporter.certificate.id);
    assert.deepEqual([opened.generationTime, opened.generationLocation], [NOW, place]);
    open(handmade(header, pdu));
  });

  test('tells nobody else anything: another key does not open it', () => {
    assert.throws(() => open(report(), NOW, keyOf('somebody')), { code: 'decryption-failed' });
  });

  test('counts when it arrives a week after the certificate ended', () => {
    open(report(), NOW + 2 * 604_800);
  });

  const refusals: readonly [string, () => Uint8Array, string][] = [
    ['signed by one who may not report', () => report({}, mute), 'wrong-signer'],
    ['signed by an RA', () => report({}, ra), 'wrong-signer'],
    [
      'made before its certificate began',
      () => report({ generationTime: NOW - 1001 }),
      'not-yet-valid',
    ],
    [
      'made after it ended',
      () => report({ generationTime: NOW + 200 * 3600 }),
      'unexpected-message',
    ],
    ['made in the future', () => report({ generationTime: NOW + 301 }), 'unexpected-message'],
    [
      'without a time',
      () => handmade({ psid: 0x26, generationLocation: place }, pdu),
      'unexpected-message',
    ],
    [
      'without a place',
      () => handmade({ psid: 0x26, generationTime: 1n }, pdu),
      'unexpected-message',
    ],
    [
      'of another application',
      () => handmade({ ...header, psid: 0x20 }, pdu),
      'unexpected-message',
    ],
    [
      'with an expiry time',
      () => handmade({ ...header, expiryTime: 1n }, pdu),
      'unexpected-message',
    ],
    [
      'that names its signer by digest',
      () => handmade(header, pdu, 'digest'),
      'no-signer-certificate',
    ],
    ['that is no report', () => handmade(header, Uint8Array.of(1, 0x82)), 'malformed'],
    [
      'that is a message of another kind',
      () =>
        handmade(
          header,
          encode(ScmsPdu122, {
            version: 1,
            content: { type: 'eeRa', value: { type: 'eeRaCertRequest', value: { version: 1 } } },
          }),
        ),
      'unexpected-message',
    ],
  ];
  for (const [name, make, code] of refusals) {
    test(`is refused ${name}: ${code}`, () => assert.throws(() => open(make()), { code }));
  }

  test('is refused after its certificate ended also when the clocks agree', () => {
    const late = NOW + 200 * 3600;
    assert.throws(() => open(report({ generationTime: late }), late), { code: 'expired' });
  });

  test('is refused unencrypted', () => {
    const { certificate, key } = reporter;
    const signed = signData({ payload: pdu, headerInfo: header, certificate, key });
    assert.throws(() => open(signed), { code: 'not-encrypted' });
    const inner = encryptForCertificate(report(), ma.certificate, random);
    assert.throws(() => open(inner), { code: 'not-signed' });
  });
});
