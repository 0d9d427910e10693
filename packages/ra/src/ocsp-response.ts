/** OCSP (RFC 6960) as an RA needs it: a request about one certificate, and what a response says about it. */
import { webcrypto } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

/** The responder's clock may be ahead of ours by so much. */
const SKEW_MS = 300_000;
/** A response with the chain of its responder is a few thousand octets. */
export const MAX_OCSP_RESPONSE = 64 * 1024;
/** RFC 5019 §2.1.1: what every responder knows. It names the issuer, and protects nothing. */
const CERT_ID_HASH = 'SHA-1';

const ID_CE_EXT_KEY_USAGE = '2.5.29.37';
const ID_KP_OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
/** OCSPResponseStatus, RFC 6960 §4.2.1. */
const RESPONSE_STATUSES: Readonly<Record<number, string>> = {
  1: 'malformedRequest',
  2: 'internalError',
  3: 'tryLater',
  5: 'sigRequired',
  6: 'unauthorized',
};
/** CertStatus by its tag. */
const CERT_STATUSES = ['good', 'revoked', 'unknown'] as const;

const engine = new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto });

/** A response that was checked. Times are Unix time in milliseconds. */
export interface CertificateStatus {
  readonly status: (typeof CERT_STATUSES)[number];
  /** thisUpdate: when the status was known to be right. */
  readonly fromMs: number;
  /** nextUpdate, or the end of the responder's certificate if that comes before. */
  readonly untilMs: number;
}

/** A response that says nothing: that of another certificate, signed by nobody we know, too old, or none at all. */
export class OcspError extends Error {
  override readonly name = 'OcspError';
}

/** One certificate and its issuer: what is asked, and how the answers are checked. */
export class OcspQuestion {
  /** DER of OCSPRequest, without nonce: the answer may be one that was signed before (RFC 5019 §2.1.1). */
  readonly request: Uint8Array;
  readonly #certId: pkijs.CertID;
  readonly #issuer: pkijs.Certificate;

  private constructor(request: Uint8Array, certId: pkijs.CertID, issuer: pkijs.Certificate) {
    this.request = request;
    this.#certId = certId;
    this.#issuer = issuer;
  }

  /** @param certificate DER, as `issuer`, whose key has signed it */
  static async about(certificate: Uint8Array, issuer: Uint8Array): Promise<OcspQuestion> {
    const subject = pkijs.Certificate.fromBER(new Uint8Array(certificate));
    const issuerCertificate = pkijs.Certificate.fromBER(new Uint8Array(issuer));
    const parameters = { hashAlgorithm: CERT_ID_HASH, issuerCertificate };
    const certId = await pkijs.CertID.create(subject, parameters, engine);
    const request = new pkijs.OCSPRequest();
    request.tbsRequest.requestList = [new pkijs.Request({ reqCert: certId })];
    const octets = new Uint8Array(request.toSchema(true).toBER());
    return new OcspQuestion(octets, certId, issuerCertificate);
  }

  /**
   * Checks a response by RFC 6960 §3.2: about this certificate, signed by its issuer or by a responder to whom the
   * issuer gave the right, of now, and with an end.
   *
   * @param response DER of OCSPResponse
   * @throws OcspError
   */
  async check(response: Uint8Array, nowMs: number): Promise<CertificateStatus> {
    const basic = decodeBasicResponse(response);
    const signer = await this.#signerOf(basic, nowMs);
    if (signer === undefined) {
      throw new OcspError("expected the issuer's signature, or that of its responder");
    }
    const { responses } = basic.tbsResponseData;
    const single = responses.find(({ certID }) => certID.isEqual(this.#certId));
    if (single === undefined) throw new OcspError("expected an answer about the RA's certificate");
    if (single.nextUpdate === undefined) throw new OcspError('expected nextUpdate');
    const fromMs = single.thisUpdate.getTime();
    const isIssuer = signer === this.#issuer;
    const untilMs = Math.min(
      single.nextUpdate.getTime(),
      isIssuer ? Number.POSITIVE_INFINITY : signer.notAfter.value.getTime(),
    );
    if (!(fromMs <= nowMs + SKEW_MS && nowMs < untilMs)) {
      throw new OcspError(
        `expected an answer of now, saw one from ${timeText(fromMs)} until ${timeText(untilMs)}`,
      );
    }
    const { tagNumber } = (single.certStatus as asn1js.BaseBlock).idBlock;
    const status = CERT_STATUSES[tagNumber];
    if (status === undefined) throw new OcspError(`expected a CertStatus, saw [${tagNumber}]`);
    return { status, fromMs, untilMs };
  }

  async #signerOf(
    basic: pkijs.BasicOCSPResponse,
    nowMs: number,
  ): Promise<pkijs.Certificate | undefined> {
    const { tbsResponseData, signature, signatureAlgorithm } = basic;
    for (const signer of [this.#issuer, ...(basic.certs ?? [])]) {
      if (signer !== this.#issuer && !(await this.#isResponder(signer, nowMs))) continue;
      const key = signer.subjectPublicKeyInfo;
      if (await isSigned(tbsResponseData.tbsView, signature, key, signatureAlgorithm)) {
        return signer;
      }
    }
    return undefined;
  }

  /** RFC 6960 §4.2.2.2: certified by the same issuer, and for this. */
  async #isResponder(certificate: pkijs.Certificate, nowMs: number): Promise<boolean> {
    const usage = certificate.extensions?.find(({ extnID }) => extnID === ID_CE_EXT_KEY_USAGE);
    const purposes = decoding(() => usage?.parsedValue as Partial<pkijs.ExtKeyUsage> | undefined);
    return (
      purposes?.keyPurposes?.includes(ID_KP_OCSP_SIGNING) === true &&
      certificate.issuer.isEqual(this.#issuer.subject) &&
      certificate.notBefore.value.getTime() <= nowMs &&
      nowMs <= certificate.notAfter.value.getTime() &&
      (await isSigned(
        certificate.tbsView,
        certificate.signatureValue,
        this.#issuer.subjectPublicKeyInfo,
        certificate.signatureAlgorithm,
      ))
    );
  }
}

/** @throws OcspError */
function decodeBasicResponse(octets: Uint8Array): pkijs.BasicOCSPResponse {
  if (octets.length > MAX_OCSP_RESPONSE) {
    throw new OcspError(`expected up to ${MAX_OCSP_RESPONSE} octets, saw ${octets.length}`);
  }
  const response = decoding(() => {
    const { offset, result } = asn1js.fromBER(new Uint8Array(octets));
    if (offset > 0 && offset < octets.length) {
      throw new OcspError(`expected one value and no more, saw ${octets.length - offset} octets`);
    }
    return new pkijs.OCSPResponse({ schema: result });
  });
  const status = response.responseStatus.valueBlock.valueDec;
  if (status !== 0) {
    throw new OcspError(`expected an answer, saw ${RESPONSE_STATUSES[status] ?? status}`);
  }
  const { responseType, response: value } = response.responseBytes ?? {};
  if (responseType !== pkijs.id_PKIX_OCSP_Basic || value === undefined) {
    throw new OcspError('expected a basic response');
  }
  return decoding(() =>
    pkijs.BasicOCSPResponse.fromBER(new Uint8Array(value.valueBlock.valueHexView)),
  );
}

/** What the decoder throws is not always an error of its own: whatever it is, the octets are to blame. */
function decoding<T>(decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof OcspError) throw cause;
    throw new OcspError('expected DER of an OCSPResponse', { cause });
  }
}

/** False also for an algorithm that we do not have, and for a key of another kind. */
async function isSigned(
  octets: Uint8Array,
  signature: asn1js.BitString,
  key: pkijs.PublicKeyInfo,
  algorithm: pkijs.AlgorithmIdentifier,
): Promise<boolean> {
  try {
    return await engine.verifyWithPublicKey(new Uint8Array(octets), signature, key, algorithm);
  } catch {
    return false;
  }
}

function timeText(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : 'no time';
}
