import { decode } from '@chrysalis/coer';
import { equalPoints, type PrivateKey } from '@chrysalis/crypto';
import {
  checkValidAt,
  decrypterOf,
  decryptForKey,
  encryptionPointOf,
  Ieee1609Dot2Data,
  type Time32,
  type TrustStore,
  type VerifiedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  type ImplicitCertResponse,
  openSignedMessage,
  PlaintextCertificateResponse,
  ToBeSignedEncryptedCertificateResponse,
} from '@chrysalis/scms';
import { completeKey } from './enrollment.ts';
import { EeError } from './error.ts';
import { toHex } from './json-record.ts';
import type { PlainKeys } from './provisioning-request.ts';

export interface OpenResponseOptions {
  /** Cocoon keys, or those of a plain request. */
  readonly keys: PlainKeys;
  /** Butterfly responses answer caterpillar keys, the others plain ones. */
  readonly form: 'implicitButterfly' | 'implicit';
  /** Knows the PCA, and nobody who should not issue certificates. */
  readonly trust: TrustStore;
  /** Now: the PCA's chain has to be valid. */
  readonly time: Time32;
}

export interface OpenedResponse {
  readonly certificate: VerifiedCertificate;
  readonly key: PrivateKey;
  /** The private key to the certificate's encryptionKey, if one was wished for. */
  readonly encryptionKey?: PrivateKey;
}

/**
 * Opens a SignedEncryptedCertificateResponse (sheet 4.7 to 4.10): the PCA's signature and chain, the
 * decryption, the certificate as one of that PCA, the private key, and a signature made with it and
 * verified with the certificate. What the certificate says is left to the caller. Pure.
 *
 * @throws EeError `invalid-batch`, `key-mismatch`, and the errors of the packages below
 */
export function openResponse(octets: Uint8Array, options: OpenResponseOptions): OpenedResponse {
  const { keys, trust, time } = options;
  const { payload, signer: pca } = openSignedMessage(octets, trust);
  checkValidAt(pca, time);
  const response = decrypt(payload, options);
  const certificate = trust.verify(response.certificate);
  // Also keeps a signer that is no PCA out: it could not have issued the certificate.
  if (certificate.issuer === undefined || toHex(certificate.issuer.hash) !== toHex(pca.hash)) {
    throw new EeError('invalid-batch', 'expected a certificate of the PCA that signed for it');
  }
  const key = completeKey(certificate, pca, keys.verify, response.privKeyReconstructionS);
  proveKey(key, certificate);
  if (keys.certEnc === undefined) return { certificate, key };
  proveEncryptionKey(keys.certEnc, certificate);
  return { certificate, key, encryptionKey: keys.certEnc };
}

function decrypt(payload: Uint8Array, { keys, form }: OpenResponseOptions): ImplicitCertResponse {
  const { content } = decode(ToBeSignedEncryptedCertificateResponse, payload).encryptedCert.value;
  if (content.type !== 'encryptedData') {
    throw new EeError('invalid-batch', `expected encryptedData, saw ${content.type}`);
  }
  const plaintext = decode(
    Ieee1609Dot2Data,
    decryptForKey(content.value, decrypterOf(keys.respEnc)),
  );
  if (plaintext.content.type !== 'unsecuredData') {
    throw new EeError(
      'invalid-batch',
      `expected unsecuredData inside the encryption, saw ${plaintext.content.type}`,
    );
  }
  const response = decode(PlaintextCertificateResponse, plaintext.content.value);
  if (response.type !== form) {
    throw new EeError('invalid-batch', `expected ${form}, saw ${response.type}`);
  }
  return response.value;
}

/** A signature made with the key and verified with the certificate, as messages will be. */
function proveKey(key: PrivateKey, certificate: VerifiedCertificate): void {
  if (!certificate.publicKey.verify(certificate.octets, key.sign(certificate.octets))) {
    throw new EeError('key-mismatch', 'expected a signature that the certificate verifies');
  }
}

function proveEncryptionKey(key: PrivateKey, certificate: VerifiedCertificate): void {
  if (!equalPoints(encryptionPointOf(certificate), key.publicPoint)) {
    throw new EeError('key-mismatch', 'expected the encryption key that was asked for');
  }
}
