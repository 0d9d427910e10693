import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { capture, decode, encode } from '@chrysalis/coer';
import type { Point } from '@chrysalis/crypto';
import {
  asCertificate,
  type BasePublicEncryptionKey,
  type Certificate,
  CertificateBase,
  canonicalCertificate,
  type EccP256CurvePoint,
  hashCertificate,
  hashedId3,
  hashedId8,
  hashedId10,
  issueImplicit,
  type Signature,
  TrustStore,
  toPoint,
} from '@chrysalis/ieee1609dot2';
import { content, fixedRandom, ica, issue, keyOf, pca, root, toHex } from './pki.ts';

function uncompressed(point: Point): EccP256CurvePoint {
  return { type: 'uncompressed', value: { x: point.slice(1, 33), y: point.slice(33) } };
}

/** The same certificate in the forms that 1609.2 lets a sender choose. */
function inOtherForms(certificate: Certificate): Certificate {
  const { toBeSigned, signature, ...rest } = certificate.value;
  const { verifyKeyIndicator: indicator, encryptionKey } = toBeSigned;
  assert.ok(indicator.type !== 'unknown' && indicator.value.type !== 'unknown');
  const isKey = indicator.type === 'verificationKey';
  const point = isKey ? (indicator.value.value as EccP256CurvePoint) : indicator.value;
  const whole = uncompressed(toPoint(point));
  return capture(CertificateBase, {
    ...rest,
    toBeSigned: {
      ...toBeSigned,
      verifyKeyIndicator: isKey
        ? { type: 'verificationKey', value: { type: 'ecdsaNistP256', value: whole } }
        : { type: 'reconstructionValue', value: whole },
      ...(encryptionKey && {
        encryptionKey: { ...encryptionKey, publicKey: wholeKey(encryptionKey.publicKey) },
      }),
    },
    ...(signature && { signature: withCompressedR(signature) }),
  });
}

function wholeKey(key: BasePublicEncryptionKey): BasePublicEncryptionKey {
  assert.ok(key.type === 'eciesNistP256');
  return { type: key.type, value: uncompressed(toPoint(key.value)) };
}

function withCompressedR(signature: Signature): Signature {
  assert.ok(signature.type === 'ecdsaNistP256Signature' && signature.value.r.type === 'xOnly');
  const r = { type: 'compressedY1', value: signature.value.r.value } as const;
  return { type: signature.type, value: { r, s: signature.value.s } };
}

const pseudonym = issueImplicit(
  content('pseudonym', { appPermissions: [{ psid: 0x20 }] }),
  keyOf('request').publicPoint,
  pca,
  fixedRandom('pseudonym'),
).certificate;

describe('canonical form, 1609.2 §6.4.3', () => {
  const samples: readonly [string, Certificate][] = [
    ['a root', root.given],
    ['an issued certificate with an encryption key', pca.given],
    ['an implicit certificate', pseudonym],
  ];
  for (const [name, certificate] of samples) {
    test(`${name} with whole points and a compressed r has the same id`, () => {
      const other = inOtherForms(certificate);
      assert.notDeepEqual(other.octets, certificate.octets);
      assert.deepEqual(hashCertificate(other), hashCertificate(certificate));
    });

    test(`${name} with whole points and a compressed r verifies as well`, () => {
      const other = decode(CertificateBase, inOtherForms(certificate).octets);
      const given = capture(CertificateBase, other);
      if (name === 'a root') return void new TrustStore([given]);
      const trust = new TrustStore([root.given]);
      trust.add(ica.given);
      if (name === 'an implicit certificate') trust.add(inOtherForms(pca.given));
      assert.equal(toHex(trust.verify(given).id), toHex(hashCertificate(certificate).id));
    });
  }

  test('a canonical certificate is the same object, and is hashed as it came', () => {
    assert.equal(canonicalCertificate(pca.given.value), pca.given.value);
    const { octets, hash, id } = hashCertificate(pca.given);
    assert.equal(octets, pca.given.octets);
    assert.equal(toHex(hash), createHash('sha256').update(pca.given.octets).digest('hex'));
    assert.equal(toHex(id), toHex(hash).slice(48));
  });

  test('is what is sent in a message', () => {
    const sent = asCertificate(hashCertificate(inOtherForms(pca.given)));
    assert.deepEqual(sent, pca.given);
    assert.deepEqual(encode(CertificateBase, sent.value), sent.octets);
  });

  test('a point that is not on the curve is refused where it would have to be compressed', () => {
    const { value } = issue('off curve', { appPermissions: [] }).given;
    const y = new Uint8Array(32);
    const off = { type: 'uncompressed', value: { x: new Uint8Array(32).fill(7), y } } as const;
    const bad = capture(CertificateBase, {
      ...value,
      toBeSigned: {
        ...value.toBeSigned,
        verifyKeyIndicator: {
          type: 'verificationKey',
          value: { type: 'ecdsaNistP256', value: off },
        },
      },
    });
    assert.throws(() => hashCertificate(bad), { name: 'Ieee1609Dot2Error', code: 'unsupported' });
  });

  test('unknown kinds of key, signature and indicator are hashed as they are', () => {
    const { value } = root.given;
    const unknown = { type: 'unknown', tag: 9, value: Uint8Array.of(1) } as const;
    const strange = {
      ...value,
      toBeSigned: {
        ...value.toBeSigned,
        encryptionKey: { supportedSymmAlg: 'aes128Ccm', publicKey: unknown },
        verifyKeyIndicator: { type: 'verificationKey', value: unknown },
      },
      signature: unknown,
    } as const;
    assert.equal(canonicalCertificate(strange), strange);
  });
});

test('hashed ids are the low-order octets of the hash', () => {
  const hash = Uint8Array.from({ length: 32 }, (_, i) => i);
  assert.equal(toHex(hashedId3(hash)), '1d1e1f');
  assert.equal(toHex(hashedId8(hash)), '18191a1b1c1d1e1f');
  assert.equal(toHex(hashedId10(hash)), '161718191a1b1c1d1e1f');
});
