/** OCSP (RFC 6960) by the test X.509 root, which signs its answers itself. */
import type { webcrypto } from 'node:crypto';
import type { Clock } from '@chrysalis/scms';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import {
  decodePem,
  engine,
  importPrivateKey,
  keyIdentifier,
  type X509Identity,
} from './x509-certificate.ts';

/** CRLReason, RFC 5280 §5.3.1: those that fit the certificate of a server. */
const REASONS = {
  unspecified: 0,
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
} as const;
export type X509RevocationReason = keyof typeof REASONS;
export const X509_REVOCATION_REASONS = Object.keys(REASONS) as X509RevocationReason[];

export interface X509Revocation {
  readonly revokedAt: Date;
  readonly reason: X509RevocationReason;
}

export interface OcspResponderOptions {
  readonly root: X509Identity;
  readonly clock: Clock;
  /**
   * The revocation of a certificate of this root, undefined when it has none.
   * @param serialNumber as {@link formatSerialNumber} writes it
   */
  revocationOf(serialNumber: string): Promise<X509Revocation | undefined>;
}

export interface OcspResponder {
  /**
   * Answers DER of OCSPRequest with DER of OCSPResponse, as application/ocsp-request and -response carry them.
   * Rubbish gets `malformedRequest`, a certificate of another issuer `unknown`. The root keeps no list of what it
   * issued: what is not revoked is `good` (RFC 6960 §2.2). Rejects when `revocationOf` does.
   */
  respond(request: Uint8Array): Promise<Uint8Array>;
}

/** How long an answer may be used. It bounds how long a revocation goes unseen, and a responder unmissed. */
export const OCSP_VALIDITY_MS = 3_600_000;

/** OCSPResponseStatus, RFC 6960 §4.2.1. */
const RESPONSE_STATUS = { successful: 0, malformedRequest: 1 } as const;
/** Hashes that a CertID may be made with; SHA-1 is a name here, not a protection. */
const CERT_ID_HASHES: Readonly<Record<string, string>> = {
  [pkijs.id_sha1]: 'SHA-1',
  [pkijs.id_sha256]: 'SHA-256',
};
/** RFC 6960 §4.4.1. */
const ID_PKIX_OCSP_NONCE = '1.3.6.1.5.5.7.48.1.2';
/** RFC 9654 §2.1: 128 octets, in an OCTET STRING with a head of three. */
const MAX_NONCE = 131;
/** A request is about 80 octets for each certificate. */
const MAX_REQUEST = 4096;
const MAX_CERTIFICATES = 16;

const SIGNATURE_HASH = 'SHA-256';

interface Issuer {
  readonly certificate: pkijs.Certificate;
  readonly key: webcrypto.CryptoKey;
  /** A CertID of the root's own certificate for each hash: its first two parts are those of all that it issued. */
  readonly ids: ReadonlyMap<string, pkijs.CertID>;
}

/** @throws TypeError when the root is no PEM */
export async function createOcspResponder(options: OcspResponderOptions): Promise<OcspResponder> {
  const issuer = await openIssuer(options.root);
  return {
    async respond(octets) {
      const request = decodeRequest(octets);
      if (request === undefined) return failure('malformedRequest');
      const { requestList, requestExtensions = [] } = request.tbsRequest;
      const now = wholeSeconds(options.clock.now());
      const data = new pkijs.ResponseData({
        // byKey: the same hash as the subject key identifier's (RFC 6960 §4.2.1).
        responderID: new asn1js.OctetString({
          valueHex: new Uint8Array(keyIdentifier(issuer.certificate)).buffer,
        }),
        producedAt: now,
      });
      for (const { reqCert } of requestList) {
        data.responses.push(
          new pkijs.SingleResponse({
            certID: reqCert,
            certStatus: await statusOf(reqCert, issuer, options),
            thisUpdate: now,
            nextUpdate: new Date(now.getTime() + OCSP_VALIDITY_MS),
          }),
        );
      }
      const nonce = requestExtensions.find(({ extnID }) => extnID === ID_PKIX_OCSP_NONCE);
      if (nonce) data.responseExtensions = [nonce];
      return signed(data, issuer);
    },
  };
}

/** A serial number as revocations are kept by it: hex in lower case, without leading zero octets. */
export function formatSerialNumber(serialNumber: string | Uint8Array): string {
  const hex = typeof serialNumber === 'string' ? serialNumber : toHex(serialNumber);
  return hex.toLowerCase().replace(/^(?:00)+(?=..)/, '');
}

async function openIssuer(root: X509Identity): Promise<Issuer> {
  const certificate = pkijs.Certificate.fromBER(decodePem(root.certificatePem));
  const ids = new Map<string, pkijs.CertID>();
  for (const [oid, hashAlgorithm] of Object.entries(CERT_ID_HASHES)) {
    const parameters = { hashAlgorithm, issuerCertificate: certificate };
    ids.set(oid, await pkijs.CertID.create(certificate, parameters, engine));
  }
  return { certificate, key: await importPrivateKey(root.privateKeyPem), ids };
}

/** Undefined for what is no request, is beyond our limits, or demands an extension that we do not know. */
function decodeRequest(octets: Uint8Array): pkijs.OCSPRequest | undefined {
  if (octets.length > MAX_REQUEST) return undefined;
  let request: pkijs.OCSPRequest;
  try {
    const { offset, result } = asn1js.fromBER(octets);
    if (offset !== octets.length) return undefined;
    request = new pkijs.OCSPRequest({ schema: result });
  } catch {
    // What the decoder throws on rubbish is not always an error of its own.
    return undefined;
  }
  const { requestList, requestExtensions = [] } = request.tbsRequest;
  if (requestList.length === 0 || requestList.length > MAX_CERTIFICATES) return undefined;
  const extensions = requestList.flatMap(({ singleRequestExtensions = [] }) => [
    ...singleRequestExtensions,
  ]);
  const isUnknown = ({ extnID, critical }: pkijs.Extension) =>
    critical && extnID !== ID_PKIX_OCSP_NONCE;
  if ([...requestExtensions, ...extensions].some(isUnknown)) return undefined;
  const isTooLong = ({ extnID, extnValue }: pkijs.Extension) =>
    extnID === ID_PKIX_OCSP_NONCE && extnValue.valueBlock.valueHexView.length > MAX_NONCE;
  return requestExtensions.some(isTooLong) ? undefined : request;
}

/** CertStatus: good [0], revoked [1] or unknown [2]. */
async function statusOf(
  certId: pkijs.CertID,
  issuer: Issuer,
  { revocationOf }: OcspResponderOptions,
): Promise<asn1js.BaseBlock> {
  if (!isIssuedBy(issuer, certId)) return new asn1js.Primitive({ idBlock: tag(2) });
  const serialNumber = formatSerialNumber(certId.serialNumber.valueBlock.valueHexView);
  const revocation = await revocationOf(serialNumber);
  if (revocation === undefined) return new asn1js.Primitive({ idBlock: tag(0) });
  const value: asn1js.BaseBlock[] = [
    new asn1js.GeneralizedTime({ valueDate: wholeSeconds(revocation.revokedAt.getTime()) }),
  ];
  // RFC 5280 §5.3.1: rather no reason than one that is not specified.
  if (revocation.reason !== 'unspecified') {
    const reason = new asn1js.Enumerated({ value: REASONS[revocation.reason] });
    value.push(new asn1js.Constructed({ idBlock: tag(0), value: [reason] }));
  }
  return new asn1js.Constructed({ idBlock: tag(1), value });
}

function isIssuedBy({ ids }: Issuer, certId: pkijs.CertID): boolean {
  const own = ids.get(certId.hashAlgorithm.algorithmId);
  return (
    own?.issuerNameHash.isEqual(certId.issuerNameHash) === true &&
    own.issuerKeyHash.isEqual(certId.issuerKeyHash)
  );
}

async function signed(data: pkijs.ResponseData, issuer: Issuer): Promise<Uint8Array> {
  // The certificate spares clients that look for the signer in the response alone.
  const basic = new pkijs.BasicOCSPResponse({
    tbsResponseData: data,
    certs: [issuer.certificate],
  });
  await basic.sign(issuer.key, SIGNATURE_HASH, engine);
  return encode(
    new pkijs.OCSPResponse({
      responseStatus: new asn1js.Enumerated({ value: RESPONSE_STATUS.successful }),
      responseBytes: new pkijs.ResponseBytes({
        responseType: pkijs.id_PKIX_OCSP_Basic,
        response: new asn1js.OctetString({ valueHex: basic.toSchema().toBER() }),
      }),
    }),
  );
}

function failure(status: 'malformedRequest'): Uint8Array {
  const responseStatus = new asn1js.Enumerated({ value: RESPONSE_STATUS[status] });
  return encode(new pkijs.OCSPResponse({ responseStatus }));
}

function encode(response: pkijs.OCSPResponse): Uint8Array {
  return new Uint8Array(response.toSchema().toBER());
}

function tag(tagNumber: number) {
  const contextSpecific = 3;
  return { tagClass: contextSpecific, tagNumber };
}

/** DER has no fractions of a second here (RFC 5280 §4.1.2.5.2). */
function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}

function toHex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
