/**
 * The envelopes of scms-protocol.asn: Secured (encrypted) around Signed around Scoped (the ScmsPDU). Octets in,
 * octets out; nothing here knows a service.
 */
import { type Codec, CoerError, decode, encode, encoded } from '@chrysalis/coer';
import type { PublicKey, Random } from '@chrysalis/crypto';
import {
  asCertificate,
  type Certificate,
  type Decrypter,
  decryptForCertificate,
  type EncryptedData,
  encryptForCertificate,
  fromEcdsaSignature,
  type HashedCertificate,
  type HeaderInfo,
  Ieee1609Dot2Data,
  Ieee1609Dot2Error,
  type SignedData,
  type Signer,
  type SignerIdentifier,
  signatureInput,
  signData,
  signedPayload,
  type Time64,
  type TrustStore,
  toEcdsaSignature,
  type VerifiedCertificate,
  verifySignedData,
} from '@chrysalis/ieee1609dot2';
import { ScmsDataError } from './error.ts';
import { ScmsPdu122, SignedCertificateRequest122 } from './pdu/scms-pdu.ts';
import type { SignedRequest } from './scoped-request.ts';

/** The application of all security management messages (scms-base-types.asn). */
export const SECURITY_MGMT_PSID = 0x23;

/** Decodes, and turns the codec's error into one of ours that names the message. */
export function decodeMessage<T>(codec: Codec<T>, octets: Uint8Array, name: string): T {
  try {
    return decode(codec, octets);
  } catch (cause) {
    if (!(cause instanceof CoerError)) throw cause;
    throw new ScmsDataError('malformed', `expected ${name}: ${cause.message}`, { cause });
  }
}

/** Encrypts a signed request to the RA, as the body of a POST or the value of Download-Req. */
export function secureRequest(
  signed: Uint8Array,
  recipient: HashedCertificate,
  random: Random,
): Uint8Array {
  return encryptForCertificate(signed, recipient, random);
}

/**
 * The encrypted data of a Secured message.
 *
 * @throws ScmsDataError `malformed`, or `not-encrypted` for any other content.
 */
export function decodeSecured(octets: Uint8Array): EncryptedData {
  const { content } = decodeMessage(Ieee1609Dot2Data, octets, 'Ieee1609Dot2Data');
  if (content.type === 'encryptedData') return content.value;
  throw new ScmsDataError('not-encrypted', `expected encryptedData, saw ${content.type}`);
}

/** Opens a Secured message that was encrypted to `recipient`. @throws Ieee1609Dot2Error, ScmsDataError */
export function openSecured(
  octets: Uint8Array,
  recipient: HashedCertificate,
  key: Decrypter,
): Uint8Array {
  return decryptForCertificate(decodeSecured(octets), recipient, key);
}

/** Signs a ScmsPDU as a certificate request, the signer named by certificate or, for enrollment, by `self`. */
export function signRequest(
  scoped: Uint8Array,
  signer: HashedCertificate | 'self',
  key: Signer,
): Uint8Array {
  const signature = key.sign(signatureInput(scoped, signer));
  const signerIdentifier: SignerIdentifier =
    signer === 'self'
      ? { type: 'self', value: null }
      : { type: 'certificate', value: [asCertificate(signer)] };
  const request = encode(SignedCertificateRequest122, {
    hashId: 'sha256',
    // Only the octets are encoded: the dialect has been decided by whoever made them.
    tbsRequest: encoded(ScmsPdu122, scoped),
    signer: signerIdentifier,
    signature: fromEcdsaSignature(signature),
  });
  return encode(Ieee1609Dot2Data, {
    protocolVersion: 3,
    content: { type: 'signedCertificateRequest', value: request },
  });
}

/** The SignedCertificateRequest inside a Signed message. @throws ScmsDataError `malformed`, `not-signed` */
export function decodeSigned(octets: Uint8Array): Uint8Array {
  const { content } = decodeMessage(Ieee1609Dot2Data, octets, 'Ieee1609Dot2Data');
  if (content.type === 'signedCertificateRequest') return content.value;
  throw new ScmsDataError('not-signed', `expected signedCertificateRequest, saw ${content.type}`);
}

/** The one certificate that names the signer. @throws ScmsDataError `no-signer-certificate` */
export function signerCertificate(request: { readonly signer: SignerIdentifier }): Certificate {
  const { signer } = request;
  const [certificate] = signer.type === 'certificate' ? signer.value : [];
  if (signer.type !== 'certificate' || certificate === undefined || signer.value.length !== 1) {
    const seen =
      signer.type === 'certificate' ? `${signer.value.length} certificates` : signer.type;
    throw new ScmsDataError(
      'no-signer-certificate',
      `expected one signer certificate, saw ${seen}`,
    );
  }
  return certificate;
}

/** Verifies the signature of a request over its octets as received. @throws Ieee1609Dot2Error */
export function verifyRequest(
  request: Pick<SignedRequest, 'tbsRequest' | 'hashId' | 'signature'>,
  signer: HashedCertificate | 'self',
  key: PublicKey,
): void {
  if (request.hashId !== 'sha256') {
    throw new Ieee1609Dot2Error('unsupported', `expected sha256, saw hash ${request.hashId}`);
  }
  const input = signatureInput(request.tbsRequest, signer);
  if (!key.verify(input, toEcdsaSignature(request.signature))) {
    throw new Ieee1609Dot2Error('invalid-signature', "expected the signer's signature");
  }
}

/** Signs a ScmsPDU, or another payload of security management, as signedData with PSID 0x23. */
export function signMessage(
  payload: Uint8Array,
  certificate: HashedCertificate,
  key: Signer,
  options: { generationTime?: Time64; signerIdentifier?: 'digest' | 'certificate' } = {},
): Uint8Array {
  const { generationTime, signerIdentifier = 'digest' } = options;
  return signData({
    payload,
    headerInfo: {
      psid: SECURITY_MGMT_PSID,
      ...(generationTime !== undefined && { generationTime }),
    },
    certificate,
    key,
    signerIdentifier,
  });
}

/** A signed message whose signature has been verified. */
export interface VerifiedMessage {
  readonly payload: Uint8Array;
  readonly signer: VerifiedCertificate;
  readonly generationTime: Time64 | undefined;
}

/**
 * Verifies signedData of security management by a certificate that `trust` knows, or can verify when the
 * message carries it. The caller still decides whether that signer is the right one, and valid now.
 *
 * @throws ScmsDataError `malformed`, `not-signed`, `unexpected-message`; Ieee1609Dot2Error.
 */
export function openSignedMessage(octets: Uint8Array, trust: TrustStore): VerifiedMessage {
  const { content } = decodeMessage(Ieee1609Dot2Data, octets, 'Ieee1609Dot2Data');
  if (content.type !== 'signedData') {
    throw new ScmsDataError('not-signed', `expected signedData, saw ${content.type}`);
  }
  return openSignedData(content.value, trust);
}

/** As {@link openSignedMessage}, on data that are decoded already. */
export function openSignedData(signed: SignedData, trust: TrustStore): VerifiedMessage {
  expectManagementHeader(signed.tbsData.value.headerInfo);
  const signer = findSigner(signed.signer, trust);
  verifySignedData(signed, signer, signer.publicKey);
  const { generationTime } = signed.tbsData.value.headerInfo;
  return { payload: signedPayload(signed), signer, generationTime };
}

/** The certificate that signed: known by its digest, or verified when the message carries it. */
export function findSigner(signer: SignerIdentifier, trust: TrustStore): VerifiedCertificate {
  if (signer.type === 'digest') {
    const known = trust.get(signer.value);
    if (known) return known;
    throw new Ieee1609Dot2Error('unknown-issuer', 'expected a signer that is known and trusted');
  }
  return trust.verify(signerCertificate({ signer }));
}

/** CAMP fixes the header of every management message: PSID 0x23 and, in some, the generation time; nothing else. */
export function expectManagementHeader(header: HeaderInfo): void {
  expectBareHeader(header, SECURITY_MGMT_PSID, ['generationTime']);
}

/** @throws ScmsDataError `unexpected-message` for another PSID, or a field that does not belong there */
export function expectBareHeader(
  header: HeaderInfo,
  expectedPsid: number,
  allowed: readonly (keyof HeaderInfo)[],
): void {
  const { psid, ...rest } = header;
  const others = Object.keys(rest).filter((name) => !allowed.some((field) => field === name));
  if (psid !== expectedPsid || others.length > 0) {
    const seen = [formatPsid(psid), ...others].join(', ');
    throw new ScmsDataError(
      'unexpected-message',
      `expected a bare header with ${formatPsid(expectedPsid)}, saw ${seen}`,
    );
  }
}

function formatPsid(psid: number): string {
  return `PSID 0x${psid.toString(16)}`;
}
