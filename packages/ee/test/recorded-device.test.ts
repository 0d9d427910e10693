import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encode } from '@chrysalis/coer';
import { PrivateKey, sha256, systemRandom } from '@chrysalis/crypto';
import {
  type Certificate,
  checkValidAt,
  decrypterOf,
  fromPoint,
  hashCertificate,
  signatureInput,
  ToBeSignedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  decodeSigned,
  decodeSignedRequest,
  formatEntryName,
  openSecured,
  PlaintextCertificateResponse,
  signerCertificate,
  verifyRequest,
} from '@chrysalis/scms';
import {
  type CertificateKind,
  generateCaterpillarKeys,
  generatePlainKeys,
  makeDownloadHeader,
  makeProvisioningBody,
  openAcknowledgement,
  openApplication,
  openBatch,
  openIdentification,
  parseBundle,
  verifyBundle,
} from '../src/index.ts';
import { sealedPlaintext, zipOf } from './mock-scms.ts';
import {
  MISSING,
  RECORDED_I,
  RECORDED_TIME,
  recorded,
  recordedBundle,
  recordedCertificate,
  recordedEnrollment,
  recordedKeys,
  recordedPeriods,
  recordedPkiKey,
  recordedTrust,
} from './recorded-device.ts';

describe('the recorded device', () => {
  for (const [run, response] of [
    ['pseudonym1', '03-GET-download_batch'],
    ['pseudonym2', '06-GET-download_batch'],
  ] as const) {
    it(`opens the batch of ${run}: all recorded certificates and private keys come out`, {
      skip: MISSING,
    }, () => {
      const opened = openBatch(recorded(`http/${response}.response.bin`), {
        i: RECORDED_I,
        keys: recordedKeys(run),
        trust: recordedTrust(),
        iPeriods: recordedPeriods(run),
        time: RECORDED_TIME,
      });
      assert.deepEqual(opened.failures, []);
      assert.equal(opened.certificates.length, 20);
      for (const { i, j, certificate, key } of opened.certificates) {
        const name = `client/${run}/${formatEntryName(i, j)}`;
        assert.deepEqual(key.scalar().reveal(), recorded(`${name}.privkey`), name);
        assert.deepEqual(certificate.octets, recorded(`${name}.cert`), name);
      }
    });
  }

  it('is refused the batch of its other run: every entry, and by the key', {
    skip: MISSING,
  }, () => {
    const opened = openBatch(recorded('http/03-GET-download_batch.response.bin'), {
      i: RECORDED_I,
      keys: recordedKeys('pseudonym2'),
      trust: recordedTrust(),
      iPeriods: recordedPeriods('pseudonym1'),
      time: RECORDED_TIME,
    });
    assert.equal(opened.certificates.length, 0);
    assert.equal(opened.failures.length, 20);
    for (const { error } of opened.failures) assert.match(error.message, /encrypted to this key/);
  });

  it('is enrolled by its bundle, and the enrollment key is the recorded one', {
    skip: MISSING,
  }, () => {
    const { key, certificate, warnings } = verifyBundle(
      parseBundle(recordedBundle()),
      PrivateKey.fromScalar(recorded('enrolment/Initial.privkey')),
      recorded('enrolment/SignedEeEnrollmentCertRequest.oer'),
      RECORDED_TIME,
    );
    assert.deepEqual(key.scalar().reveal(), recorded('enrolment/enrollment.privkey'));
    assert.deepEqual(certificate.octets, recorded('enrolment/enrollment.oer'));
    assert.deepEqual(warnings, []);
  });

  it('accepts the recorded acknowledgements, each for its own request only', {
    skip: MISSING,
  }, () => {
    const [first, second] = ['01', '04'].map((n) => ({
      body: recorded(`http/${n}-POST-provision-pseudonym-certificate-batch.request.bin`),
      ack: recorded(`http/${n}-POST-provision-pseudonym-certificate-batch.response.bin`),
    }));
    for (const { body, ack } of [first!, second!]) {
      const { certDLURL } = openAcknowledgement(
        'pseudonym',
        ack,
        body,
        recordedEnrollment(),
        RECORDED_TIME,
      );
      assert.equal(certDLURL, 'https://localhost:8892');
    }
    assert.throws(
      () =>
        openAcknowledgement(
          'pseudonym',
          first!.ack,
          second!.body,
          recordedEnrollment(),
          RECORDED_TIME,
        ),
      { name: 'EeError', code: 'invalid-ack' },
    );
  });

  it('opens its identification certificate, and the recorded private key comes out', {
    skip: MISSING,
  }, () => {
    const zip = recorded('http/10-GET-download_identity-certificate.response.bin');
    const options = { i: 0, keys: recordedKeys('id'), trust: recordedTrust(), time: RECORDED_TIME };
    const { certificates, failures } = openIdentification(zip, options);
    assert.deepEqual(failures, []);
    assert.deepEqual(certificates[0]!.certificate.octets, recorded('client/id/0_0.cert'));
    assert.deepEqual(certificates[0]!.key.scalar().reveal(), recorded('client/id/0_0.privkey'));
    const next = openIdentification(zip, { ...options, i: 1 });
    assert.match(next.failures[0]!.error.message, /encrypted to this key/);
  });

  it('would open its application certificate: the plain key gives the recorded private key', {
    skip: MISSING,
  }, () => {
    const zip = recorded('http/08-GET-download_application-certificate.response.bin');
    const certificate = recordedCertificate('client/app/824a5b64b4e04f64.cert');
    // Of this request the recording has neither private key. That of the certificate can be computed back
    // from what came of it; that of the response cannot, so the recorded response stays sealed ...
    const verify = requestKeyOf(certificate, 'client/app/824a5b64b4e04f64');
    const request = openAsRa(
      recorded('http/07-POST-provision-application-certificate.request.bin'),
    );
    assert(request.type === 'application' && request.verifyKey.type === 'ecdsaNistP256');
    assert.deepEqual(request.verifyKey.value, fromPoint(verify.publicPoint));
    const keys = { ...generatePlainKeys(systemRandom), verify };
    const options = { i: 0, keys, trust: recordedTrust(), time: RECORDED_TIME };
    // ... but the PCA's signature on it is verified before that is found out.
    const sealed = openApplication(zip, options);
    assert.match(sealed.failures[0]!.error.message, /encrypted to this key/);
    const plaintext = encode(PlaintextCertificateResponse, {
      type: 'implicit',
      value: {
        certificate,
        privKeyReconstructionS: recorded('client/app/824a5b64b4e04f64.s'),
      },
    });
    const [ra, pca] = ['ra', 'pca'].map((name) => ({
      certificate: hashCertificate(recordedCertificate(`pki/${name}.oer`)),
      key: recordedPkiKey(name),
      given: recordedCertificate(`pki/${name}.oer`),
    }));
    const { validityPeriod } = certificate.value.toBeSigned;
    const response = sealedPlaintext(
      { ra: ra! },
      keys.respEnc.publicPoint,
      plaintext,
      { validityPeriod },
      { signer: pca!, random: systemRandom },
    );
    const opened = openApplication(zipOf({ 'c78fbbdc618798a5.oer': response }), options);
    assert.deepEqual(opened.failures, []);
    assert.deepEqual(
      opened.certificates[0]!.key.scalar().reveal(),
      recorded('client/app/824a5b64b4e04f64.privkey'),
    );
  });

  it('accepts the acknowledgements of the other two services, each of its own kind only', {
    skip: MISSING,
  }, () => {
    for (const [kind, name] of [
      ['application', '07-POST-provision-application-certificate'],
      ['identification', '09-POST-provision-identity-certificate'],
    ] as const) {
      const body = recorded(`http/${name}.request.bin`);
      const ack = recorded(`http/${name}.response.bin`);
      const open = (as: CertificateKind) =>
        openAcknowledgement(as, ack, body, recordedEnrollment(), RECORDED_TIME);
      assert.equal(open(kind).certDLURL, 'https://localhost:8892');
      assert.throws(() => open('pseudonym'), { code: 'invalid-ack' });
    }
  });

  it('would make requests that the recorded RA opens and verifies', { skip: MISSING }, () => {
    const keys = generateCaterpillarKeys(systemRandom);
    const plain = generatePlainKeys(systemRandom);
    const body = makeProvisioningBody(
      { type: 'pseudonym', keys },
      recordedEnrollment(),
      RECORDED_TIME,
      systemRandom,
    );
    const header = makeDownloadHeader(
      '5A2232D10616FDF7_1A9.zip',
      recordedEnrollment(),
      RECORDED_TIME,
      systemRandom,
    );
    assert.match(header, /^[A-Za-z0-9+/]{400,800}={0,2}$/);
    const requests = [body, new Uint8Array(Buffer.from(header, 'base64'))].map(openAsRa);
    assert.deepEqual(
      requests.map(({ type }) => type),
      ['pseudonym', 'download'],
    );
    // The recorded bodies have the same length: nothing in the layout differs.
    for (const [wish, name] of [
      [{ type: 'pseudonym', keys }, '01-POST-provision-pseudonym-certificate-batch'],
      [{ type: 'application', keys: plain }, '07-POST-provision-application-certificate'],
      [{ type: 'identification', keys }, '09-POST-provision-identity-certificate'],
    ] as const) {
      const ours = makeProvisioningBody(wish, recordedEnrollment(), RECORDED_TIME, systemRandom);
      assert.equal(openAsRa(ours).type, wish.type);
      assert.equal(ours.length, recorded(`http/${name}.request.bin`).length);
    }
  });
});

function openAsRa(octets: Uint8Array) {
  const ra = hashCertificate(recordedCertificate('pki/ra.oer'));
  const signed = decodeSigned(openSecured(octets, ra, decrypterOf(recordedPkiKey('raEnc'))));
  const request = decodeSignedRequest(signed, ['1.2.2']);
  const signer = recordedTrust().verify(signerCertificate(request));
  checkValidAt(signer, RECORDED_TIME);
  verifyRequest(request, signer, signer.publicKey);
  return request.request;
}

/** kU of an implicit certificate from dU and r: kU = (dU - r) / e mod n (SEC 4 §3.6, turned round). */
function requestKeyOf(certificate: Certificate, name: string): PrivateKey {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const number = (octets: Uint8Array) => BigInt(`0x${Buffer.from(octets).toString('hex')}`);
  const power = (base: bigint, exponent: bigint): bigint => {
    if (exponent === 0n) return 1n;
    const half = power((base * base) % n, exponent >> 1n);
    return exponent & 1n ? (half * base) % n : half;
  };
  const pca = hashCertificate(recordedCertificate('pki/pca.oer'));
  const toBeSigned = encode(ToBeSignedCertificate, certificate.value.toBeSigned);
  const e = number(sha256(signatureInput(toBeSigned, pca)));
  const difference = number(recorded(`${name}.privkey`)) - number(recorded(`${name}.s`)) + n;
  const scalar = (difference * power(e % n, n - 2n)) % n;
  return PrivateKey.fromScalar(
    new Uint8Array(Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex')),
  );
}
