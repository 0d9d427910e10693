import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { capture, decode, encode } from '@chrysalis/coer';
import {
  Certificate,
  CertificateBase,
  ExplicitCertificate,
  ImplicitCertificate,
} from '@chrysalis/ieee1609dot2';
import { content, fromHex, root, toHex } from './pki.ts';

/** The certificate that accompanies the published modules of 1609.2 (TestCertificate.coer). */
const SAMPLE = fromHex(`
  00030180 01010101 01010101 50800000 02030303 03030303 03030404 04000506
  06060684 00A98301 0380007C 8001E480 03480101 00012081 83080808 08080808
  08080808 08080808 08080808 08080808 08080808 08080808 08`);

const sample: CertificateBase = {
  version: 3,
  type: 'implicit',
  issuer: { type: 'sha256AndDigest', value: new Uint8Array(8).fill(1) },
  toBeSigned: {
    id: { type: 'linkageData', value: { iCert: 2, linkageValue: new Uint8Array(9).fill(3) } },
    cracaId: new Uint8Array(3).fill(4),
    crlSeries: 5,
    validityPeriod: { start: 101_058_054, duration: { type: 'hours', value: 169 } },
    region: {
      type: 'identifiedRegion',
      value: [124, 484, 840].map((value) => ({ type: 'countryOnly', value })),
    },
    appPermissions: [{ psid: 32 }],
    verifyKeyIndicator: {
      type: 'reconstructionValue',
      value: { type: 'compressedY1', value: new Uint8Array(32).fill(8) },
    },
  },
};

describe('the published sample certificate', () => {
  test('decodes to the published value', () => {
    assert.deepEqual(decode(CertificateBase, SAMPLE), sample);
  });

  test('is encoded to the published octets', () => {
    assert.equal(toHex(encode(CertificateBase, sample)), toHex(SAMPLE));
  });

  test('keeps the octets that it arrived in', () => {
    assert.deepEqual(decode(Certificate, SAMPLE), { value: sample, octets: SAMPLE });
  });

  test('is no certificate when one octet is missing or one is left over', () => {
    assert.throws(() => decode(Certificate, SAMPLE.subarray(1)), { name: 'CoerError' });
    assert.throws(() => decode(Certificate, SAMPLE.subarray(0, -1)), { code: 'truncated' });
    const longer = Uint8Array.from([...SAMPLE, 0]);
    assert.throws(() => decode(Certificate, longer), { code: 'trailing-octets' });
  });
});

describe('the two forms of a certificate, 1609.2 §6.4.5 and §6.4.6', () => {
  const explicit = root.given.value;
  const reconstruction = sample.toBeSigned.verifyKeyIndicator;
  const { signature, ...unsigned } = explicit;
  assert.ok(signature);

  const refused: readonly [string, unknown][] = [
    ['explicit without a signature', unsigned],
    [
      'explicit with a reconstruction value',
      { ...explicit, toBeSigned: { ...explicit.toBeSigned, verifyKeyIndicator: reconstruction } },
    ],
    ['implicit with a signature', { ...sample, signature }],
    [
      'implicit with a verification key',
      {
        ...sample,
        toBeSigned: {
          ...sample.toBeSigned,
          verifyKeyIndicator: explicit.toBeSigned.verifyKeyIndicator,
        },
      },
    ],
    ['of a third kind', { ...sample, type: 2 }],
    ['of another version', { ...sample, version: 2 }],
  ];
  for (const [name, base] of refused) {
    test(`${name} is refused to encode`, () => {
      assert.throws(() => encode(CertificateBase, base as CertificateBase), {
        name: 'CoerError',
        code: 'out-of-range',
      });
    });
  }

  test('the type octet alone turned over is refused to decode', () => {
    for (const octets of [SAMPLE, root.given.octets]) {
      const turned = Uint8Array.from(octets);
      turned[2]! ^= 1;
      assert.throws(() => decode(Certificate, turned), { code: 'out-of-range' });
    }
  });

  test('where one form is wanted the other is refused', () => {
    assert.equal(decode(ImplicitCertificate, SAMPLE).value.type, 'implicit');
    assert.equal(decode(ExplicitCertificate, root.given.octets).value.type, 'explicit');
    assert.throws(() => decode(ExplicitCertificate, SAMPLE), { code: 'out-of-range' });
    assert.throws(() => decode(ImplicitCertificate, root.given.octets), { code: 'out-of-range' });
    assert.throws(() => encode(ImplicitCertificate, root.given), { code: 'out-of-range' });
  });

  test('a certificate without any permission is refused', () => {
    const { verifyKeyIndicator } = sample.toBeSigned;
    const toBeSigned = { ...content('nobody', {}), verifyKeyIndicator };
    assert.throws(() => capture(CertificateBase, { ...sample, toBeSigned }), {
      code: 'out-of-range',
    });
  });
});
