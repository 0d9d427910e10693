/** A stapled OCSP response (RFC 6066 §8) for the RA's X.509 certificate: RFC 6960, what of it a client needs. */
import { createHash, verify, X509Certificate } from 'node:crypto';
import { type Der, DerValues, derTime, hexOf } from './der.ts';
import { EeError } from './error.ts';

/** Clocks of responders and devices differ by so much at most. */
const SKEW_MS = 300_000;
/** A chain of the authority over the responder is a certificate or two. */
const MAX_CERTIFICATES = 4;

/** Object identifiers, as their octets in hex. */
const ID_PKIX_OCSP_BASIC = '2b0601050507300101';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
const SIGNATURE_HASHES: Readonly<Record<string, string>> = {
  '2a8648ce3d040302': 'sha256', // ecdsa-with-SHA256
  '2a8648ce3d040303': 'sha384',
  '2a864886f70d01010b': 'sha256', // sha256WithRSAEncryption
};
const CERT_ID_HASHES: Readonly<Record<string, string>> = {
  '2b0e03021a': 'sha1',
  '608648016503040201': 'sha256',
};
/** certStatus: good [0], and the others by their tags. */
const GOOD = 0x80;
const STATUSES: Readonly<Record<number, string>> = { 161: 'revoked', 130: 'unknown' };

/**
 * Makes sure that a response says that a certificate is good now: signed by the issuer, or by a
 * responder to whom the issuer gave the right (RFC 6960 §4.2.2.2). Pure.
 *
 * @param response DER of OCSPResponse
 * @throws EeError `tls`
 */
export function verifyOcspResponse(
  response: Uint8Array,
  certificate: X509Certificate,
  issuer: X509Certificate,
  nowMs: number,
): void {
  try {
    const outer = new DerValues(response, 'OCSPResponse');
    const [code = -1] = outer.at(0).content;
    if (code !== 0) refuse(`status successful, saw ${code}`);
    const bytes = new DerValues(outer.at(1).content, 'responseBytes');
    if (hexOf(bytes.at(0).content) !== ID_PKIX_OCSP_BASIC) refuse('a basic response');
    const basic = new DerValues(bytes.at(1).content, 'BasicOCSPResponse');
    const [tbs, signature, certs] = [basic.at(0), basic.at(2), basic.all[3]];
    const algorithm = basic.inside(1, 'signatureAlgorithm').at(0);
    const hash = SIGNATURE_HASHES[hexOf(algorithm.content)] ?? refuse('a known signature');
    // A BIT STRING begins with the number of bits that do not count.
    const octets = signature.content.subarray(1);
    const isSigner = (by: X509Certificate) => verify(hash, tbs.whole, by.publicKey, octets);
    const signer = [issuer, ...delegates(certs, issuer, nowMs)].find(isSigner);
    if (signer === undefined) refuse("the issuer's signature, or that of its responder");
    expectGood(tbs, certificate, issuer, nowMs);
  } catch (cause) {
    if (cause instanceof EeError) throw cause;
    throw new EeError('tls', 'stapled OCSP response: expected DER', { cause });
  }
}

/** Responders whom the issuer itself certified for this, and whose certificates are valid. */
function delegates(certs: Der | undefined, issuer: X509Certificate, nowMs: number) {
  if (certs === undefined) return [];
  return new DerValues(certs.content, 'certs').all
    .slice(0, MAX_CERTIFICATES)
    .map(({ whole }) => new X509Certificate(whole))
    .filter(
      (cert) =>
        cert.checkIssued(issuer) &&
        cert.verify(issuer.publicKey) &&
        cert.keyUsage?.includes(OCSP_SIGNING) === true &&
        cert.validFromDate.getTime() <= nowMs &&
        nowMs <= cert.validToDate.getTime(),
    );
}

function expectGood(
  tbs: Der,
  certificate: X509Certificate,
  issuer: X509Certificate,
  nowMs: number,
): void {
  // version [0] may be missing; then come responderID, producedAt and the responses.
  const fields = new DerValues(tbs.whole, 'tbsResponseData');
  const responses = fields.inside(fields.at(0).tag === 0xa0 ? 3 : 2, 'responses');
  for (const { whole } of responses.all) {
    const single = new DerValues(whole, 'SingleResponse');
    if (!isAbout(single.inside(0, 'CertID'), certificate, issuer)) continue;
    const { tag } = single.at(1);
    if (tag !== GOOD)
      refuse(`a certificate that is good, saw ${STATUSES[tag] ?? 'another status'}`);
    const next = single.all[3];
    if (next?.tag !== 0xa0) refuse('nextUpdate');
    const from = derTime(single.at(2).content);
    const until = derTime(new DerValues(next.whole, 'nextUpdate').at(0).content);
    if (nowMs + SKEW_MS < from || until + SKEW_MS < nowMs) refuse('a response of now');
    return;
  }
  refuse("a response about the RA's certificate");
}

/** CertID: hashes of the issuer's name and key, and the serial number. */
function isAbout(
  certId: DerValues,
  certificate: X509Certificate,
  issuer: X509Certificate,
): boolean {
  const name = CERT_ID_HASHES[hexOf(certId.inside(0, 'hashAlgorithm').at(0).content)];
  if (name === undefined) return false;
  const { subject, key } = partsOf(issuer);
  const hash = (octets: Uint8Array) => createHash(name).update(octets).digest('hex');
  return (
    hexOf(certId.at(1).content) === hash(subject) &&
    hexOf(certId.at(2).content) === hash(key) &&
    hexOf(certId.at(3).content) === hexOf(partsOf(certificate).serial)
  );
}

/** RFC 5280 §4.1: the parts of a certificate that a CertID is made of. */
function partsOf(certificate: X509Certificate) {
  const tbs = new DerValues(certificate.raw, 'Certificate').inside(0, 'tbsCertificate');
  const offset = tbs.at(0).tag === 0xa0 ? 1 : 0;
  const spki = tbs.inside(offset + 5, 'subjectPublicKeyInfo');
  return {
    serial: tbs.at(offset).content,
    subject: tbs.at(offset + 4).whole,
    key: spki.at(1).content.subarray(1),
  };
}

function refuse(expected: string): never {
  throw new EeError('tls', `stapled OCSP response: expected ${expected}`);
}
