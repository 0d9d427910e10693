import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { describe, test } from 'node:test';
import { encode } from '@chrysalis/coer';
import { ecqvPrivateKey, sha256, systemRandom } from '@chrysalis/crypto';
import {
  type Certificate,
  hashCertificate,
  issueExplicit,
  issueImplicit,
  issueImplicitAll,
  signatureInput,
  ToBeSignedCertificate,
  TrustStore,
  toEcdsaSignature,
  toPoint,
} from '@chrysalis/ieee1609dot2';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import {
  content,
  encryptionKeyOf,
  fixedRandom,
  ica,
  keyOf,
  pca,
  root,
  SECURITY_MANAGEMENT,
  toHex,
} from './pki.ts';
import { SEED } from './round-trip.ts';

/** The hash that is signed, by node alone: SHA-256 of the content, then SHA-256 of the issuer's certificate. */
function inputByHand(certificate: Certificate, issuer: Uint8Array): Buffer {
  const digest = (octets: Uint8Array) => createHash('sha256').update(octets).digest();
  const tbs = encode(ToBeSignedCertificate, certificate.value.toBeSigned);
  return Buffer.concat([digest(tbs), digest(issuer)]);
}

function verifyByNode(
  point: Uint8Array,
  message: Uint8Array,
  r: Uint8Array,
  s: Uint8Array,
): boolean {
  const [x, y] = [point.slice(1, 33), point.slice(33)].map((c) =>
    Buffer.from(c).toString('base64url'),
  );
  const key = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: x!, y: y! }, format: 'jwk' });
  return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, Buffer.concat([r, s]));
}

describe('explicit certificates', () => {
  const cases: readonly [string, Certificate, Uint8Array, Uint8Array][] = [
    [
      'a root, with the hash of nothing as its issuer',
      root.given,
      new Uint8Array(0),
      root.key.publicPoint,
    ],
    ['one below a root', ica.given, root.given.octets, root.key.publicPoint],
    ['one with an encryption key', pca.given, ica.given.octets, ica.key.publicPoint],
  ];
  for (const [name, certificate, issuer, point] of cases) {
    test(`${name}: node and noble verify the signature`, () => {
      const input = inputByHand(certificate, issuer);
      const { r, s } = toEcdsaSignature(certificate.value.signature!);
      assert.ok(verifyByNode(point, input, r, s));
      assert.ok(p256.verify(Buffer.concat([r, s]), input, point, { lowS: false }));
    });
  }

  test('carry the digest of their issuer, or nothing but a hash for themselves', () => {
    assert.deepEqual(root.given.value.issuer, { type: 'self', value: 'sha256' });
    assert.deepEqual(ica.given.value.issuer, {
      type: 'sha256AndDigest',
      value: root.certificate.id,
    });
  });

  test('with the real signer of this process verify as well', () => {
    const key = keyOf('someone');
    const given = issueExplicit(
      content('someone', { appPermissions: SECURITY_MANAGEMENT }),
      key.publicPoint,
      ica,
    );
    const trust = new TrustStore([root.given]);
    trust.add(ica.given);
    assert.equal(toHex(trust.verify(given).publicKey.point), toHex(key.publicPoint));
  });
});

describe('implicit certificates', () => {
  const app = content('device', { appPermissions: [{ psid: 0x20 }] });

  test('give the key that noble reconstructs: Q = e·P + Q_CA', () => {
    const trust = new TrustStore([root.given]);
    trust.add(ica.given);
    trust.add(pca.given);
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const requestKey = keyOf(`request ${seed}`);
        const { certificate, reconstructionValue } = issueImplicit(
          app,
          requestKey.publicPoint,
          pca,
          fixedRandom(`issuer ${seed}`),
        );
        const input = inputByHand(certificate, pca.given.octets);
        const e = BigInt(`0x${createHash('sha256').update(input).digest('hex')}`);
        const n = p256.Point.Fn.ORDER;
        const indicator = certificate.value.toBeSigned.verifyKeyIndicator;
        assert.ok(indicator.type === 'reconstructionValue');
        const reconstructed = p256.Point.fromBytes(toPoint(indicator.value))
          .multiply(e % n)
          .add(p256.Point.fromBytes(pca.key.publicPoint));
        const { publicKey } = trust.verify(certificate);
        assert.equal(toHex(publicKey.point), toHex(reconstructed.toBytes(false)));

        const own = ecqvPrivateKey(sha256(input), requestKey, reconstructionValue);
        assert.equal(toHex(own.publicPoint), toHex(publicKey.point));
        const { r, s } = own.sign(input);
        assert.ok(publicKey.verify(input, { r, s }));
      }),
      { seed: SEED, numRuns: 10 },
    );
  });

  test('made together are each that of its own order, as those made alone are', () => {
    const orders = [1, 2, 3].map((n) => ({
      content: { ...app, crlSeries: n },
      requestKey: keyOf(`together ${n}`).publicPoint,
    }));
    const together = issueImplicitAll(orders, pca, fixedRandom('together'));
    const random = fixedRandom('together');
    const alone = orders.map(({ content, requestKey }) =>
      issueImplicit(content, requestKey, pca, random),
    );
    assert.deepEqual(together, alone);
    assert.deepEqual(issueImplicitAll([], pca, random), []);
  });

  test('are never twice the same: each takes a fresh key of its issuer', () => {
    const request = keyOf('request').publicPoint;
    const [one, other] = [1, 2].map(() => issueImplicit(app, request, pca, systemRandom));
    assert.notDeepEqual(one!.certificate.octets, other!.certificate.octets);
  });
});

test('bug: a key that a device sends whole was signed as it came, and no verifier, which compresses it, agreed', () => {
  const point = keyOf('whole').publicPoint;
  const whole = {
    type: 'eciesNistP256',
    value: { type: 'uncompressed', value: { x: point.slice(1, 33), y: point.slice(33) } },
  } as const;
  const encryptionKey = { ...encryptionKeyOf(keyOf('whole')), publicKey: whole };
  const app = content('device', { appPermissions: [{ psid: 0x20 }], encryptionKey });
  const trust = new TrustStore([root.given]);
  trust.add(ica.given);
  trust.add(pca.given);
  trust.verify(issueExplicit(app, point, pca));
  const request = keyOf('request');
  const issued = issueImplicit(app, request.publicPoint, pca, fixedRandom('whole'));
  const verified = trust.verify(issued.certificate);
  const input = signatureInput(
    encode(ToBeSignedCertificate, issued.certificate.value.toBeSigned),
    hashCertificate(pca.given),
  );
  const own = ecqvPrivateKey(sha256(input), request, issued.reconstructionValue);
  assert.equal(toHex(own.publicPoint), toHex(verified.publicKey.point));
});
