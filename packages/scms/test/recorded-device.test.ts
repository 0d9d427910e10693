/**
 * What a fielded device sent and accepted, as it was recorded. The recording is not part of the project: the suite
 * runs where it lies ($CHRYSALIS_INTEROP_DIR, or ../shared/interop/obu-client beside the project).
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import {
  cocoonPrivateKey,
  Expansion,
  ecqvPrivateKey,
  equalPoints,
  PrivateKey,
  PublicKey,
  sha256,
} from '@chrysalis/crypto';
import {
  Certificate,
  checkValidAt,
  decrypterOf,
  decryptForKey,
  type HashedCertificate,
  hashCertificate,
  Ieee1609Dot2Data,
  signatureInput,
  signedPayload,
  ToBeSignedCertificate,
  TrustStore,
  toPoint,
  verifySignedData,
} from '@chrysalis/ieee1609dot2';
import {
  decodeMessage,
  decodeSecured,
  decodeSigned,
  decodeSignedRequest,
  type EeRaRequest,
  openSecured,
  PlaintextCertificateResponse,
  parseEntryName,
  parseFileName,
  requestHash,
  ScmsPdu122,
  SignedCertificateRequest122,
  type SignedRequest,
  signerCertificate,
  ToBeSignedEncryptedCertificateResponse,
  verifyRequest,
} from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import { fromHex, toHex } from '../../ieee1609dot2/test/pki.ts';

const FOLDER =
  process.env.CHRYSALIS_INTEROP_DIR ??
  path.resolve(import.meta.dirname, '../../../../shared/interop/obu-client');
const skip = existsSync(FOLDER) ? false : `SKIPPED: no recording of a device in ${FOLDER}`;
if (skip) console.error(`recorded-device: ${skip}`);

function read(name: string): Uint8Array {
  return Uint8Array.from(readFileSync(path.join(FOLDER, name)));
}

function certificate(name: string): Certificate {
  return decode(Certificate, read(`pki/${name}.oer`));
}

function componentKey(name: string): PrivateKey {
  const keys = JSON.parse(readFileSync(path.join(FOLDER, 'pki/keys.json'), 'utf8'));
  return PrivateKey.fromScalar(fromHex(BigInt(keys[name]).toString(16).padStart(64, '0')));
}

interface Exchange {
  readonly name: string;
  readonly path: string;
  readonly status: number;
  /** What the device sent: the body of a POST or the value of Download-Req. */
  readonly sent: Uint8Array;
  readonly isPost: boolean;
}

function exchanges(): Exchange[] {
  const files = readdirSync(path.join(FOLDER, 'http'));
  return files
    .filter((file) => file.endsWith('.request.json'))
    .flatMap((file) => {
      const recorded = JSON.parse(readFileSync(path.join(FOLDER, 'http', file), 'utf8'));
      const name = file.replace('.request.json', '');
      const isPost = recorded.method === 'POST';
      const header = recorded.headers['Download-Req'];
      if (!isPost && header === undefined) return [];
      const sent = isPost
        ? read(`http/${name}.request.bin`)
        : Uint8Array.from(Buffer.from(header, 'base64'));
      return [{ name, path: recorded.path, status: recorded.status, sent, isPost }];
    });
}

describe('a recorded device', { skip }, () => {
  if (skip) return;
  const trust = new TrustStore([certificate('rca')]);
  for (const name of ['ica', 'eca', 'pca', 'crlg']) trust.add(certificate(name));
  const ra = hashCertificate(certificate('ra'));
  const raKey = decrypterOf(componentKey('raEnc'));
  const recorded = exchanges();

  function open(exchange: Exchange): SignedRequest {
    return decodeSignedRequest(decodeSigned(openSecured(exchange.sent, ra, raKey)));
  }

  test('sent ten requests that carry something to open', () => {
    assert.equal(recorded.length, 10);
    assert.equal(recorded.filter(({ isPost }) => isPost).length, 4);
  });

  for (const exchange of recorded) {
    test(`${exchange.name}: opens, is of 1.2.2, and verifies by a valid enrollment certificate`, () => {
      const signed = open(exchange);
      assert.equal(signed.dialect, '1.2.2');
      assert.equal(exchange.status, 200);
      const enrollment = trust.verify(signerCertificate(signed));
      verifyRequest(signed, enrollment, enrollment.publicKey);
      checkValidAt(enrollment, timeIn(signed.request));
      assert.equal(enrollment.issuer?.certificate.toBeSigned.id.value, 'eca.test');
    });

    test(`${exchange.name}: is malformed to an RA of 1.2.4, unless it is a download`, () => {
      const inner = decodeSigned(openSecured(exchange.sent, ra, raKey));
      if (exchange.isPost) {
        assert.throws(() => decodeSignedRequest(inner, ['1.2.4']), { code: 'malformed' });
      } else {
        assert.equal(decodeSignedRequest(inner, ['1.2.4']).request.type, 'download');
      }
    });
  }

  const kinds: readonly [string, EeRaRequest['type']][] = [
    ['/provision-pseudonym-certificate-batch', 'pseudonym'],
    ['/provision-identity-certificate', 'identification'],
    ['/provision-application-certificate', 'application'],
    ['/download/', 'download'],
  ];
  test('asked each path for what belongs there', () => {
    for (const exchange of recorded) {
      const kind = kinds.find(([prefix]) => exchange.path.startsWith(prefix))?.[1];
      assert.equal(open(exchange).request.type, kind, exchange.path);
    }
  });

  for (const exchange of recorded.filter(({ isPost }) => isPost)) {
    test(`${exchange.name}: the acknowledgement is the RA's and has the hash of the body`, () => {
      const { content } = decode(Ieee1609Dot2Data, read(`http/${exchange.name}.response.bin`));
      assert.ok(content.type === 'signedData');
      // The RA's certificate fails the chain (its certIssuePermissions have depth 0): it is taken as given.
      const indicator = ra.certificate.toBeSigned.verifyKeyIndicator;
      assert.ok(indicator.type === 'verificationKey' && indicator.value.type === 'ecdsaNistP256');
      verifySignedData(content.value, ra, PublicKey.fromPoint(toPoint(indicator.value.value)));
      assert.deepEqual(content.value.signer, { type: 'digest', value: ra.id });
      const pdu = decode(ScmsPdu122, signedPayload(content.value)).content;
      assert.ok(pdu.type === 'eeRa');
      const ack = pdu.value;
      assert.ok(
        ack.type === 'raEePseudonymCertProvisioningAck' ||
          ack.type === 'raEeIdCertProvisioningAck' ||
          ack.type === 'raEeAppCertProvisioningAck',
      );
      assert.equal(toHex(ack.value.requestHash), toHex(requestHash(exchange.sent)));
      assert.equal(ack.value.reply.type, 'ack');
    });
  }

  test('asked to download under the hash of what it had posted', () => {
    const posted = recorded
      .filter(({ isPost }) => isPost)
      .map(({ sent }) => toHex(requestHash(sent)));
    for (const exchange of recorded.filter(({ isPost }) => !isPost)) {
      const { request } = open(exchange);
      assert.ok(request.type === 'download');
      assert.ok(posted.includes(toHex(parseFileName(request.filename).requestHash)));
    }
  });

  test('its component certificates are refused where the chain forbids it, and nowhere else', () => {
    for (const name of ['ra', 'ma']) {
      assert.throws(() => trust.verify(certificate(name)), { code: 'outside-issuer-permissions' });
    }
  });

  test('a body with any octet changed is refused, the sign of the ephemeral point aside', () => {
    const { sent } = recorded[0]!;
    for (let at = 0; at < sent.length; at++) {
      const corrupted = Uint8Array.from(sent);
      corrupted[at]! ^= 0x40;
      assert.throws(
        () => openSecured(corrupted, ra, raKey),
        (error: Error) => ['ScmsDataError', 'Ieee1609Dot2Error'].includes(error.name),
      );
    }
  });

  for (const run of ['pseudonym1', 'pseudonym2']) {
    test(`${run}: the 20 certificates of the batch open, verify and give the keys that the device made`, () => {
      const number = run === 'pseudonym1' ? '03' : '06';
      const entries = unzipSync(read(`http/${number}-GET-download_batch.response.bin`));
      assert.equal(Object.keys(entries).length, 20);
      const secret = (name: string) =>
        PrivateKey.fromScalar(octetsIn(`client/${run}/${name}.privkey`, 32));
      const expansion = (name: string) => octetsIn(`client/${run}/${name}.expkey`, 16);
      for (const [name, octets] of Object.entries(entries)) {
        const { i, j } = parseEntryName(name)!;
        const encryption = new Expansion(expansion('CertEncryption'), 'encryption');
        const key = cocoonPrivateKey(secret('CertEncryption'), encryption, i, j);
        const response = openResponse(octets, key);
        const signing = new Expansion(expansion('Initial'), 'signing');
        const cocoon = cocoonPrivateKey(secret('Initial'), signing, i, j);
        expectKey(response, cocoon, 'implicitButterfly');
      }
    });
  }

  test('the identification certificate opens in the same way, by the index of its file', () => {
    const entries = unzipSync(read('http/10-GET-download_identity-certificate.response.bin'));
    const [[name, octets]] = Object.entries(entries) as [[string, Uint8Array]];
    const { i, j } = parseEntryName(name)!;
    const secret = (file: string) =>
      PrivateKey.fromScalar(octetsIn(`client/id/${file}.privkey`, 32));
    const chain = (file: string, use: 'signing' | 'encryption') =>
      cocoonPrivateKey(
        secret(file),
        new Expansion(octetsIn(`client/id/${file}.expkey`, 16), use),
        i,
        j,
      );
    const response = openResponse(octets, chain('CertEncryption', 'encryption'));
    expectKey(response, chain('Initial', 'signing'), 'implicitButterfly');
  });

  test('enrolled with a request that it signed for itself, and was answered by the ECA', () => {
    const request = decodeMessage(
      SignedCertificateRequest122,
      decodeSigned(read('enrolment/SignedEeEnrollmentCertRequest.oer')),
      'SignedCertificateRequest',
    );
    const pdu = request.tbsRequest.value.content;
    assert.ok(pdu.type === 'ecaEe' && pdu.value.type === 'eeEcaCertRequest');
    const indicator = pdu.value.value.tbsData.verifyKeyIndicator;
    assert.ok(indicator.type === 'verificationKey' && indicator.value.type === 'ecdsaNistP256');
    const key = PublicKey.fromPoint(toPoint(indicator.value.value));
    const { hashId, signature } = request;
    verifyRequest({ tbsRequest: request.tbsRequest.octets, hashId, signature }, 'self', key);

    const answer = decode(Ieee1609Dot2Data, read('enrolment/ECResponse.oer')).content;
    assert.ok(answer.type === 'signedData');
    const response = decode(ScmsPdu122, signedPayload(answer.value)).content;
    assert.ok(response.type === 'ecaEe' && response.value.type === 'ecaEeCertResponse');
    const { enrollmentCert, privKeyReconstruction } = response.value.value;
    const requestKey = PrivateKey.fromScalar(octetsIn('enrolment/Initial.privkey', 32));
    const enrolled = { certificate: enrollmentCert, privKeyReconstructionS: privKeyReconstruction };
    expectKey({ type: 'implicit', value: enrolled }, requestKey, 'implicit');
  });

  /** The plaintext of a zip entry, once the PCA's signature over the ciphertext has been verified. */
  function openResponse(octets: Uint8Array, key: PrivateKey): PlaintextCertificateResponse {
    const { content } = decode(Ieee1609Dot2Data, Uint8Array.from(octets));
    assert.ok(content.type === 'signedData' && content.value.signer.type === 'digest');
    const signer = trust.get(content.value.signer.value);
    assert.ok(signer);
    verifySignedData(content.value, signer, signer.publicKey);
    const tbs = decode(ToBeSignedEncryptedCertificateResponse, signedPayload(content.value));
    const encrypted = decodeSecured(tbs.encryptedCert.octets);
    const plaintext = decode(Ieee1609Dot2Data, decryptForKey(encrypted, decrypterOf(key)));
    assert.ok(plaintext.content.type === 'unsecuredData');
    return decode(PlaintextCertificateResponse, plaintext.content.value);
  }

  function expectKey(
    response: PlaintextCertificateResponse,
    requestKey: PrivateKey,
    type: 'implicitButterfly' | 'implicit',
  ): void {
    assert.ok(response.type === type);
    const { certificate: issued, privKeyReconstructionS } = response.value;
    const verified = trust.verify(issued);
    const issuer: HashedCertificate = verified.issuer!;
    const tbs = encode(ToBeSignedCertificate, issued.value.toBeSigned);
    const own = ecqvPrivateKey(
      sha256(signatureInput(tbs, issuer)),
      requestKey,
      privKeyReconstructionS,
    );
    assert.ok(equalPoints(own.publicPoint, verified.publicKey.point));
  }
});

function octetsIn(name: string, length: number): Uint8Array {
  const octets = read(name);
  assert.equal(octets.length, length, name);
  return octets;
}

function timeIn(request: EeRaRequest): number {
  return request.type === 'download' ? request.timestamp : request.currentTime;
}
