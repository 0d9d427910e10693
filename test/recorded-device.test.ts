/**
 * The recorded device: its pseudonym-related requests, replayed byte for byte over HTTPS, each at its own time,
 * to an RA with that PKI. Its README has the times, the i-period and which requests share an enrollment certificate.
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
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

describe('a recorded OBU, beyond pseudonym certificates', { skip: SKIP_INTEROP }, () => {
  const start = async (t: TestContext, now: number) => {
    const { scms, trust } = recordedScms(systemRandom);
    const fixture = await startRaFixture({ now, scms, trust, iPeriod });
    t.after(() => fixture.close());
    return fixture;
  };
  const fetched = (fixture: RaFixture, step: { name: string; at: number }) =>
    fixture.eventually(async () => {
      const answer = await replay(fixture, step);
      return answer.status === 200 ? answer : undefined;
    });

  it('gets its identification certificate, and can open it', async (t) => {
    const provision = { name: '09-POST-provision-identity-certificate', at: 722_380_097 };
    const fixture = await start(t, provision.at);
    const ack = await replay(fixture, provision);
    assert.equal(ack.status, 200);
    const pdu = decode(ScmsPdu122, openSignedMessage(ack.body, fixture.trust).payload).content;
    assert(pdu.type === 'eeRa' && pdu.value.type === 'raEeIdCertProvisioningAck');
    const file = { name: '10-GET-download_identity-certificate', at: 722_380_099 };
    const zip = await fetched(fixture, file);
    const entries = unzipSync(zip.body);
    assert.deepEqual(Object.keys(entries), ['53F02AD6F5AA0769_0']);
    const [entry] = Object.values(entries);
    assert(entry);
    const tbs = openEntry(new Uint8Array(entry), 'client/id', 0, 0, fixture);
    assert.equal(tbs.crlSeries, 3);
    assert.deepEqual(tbs.validityPeriod.duration, { type: 'hours', value: 721 });
    assert(tbs.id.type === 'binaryId');
  });

  it('gets its application certificate', async (t) => {
    const provision = { name: '07-POST-provision-application-certificate', at: 722_380_095 };
    const fixture = await start(t, provision.at);
    const ack = await replay(fixture, provision);
    assert.equal(ack.status, 200);
    const pdu = decode(ScmsPdu122, openSignedMessage(ack.body, fixture.trust).payload).content;
    assert(pdu.type === 'eeRa' && pdu.value.type === 'raEeAppCertProvisioningAck');
    const file = { name: '08-GET-download_application-certificate', at: 722_380_096 };
    const zip = await fetched(fixture, file);
    // Its response key is not among the recorded ones: that it can be opened is shown with keys of our own.
    assert.deepEqual(Object.keys(unzipSync(zip.body)), ['C78FBBDC618798A5']);
  });
});

function replay(fixture: RaFixture, { name, at }: { name: string; at: number }) {
  const { method, path, headers, body } = readRecordedRequest(name);
  fixture.clock.set(at);
  return fixture.send(path, { method, headers, ...(body && { body }) });
}

/** Opens each entry with the recorded caterpillar keys, apart from the SDK. */
function openWithRecordedKeys(zip: Uint8Array, client: string, fixture: RaFixture): void {
  const entries = unzipSync(zip);
  assert.equal(Object.keys(entries).length, 20);
  const seen = new Set<string>();
  for (let j = 0; j < 20; j++) {
    const entry = entries[`1A9_${j.toString(16).toUpperCase()}`];
    assert(entry);
    const { id } = openEntry(new Uint8Array(entry), client, RECORDED_I, j, fixture);
    assert(id.type === 'linkageData' && id.value.iCert === RECORDED_I);
    seen.add(Buffer.from(id.value.linkageValue).toString('hex'));
  }
  assert.equal(seen.size, 20);
}

/** Step by step from a sealed response to a signature made with the key and verified with the certificate. */
function openEntry(
  entry: Uint8Array,
  client: string,
  i: number,
  j: number,
  { trust, scms }: RaFixture,
): ToBeSignedCertificate {
  const signingSeed = PrivateKey.fromScalar(readRecorded(`${client}/Initial.privkey`));
  const signing = new Expansion(readRecorded(`${client}/Initial.expkey`), 'signing');
  const encryptionSeed = PrivateKey.fromScalar(readRecorded(`${client}/CertEncryption.privkey`));
  const encryption = new Expansion(readRecorded(`${client}/CertEncryption.expkey`), 'encryption');
  const signed = decode(Ieee1609Dot2Data, entry).content;
  assert(signed.type === 'signedData' && signed.value.signer.type === 'digest');
  const { payload } = openSignedData(signed.value, trust);
  const encryptedCert = decode(ToBeSignedEncryptedCertificateResponse, payload).encryptedCert.value;
  assert(encryptedCert.content.type === 'encryptedData');
  const responseKey = cocoonPrivateKey(encryptionSeed, encryption, i, j);
  const plain = decode(
    Ieee1609Dot2Data,
    decryptForKey(encryptedCert.content.value, decrypterOf(responseKey)),
  ).content;
  assert(plain.type === 'unsecuredData');
  const response = decode(PlaintextCertificateResponse, plain.value);
  assert(response.type === 'implicitButterfly');
  const { certificate, privKeyReconstructionS } = response.value;
  const { toBeSigned } = certificate.value;
  const input = signatureInput(encode(ToBeSignedCertificate, toBeSigned), scms.pca.certificate);
  const cocoon = cocoonPrivateKey(signingSeed, signing, i, j);
  const key = ecqvPrivateKey(sha256(input), cocoon, privKeyReconstructionS);
  const { publicKey } = trust.verify(certificate);
  const message = systemRandom(64);
  assert(publicKey.verify(message, key.sign(message)));
  return toBeSigned;
}
