import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import { checkValidAt, decrypterOf, hashCertificate } from '@chrysalis/ieee1609dot2';
import {
  decodeSigned,
  decodeSignedRequest,
  formatEntryName,
  openSecured,
  signerCertificate,
  verifyRequest,
} from '@chrysalis/scms';
import {
  generateCaterpillarKeys,
  makeDownloadHeader,
  makeProvisioningBody,
  openAcknowledgement,
  openBatch,
  parseBundle,
  verifyBundle,
} from '../src/index.ts';
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

  it('would make requests that the recorded RA opens and verifies', { skip: MISSING }, () => {
    const keys = generateCaterpillarKeys(systemRandom);
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
    // The recorded body has the same length: nothing in the layout differs.
    const theirs = recorded('http/01-POST-provision-pseudonym-certificate-batch.request.bin');
    assert.equal(body.length, theirs.length);
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
