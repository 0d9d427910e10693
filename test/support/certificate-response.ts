import assert from 'node:assert/strict';
import { decode, encode } from '@chrysalis/coer';
import { ecqvPrivateKey, type PrivateKey, sha256 } from '@chrysalis/crypto';
import {
  decrypterOf,
  decryptForKey,
  type HashedCertificate,
  hashCertificate,
  Ieee1609Dot2Data,
  signatureInput,
  ToBeSignedCertificate,
  type TrustStore,
} from '@chrysalis/ieee1609dot2';
import {
  openSignedData,
  PlaintextCertificateResponse,
  ToBeSignedEncryptedCertificateResponse,
} from '@chrysalis/scms';

/** A certificate and its private key, which was proved to belong to it. */
export interface OpenedResponse {
  readonly type: 'implicitButterfly' | 'implicit';
  readonly certificate: HashedCertificate;
  readonly key: PrivateKey;
}

export interface ResponseKeys {
  /** Opens the response. */
  readonly response: PrivateKey;
  /** The private key of what the PCA was asked to certify. */
  readonly request: PrivateKey;
  readonly trust: TrustStore;
  readonly pca: HashedCertificate;
}

/**
 * Opens a SignedEncryptedCertificateResponse, the content of a zip's entry, step by step: the PCA's signature, the
 * encryption, the implicit certificate, its private key.
 */
export function openResponse(
  entry: Uint8Array,
  { response: responseKey, request, trust, pca }: ResponseKeys,
): OpenedResponse {
  const signed = decode(Ieee1609Dot2Data, entry).content;
  assert(signed.type === 'signedData');
  const { payload } = openSignedData(signed.value, trust);
  const encryptedCert = decode(ToBeSignedEncryptedCertificateResponse, payload).encryptedCert.value;
  assert(encryptedCert.content.type === 'encryptedData');
  const plain = decode(
    Ieee1609Dot2Data,
    decryptForKey(encryptedCert.content.value, decrypterOf(responseKey)),
  ).content;
  assert(plain.type === 'unsecuredData');
  const response = decode(PlaintextCertificateResponse, plain.value);
  assert(response.type === 'implicitButterfly' || response.type === 'implicit');
  const { certificate, privKeyReconstructionS } = response.value;
  const tbs = encode(ToBeSignedCertificate, certificate.value.toBeSigned);
  const key = ecqvPrivateKey(sha256(signatureInput(tbs, pca)), request, privKeyReconstructionS);
  const message = new TextEncoder().encode('is this key the one of the certificate?');
  assert(trust.verify(certificate).publicKey.verify(message, key.sign(message)));
  return { type: response.type, certificate: hashCertificate(certificate), key };
}
