import assert from 'node:assert/strict';
import { createDecipheriv, createHash, createHmac } from 'node:crypto';
import { describe, test } from 'node:test';
import { CoerError, decode, encode } from '@chrysalis/coer';
import { ccmSeal, SHA256_EMPTY } from '@chrysalis/crypto';
import {
  decrypterOf,
  decryptForCertificate,
  decryptForKey,
  decryptSymmetric,
  EncryptedData,
  type EncryptedDataEncryptionKey,
  encryptForCertificate,
  encryptForKey,
  encryptionPointOf,
  encryptSymmetric,
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  type RecipientInfo,
  toPoint,
} from '@chrysalis/ieee1609dot2';
import { p256 } from '@noble/curves/nist.js';
import { eca, fixedRandom, keyOf, pca, ra, raEncryption, toHex } from './pki.ts';

const plaintext = new TextEncoder().encode('for one recipient only');
const random = fixedRandom('encrypted data');
const recipientId = new Uint8Array(8).fill(9);
const responseKey = keyOf('response');
const sharedKey = new Uint8Array(16).fill(7);

function encryptedDataOf(octets: Uint8Array): EncryptedData {
  const { content } = decode(Ieee1609Dot2Data, octets);
  assert.ok(content.type === 'encryptedData');
  return content.value;
}

/** A way to encrypt, and the way to open what it gave. */
interface Scheme {
  readonly name: string;
  readonly octets: Uint8Array;
  open(octets: Uint8Array): Uint8Array;
  /** Octets that carry no meaning for the opener, from and to. */
  readonly unread: readonly [number, number];
  /** The octet that tells v from -v. */
  readonly signOfV: number;
}

const schemes: readonly Scheme[] = [
  {
    name: 'for a certificate',
    octets: encryptForCertificate(plaintext, ra.certificate, random),
    open: (octets) =>
      decryptForCertificate(encryptedDataOf(octets), ra.certificate, decrypterOf(raEncryption)),
    unread: [0, 0],
    signOfV: 14,
  },
  {
    name: 'for a key that stands in no certificate',
    octets: encryptForKey(plaintext, responseKey.publicPoint, recipientId, random),
    open: (octets) => decryptForKey(encryptedDataOf(octets), decrypterOf(responseKey)),
    // The recipientId, in which fielded PCAs write what they like.
    unread: [5, 13],
    signOfV: 14,
  },
  {
    name: 'under a shared key',
    octets: encode(EncryptedData, encryptSymmetric(plaintext, sharedKey, recipientId, random)),
    open: (octets) => decryptSymmetric(decode(EncryptedData, octets), sharedKey, recipientId),
    unread: [0, 0],
    signOfV: -1,
  },
];

for (const { name, octets, open, unread, signOfV } of schemes) {
  describe(`data encrypted ${name}`, () => {
    test('are opened', () => {
      assert.deepEqual(open(octets), plaintext);
    });

    test('are refused with any one octet changed', () => {
      for (let at = 0; at < octets.length; at++) {
        if (at >= unread[0] && at < unread[1]) continue;
        for (const change of [0x01, 0x80, 0xff]) {
          const corrupted = Uint8Array.from(octets);
          corrupted[at]! ^= change;
          if (at === signOfV && change === 0x01) {
            // ECIES of 1609.2 uses the x of the shared point alone, which v and -v have in common.
            assert.deepEqual(open(corrupted), plaintext);
            continue;
          }
          assert.throws(() => open(corrupted), isRefusal, `octet ${at} changed by ${change}`);
        }
      }
    });

    test('are refused when cut short anywhere', () => {
      for (let length = 0; length < octets.length; length++) {
        assert.throws(() => open(octets.slice(0, length)), isRefusal);
      }
    });
  });
}

describe('whom data are for', () => {
  const [forCertificate, forKey] = schemes.map(({ octets }) => octets) as [Uint8Array, Uint8Array];

  test('another certificate is the wrong recipient', () => {
    assert.throws(
      () =>
        decryptForCertificate(
          encryptedDataOf(forCertificate),
          pca.certificate,
          decrypterOf(raEncryption),
        ),
      { name: 'Ieee1609Dot2Error', code: 'wrong-recipient' },
    );
  });

  test('another key does not open them, and the error does not say which step failed', () => {
    const message = 'expected data encrypted to this key';
    const code = 'decryption-failed';
    const wrong = decrypterOf(keyOf('wrong'));
    assert.throws(
      () => decryptForCertificate(encryptedDataOf(forCertificate), ra.certificate, wrong),
      { code, message },
    );
    const tampered = Uint8Array.from(forCertificate);
    tampered[tampered.length - 1]! ^= 1;
    const right = decrypterOf(raEncryption);
    assert.throws(() => decryptForCertificate(encryptedDataOf(tampered), ra.certificate, right), {
      code,
      message,
    });
  });

  test("the P1 of a certificate and that of a key do not open each other's", () => {
    const data = encryptedDataOf(forKey);
    const [info] = data.recipients;
    assert.ok(info?.type === 'rekRecipInfo');
    const value = { ...info.value, recipientId: ra.certificate.id };
    const turned: EncryptedData = { ...data, recipients: [{ type: 'certRecipInfo', value }] };
    const key = decrypterOf(responseKey);
    assert.throws(() => decryptForCertificate(turned, ra.certificate, key), {
      code: 'decryption-failed',
    });
  });

  test('another shared key, or another name of it, is refused', () => {
    const data = encryptSymmetric(plaintext, sharedKey, recipientId, random);
    const other = new Uint8Array(16).fill(8);
    assert.throws(() => decryptSymmetric(data, other, recipientId), { code: 'decryption-failed' });
    assert.throws(() => decryptSymmetric(data, sharedKey, new Uint8Array(8)), {
      code: 'wrong-recipient',
    });
  });

  test('a wrapped key of a wrong length is one more failure to decrypt', () => {
    const data = encryptSymmetric(plaintext, sharedKey, recipientId, random);
    const nonce = new Uint8Array(12);
    const ccmCiphertext = ccmSeal(sharedKey, nonce, new Uint8Array(15));
    const encKey = { type: 'aes128ccm', value: { nonce, ccmCiphertext } } as const;
    const sealed: EncryptedData = {
      ...data,
      recipients: [{ type: 'symmRecipInfo', value: { recipientId, encKey } }],
    };
    assert.throws(() => decryptSymmetric(sealed, sharedKey, recipientId), {
      code: 'decryption-failed',
    });
  });

  test('each opener takes its own kind of recipient, and one only', () => {
    const info = (data: EncryptedData) => data.recipients[0]!;
    const cert = encryptedDataOf(forCertificate);
    const key = encryptedDataOf(forKey);
    const psk: RecipientInfo = { type: 'pskRecipInfo', value: recipientId };
    const right = decrypterOf(raEncryption);
    const attempts = [
      () => decryptForCertificate(key, ra.certificate, right),
      () => decryptForKey(cert, right),
      () => decryptSymmetric(cert, sharedKey, recipientId),
      () => decryptForCertificate({ ...cert, recipients: [psk] }, ra.certificate, right),
      () => decryptForCertificate({ ...cert, recipients: [] }, ra.certificate, right),
      () =>
        decryptForCertificate(
          { ...cert, recipients: [info(cert), info(cert)] },
          ra.certificate,
          right,
        ),
    ];
    for (const attempt of attempts) {
      assert.throws(attempt, { name: 'Ieee1609Dot2Error', code: 'unsupported' });
    }
  });

  test('other curves, ciphers and points that are none are unsupported', () => {
    const data = encryptedDataOf(forCertificate);
    const [info] = data.recipients;
    assert.ok(info?.type === 'certRecipInfo' && info.value.encKey.type === 'eciesNistP256');
    const { encKey } = info.value;
    const open = (changed: EncryptedData) =>
      decryptForCertificate(changed, ra.certificate, decrypterOf(raEncryption));
    const withKey = (key: EncryptedDataEncryptionKey): EncryptedData => ({
      ...data,
      recipients: [{ type: 'certRecipInfo', value: { ...info.value, encKey: key } }],
    });
    const unknown = { type: 'unknown', tag: 5, value: new Uint8Array(1) } as const;
    const offCurve = { type: 'compressedY0', value: new Uint8Array(32).fill(0xff) } as const;
    for (const changed of [
      withKey({ ...encKey, type: 'eciesBrainpoolP256r1' }),
      withKey(unknown),
      withKey({ ...encKey, value: { ...encKey.value, v: offCurve } }),
      withKey({ ...encKey, value: { ...encKey.value, v: { type: 'fill', value: null } } }),
      { ...data, ciphertext: unknown },
    ]) {
      assert.throws(() => open(changed), { code: 'unsupported' });
    }
  });

  test('a certificate without an encryption key, or with one of another kind, is no recipient', () => {
    assert.throws(() => encryptForCertificate(plaintext, eca.certificate, random), {
      code: 'unsupported',
    });
    const { certificate } = ra.certificate;
    const unknown = { type: 'unknown', tag: 5, value: new Uint8Array(1) } as const;
    for (const key of [
      { supportedSymmAlg: 1, publicKey: certificate.toBeSigned.encryptionKey!.publicKey },
      { supportedSymmAlg: 'aes128Ccm', publicKey: unknown },
    ] as const) {
      const toBeSigned = { ...certificate.toBeSigned, encryptionKey: key };
      const strange = { ...ra.certificate, certificate: { ...certificate, toBeSigned } };
      assert.throws(() => encryptionPointOf(strange), { code: 'unsupported' });
    }
  });
});

describe('by noble and node:crypto, step by step (1609.2 §5.3.5 and §5.3.8)', () => {
  const cases = [
    [
      'for a certificate',
      schemes[0]!.octets,
      raEncryption,
      createHash('sha256').update(ra.given.octets).digest(),
    ],
    ['for a key', schemes[1]!.octets, responseKey, SHA256_EMPTY],
  ] as const;
  for (const [name, octets, key, p1] of cases) {
    test(`data encrypted ${name} open`, () => {
      const data = encryptedDataOf(octets);
      const [info] = data.recipients;
      assert.ok(info?.type === 'certRecipInfo' || info?.type === 'rekRecipInfo');
      assert.ok(info.value.encKey.type === 'eciesNistP256');
      const { v, c, t } = info.value.encKey.value;
      const shared = p256.getSharedSecret(key.scalar().reveal(), toPoint(v)).subarray(1, 33);
      const block = (counter: number) =>
        createHash('sha256')
          .update(shared)
          .update(Uint8Array.of(0, 0, 0, counter))
          .update(p1)
          .digest();
      const stream = Buffer.concat([block(1), block(2)]);
      const tag = createHmac('sha256', stream.subarray(16, 48)).update(c).digest().subarray(0, 16);
      assert.equal(toHex(tag), toHex(t));
      const dataKey = c.map((octet, i) => octet ^ stream[i]!);
      assert.ok(data.ciphertext.type === 'aes128ccm');
      const { nonce, ccmCiphertext } = data.ciphertext.value;
      assert.deepEqual(openByNode(dataKey, nonce, ccmCiphertext), plaintext);
    });
  }
});

function openByNode(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Uint8Array {
  const decipher = createDecipheriv('aes-128-ccm', key, nonce, { authTagLength: 16 });
  decipher.setAuthTag(sealed.subarray(-16));
  const opened = decipher.update(sealed.subarray(0, -16));
  decipher.final();
  return Uint8Array.from(opened);
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof CoerError ||
    error instanceof Ieee1609Dot2Error ||
    error instanceof assert.AssertionError
  );
}
