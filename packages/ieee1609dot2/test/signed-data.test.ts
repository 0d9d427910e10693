import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { CoerError, decode, encode } from '@chrysalis/coer';
import {
  type HashedCertificate,
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  type SignedData,
  signData,
  signedPayload,
  ToBeSignedData,
  TrustStore,
  verifySignedData,
} from '@chrysalis/ieee1609dot2';
import { p256 } from '@noble/curves/nist.js';
import { ica, ra, root } from './pki.ts';

const trust = new TrustStore([root.given]);
trust.add(ica.given);
const signer = trust.add(ra.given);
const payload = new TextEncoder().encode('to all vehicles');
const options = {
  payload,
  headerInfo: { psid: 0x23, generationTime: 722_380_077_000_000n },
  certificate: ra.certificate as HashedCertificate,
  key: ra.key,
};

function signedDataOf(octets: Uint8Array): SignedData {
  const { content } = decode(Ieee1609Dot2Data, octets);
  assert.ok(content.type === 'signedData');
  return content.value;
}

describe('signed data', () => {
  const octets = signData(options);

  test('verify, and carry their payload', () => {
    const signed = signedDataOf(octets);
    verifySignedData(signed, signer, signer.publicKey);
    assert.deepEqual(signedPayload(signed), payload);
    assert.deepEqual(signed.signer, { type: 'digest', value: signer.id });
  });

  test('carry a signature that noble verifies over the two hashes of 1609.2 §5.3.1', () => {
    const { tbsData, signature } = signedDataOf(octets);
    const digest = (part: Uint8Array) => createHash('sha256').update(part).digest();
    const input = Buffer.concat([digest(tbsData.octets), digest(ra.given.octets)]);
    assert.ok(signature.type === 'ecdsaNistP256Signature' && signature.value.r.type === 'xOnly');
    const pair = Buffer.concat([signature.value.r.value, signature.value.s]);
    assert.ok(p256.verify(pair, input, ra.key.publicPoint, { lowS: false }));
  });

  test('may carry the whole certificate of the signer', () => {
    const signed = signedDataOf(signData({ ...options, signerIdentifier: 'certificate' }));
    assert.deepEqual(signed.signer, { type: 'certificate', value: [ra.given] });
    verifySignedData(signed, signer, signer.publicKey);
  });

  test('are refused with any one octet changed, the digest of the signer aside', () => {
    const digestAt = octets.length - 66 - 8;
    for (let at = 0; at < octets.length; at++) {
      const isDigest = at >= digestAt - 1 && at < digestAt + 8;
      for (const change of [0x01, 0x80, 0xff]) {
        const corrupted = Uint8Array.from(octets);
        corrupted[at]! ^= change;
        const verify = () => {
          const signed = signedDataOf(corrupted);
          if (!isDigest || signed.signer.type !== 'digest')
            return verifySignedData(signed, signer, signer.publicKey);
          // Whom the digest names decides which key verifies: another digest, another signer.
          const named = trust.get(signed.signer.value);
          if (!named) throw new Ieee1609Dot2Error('unknown-issuer', 'nobody');
          verifySignedData(signed, named, named.publicKey);
        };
        // r in another form is the same r: 1609.2 §6.3.29.
        const isFormOfR = at === octets.length - 65 && [0x82, 0x83].includes(corrupted[at]!);
        if (isFormOfR) verify();
        else assert.throws(verify, isRefusal, `octet ${at} changed by ${change}`);
      }
    }
  });

  test('are refused when another certificate is said to have signed, even with the same key', () => {
    const signed = signedDataOf(octets);
    const refusal = { name: 'Ieee1609Dot2Error', code: 'invalid-signature' };
    assert.throws(() => verifySignedData(signed, ica.certificate, signer.publicKey), refusal);
    const issuer = trust.get(ica.certificate.id)!;
    assert.throws(() => verifySignedData(signed, signer, issuer.publicKey), refusal);
  });

  test('with a hash that nobody knows are unsupported', () => {
    const signed = { ...signedDataOf(octets), hashId: 1 };
    assert.throws(() => verifySignedData(signed, signer, signer.publicKey), {
      code: 'unsupported',
    });
  });

  test('that sign anything but unsecured data have no payload here', () => {
    const data = decode(Ieee1609Dot2Data, octets);
    const value = { payload: { data }, headerInfo: { psid: 0x23 } };
    const nested = { value, octets: encode(ToBeSignedData, value) };
    assert.throws(() => signedPayload({ ...signedDataOf(octets), tbsData: nested }), {
      code: 'unsupported',
    });
    const digest = new Uint8Array(32);
    const hashOnly = {
      payload: { extDataHash: { type: 'sha256HashedData', value: digest } },
      headerInfo: { psid: 0x23 },
    } as const;
    const external = { value: hashOnly, octets: encode(ToBeSignedData, hashOnly) };
    assert.throws(() => signedPayload({ ...signedDataOf(octets), tbsData: external }), {
      code: 'unsupported',
    });
  });
});

function isRefusal(error: unknown): boolean {
  return (
    error instanceof CoerError ||
    error instanceof Ieee1609Dot2Error ||
    error instanceof assert.AssertionError
  );
}
