/** Countersignature of IEEE 1609.2 §6.3.8: signedData over the hash of data that stand elsewhere. */
import { capture } from '@chrysalis/coer';
import { equalConstantTime, sha256 } from '@chrysalis/crypto';
import {
  asCertificate,
  fromEcdsaSignature,
  type HashedCertificate,
  type Ieee1609Dot2Data,
  type SignedData,
  type Signer,
  signatureInput,
  type Time64,
  ToBeSignedData,
  type TrustStore,
  type VerifiedCertificate,
  verifySignedData,
} from '@chrysalis/ieee1609dot2';
import { expectManagementHeader, findSigner, SECURITY_MGMT_PSID } from './envelope.ts';
import { ScmsDataError } from './error.ts';

/** Who signs: the certificate and the key that belongs to it. */
export interface ComponentSigner {
  readonly certificate: HashedCertificate;
  readonly key: Signer;
}

/**
 * Signs the SHA-256 of octets. The signer is named by certificate: a device that reads a policy has no other way to
 * come by the certificate of the PG.
 */
export function countersign(
  octets: Uint8Array,
  { certificate, key }: ComponentSigner,
  generationTime: Time64,
): Ieee1609Dot2Data {
  const tbsData = capture(ToBeSignedData, {
    payload: { extDataHash: { type: 'sha256HashedData', value: sha256(octets) } },
    headerInfo: { psid: SECURITY_MGMT_PSID, generationTime },
  });
  const signature = key.sign(signatureInput(tbsData.octets, certificate));
  return {
    protocolVersion: 3,
    content: {
      type: 'signedData',
      value: {
        hashId: 'sha256',
        tbsData,
        signer: { type: 'certificate', value: [asCertificate(certificate)] },
        signature: fromEcdsaSignature(signature),
      },
    },
  };
}

/**
 * Verifies a countersignature over octets by a certificate that `trust` knows or can verify. Whether that signer is the
 * right one, and valid now, is left to the caller.
 *
 * @throws ScmsDataError `not-signed`, `unexpected-message`, `no-signer-certificate`; Ieee1609Dot2Error
 */
export function verifyCountersignature(
  { content }: Ieee1609Dot2Data,
  octets: Uint8Array,
  trust: TrustStore,
): VerifiedCertificate {
  if (content.type !== 'signedData') {
    throw new ScmsDataError('not-signed', `expected signedData, saw ${content.type}`);
  }
  expectHashOf(octets, content.value);
  const signer = findSigner(content.value.signer, trust);
  verifySignedData(content.value, signer, signer.publicKey);
  return signer;
}

function expectHashOf(octets: Uint8Array, signed: SignedData): void {
  const { payload, headerInfo } = signed.tbsData.value;
  expectManagementHeader(headerInfo);
  const { data, extDataHash } = payload;
  const isHash = data === undefined && extDataHash?.type === 'sha256HashedData';
  if (isHash && equalConstantTime(extDataHash.value, sha256(octets))) return;
  throw new ScmsDataError('unexpected-message', 'expected the hash of what is countersigned');
}
