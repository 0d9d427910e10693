import { capture, encode } from '@chrysalis/coer';
import type { EcdsaSignature, PublicKey } from '@chrysalis/crypto';
import { asCertificate, type HashedCertificate } from './canonical.ts';
import { signatureInput } from './chain.ts';
import { type HeaderInfo, Ieee1609Dot2Data, type SignedData, ToBeSignedData } from './data.ts';
import { Ieee1609Dot2Error } from './error.ts';
import { fromEcdsaSignature, toEcdsaSignature } from './point.ts';

/** A private key that signs; it may live elsewhere, as in a hardware module. */
export interface Signer {
  /** ECDSA over SHA-256 of the message. */
  sign(message: Uint8Array): EcdsaSignature;
}

export interface SignOptions {
  /** Octets of the payload, which travel as `unsecuredData`. */
  readonly payload: Uint8Array;
  readonly headerInfo: HeaderInfo;
  readonly certificate: HashedCertificate;
  readonly key: Signer;
  /** How the signer is named; a digest unless the receiver may lack the certificate. */
  readonly signerIdentifier?: 'digest' | 'certificate';
}

/** Signs a payload, 1609.2 §5.3.1 and §6.3.4. Returns the COER of Ieee1609Dot2Data. */
export function signData(options: SignOptions): Uint8Array {
  const tbsData = capture(ToBeSignedData, {
    payload: {
      data: {
        protocolVersion: 3,
        content: { type: 'unsecuredData', value: options.payload },
      },
    },
    headerInfo: options.headerInfo,
  });
  const signature = options.key.sign(signatureInput(tbsData.octets, options.certificate));
  return encode(Ieee1609Dot2Data, {
    protocolVersion: 3,
    content: {
      type: 'signedData',
      value: {
        hashId: 'sha256',
        tbsData,
        signer:
          options.signerIdentifier === 'certificate'
            ? { type: 'certificate', value: [asCertificate(options.certificate)] }
            : { type: 'digest', value: options.certificate.id },
        signature: fromEcdsaSignature(signature),
      },
    },
  });
}

/**
 * Verifies the signature over signed data with a certificate that the caller has verified.
 *
 * @throws Ieee1609Dot2Error `invalid-signature`, or `unsupported` for a hash or signature other than SHA-256 and P-256.
 */
export function verifySignedData(
  signed: SignedData,
  certificate: HashedCertificate,
  key: PublicKey,
): void {
  if (signed.hashId !== 'sha256') {
    throw new Ieee1609Dot2Error('unsupported', `expected sha256, saw hash ${signed.hashId}`);
  }
  const input = signatureInput(signed.tbsData.octets, certificate);
  if (!key.verify(input, toEcdsaSignature(signed.signature))) {
    throw new Ieee1609Dot2Error('invalid-signature', "expected the signer's signature");
  }
}

/**
 * The octets that signed data carry as `unsecuredData`.
 *
 * @throws Ieee1609Dot2Error `unsupported` when the payload is anything else.
 */
export function signedPayload(signed: SignedData): Uint8Array {
  const content = signed.tbsData.value.payload.data?.content;
  if (content?.type !== 'unsecuredData') {
    throw new Ieee1609Dot2Error('unsupported', 'expected unsecured data inside the signature');
  }
  return content.value;
}
