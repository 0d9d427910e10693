import assert from 'node:assert/strict';
import { webcrypto, X509Certificate } from 'node:crypto';
import { before, describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { issueX509ServerCertificate, type X509Identity } from '../../authorities/src/x509.ts';
import { httpsTransport, verifyOcspResponse } from '../src/index.ts';
import { serveHttps, tlsIdentity } from './https-server.ts';

// The responses are made by pkijs, which knows nothing of our reader.
const engine = new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto });
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
const HOUR_MS = 3_600_000;
const NOW = Date.now();

let root: X509Identity;
let server: X509Identity;
before(async () => {
  ({ root, server } = await tlsIdentity());
});

interface ResponseOptions {
  readonly certificate?: X509Identity;
  readonly issuer?: X509Identity;
  readonly signer?: X509Identity;
  /** A certificate that comes with the response. */
  readonly delegate?: X509Identity;
  readonly status?: 'good' | 'revoked' | 'unknown';
  readonly fromMs?: number;
  readonly untilMs?: number | undefined;
  readonly hash?: 'SHA-1' | 'SHA-256';
}

async function ocspResponse(options: ResponseOptions = {}): Promise<Uint8Array> {
  const { certificate = server, issuer = root, status = 'good', hash = 'SHA-1' } = options;
  const { fromMs = NOW - HOUR_MS, untilMs = NOW + HOUR_MS, signer = issuer } = options;
  const certID = new pkijs.CertID();
  await certID.createForCertificate(
    parse(certificate),
    { hashAlgorithm: hash, issuerCertificate: parse(issuer) },
    engine,
  );
  const tag = { good: 0, revoked: 1, unknown: 2 }[status];
  const idBlock = { tagClass: 3, tagNumber: tag };
  const certStatus =
    status === 'revoked'
      ? new asn1js.Constructed({
          idBlock,
          value: [new asn1js.GeneralizedTime({ valueDate: new Date(fromMs) })],
        })
      : new asn1js.Primitive({ idBlock });
  const single = new pkijs.SingleResponse({ certID, certStatus, thisUpdate: whole(fromMs) });
  if ('untilMs' in options ? options.untilMs !== undefined : true)
    single.nextUpdate = whole(untilMs!);
  const basic = new pkijs.BasicOCSPResponse();
  basic.tbsResponseData.responderID = parse(signer).subject;
  basic.tbsResponseData.producedAt = whole(fromMs);
  basic.tbsResponseData.responses.push(single);
  if (options.delegate) basic.certs = [parse(options.delegate)];
  await basic.sign(await keyOf(signer), 'SHA-256', engine);
  const response = new pkijs.OCSPResponse({
    responseStatus: new asn1js.Enumerated({ value: 0 }),
    responseBytes: new pkijs.ResponseBytes({
      responseType: '1.3.6.1.5.5.7.48.1.1',
      response: new asn1js.OctetString({ valueHex: basic.toSchema().toBER(false) }),
    }),
  });
  return new Uint8Array(response.toSchema().toBER(false));
}

/** A certificate of the root for another purpose than a server's. */
async function responder(issuer: X509Identity, purpose = OCSP_SIGNING): Promise<X509Identity> {
  const made = await issueX509ServerCertificate(issuer, {
    commonName: 'responder',
    dnsNames: ['ocsp.test'],
    notBefore: new Date(NOW - HOUR_MS),
    notAfter: new Date(NOW + HOUR_MS),
  });
  const certificate = parse(made);
  const usage = certificate.extensions!.find(({ extnID }) => extnID === '2.5.29.37')!;
  usage.extnValue = new asn1js.OctetString({
    valueHex: new pkijs.ExtKeyUsage({ keyPurposes: [purpose] }).toSchema().toBER(false),
  });
  await certificate.sign(await keyOf(issuer), 'SHA-256', engine);
  const der = Buffer.from(certificate.toSchema().toBER(false)).toString('base64');
  const certificatePem = `-----BEGIN CERTIFICATE-----\n${der}\n-----END CERTIFICATE-----\n`;
  return { ...made, certificatePem };
}

function check(response: Uint8Array, certificate = server, issuer = root) {
  verifyOcspResponse(
    response,
    new X509Certificate(certificate.certificatePem),
    new X509Certificate(issuer.certificatePem),
    NOW,
  );
}

describe('verifyOcspResponse', () => {
  it('takes a response of the root, and of a responder whom the root certified for it', async () => {
    for (const hash of ['SHA-1', 'SHA-256'] as const) check(await ocspResponse({ hash }));
    const delegate = await responder(root);
    check(await ocspResponse({ signer: delegate, delegate }));
  });

  it('refuses any other', async () => {
    const stranger = await tlsIdentity();
    const other = await issueX509ServerCertificate(root, {
      commonName: 'other',
      dnsNames: ['other.test'],
      notBefore: new Date(NOW - HOUR_MS),
      notAfter: new Date(NOW + HOUR_MS),
    });
    const outsider = await responder(stranger.root);
    const noResponder = await responder(root, '1.3.6.1.5.5.7.3.1');
    const cases: [ResponseOptions, RegExp][] = [
      [{ status: 'revoked' }, /good, saw revoked/],
      [{ status: 'unknown' }, /good, saw unknown/],
      [{ signer: stranger.root }, /issuer's signature/],
      [{ signer: server, delegate: server }, /issuer's signature/],
      [{ signer: noResponder, delegate: noResponder }, /issuer's signature/],
      [{ signer: outsider, delegate: outsider }, /issuer's signature/],
      [{ certificate: other }, /about the RA's certificate/],
      [{ issuer: stranger.root, signer: root }, /about the RA's certificate/],
      [{ fromMs: NOW + HOUR_MS, untilMs: NOW + 2 * HOUR_MS }, /response of now/],
      [{ fromMs: NOW - 3 * HOUR_MS, untilMs: NOW - HOUR_MS }, /response of now/],
      [{ untilMs: undefined }, /nextUpdate/],
    ];
    for (const [options, message] of cases) {
      const response = await ocspResponse(options);
      assert.throws(() => check(response), { name: 'EeError', code: 'tls', message });
    }
    // tryLater: a status, and nothing else.
    assert.throws(() => check(Uint8Array.of(0x30, 3, 0x0a, 1, 3)), { message: /saw 3/ });
  });

  it('gives nothing but its own error for an altered response, and for a cut one always', async () => {
    const response = await ocspResponse();
    for (let n = 0; n < response.length; n += 1) {
      const altered = response.slice();
      altered[n]! ^= 0x41;
      // Outside the signed part an octet may be altered without harm.
      try {
        check(altered);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'tls', `octet ${n}`);
      }
      assert.throws(() => check(response.subarray(0, n)), { code: 'tls' });
    }
  });
});

describe('httpsTransport with OCSP', () => {
  async function exchangeWith(t: Parameters<typeof serveHttps>[0], response: Uint8Array | null) {
    const {
      url,
      requests,
      server: listening,
    } = await serveHttps(t, server, (_, answer) => {
      answer.end();
    });
    listening.on('OCSPRequest', (_certificate, _issuer, callback) => {
      callback(null, response && Buffer.from(response));
    });
    const transport = httpsTransport({ x509Root: root.certificatePem, ocsp: true });
    t.after(() => transport.close());
    const exchange = transport.exchange({ method: 'GET', url, message: () => ({ headers: {} }) });
    return { exchange, requests };
  }

  it('goes on under a stapled response', async (t) => {
    const { exchange } = await exchangeWith(t, await ocspResponse());
    assert.equal((await exchange).status, 200);
  });

  it('sends nothing without one, or when the certificate is revoked', async (t) => {
    for (const response of [null, await ocspResponse({ status: 'revoked' })]) {
      const { exchange, requests } = await exchangeWith(t, response);
      await assert.rejects(exchange, { code: 'tls', message: /OCSP/ });
      assert.equal(requests.length, 0);
    }
  });
});

function parse({ certificatePem }: X509Identity): pkijs.Certificate {
  const base64 = certificatePem.replaceAll(/-----[^-]+-----|\s/g, '');
  return pkijs.Certificate.fromBER(new Uint8Array(Buffer.from(base64, 'base64')));
}

async function keyOf({ privateKeyPem }: X509Identity): Promise<webcrypto.CryptoKey> {
  const base64 = privateKeyPem.replaceAll(/-----[^-]+-----|\s/g, '');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const octets = new Uint8Array(Buffer.from(base64, 'base64'));
  return webcrypto.subtle.importKey('pkcs8', octets, algorithm, false, ['sign']);
}

/** Times in DER have whole seconds. */
function whole(ms: number): Date {
  return new Date(Math.floor(ms / 1_000) * 1_000);
}
