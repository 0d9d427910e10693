/**
 * The EE-RA interface by example: one test for each service, in the order in which devices use them. Each says what goes over
 * the wire, request line, headers and body, what comes back, and what a device does next; then the failure that it meets most.
 *
 * A vehicle (OBE) and a roadside unit (RSE) each speak on a connection of their own. All failures are one to them: status 500,
 * no body, connection closed. Which it was stands in the log of the RA alone.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { createCrlGenerator } from '@chrysalis/authorities';
import { decode } from '@chrysalis/coer';
import { cocoonPrivateKey, Expansion, PrivateKey, sha256, systemRandom } from '@chrysalis/crypto';
import {
  asCertificate,
  Certificate,
  fromPoint,
  type HashedCertificate,
  hashCertificate,
  type Time32,
  time32FromUnix,
} from '@chrysalis/ieee1609dot2';
import { type CrlStore, startCrlStore } from '@chrysalis/ra/server';
import {
  adoptLocalChainFile,
  type EeRaRequest,
  formatVersionedFileName,
  IPeriodClock,
  openCompositeCrl,
  openLocalPolicyFile,
  openSignedMessage,
  policyAt,
  RA_EE_ERRORS,
  type RaEeErrorName,
  ScmsPdu122,
  secureMisbehaviorReport,
  timeOf,
} from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import { type OpenedResponse, openResponse } from './support/certificate-response.ts';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  signedBy,
  type TestDevice,
} from './support/device.ts';
import { type RaFixture, startRaFixture } from './support/ra-fixture.ts';
import { type WireAnswer, WireClient } from './support/wire-client.ts';

const NOW: Time32 = time32FromUnix(Date.UTC(2026, 10, 21, 12));
const WEEK_SEC = 604_800;
const WEEKS_AHEAD = 2;
const CERTIFICATES = 20;
const iPeriods = new IPeriodClock();
const CURRENT_I = iPeriods.at(NOW);

/** What every answer carries besides: Date, and word that the connection may be used again. */
const KEPT = { connection: 'keep-alive', 'keep-alive': 'timeout=60' };
const OCTETS = { 'content-type': 'application/octet-stream' };

let fixture: RaFixture;
let crlStore: CrlStore;
let crl: Uint8Array | undefined;
let obe: Speaker;
let rse: Speaker;
let vehicle: TestDevice;
let roadside: TestDevice;
/** What a device remembers from one step to the next. */
let policyName: string;
let pseudonymHash: string;
let identificationHash: string;
let applicationHash: string;
let applicationKeys: PlainKeys;
let firstBatch: Uint8Array;
let pseudonym: OpenedResponse;

/** A device at its connection. A closed one is made anew with the next request. */
class Speaker {
  readonly #port: () => number;
  #client: WireClient | undefined;

  constructor(port: () => number) {
    this.#port = port;
  }

  /** One request and its answer; of a refusal it is seen that the RA closes the connection. */
  async ask(lines: readonly string[], body?: Uint8Array): Promise<WireAnswer> {
    this.#client ??= await WireClient.connect(this.#port(), fixture.ca);
    const client = this.#client;
    const answer = await client.exchange(lines, body);
    const { date, ...headers } = answer.headers;
    assert.match(date ?? '', / GMT$/);
    if (headers.connection === 'close') {
      await client.closed();
      this.hangUp();
    }
    return { ...answer, headers };
  }

  hangUp(): void {
    this.#client?.hangUp();
    this.#client = undefined;
  }
}

before(async () => {
  fixture = await startRaFixture({
    now: NOW,
    errorDetail: 'production',
    policy: { weeksAhead: WEEKS_AHEAD, certificatesPerPeriod: CERTIFICATES },
  });
  crlStore = await startCrlStore({ ...fixture.raOptions, newest: async () => crl });
  obe = new Speaker(() => fixture.ra.port);
  rse = new Speaker(() => fixture.ra.port);
  vehicle = createDevice(fixture.scms, systemRandom, NOW);
  roadside = createDevice(fixture.scms, systemRandom, NOW);
});
after(async () => {
  obe.hangUp();
  rse.hangUp();
  await crlStore.close();
  await fixture.close();
});

describe('an EE asks its RA', { timeout: 60_000 }, () => {
  it('E10: POST /retrieve-ra-certificate, a SecuredRACertRequest: its 1609.2 certificate', async () => {
    // Ieee1609Dot2Data { 3, unsecuredData(ScmsPDU 1, ee-ra, eeRaCertRequest 1) }: not encrypted in spite of its name.
    const body = Uint8Array.of(0x03, 0x80, 0x05, 0x01, 0x83, 0x80, 0x00, 0x01);
    const answer = await obe.ask(
      ['POST /retrieve-ra-certificate HTTP/1.1', 'Content-Type: application/octet-stream'],
      body,
    );
    expectOctets(answer);
    // Certificate, explicit: version 3, type 0, issuer sha256AndDigest.
    expectHead(answer.body, '80 03 00 80');
    const { id } = hashCertificate(decode(Certificate, answer.body));
    assert.deepEqual(id, ra().id);

    // The same without a body by GET, as some devices ask (Q5).
    const plain = await obe.ask(['GET /retrieve-ra-certificate HTTP/1.1']);
    assert.deepEqual(plain, answer);

    // Failure: a request that was cut off on its way.
    await expectRefusal('raWrongParameters', () =>
      obe.ask(['POST /retrieve-ra-certificate HTTP/1.1'], body.subarray(0, 7)),
    );
    // Next: requests are encrypted to this certificate.
  });

  it('E8: GET /download/policy/local, once more only when there is another: SignedLocalPolicyFile', async () => {
    const line = 'GET /download/policy/local HTTP/1.1';
    const answer = await obe.ask([line]);
    const name = expectFile(answer, /^local_policy_0001_[0-9A-F]{4}\.oer$/i);
    // signedData, sha256, payload present, Ieee1609Dot2Data.
    expectHead(answer.body, '03 81 00 40 03 80');
    const { policy } = openLocalPolicyFile(answer.body, fixture.trust, { time: NOW });
    assert.equal(policyAt(policy, NOW).certsPerIPeriod, CERTIFICATES);

    await expectConditional(obe, line, name, answer);
    await expectRanges(obe, [line], name, answer);
    // Failure: another method. There is no HEAD, and no 405 with Allow: all of that is 500.
    for (const method of ['HEAD', 'POST']) {
      await expectRefusal('raInvalidURL', () => obe.ask([line.replace('GET', method)]));
    }
    policyName = name;
    // Next: the device lives by this policy, and asks again with If-None-Match at its next contact.
  });

  it('E9: GET /download/local-certificate-chain: ScopedLocalCertificateChainFile', async () => {
    const line = 'GET /download/local-certificate-chain HTTP/1.1';
    const answer = await obe.ask([line]);
    const name = expectFile(answer, /^local_certificate_chains_01_[0-9A-F]{2,4}\.oer$/i);
    // ScmsFile 1, cert-chain, localCertificateChainFile: not signed, its certificates speak for themselves.
    expectHead(answer.body, '01 80 81');
    const root = asCertificate(fixture.scms.root.certificate);
    const { trust, version } = adoptLocalChainFile(answer.body, [root]);
    assert.equal(version.raHostname, 'localhost');
    const inName = { gccfVersion: version.gccfVersion, lccfVersion: version.lccfVersion };
    assert.equal(name, formatVersionedFileName({ type: 'localCertificateChains', ...inName }));
    assert(trust.get(fixture.scms.pca.certificate.id), 'the PCA whose certificates will come');

    await expectConditional(obe, line, name, answer);
    await expectRanges(obe, [line], name, answer);
    // Failure: a path that is almost right.
    await expectRefusal('raInvalidURL', () =>
      obe.ask(['GET /download/local-certificate-chain/ HTTP/1.1']),
    );
    // Next: the device opens certificate responses with the authorities in this file.
  });

  it('C1: GET /download-crl/ of the CRL store, port 8894: CompositeCrl', async () => {
    const store = new Speaker(() => crlStore.port);
    const line = 'GET /download-crl/ HTTP/1.1';
    // Failure: no CRL was made yet.
    await expectRefusal('raNoCertFileAvailable', () => store.ask([line]));
    const { crlg, root } = fixture.scms;
    crl = createCrlGenerator({ crlg, root, clock: fixture.clock }).issue([]);

    const answer = await store.ask([line]);
    const name = expectFile(answer, /^composite_crl_[0-9a-f]{16}\.oer$/);
    // An extensible SEQUENCE; SEQUENCE OF five, a count of one octet; the first CRL, signedData.
    expectHead(answer.body, '00 01 05 03 81');
    const crls = openCompositeCrl(answer.body, fixture.trust, NOW);
    assert.deepEqual(
      crls.map(({ contents }) => contents.crlSeries),
      [1, 2, 3, 4, 256],
    );
    await expectConditional(store, line, name, answer);
    await expectRanges(store, [line], name, answer);
    store.hangUp();
    // Next: an EE that finds itself or its RA on the list sends nothing more.
  });

  it('E1: POST /provision-pseudonym-certificate-batch, SecuredPseudonymCertProvisioningRequest: SignedPseudonymCertProvisioningAck', async () => {
    const lines = [
      'POST /provision-pseudonym-certificate-batch HTTP/1.1',
      'Content-Type: application/octet-stream',
    ];
    const request = pseudonymRequest(vehicle, NOW);
    const body = secured(vehicle, request);
    expectSecured(body);

    const answer = await obe.ask(lines, body);
    expectOctets(answer);
    pseudonymHash = expectAck(answer.body, body, {
      tag: '83',
      type: 'raEePseudonymCertProvisioningAck',
      path: '/download/batch',
    });
    // An answer that was lost: the same octets are answered with the same octets.
    assert.deepEqual((await obe.ask(lines, body)).body, answer.body);

    // Failure: the same keys in a new body, which only a request that got an answer is made into.
    await expectRefusal('raDuplicateRequestReceived', () =>
      obe.ask(lines, secured(vehicle, request)),
    );
    // Next: E5 and E4 under the request hash of the ack, from its certDLTime on. The request is never sent again.
  });

  it('E5: GET /download/info with Download-Req <hash>.info: Time32 of the next batch', async () => {
    const line = 'GET /download/info HTTP/1.1';
    await filed(pseudonymHash, CURRENT_I + WEEKS_AHEAD - 1);
    const name = `${pseudonymHash}.info`;
    const header = signedHeader(vehicle, name);
    expectSecured(new Uint8Array(Buffer.from(header.replace('Download-Req: ', ''), 'base64')));

    const answer = await obe.ask([line, header]);
    // No ETag and no ranges: it changes under its name.
    expectHeaders(answer, {
      ...OCTETS,
      'content-disposition': `attachment; filename="${name}"`,
      'content-length': '4',
    });
    const part = await obe.ask([line, signedHeader(vehicle, name), 'Range: bytes=0-1']);
    assert.deepEqual(part, answer);
    const next = new DataView(answer.body.buffer).getUint32(0);
    assert(next >= iPeriods.start(CURRENT_I + 1), 'when the supply is to be a week longer');
    assert(next < iPeriods.start(CURRENT_I + WEEKS_AHEAD), 'before the certificates begin');

    // Failure: a time that was 6 seconds ago. The tolerance is 5.
    const late = signedHeader(vehicle, name, NOW - 6);
    await expectRefusal('chrysalisTimeOutsideTolerance', () => obe.ask([line, late]));
    // Next: E4, now for what is there, and again at that time.
  });

  it('E4: GET /download/batch with Download-Req <hash>_<i>.zip: the certificates of one i-period', async () => {
    const line = 'GET /download/batch HTTP/1.1';
    const name = batchName(CURRENT_I);
    const answer = await obe.ask([line, signedHeader(vehicle, name)]);
    assert.equal(expectFile(answer), name);
    firstBatch = answer.body;
    // Flat, entries <i>_<j> in upper-case hex without an extension.
    const entries = unzipSync(firstBatch);
    const i = CURRENT_I.toString(16).toUpperCase();
    const names = Array.from(
      { length: CERTIFICATES },
      (_, j) => `${i}_${j.toString(16).toUpperCase()}`,
    );
    assert.deepEqual(Object.keys(entries).sort(), names.sort());
    const ids = new Set<string>();
    for (let j = 0; j < CERTIFICATES; j += 1) {
      const opened = openButterfly(entries[names[j]!]!, vehicle, CURRENT_I, jOf(names[j]!));
      const { id, validityPeriod } = opened.certificate.certificate.toBeSigned;
      assert(id.type === 'linkageData' && id.value.iCert === CURRENT_I);
      assert.equal(validityPeriod.start, iPeriods.start(CURRENT_I));
      ids.add(Buffer.from(opened.certificate.id).toString('hex'));
      pseudonym = opened;
    }
    assert.equal(ids.size, CERTIFICATES);

    await expectRanges(obe, () => [line, signedHeader(vehicle, name)], name, answer);
    // If-None-Match means nothing where a request is authenticated.
    const again = await obe.ask([line, signedHeader(vehicle, name), `If-None-Match: "${name}"`]);
    assert.deepEqual(again, answer);

    // Failure: a week that is not there yet.
    const future = signedHeader(vehicle, batchName(CURRENT_I + WEEKS_AHEAD));
    await expectRefusal('raNoCertFileAvailable', () => obe.ask([line, future]));
    // Next: the certificates serve from the start of their week on; .info says when to come for another.
  });

  it('E2: POST /provision-identity-certificate, SecuredIdCertProvisioningRequest: SignedIdCertProvisioningAck', async () => {
    const lines = [
      'POST /provision-identity-certificate HTTP/1.1',
      'Content-Type: application/octet-stream',
    ];
    const request: EeRaRequest = { ...pseudonymRequest(vehicle, NOW), type: 'identification' };
    // Failure: the Signed form, which is not encrypted.
    await expectRefusal('raRequestNotEncrypted', () => obe.ask(lines, signedBy(vehicle, request)));

    const body = secured(vehicle, request);
    expectSecured(body);
    const answer = await obe.ask(lines, body);
    expectOctets(answer);
    identificationHash = expectAck(answer.body, body, {
      tag: '85',
      type: 'raEeIdCertProvisioningAck',
      path: '/download/identity-certificate',
    });
    // Next: E6 under this hash, from file 0 on; later ones come by themselves.
  });

  it('E6: GET /download/identity-certificate with Download-Req <hash>_<n>.zip: one certificate', async () => {
    const line = 'GET /download/identity-certificate HTTP/1.1';
    await filed(identificationHash, 0);
    const name = `${identificationHash}_0.zip`;
    const answer = await obe.ask([line, signedHeader(vehicle, name)]);
    assert.equal(expectFile(answer), name);
    const entries = unzipSync(answer.body);
    assert.deepEqual(Object.keys(entries), [`${identificationHash}_0`]);
    const opened = openButterfly(entries[`${identificationHash}_0`]!, vehicle, 0, 0);
    const { id, validityPeriod } = opened.certificate.certificate.toBeSigned;
    assert.deepEqual(id, { type: 'binaryId', value: vehicle.certificate.id });
    assert.equal(validityPeriod.start, NOW);
    await expectRanges(obe, () => [line, signedHeader(vehicle, name)], name, answer);

    // Failure: the next one, which is made when this one is about to end.
    const next = signedHeader(vehicle, `${identificationHash}_1.zip`);
    await expectRefusal('raNoCertFileAvailable', () => obe.ask([line, next]));
    // Next: .info of this hash says when file 1 will be there.
    const info = signedHeader(vehicle, `${identificationHash}.info`);
    const { body } = await obe.ask(['GET /download/info HTTP/1.1', info]);
    assert(new DataView(body.buffer).getUint32(0) > NOW);
  });

  it('E3: POST /provision-application-certificate, SecuredAppCertProvisioningRequest: SignedAppCertProvisioningAck', async () => {
    const lines = [
      'POST /provision-application-certificate HTTP/1.1',
      'Content-Type: application/octet-stream',
    ];
    applicationKeys = freshKeys();
    const body = secured(roadside, application(applicationKeys));
    expectSecured(body);
    const answer = await rse.ask(lines, body);
    expectOctets(answer);
    applicationHash = expectAck(answer.body, body, {
      tag: '87',
      type: 'raEeAppCertProvisioningAck',
      path: '/download/application-certificate',
    });
    // Failure: a second certificate while there is one.
    await expectRefusal('raRequestForMultipleCerts', () =>
      rse.ask(lines, secured(roadside, application(freshKeys()))),
    );
    // Next: E7 under this hash, from the certDLTime of the ack on.
  });

  it('E7: GET /download/application-certificate with Download-Req <hash>.zip: the one certificate of a request', async () => {
    const line = 'GET /download/application-certificate HTTP/1.1';
    const name = `${applicationHash}.zip`;
    await filed(applicationHash, 0);
    const answer = await rse.ask([line, signedHeader(roadside, name)]);
    assert.equal(expectFile(answer), name);
    const entries = unzipSync(answer.body);
    assert.deepEqual(Object.keys(entries), [applicationHash]);
    const opened = openResponse(entries[applicationHash]!, {
      response: applicationKeys.response,
      request: applicationKeys.verify,
      trust: fixture.trust,
      pca: fixture.scms.pca.certificate,
    });
    assert.equal(opened.type, 'implicit');
    assert.equal(opened.certificate.certificate.toBeSigned.validityPeriod.start, NOW);
    await expectRanges(rse, () => [line, signedHeader(roadside, name)], name, answer);

    // Failure: another device asks for it. It looks like a file that is not there.
    await expectRefusal('raNoCertFileAvailable', () =>
      obe.ask([line, signedHeader(vehicle, name)]),
    );
    // Next: E3 with new keys when the overlap begins; there is no .info.
    await expectRefusal('raNoInfoFileAvailable', () =>
      rse.ask(['GET /download/info HTTP/1.1', signedHeader(roadside, `${applicationHash}.info`)]),
    );
  });

  it('E11: POST /process-misbehavior-report, SecuredMisbehaviorReport: nothing', async () => {
    const lines = [
      'POST /process-misbehavior-report HTTP/1.1',
      'Content-Type: application/octet-stream',
    ];
    const body = secureMisbehaviorReport(
      {
        contents: {
          version: 1,
          misbehavingDeviceInfo: new TextEncoder().encode('a ghost vehicle'),
        },
        generationTime: NOW,
        generationLocation: { latitude: 423_000_000, longitude: -830_000_000, elevation: 4096 },
      },
      pseudonym,
      fixture.scms.ma.certificate,
      systemRandom,
    );
    // Encrypted as requests are, but to the MA: the RA reads nothing of it.
    expectSecured(body, fixture.scms.ma.certificate);
    const answer = await obe.ask(lines, body);
    assert.equal(answer.statusLine, 'HTTP/1.1 200 OK');
    expectHeaders(answer, { 'content-length': '0' });
    assert.equal(answer.body.length, 0);

    // Failure: a report that is for somebody else.
    await expectRefusal('raWrongParameters', () =>
      obe.ask(lines, secured(vehicle, pseudonymRequest(vehicle, NOW))),
    );
    // Next: the device forgets the report. The MA gets it within a day, in no order.
    fixture.clock.advance(86_400);
    await fixture.eventually(async () => {
      fixture.ra.wake();
      for await (const report of fixture.ma.reports()) return report;
      return undefined;
    });
  });
});

describe('curl', {
  skip: spawnSync('curl', ['--version']).status !== 0 && 'no curl',
  timeout: 60_000,
}, () => {
  let directory: string;
  let curl: (...args: string[]) => Promise<string>;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'chrysalis-endpoints-'));
    await writeFile(join(directory, 'root.pem'), fixture.ca);
    const run = promisify(execFile);
    curl = async (...args) => {
      const common = ['-sS', '--cacert', join(directory, 'root.pem'), '-w', '%{http_code}'];
      const { stdout } = await run('curl', [...common, ...args]);
      return stdout;
    };
  });
  after(() => rm(directory, { recursive: true }));
  const url = (path: string) => `https://localhost:${fixture.ra.port}${path}`;

  it('-H \'If-None-Match: "<name>"\' is told 304 for the name of now, and 200 for an older one', async () => {
    const out = join(directory, 'policy.oer');
    const ask = () =>
      curl('-H', `If-None-Match: "${policyName}"`, '-o', out, url('/download/policy/local'));
    assert.equal(await ask(), '304');
    await assert.rejects(readFile(out), { code: 'ENOENT' }, 'nothing came');

    const { policy } = fixture.raOptions;
    await fixture.restart({ policy: { ...policy, certificatesPerPeriod: CERTIFICATES + 1 } });
    assert.equal(await ask(), '200');
    const octets = new Uint8Array(await readFile(out));
    const { policy: newer } = openLocalPolicyFile(octets, fixture.trust, { time: now() });
    assert.equal(policyAt(newer, now()).certsPerIPeriod, CERTIFICATES + 1);
  });

  it('-C - and a fresh Download-Req go on with a download that broke off, to the same file', async () => {
    const name = batchName(CURRENT_I);
    const fresh = () => signedHeader(vehicle, name, now());
    const part = join(directory, 'part.zip');
    const client = await WireClient.connect(fixture.ra.port, fixture.ca);
    const came = await client.breakOff(['GET /download/batch HTTP/1.1', fresh()], 1000);
    await writeFile(part, came);
    const status = await curl('-C', '-', '-H', fresh(), '-o', part, url('/download/batch'));
    assert.equal(status, '206');
    assert.deepEqual(new Uint8Array(await readFile(part)), firstBatch);
    assert.equal(Object.keys(unzipSync(await readFile(part))).length, CERTIFICATES);
  });
});

function now(): Time32 {
  return timeOf(fixture.clock);
}

function ra(): HashedCertificate {
  return fixture.scms.ra.certificate;
}

/** A POST body: signed with the enrollment key, encrypted to the RA. */
function secured(device: TestDevice, request: EeRaRequest): Uint8Array {
  return securedBy(device, request, ra(), systemRandom);
}

/** The header line of an authenticated download: base64 of a SecuredAuthenticatedDownloadRequest, made for this one request. */
function signedHeader(device: TestDevice, name: string, time = now()): string {
  const headers = downloadReq(device, name, time, ra(), systemRandom);
  return `Download-Req: ${headers['Download-Req']}`;
}

/** encryptedData, one certRecipInfo with this recipient, eciesNistP256 with a compressed point. */
function expectSecured(body: Uint8Array, recipient: HashedCertificate = ra()): void {
  const id = Buffer.from(recipient.id).toString('hex');
  const head = new RegExp(`^0382010182${id}80(82|83)`);
  assert.match(Buffer.from(body).toString('hex'), head);
}

function expectHead(octets: Uint8Array, head: string): void {
  const expected = head.replaceAll(' ', '');
  const seen = Buffer.from(octets.subarray(0, expected.length / 2)).toString('hex');
  assert.equal(seen, expected);
}

/** The headers of an answer, all of them but Date. */
function expectHeaders({ headers }: WireAnswer, expected: Record<string, string>): void {
  assert.deepEqual(headers, { ...expected, ...KEPT });
}

/** 200 with octets that have no name. */
function expectOctets(answer: WireAnswer): void {
  assert.equal(answer.statusLine, 'HTTP/1.1 200 OK');
  expectHeaders(answer, { ...OCTETS, 'content-length': String(answer.body.length) });
}

/** 200 with a file: its name in quotes, and the same as a strong ETag. Returns the name. */
function expectFile(answer: WireAnswer, pattern = /^[0-9A-F]{16}(_[0-9A-F]{1,8})?\.zip$/): string {
  assert.equal(answer.statusLine, 'HTTP/1.1 200 OK');
  const [, name = ''] =
    /^attachment; filename="(.*)"$/.exec(answer.headers['content-disposition'] ?? '') ?? [];
  assert.match(name, pattern);
  expectHeaders(answer, { ...fileHeaders(name), 'content-length': String(answer.body.length) });
  return name;
}

function fileHeaders(name: string): Record<string, string> {
  return {
    ...OCTETS,
    'accept-ranges': 'bytes',
    'content-disposition': `attachment; filename="${name}"`,
    etag: `"${name}"`,
  };
}

/** If-None-Match: 304 and nothing else to whoever has the file, however the name is written; else the file. */
async function expectConditional(
  device: Speaker,
  line: string,
  name: string,
  whole: WireAnswer,
): Promise<void> {
  for (const held of [`"${name}"`, name, `"older.oer", "${name}"`, `W/"${name}"`, '*']) {
    const answer = await device.ask([line, `If-None-Match: ${held}`]);
    assert.equal(answer.statusLine, 'HTTP/1.1 304 Not Modified', held);
    expectHeaders(answer, { etag: `"${name}"` });
    assert.equal(answer.body.length, 0);
  }
  const older = name.replace(/[0-9a-f]\.oer$/, 'x.oer');
  assert.deepEqual(await device.ask([line, `If-None-Match: "${older}"`]), whole);
}

/**
 * Range and If-Range: part of the file, no part when there is none, the whole when the part would be of another version.
 *
 * @param request a header may serve for one request only: then a function that makes another each time
 */
async function expectRanges(
  device: Speaker,
  request: readonly string[] | (() => readonly string[]),
  name: string,
  whole: WireAnswer,
): Promise<void> {
  const lines = () => (typeof request === 'function' ? request() : request);
  const { length } = whole.body;
  for (const [range, first, last] of [
    ['bytes=50-70', 50, 70],
    ['bytes=100-', 100, length - 1],
    ['bytes=-30', length - 30, length - 1],
  ] as const) {
    for (const ifRange of [[], [`If-Range: "${name}"`]]) {
      const answer = await device.ask([...lines(), `Range: ${range}`, ...ifRange]);
      assert.equal(answer.statusLine, 'HTTP/1.1 206 Partial Content');
      expectHeaders(answer, {
        ...fileHeaders(name),
        'content-range': `bytes ${first}-${last}/${length}`,
        'content-length': String(last - first + 1),
      });
      assert.deepEqual(answer.body, whole.body.slice(first, last + 1));
    }
  }
  const behind = await device.ask([...lines(), `Range: bytes=${length}-`]);
  assert.equal(behind.statusLine, 'HTTP/1.1 416 Range Not Satisfiable');
  expectHeaders(behind, {
    ...fileHeaders(name),
    'content-range': `bytes */${length}`,
    'content-length': '0',
  });
  const other = await device.ask([...lines(), 'Range: bytes=100-', 'If-Range: "older"']);
  assert.deepEqual(other, whole);
}

/** Status 500, no body, connection closed; the reason only in the RA's log. */
async function expectRefusal(reason: RaEeErrorName, ask: () => Promise<WireAnswer>): Promise<void> {
  const before = fixture.logged.length;
  const answer = await ask();
  assert.equal(answer.statusLine, 'HTTP/1.1 500 Internal Server Error');
  const { 'content-length': length = '0', ...headers } = answer.headers;
  assert.deepEqual(headers, { connection: 'close' });
  assert.equal(length, '0');
  assert.equal(answer.body.length, 0);
  const line = fixture.logged.slice(before).find(({ message }) => message === 'refused');
  assert.equal(line?.fields.code, RA_EE_ERRORS[reason], String(line?.fields.detail));
}

/** A Signed ack, verified: the request hash is of the body that was sent, the URL is where its files will be. */
function expectAck(
  ack: Uint8Array,
  body: Uint8Array,
  expected: { readonly tag: string; readonly type: string; readonly path: string },
): string {
  // signedData, sha256, payload present; ScmsPDU 1, ee-ra, the kind of ack, its version 1.
  expectHead(ack, '03 81 00 40 03 80');
  expectHead(ack.subarray(7), `01 83 ${expected.tag} 00 01`);
  const { payload, signer } = openSignedMessage(ack, fixture.trust);
  assert.deepEqual(signer.id, ra().id);
  const { content } = decode(ScmsPdu122, payload);
  assert(content.type === 'eeRa' && content.value.type === expected.type);
  assert('reply' in content.value.value && content.value.value.reply.type === 'ack');
  const { requestHash, reply } = content.value.value;
  // Low-order eight octets of SHA-256 over the whole body.
  assert.deepEqual(requestHash, sha256(body).slice(-8));
  const { certDLTime, certDLURL } = reply.value;
  assert.equal(certDLURL, `https://localhost:${fixture.ra.port}${expected.path}`);
  assert(certDLTime >= NOW && certDLTime < NOW + WEEK_SEC, `seen ${certDLTime - NOW} s`);
  return Buffer.from(requestHash).toString('hex').toUpperCase();
}

/** Waits until the RA has made a file. A device would wait for certDLTime. */
async function filed(hash: string, i: number): Promise<void> {
  const request = Buffer.from(hash, 'hex');
  await fixture.eventually(async () => {
    const row = await fixture.raOptions.database.query
      .selectFrom('device')
      .select('filed_through')
      .where('request_hash', '=', new Uint8Array(request))
      .executeTakeFirst();
    return row !== undefined && row.filed_through >= i ? row : undefined;
  });
}

function batchName(i: number): string {
  return `${pseudonymHash}_${i.toString(16).toUpperCase()}.zip`;
}

function jOf(entryName: string): number {
  return Number.parseInt(entryName.slice(entryName.indexOf('_') + 1), 16);
}

/** Opens a response for the cocoon keys of (i, j). */
function openButterfly(entry: Uint8Array, device: TestDevice, i: number, j: number) {
  const opened = openResponse(entry, {
    trust: fixture.trust,
    pca: fixture.scms.pca.certificate,
    response: cocoonPrivateKey(
      device.encryptionSeed,
      new Expansion(device.encryptionExpansion, 'encryption'),
      i,
      j,
    ),
    request: cocoonPrivateKey(
      device.verifySeed,
      new Expansion(device.verifyExpansion, 'signing'),
      i,
      j,
    ),
  });
  assert.equal(opened.type, 'implicitButterfly');
  return opened;
}

interface PlainKeys {
  readonly verify: PrivateKey;
  readonly response: PrivateKey;
}

function freshKeys(): PlainKeys {
  return { verify: PrivateKey.generate(systemRandom), response: PrivateKey.generate(systemRandom) };
}

function application({ verify, response }: PlainKeys): EeRaRequest {
  return {
    type: 'application',
    verifyKey: { type: 'ecdsaNistP256', value: fromPoint(verify.publicPoint) },
    responseEncryptionKey: {
      supportedSymmAlg: 'aes128Ccm',
      publicKey: { type: 'eciesNistP256', value: fromPoint(response.publicPoint) },
    },
    currentTime: NOW,
    requestedStartTime: NOW,
  };
}
