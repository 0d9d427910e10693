import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { capture, encode } from '@chrysalis/coer';
import { multiplyPoint, PublicKey, pointFromUncompressed, sha256 } from '@chrysalis/crypto';
import {
  type Certificate,
  CertificateBase,
  type CertificateContent,
  checkValidAt,
  effectiveRegion,
  type Ieee1609Dot2ErrorCode,
  issueExplicit,
  issueImplicit,
  signatureInput,
  ToBeSignedCertificate,
  TrustStore,
  toPoint,
  type VerifiedCertificate,
  verifyIssued,
} from '@chrysalis/ieee1609dot2';
import { p256 } from '@noble/curves/nist.js';
import {
  allOf,
  content,
  eca,
  encryptionKeyOf,
  explicitly,
  fixedRandom,
  ica,
  issue,
  keyOf,
  NOW,
  pca,
  ra,
  root,
  toHex,
  USA,
} from './pki.ts';

function trusting(...issued: { readonly given: Certificate }[]): TrustStore {
  const trust = new TrustStore([root.given]);
  for (const { given } of issued) trust.add(given);
  return trust;
}

function expectRefusal(code: Ieee1609Dot2ErrorCode, verify: () => unknown): void {
  assert.throws(verify, { name: 'Ieee1609Dot2Error', code });
}

/** An end entity's certificate below the PCA, implicit as CAMP has them. */
function below(issuer: typeof pca, more: Partial<CertificateContent>): Certificate {
  const key = keyOf('device').publicPoint;
  return issueImplicit(content('device', more), key, issuer, fixedRandom('device')).certificate;
}

const PSEUDONYM = { region: USA, appPermissions: [{ psid: 0x20 }, { psid: 0x26 }] };
const MEXICO = { type: 'identifiedRegion', value: [{ type: 'countryOnly', value: 484 }] } as const;

describe('a chain that is right', () => {
  test('is verified down to an end entity, and leaves its issuers at hand', () => {
    const device = trusting(ica, pca).verify(below(pca, PSEUDONYM));
    const names: unknown[] = [];
    for (let c: VerifiedCertificate | undefined = device; c; c = c.issuer) {
      names.push(c.certificate.toBeSigned.id.value);
    }
    assert.deepEqual(names, ['device', 'pca.test', 'ica.test', 'root.test']);
  });

  test('an enrollment certificate below the ECA may request', () => {
    const certRequestPermissions = [explicitly([{ psid: 0x20 }], 0, 0)];
    trusting(ica, eca).verify(below(eca, { region: USA, certRequestPermissions }));
  });

  test('is trusted from then on only when it is added', () => {
    const trust = new TrustStore([root.given]);
    trust.verify(ica.given);
    assert.equal(trust.get(ica.certificate.id), undefined);
    const added = trust.add(ica.given);
    assert.equal(trust.get(ica.certificate.id), added);
    assert.equal(trust.add(ica.given), added);
  });
});

describe('a chain that is refused', () => {
  test('unknown-issuer: a root that is not self-signed', () => {
    expectRefusal('unknown-issuer', () => new TrustStore([ica.given]));
  });

  test('unknown-issuer: an issuer that nobody added', () => {
    expectRefusal('unknown-issuer', () => trusting().verify(pca.given));
  });

  test('unknown-issuer: another root that signs itself', () => {
    const other = issue('other root', { certIssuePermissions: [allOf(1, -1)] });
    expectRefusal('unknown-issuer', () => trusting().verify(other.given));
  });

  test('unknown-issuer: an issuer identifier of a kind that nobody knows', () => {
    const issuer = { type: 'unknown', tag: 7, value: new Uint8Array(8) } as const;
    const strange = capture(CertificateBase, { ...pca.given.value, issuer });
    expectRefusal('unknown-issuer', () => trusting(ica).verify(strange));
  });

  test('invalid-signature: a root with another signature', () => {
    const forged = capture(CertificateBase, {
      ...root.given.value,
      signature: ica.given.value.signature!,
    });
    expectRefusal('invalid-signature', () => new TrustStore([forged]));
  });

  test("invalid-signature: a certificate signed by somebody who bears the issuer's name", () => {
    const impostor = { certificate: ica.certificate, key: keyOf('impostor') };
    const forged = issue('forged', { ...PSEUDONYM, appPermissions: [{ psid: 0x23 }] }, impostor);
    expectRefusal('invalid-signature', () => trusting(ica).verify(forged.given));
  });

  test('invalid-signature: one octet of the content changed', () => {
    const { toBeSigned } = pca.given.value;
    const forged = capture(CertificateBase, {
      ...pca.given.value,
      toBeSigned: { ...toBeSigned, crlSeries: toBeSigned.crlSeries + 1 },
    });
    expectRefusal('invalid-signature', () => trusting(ica).verify(forged));
  });

  test('an implicit certificate that is changed has another key, which its holder has not', () => {
    const certificate = below(pca, PSEUDONYM);
    const { toBeSigned } = certificate.value;
    const forged = capture(CertificateBase, {
      ...certificate.value,
      toBeSigned: { ...toBeSigned, crlSeries: toBeSigned.crlSeries + 1 },
    });
    const trust = trusting(ica, pca);
    assert.notEqual(
      toHex(trust.verify(forged).publicKey.point),
      toHex(trust.verify(certificate).publicKey.point),
    );
  });

  test('outside-issuer-region: a country that the issuer has not', () => {
    expectRefusal('outside-issuer-region', () =>
      trusting(ica, pca).verify(below(pca, { ...PSEUDONYM, region: MEXICO })),
    );
  });

  test('outside-issuer-region: a country that the issuer of the issuer has not', () => {
    const inheriting = issue('inheriting', { certIssuePermissions: [allOf(1, 0)] }, ica);
    const trust = trusting(ica, inheriting);
    assert.equal(
      effectiveRegion(trust.add(inheriting.given)),
      ica.certificate.certificate.toBeSigned.region,
    );
    trust.verify(below(inheriting, PSEUDONYM));
    expectRefusal('outside-issuer-region', () =>
      trust.verify(below(inheriting, { ...PSEUDONYM, region: MEXICO })),
    );
  });

  test('outside-issuer-permissions: an application that the issuer may not certify', () => {
    const narrow = issue('narrow', { certIssuePermissions: [explicitly([{ psid: 0x20 }])] }, ica);
    const trust = trusting(ica, narrow);
    trust.verify(below(narrow, { appPermissions: [{ psid: 0x20 }] }));
    expectRefusal('outside-issuer-permissions', () => trust.verify(below(narrow, PSEUDONYM)));
  });

  test('outside-issuer-permissions: an end entity that issues, even what grants nothing', () => {
    const rogue = { certificate: ra.certificate, key: ra.key };
    const trust = trusting(ica, ra);
    for (const more of [{ appPermissions: [] }, { certIssuePermissions: [] }, PSEUDONYM]) {
      const given = issueExplicit(content('rogue', more), keyOf('rogue').publicPoint, rogue);
      expectRefusal('outside-issuer-permissions', () => trust.verify(given));
    }
  });

  test('outside-issuer-assurance: more than the issuer, absent being the least', () => {
    const sure = issue(
      'sure',
      { certIssuePermissions: [allOf(1, 0)], assuranceLevel: Uint8Array.of(0x60) },
      issue('root.test', {
        appPermissions: [{ psid: 0x23 }],
        certIssuePermissions: [allOf(1, -1)],
        assuranceLevel: Uint8Array.of(0x60),
      }),
    );
    const trust = new TrustStore([
      issue('root.test', {
        appPermissions: [{ psid: 0x23 }],
        certIssuePermissions: [allOf(1, -1)],
        assuranceLevel: Uint8Array.of(0x60),
      }).given,
    ]);
    trust.add(sure.given);
    const app = { appPermissions: [{ psid: 0x20 }] };
    trust.verify(below(sure, app));
    // The low five bits are reserved and confidence: only the level is compared.
    trust.verify(below(sure, { ...app, assuranceLevel: Uint8Array.of(0x7f) }));
    const above = { ...app, assuranceLevel: Uint8Array.of(0x80) };
    expectRefusal('outside-issuer-assurance', () => trust.verify(below(sure, above)));
    const unsure = { ...PSEUDONYM, assuranceLevel: Uint8Array.of(0x20) };
    expectRefusal('outside-issuer-assurance', () => trusting(ica, pca).verify(below(pca, unsure)));
  });

  test('chain-too-long: a seventh certificate', () => {
    let issuer: typeof pca = root;
    const trust = trusting();
    for (let i = 1; i < 6; i++) {
      issuer = issue(`level ${i}`, { certIssuePermissions: [allOf(1, -1)] }, issuer);
      trust.add(issuer.given);
    }
    expectRefusal('chain-too-long', () => trust.verify(below(issuer, { appPermissions: [] })));
  });

  test('unsupported: a root that hashes with another algorithm', () => {
    const base = { ...root.given.value, issuer: { type: 'self', value: 1 } } as const;
    expectRefusal('unsupported', () => new TrustStore([capture(CertificateBase, base)]));
  });

  test('unsupported: a key on another curve, of a kind that nobody knows, or that is no point', () => {
    const { value } = pca.given;
    const point = { type: 'xOnly', value: new Uint8Array(32).fill(1) } as const;
    const keys = [
      { type: 'ecdsaBrainpoolP256r1', value: point },
      { type: 'unknown', tag: 5, value: new Uint8Array(3) },
      { type: 'ecdsaNistP256', value: point },
      { type: 'ecdsaNistP256', value: { type: 'fill', value: null } },
      {
        type: 'ecdsaNistP256',
        value: { type: 'compressedY0', value: new Uint8Array(32).fill(0xff) },
      },
    ] as const;
    for (const key of keys) {
      const verifyKeyIndicator = { type: 'verificationKey', value: key } as const;
      const toBeSigned = { ...value.toBeSigned, verifyKeyIndicator };
      const strange = capture(CertificateBase, { ...value, toBeSigned });
      expectRefusal('unsupported', () => trusting(ica).verify(strange));
    }
  });

  test('unsupported: a signature on another curve, of a kind that nobody knows, or with r unsaid', () => {
    const { value } = pca.given;
    const s = new Uint8Array(32);
    const signatures = [
      { type: 'ecdsaBrainpoolP256r1Signature', value: { r: { type: 'xOnly', value: s }, s } },
      { type: 'unknown', tag: 2, value: s },
      { type: 'ecdsaNistP256Signature', value: { r: { type: 'fill', value: null }, s } },
    ] as const;
    for (const signature of signatures) {
      const strange = capture(CertificateBase, { ...value, signature });
      expectRefusal('unsupported', () => trusting(ica).verify(strange));
    }
  });

  test('unsupported: an implicit certificate whose key would be infinity', () => {
    const certificate = below(pca, PSEUDONYM);
    const issuer = trusting(ica).add(pca.given);
    const { toBeSigned } = certificate.value;
    assert.ok(toBeSigned.verifyKeyIndicator.type === 'reconstructionValue');
    const e = sha256(signatureInput(encode(ToBeSignedCertificate, toBeSigned), issuer));
    // e·P + Q is infinity for Q = -e·P: no authority can make its key so, as e depends on it, but a test can.
    const product = multiplyPoint(e, toPoint(toBeSigned.verifyKeyIndicator.value));
    const negative = p256.Point.fromBytes(product).negate().toBytes(false);
    const publicKey = PublicKey.fromPoint(pointFromUncompressed(negative));
    expectRefusal('unsupported', () => verifyIssued(certificate, { ...issuer, publicKey }));
  });

  test('unsupported: a reconstruction value that is no whole point', () => {
    const certificate = below(pca, PSEUDONYM);
    const value = { type: 'xOnly', value: new Uint8Array(32).fill(1) } as const;
    const strange = capture(CertificateBase, {
      ...certificate.value,
      toBeSigned: {
        ...certificate.value.toBeSigned,
        verifyKeyIndicator: { type: 'reconstructionValue', value },
      },
    });
    expectRefusal('unsupported', () => trusting(ica, pca).verify(strange));
  });
});

describe('validity of a chain at a time', () => {
  const device = trusting(ica, pca).verify(below(pca, PSEUDONYM));
  const { start } = device.certificate.toBeSigned.validityPeriod;

  test('from its first second to its last', () => {
    checkValidAt(device, start);
    checkValidAt(device, NOW);
    checkValidAt(device, start + 31_556_951);
  });

  test('not-yet-valid: the second before it starts', () => {
    expectRefusal('not-yet-valid', () => checkValidAt(device, start - 1));
  });

  test('expired: the second after its last', () => {
    expectRefusal('expired', () => checkValidAt(device, start + 31_556_952));
  });

  test('an issuer that has expired, or is yet to be valid, is no issuer', () => {
    const hour = { type: 'hours', value: 1 } as const;
    const brief = (from: number) =>
      issue(
        'brief',
        { validityPeriod: { start: from, duration: hour }, certIssuePermissions: [allOf(1, 0)] },
        ica,
      );
    for (const [from, code] of [
      [NOW - 7200, 'expired'],
      [NOW + 1, 'not-yet-valid'],
    ] as const) {
      const issuer = brief(from);
      const verified = trusting(ica, issuer).verify(below(issuer, PSEUDONYM));
      expectRefusal(code, () => checkValidAt(verified, NOW));
    }
  });
});

test('an encryption key does not count as a permission, nor does it need one', () => {
  const encryptionKey = encryptionKeyOf(keyOf('more'));
  trusting(ica, pca).verify(below(pca, { ...PSEUDONYM, encryptionKey }));
});
