/**
 * The recorded device: its pseudonym-related requests, replayed byte for byte over HTTPS, each at its own time,
 * to an RA with that PKI. Its README has the times, the i-period and which requests share an enrollment certificate.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode, encode } from '@chrysalis/coer';
import {
  cocoonPrivateKey,
  Expansion,
  ecqvPrivateKey,
  PrivateKey,
  sha256,
  systemRandom,
} from '@chrysalis/crypto';
import {
  decrypterOf,
  decryptForKey,
  hashCertificate,
  Ieee1609Dot2Data,
  signatureInput,
  ToBeSignedCertificate,
} from '@chrysalis/ieee1609dot2';
import {
  I_PERIOD_EPOCH,
  I_PERIOD_LENGTH_SEC,
  IPeriodClock,
  openSignedData,
  openSignedMessage,
  PlaintextCertificateResponse,
  ScmsPdu122,
  ToBeSignedEncryptedCertificateResponse,
} from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import { type RaFixture, startRaFixture } from './support/ra-fixture.ts';
import {
  readRecorded,
  readRecordedRequest,
  recordedScms,
  SKIP_INTEROP,
} from './support/recorded-scms.ts';

/** The client was told that i = 0x1A9 is current; by CAMP's epoch it would be 619. */
const RECORDED_I = 0x1a9;
const iPeriod = new IPeriodClock(
  I_PERIOD_EPOCH + (619 - RECORDED_I) * I_PERIOD_LENGTH_SEC,
  I_PERIOD_LENGTH_SEC,
);

const RUNS = [
  {
    client: 'client/pseudonym1',
    provision: { name: '01-POST-provision-pseudonym-certificate-batch', at: 722_380_077 },
    info: { name: '02-GET-download_info', at: 722_380_078 },
    batch: { name: '03-GET-download_batch', at: 722_380_079 },
  },
  {
    client: 'client/pseudonym2',
    provision: { name: '04-POST-provision-pseudonym-certificate-batch', at: 722_380_086 },
    info: { name: '05-GET-download_info', at: 722_380_087 },
    batch: { name: '06-GET-download_batch', at: 722_380_089 },
  },
];

describe('a recorded OBU', { skip: SKIP_INTEROP }, () => {
  for (const run of RUNS) {
    it(`is answered as ${run.client}, and can open what it gets`, async (t) => {
      const { scms, trust } = recordedScms(systemRandom);
      const fixture = await startRaFixture({ now: run.provision.at, scms, trust, iPeriod });
      t.after(() => fixture.close());

      const ack = await replay(fixture, run.provision);
      assert.equal(ack.status, 200);
      const { payload, signer } = openSignedMessage(ack.body, trust);
      assert.deepEqual(signer.id, scms.ra.certificate.id);
      const pdu = decode(ScmsPdu122, payload).content;
      assert(pdu.type === 'eeRa' && pdu.value.type === 'raEePseudonymCertProvisioningAck');
      const body = readRecordedRequest(run.provision.name).body ?? new Uint8Array();
      assert.deepEqual(pdu.value.value.requestHash, sha256(body).slice(-8));

      const info = await replay(fixture, run.info);
      assert.equal(info.status, 200);
      assert.equal(info.body.length, 4);
      assert(new DataView(info.body.buffer).getUint32(0) > run.info.at);

      const batch = await fixture.eventually(async () => {
        const answer = await replay(fixture, run.batch);
        return answer.status === 200 ? answer : undefined;
      });
      assert.match(
        String(batch.headers['content-disposition']),
        /^attachment; filename="[0-9a-f]{16}_1A9\.zip"$/,
      );
      openWithRecordedKeys(batch.body, run.client, fixture);
    });
  }
});

function replay(fixture: RaFixture, { name, at }: { name: string; at: number }) {
  const { method, path, headers, body } = readRecordedRequest(name);
  fixture.clock.set(at);
  return fixture.send(path, { method, headers, ...(body && { body }) });
}

/** Opens each entry step by step with the recorded caterpillar keys, apart from the SDK. */
function openWithRecordedKeys(zip: Uint8Array, client: string, { trust, scms }: RaFixture): void {
  const signingSeed = PrivateKey.fromScalar(readRecorded(`${client}/Initial.privkey`));
  const signing = new Expansion(readRecorded(`${client}/Initial.expkey`), 'signing');
  const encryptionSeed = PrivateKey.fromScalar(readRecorded(`${client}/CertEncryption.privkey`));
  const encryption = new Expansion(readRecorded(`${client}/CertEncryption.expkey`), 'encryption');
  const entries = unzipSync(zip);
  assert.equal(Object.keys(entries).length, 20);
  const seen = new Set<string>();
  for (let j = 0; j < 20; j++) {
    const entry = entries[`1A9_${j.toString(16).toUpperCase()}`];
    assert(entry);
    const signed = decode(Ieee1609Dot2Data, new Uint8Array(entry)).content;
    assert(signed.type === 'signedData' && signed.value.signer.type === 'digest');
    const { payload } = openSignedData(signed.value, trust);
    const { encryptedCert } = decode(ToBeSignedEncryptedCertificateResponse, payload);
    assert(encryptedCert.content.type === 'encryptedData');
    const responseKey = cocoonPrivateKey(encryptionSeed, encryption, RECORDED_I, j);
    const plain = decode(
      Ieee1609Dot2Data,
      decryptForKey(encryptedCert.content.value, decrypterOf(responseKey)),
    ).content;
    assert(plain.type === 'unsecuredData');
    const response = decode(PlaintextCertificateResponse, plain.value);
    assert(response.type === 'implicitButterfly');
    const { certificate, privKeyReconstructionS } = response.value;
    const { id } = certificate.value.toBeSigned;
    assert(id.type === 'linkageData' && id.value.iCert === RECORDED_I);

    const tbs = encode(ToBeSignedCertificate, certificate.value.toBeSigned);
    const e = sha256(signatureInput(tbs, scms.pca.certificate));
    const cocoon = cocoonPrivateKey(signingSeed, signing, RECORDED_I, j);
    const key = ecqvPrivateKey(e, cocoon, privKeyReconstructionS);
    const { publicKey } = trust.verify(certificate);
    const message = systemRandom(64);
    assert(publicKey.verify(message, key.sign(message)));
    seen.add(Buffer.from(hashCertificate(certificate).id).toString('hex'));
  }
  assert.equal(seen.size, 20);
}
