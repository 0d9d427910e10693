import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import { PublicKey } from '@chrysalis/crypto';
import {
  decrypterOf,
  type HeaderInfo,
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  signData,
  TrustStore,
} from '@chrysalis/ieee1609dot2';
import {
  decodeMessage,
  decodeSecured,
  decodeSigned,
  decodeSignedRequest,
  encodeScopedRequest,
  openSecured,
  openSignedMessage,
  ScmsDataError,
  ScmsPdu122,
  secureRequest,
  signerCertificate,
  signMessage,
  signRequest,
  verifyRequest,
} from '@chrysalis/scms';
import {
  eca,
  fixedRandom,
  fromHex,
  ica,
  keyOf,
  pca,
  ra,
  raEncryption,
  root,
  toHex,
} from '../../ieee1609dot2/test/pki.ts';
import { device } from './device.ts';

const trust = new TrustStore([root.given]);
for (const { given } of [ica, eca, ra]) trust.add(given);
const raKey = decrypterOf(raEncryption);
const scoped = encodeScopedRequest(
  {
    type: 'pseudonym',
    verifyKeyInfo: device.seed,
    respEncKeyInfo: device.seed,
    currentTime: 0x2b0ea52d,
    requestedStartTime: 0x2b0ea52d,
  },
  '1.2.2',
);
const signed = signRequest(scoped, device.certificate, device.key);
const body = secureRequest(signed, ra.certificate, fixedRandom('envelope'));

/** All that an RA does with a body before it looks at what is asked for. */
function receive(octets: Uint8Array): Uint8Array {
  const request = decodeSignedRequest(decodeSigned(openSecured(octets, ra.certificate, raKey)));
  const signer = trust.verify(signerCertificate(request));
  verifyRequest(request, signer, signer.publicKey);
  return request.tbsRequest;
}

function isRefusal(error: unknown): boolean {
  return error instanceof ScmsDataError || error instanceof Ieee1609Dot2Error;
}

describe('Secured > Signed > Scoped', () => {
  test('what an EE wraps an RA unwraps', () => {
    assert.deepEqual(receive(body), scoped);
  });

  test('the layers have the octets of section 4.2', () => {
    assert.match(toHex(body), new RegExp(`^0382010182${toHex(ra.certificate.id)}808[23]`));
    assert.match(toHex(signed), /^038382....0001838200/);
    assert.deepEqual(signed.subarray(6, 6 + scoped.length), scoped);
  });

  test('no octet of the body can be changed, the sign of the ephemeral point aside', () => {
    for (let at = 0; at < body.length; at++) {
      for (const change of [0x01, 0x80]) {
        const corrupted = Uint8Array.from(body);
        corrupted[at]! ^= change;
        if (at === 14 && change === 0x01) assert.deepEqual(receive(corrupted), scoped);
        else assert.throws(() => receive(corrupted), isRefusal, `octet ${at} changed by ${change}`);
      }
    }
  });

  test('no octet of the signed request can be changed before it is encrypted, the form of r aside', () => {
    const formOfR = signed.length - 65;
    const random = fixedRandom('again');
    for (let at = 0; at < signed.length; at++) {
      for (const change of [0x01, 0x03, 0x80]) {
        const corrupted = Uint8Array.from(signed);
        corrupted[at]! ^= change;
        const resealed = secureRequest(corrupted, ra.certificate, random);
        if (at === formOfR && change === 0x03) receive(resealed);
        else assert.throws(() => receive(resealed), isRefusal, `octet ${at} changed by ${change}`);
      }
    }
  });

  test('r compressed, as a fielded client sends it, verifies', () => {
    const compressed = Uint8Array.from(signed);
    for (const form of [0x82, 0x83]) {
      compressed[signed.length - 65] = form;
      receive(secureRequest(compressed, ra.certificate, fixedRandom('form')));
    }
  });
});

describe('what is refused, and how', () => {
  const unsecured = fromHex('03 80 05 01 83 80 00 01');

  test('malformed: not Ieee1609Dot2Data, and the message says of what', () => {
    for (const decodeOne of [decodeSecured, decodeSigned]) {
      assert.throws(() => decodeOne(new Uint8Array(3)), {
        name: 'ScmsDataError',
        code: 'malformed',
        message: /^expected Ieee1609Dot2Data: expected Uint8 \(3\), saw 0/,
      });
    }
    assert.throws(() => decodeMessage(ScmsPdu122, new Uint8Array(0), 'an acknowledgement'), {
      code: 'malformed',
      message: /^expected an acknowledgement: /,
    });
  });

  test('not-encrypted: a request in clear', () => {
    assert.throws(() => decodeSecured(signed), {
      code: 'not-encrypted',
      message: 'expected encryptedData, saw signedCertificateRequest',
    });
    assert.throws(() => decodeSecured(unsecured), { code: 'not-encrypted' });
  });

  test('not-signed: anything else inside', () => {
    assert.throws(() => decodeSigned(unsecured), { code: 'not-signed' });
    assert.throws(() => openSignedMessage(unsecured, trust), { code: 'not-signed' });
    assert.throws(() => openSignedMessage(signed, trust), { code: 'not-signed' });
  });

  test('wrong-recipient and decryption-failed: for another RA, or with another key', () => {
    assert.throws(() => openSecured(body, pca.certificate, raKey), { code: 'wrong-recipient' });
    assert.throws(() => openSecured(body, ra.certificate, decrypterOf(keyOf('wrong'))), {
      code: 'decryption-failed',
    });
  });

  test('no-signer-certificate: a digest, nobody, none or two', () => {
    const { given, certificate } = device;
    for (const signer of [
      { type: 'digest', value: certificate.id },
      { type: 'self', value: null },
      { type: 'certificate', value: [] },
      { type: 'certificate', value: [given, given] },
      { type: 'unknown', tag: 9, value: new Uint8Array(1) },
    ] as const) {
      assert.throws(() => signerCertificate({ signer }), {
        name: 'ScmsDataError',
        code: 'no-signer-certificate',
      });
    }
  });

  test('invalid-signature: another signer, and unsupported: another hash', () => {
    const request = decodeSignedRequest(decodeSigned(signed));
    const signer = trust.verify(signerCertificate(request));
    assert.throws(() => verifyRequest(request, 'self', signer.publicKey), {
      code: 'invalid-signature',
    });
    assert.throws(() => verifyRequest({ ...request, hashId: 1 }, signer, signer.publicKey), {
      code: 'unsupported',
    });
  });
});

test('a request that a device signs for itself, before it has a certificate, verifies with its key', () => {
  const key = keyOf('first');
  const request = decodeSignedRequest(decodeSigned(signRequest(scoped, 'self', key)));
  assert.deepEqual(request.signer, { type: 'self', value: null });
  verifyRequest(request, 'self', PublicKey.fromPoint(key.publicPoint));
  const other = PublicKey.fromPoint(keyOf('other').publicPoint);
  assert.throws(() => verifyRequest(request, 'self', other), { code: 'invalid-signature' });
});

describe('signed messages of security management', () => {
  const payload = fromHex('0183800001');

  test('have the layout of an acknowledgement, section 4.6', () => {
    const message = signMessage(payload, ra.certificate, ra.key);
    const head = `03810040 038005 0183800001 000123 80${toHex(ra.certificate.id)} 8080`;
    assert.equal(toHex(message.slice(0, -64)), head.replaceAll(' ', ''));
  });

  test('are opened, the signer named by digest or by certificate', () => {
    for (const signerIdentifier of ['digest', 'certificate'] as const) {
      const message = signMessage(payload, ra.certificate, ra.key, { signerIdentifier });
      const opened = openSignedMessage(message, trust);
      assert.deepEqual(opened.payload, payload);
      assert.equal(toHex(opened.signer.id), toHex(ra.certificate.id));
      assert.equal(opened.generationTime, undefined);
    }
  });

  test('may say when they were made', () => {
    const message = signMessage(payload, ra.certificate, ra.key, { generationTime: 7n });
    assert.equal(openSignedMessage(message, trust).generationTime, 7n);
  });

  test('are refused from a signer that nobody knows', () => {
    const bySelf = Uint8Array.from(signMessage(payload, ra.certificate, ra.key));
    const unknown = signMessage(payload, pca.certificate, pca.key);
    assert.throws(() => openSignedMessage(unknown, trust), { code: 'unknown-issuer' });
    const { content } = decode(Ieee1609Dot2Data, bySelf);
    assert.ok(content.type === 'signedData');
    const value = { ...content.value, signer: { type: 'self', value: null } } as const;
    const self = encode(Ieee1609Dot2Data, {
      protocolVersion: 3,
      content: { type: 'signedData', value },
    });
    assert.throws(() => openSignedMessage(self, trust), { code: 'no-signer-certificate' });
  });

  const headers: readonly [string, HeaderInfo, string][] = [
    ['another application', { psid: 0x20 }, 'PSID 0x20'],
    ['an expiry time', { psid: 0x23, expiryTime: 1n }, 'PSID 0x23, expiryTime'],
    [
      'a learning request',
      { psid: 0x23, p2pcdLearningRequest: new Uint8Array(3) },
      'PSID 0x23, p2pcdLearningRequest',
    ],
    [
      'additions that nobody knows',
      {
        psid: 0x23,
        unknownAdditions: { bitmapLength: 1, present: [{ index: 0, octets: new Uint8Array(1) }] },
      },
      'PSID 0x23, unknownAdditions',
    ],
  ];
  for (const [name, headerInfo, seen] of headers) {
    test(`are refused with a header that has ${name}`, () => {
      const message = signData({ payload, headerInfo, certificate: ra.certificate, key: ra.key });
      assert.throws(() => openSignedMessage(message, trust), {
        name: 'ScmsDataError',
        code: 'unexpected-message',
        message: `expected a bare header with PSID 0x23, saw ${seen}`,
      });
    });
  }

  test('are refused with any octet changed, the form of r aside', () => {
    const message = signMessage(payload, ra.certificate, ra.key);
    for (let at = 0; at < message.length; at++) {
      for (const change of [0x01, 0x80]) {
        const corrupted = Uint8Array.from(message);
        corrupted[at]! ^= change;
        assert.throws(() => openSignedMessage(corrupted, trust), isRefusal, `octet ${at}`);
      }
    }
  });
});
