/**
 * For each refusal in section 1.8: exactly that fault, alone, gets the code, and no later step runs.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createTestScms } from '@chrysalis/authorities';
import { encode } from '@chrysalis/coer';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import {
  encryptForCertificate,
  hashCertificate,
  Ieee1609Dot2Data,
  issueExplicit,
} from '@chrysalis/ieee1609dot2';
import { RA_EE_ERRORS, type RaEeErrorName, timeOf } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  signedBy,
  type TestDevice,
} from './support/device.ts';
import type { Answer } from './support/https-client.ts';
import { type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const PROVISION = '/provision-pseudonym-certificate-batch';
const random = systemRandom;

let fixture: RaFixture;
let device: TestDevice;
let now: number;
/** A device that has registered, and its file names. */
let hash: string;

before(async () => {
  fixture = await startRaFixture({ errorDetail: 'qa', policy: { weeksAhead: 1 } });
  now = timeOf(fixture.clock);
  device = createDevice(fixture.scms, random, now);
  const body = securedBy(device, pseudonymRequest(device, now), ra(), random);
  const answer = await fixture.send(PROVISION, { method: 'POST', body });
  assert.equal(answer.status, 200);
  hash = requestHashOf(answer);
  await fixture.eventually(async () => {
    const got = await get('/download/batch', downloadReq(device, batchName(), now, ra(), random));
    return got.status === 200 ? got : undefined;
  });
});
after(() => fixture.close());
beforeEach(() => {
  fixture.steps.length = 0;
});

function ra() {
  return fixture.scms.ra.certificate;
}
function batchName(): string {
  return `${hash}_${Math.floor((now - 347_619_603) / 604_800)
    .toString(16)
    .toUpperCase()}.zip`;
}
function requestHashOf(ack: Answer): string {
  // 03 81 00 40 03 80 <length> 01 83 83 00 01 <hash>: section 4.6.
  return Buffer.from(ack.body.subarray(12, 20)).toString('hex').toUpperCase();
}
function get(path: string, headers: Record<string, string>) {
  return fixture.send(path, { headers });
}
function base64(octets: Uint8Array): Record<string, string> {
  return { 'Download-Req': Buffer.from(octets).toString('base64') };
}

/** The answer is the refusal with this code, and the steps went this far and no further. */
function expectRefusal(answer: Answer, reason: RaEeErrorName, lastStep: string | undefined): void {
  assert.equal(answer.status, 500);
  assert.equal(answer.body.length, 0);
  assert.equal(
    answer.headers['scms-poc-error'],
    String(RA_EE_ERRORS[reason]),
    `${answer.headers['scms-poc-error-message']}`,
  );
  assert.match(String(answer.headers['scms-poc-error-message']), /expected .*|octet/);
  assert.equal(answer.headers.connection, 'close');
  assert.equal(fixture.steps.at(-1), lastStep);
}

describe('a download is refused, in this order, for', () => {
  const info = () => `${hash}.info`;
  const expectDownloadRefusal = async (
    headers: Record<string, string>,
    reason: RaEeErrorName,
    lastStep: string | undefined,
  ) => expectRefusal(await get('/download/info', headers), reason, lastStep);

  it('no Download-Req', () => expectDownloadRefusal({}, 'raAuthenticationFailed', undefined));
  it('a Download-Req that is not base64', () =>
    expectDownloadRefusal({ 'Download-Req': 'A4IB*' }, 'raWrongParameters', undefined));
  it('a Download-Req in base64 without its padding', () => {
    const value = downloadReq(device, `${hash}.info.`, now, ra(), random)['Download-Req'] ?? '';
    assert.match(value, /=$/, 'this sample has padding to take away');
    return expectDownloadRefusal(
      { 'Download-Req': value.replace(/=+$/, '') },
      'raWrongParameters',
      undefined,
    );
  });
  it('an over-long Download-Req', () =>
    expectDownloadRefusal({ 'Download-Req': 'A'.repeat(4100) }, 'raWrongParameters', undefined));
  it('octets that are no message', () =>
    expectDownloadRefusal(base64(random(200)), 'raWrongParameters', 'decode'));
  it('a message with an octet too many', async () => {
    const secured = securedBy(
      device,
      { type: 'download', timestamp: now, filename: info() },
      ra(),
      random,
    );
    await expectDownloadRefusal(
      base64(Uint8Array.of(...secured, 0)),
      'raWrongParameters',
      'decode',
    );
  });
  it('a signed request that is not encrypted', () =>
    expectDownloadRefusal(
      base64(signedBy(device, { type: 'download', timestamp: now, filename: info() })),
      'raAuthenticationFailed',
      'decode',
    ));
  it('another recipient', () => {
    const other = createTestScms({ now, random, raHostname: 'localhost' });
    return expectDownloadRefusal(
      downloadReq(device, info(), now, other.ra.certificate, random),
      'raAuthenticationFailed',
      'open',
    );
  });
  it('a ciphertext that was changed', () => {
    const secured = securedBy(
      device,
      { type: 'download', timestamp: now, filename: info() },
      ra(),
      random,
    );
    secured[secured.length - 1]! ^= 1;
    return expectDownloadRefusal(base64(secured), 'raAuthenticationFailed', 'open');
  });
  it('an encrypted message that is not signed', () => {
    const unsigned = encode(Ieee1609Dot2Data, {
      protocolVersion: 3,
      content: { type: 'unsecuredData', value: Uint8Array.of(1, 2, 3) },
    });
    return expectDownloadRefusal(
      base64(encryptForCertificate(unsigned, ra(), random)),
      'raAuthenticationFailed',
      'open',
    );
  });
  it('a blacklisted certificate, even with a broken signature and a wrong time', async () => {
    const black = createDevice(fixture.scms, random, now);
    await fixture.ra.blacklist.add(black.certificate.hash, 'test', now);
    const liar = { certificate: black.certificate, key: PrivateKey.generate(random) };
    await expectDownloadRefusal(
      downloadReq(liar, info(), now - 4000, ra(), random),
      'raBlacklisted',
      'blacklist',
    );
  });
  it('a blacklisted certificate that is no enrollment certificate of any ECA we know', async () => {
    const other = createTestScms({ now, random, raHostname: 'localhost' });
    const stranger = createDevice(other, random, now);
    await fixture.ra.blacklist.add(stranger.certificate.hash, 'test', now);
    await expectDownloadRefusal(
      downloadReq(stranger, info(), now, ra(), random),
      'raBlacklisted',
      'blacklist',
    );
  });
  it('an ECA that is not on the whitelist', () => {
    const other = createTestScms({ now, random, raHostname: 'localhost' });
    return expectDownloadRefusal(
      downloadReq(createDevice(other, random, now), info(), now, ra(), random),
      'raAuthenticationFailed',
      'certificate',
    );
  });
  it('an enrollment certificate that has expired', () => {
    const expired = createDevice(fixture.scms, random, now, {
      validityPeriod: { start: now - 7200, duration: { type: 'hours', value: 1 } },
    });
    return expectDownloadRefusal(
      downloadReq(expired, info(), now, ra(), random),
      'raAuthenticationFailed',
      'certificate',
    );
  });
  it('an enrollment certificate that is not valid yet', () => {
    const early = createDevice(fixture.scms, random, now, {
      validityPeriod: { start: now + 60, duration: { type: 'years', value: 1 } },
    });
    return expectDownloadRefusal(
      downloadReq(early, info(), now, ra(), random),
      'raAuthenticationFailed',
      'certificate',
    );
  });
  it('an enrollment certificate with permissions that its ECA may not give', () => {
    const greedy = createDevice(fixture.scms, random, now, {
      certRequestPermissions: [
        {
          subjectPermissions: { type: 'explicit', value: [{ psid: 0x123456 }] },
          minChainDepth: 0,
          chainDepthRange: 0,
          eeType: Uint8Array.of(0x80),
        },
      ],
    });
    return expectDownloadRefusal(
      downloadReq(greedy, info(), now, ra(), random),
      'raAuthenticationFailed',
      'certificate',
    );
  });
  it('a certificate of the ECA that is explicit', () => {
    const key = PrivateKey.generate(random);
    const { eca } = fixture.scms;
    const explicit = hashCertificate(
      issueExplicit(device.certificate.certificate.toBeSigned, key.publicPoint, {
        certificate: eca.certificate,
        key: eca.signingKey,
      }),
    );
    return expectDownloadRefusal(
      downloadReq({ certificate: explicit, key }, info(), now, ra(), random),
      'raAuthenticationFailed',
      'certificate',
    );
  });
  for (const offset of [-6, 6]) {
    it(`a time ${offset} seconds away`, () =>
      expectDownloadRefusal(
        downloadReq(device, info(), now + offset, ra(), random),
        'chrysalisTimeOutsideTolerance',
        'time',
      ));
  }
  for (const offset of [-5, 5]) {
    it(`nothing when the time is ${offset} seconds away`, async () => {
      const answer = await get(
        '/download/info',
        downloadReq(device, info(), now + offset, ra(), random),
      );
      assert.equal(answer.status, 200);
    });
  }
  it('a signature by another key', () =>
    expectDownloadRefusal(
      downloadReq(
        { certificate: device.certificate, key: PrivateKey.generate(random) },
        info(),
        now,
        ra(),
        random,
      ),
      'raAuthenticationFailed',
      'signature',
    ));
  for (const name of [
    '',
    'x',
    '../../etc/passwd',
    '0123456789ABCDEF',
    '0123456789ABCDE.info',
    '0123456789ABCDEFG.info',
    '0123456789ABCDEF_1.info',
  ]) {
    it(`the file name ${JSON.stringify(name)}`, () =>
      expectDownloadRefusal(
        downloadReq(device, name, now, ra(), random),
        'raInvalidURL',
        'file name',
      ));
  }
  it('the name of a batch where .info is asked for', () =>
    expectDownloadRefusal(
      downloadReq(device, batchName(), now, ra(), random),
      'raInvalidURL',
      'file name',
    ));
  it("somebody else's .info, and one that nobody has: the same answer", async () => {
    const stranger = createDevice(fixture.scms, random, now);
    const theirs = await get('/download/info', downloadReq(stranger, info(), now, ra(), random));
    expectRefusal(theirs, 'raNoInfoFileAvailable', 'ownership');
    const nobodys = await get(
      '/download/info',
      downloadReq(device, '0000000000000000.info', now, ra(), random),
    );
    expectRefusal(nobodys, 'raNoInfoFileAvailable', 'ownership');
    assert.deepEqual(Object.keys(theirs.headers), Object.keys(nobodys.headers));
  });
  it("somebody else's batch, and one that is not there: the same answer", async () => {
    const stranger = createDevice(fixture.scms, random, now);
    const theirs = await get(
      '/download/batch',
      downloadReq(stranger, batchName(), now, ra(), random),
    );
    expectRefusal(theirs, 'raNoCertFileAvailable', 'ownership');
    const missing = await get(
      '/download/batch',
      downloadReq(device, `${hash}_FFF.zip`, now, ra(), random),
    );
    expectRefusal(missing, 'raNoCertFileAvailable', 'ownership');
  });
});

describe('a download is refused when it comes by POST', () => {
  for (const service of ['batch', 'info', 'identity-certificate', 'application-certificate']) {
    it(`with what a GET is given the file for, in the header or as the body: ${service}`, async () => {
      const path = `/download/${service}`;
      const isInfo = service === 'info';
      const header = () =>
        downloadReq(device, isInfo ? `${hash}.info` : batchName(), now, ra(), random);
      const secured = (): Uint8Array =>
        new Uint8Array(Buffer.from(header()['Download-Req'] ?? '', 'base64'));
      for (const form of [
        { headers: header() },
        { headers: header(), body: new Uint8Array(0) },
        { body: secured() },
        { body: new TextEncoder().encode(header()['Download-Req']) },
        { headers: header(), body: secured() },
      ]) {
        const answer = await fixture.send(path, { method: 'POST', ...form });
        expectRefusal(answer, 'raInvalidURL', undefined);
      }
    });
  }
});

describe('a provisioning request is refused, in this order, for', () => {
  const post = (body: Uint8Array) => fixture.send(PROVISION, { method: 'POST', body });
  const request = (d: TestDevice = device, time = now) => pseudonymRequest(d, time);

  it('an empty body', async () =>
    expectRefusal(await post(new Uint8Array(0)), 'raWrongParameters', undefined));
  it('a body that is too long', async () =>
    expectRefusal(await post(new Uint8Array(17 * 1024)), 'raWrongParameters', undefined));
  it('octets that are no message', async () =>
    expectRefusal(await post(random(400)), 'raWrongParameters', 'decode'));
  it('a request that is not encrypted', async () =>
    expectRefusal(await post(signedBy(device, request())), 'raRequestNotEncrypted', 'decode'));
  it('a request that cannot be decrypted', async () => {
    const secured = securedBy(device, request(), ra(), random);
    secured[secured.length - 1]! ^= 1;
    expectRefusal(await post(secured), 'chrysalisDecryptionFailed', 'open');
  });
  it('a blacklisted certificate', async () => {
    const black = createDevice(fixture.scms, random, now);
    await fixture.ra.blacklist.add(black.certificate.hash, 'test', now);
    const body = securedBy({ ...black, key: device.key }, request(black), ra(), random);
    expectRefusal(await post(body), 'raBlacklisted', 'blacklist');
  });
  it('an ECA that is not on the whitelist', async () => {
    const stranger = createDevice(
      createTestScms({ now, random, raHostname: 'localhost' }),
      random,
      now,
    );
    const body = securedBy(stranger, request(stranger), ra(), random);
    expectRefusal(await post(body), 'chrysalisEnrollmentCertificateRefused', 'certificate');
  });
  it('a time six seconds away', async () => {
    const fresh = createDevice(fixture.scms, random, now);
    const body = securedBy(fresh, request(fresh, now - 6), ra(), random);
    expectRefusal(await post(body), 'chrysalisTimeOutsideTolerance', 'time');
  });
  it('a signature by another key', async () => {
    const fresh = createDevice(fixture.scms, random, now);
    const body = securedBy({ ...fresh, key: device.key }, request(fresh), ra(), random);
    expectRefusal(await post(body), 'raInvalidSignature', 'signature');
  });
  it('the same inner request in a new envelope', async () => {
    const fresh = createDevice(fixture.scms, random, now);
    const signed = signedBy(fresh, request(fresh));
    const first = await post(encryptForCertificate(signed, ra(), random));
    assert.equal(first.status, 200);
    const second = await post(encryptForCertificate(signed, ra(), random));
    expectRefusal(second, 'raDuplicateRequestReceived', 'signature');
  });
  it('a second set of keys under the same enrollment certificate', async () => {
    const again = {
      ...createDevice(fixture.scms, random, now),
      certificate: device.certificate,
      key: device.key,
    };
    const body = securedBy(again, request(again), ra(), random);
    expectRefusal(await post(body), 'raDuplicateRequestReceived', 'signature');
  });
  it('a download request where a pseudonym request belongs', async () => {
    const body = securedBy(
      device,
      { type: 'download', timestamp: now, filename: 'x' },
      ra(),
      random,
    );
    expectRefusal(await post(body), 'raWrongParameters', 'certificate');
  });
  it('a caterpillar key that is not on the curve', async () => {
    const fresh = createDevice(fixture.scms, random, now);
    const bad = { type: 'compressedY0', value: new Uint8Array(32).fill(0xff) } as const;
    const body = securedBy(
      fresh,
      { ...request(fresh), verifyKeyInfo: { seedKey: bad, expansion: fresh.verifyExpansion } },
      ra(),
      random,
    );
    expectRefusal(await post(body), 'raWrongParameters', 'signature');
  });
  it('a start beyond the supply', async () => {
    const fresh = createDevice(fixture.scms, random, now);
    const body = securedBy(
      fresh,
      { ...request(fresh), requestedStartTime: now + 604_800 },
      ra(),
      random,
    );
    expectRefusal(await post(body), 'raWrongParameters', 'signature');
  });
});

describe('a request of release 1.2.4', () => {
  it('is acknowledged as one of 1.2.2 is', async () => {
    const fresh = createDevice(fixture.scms, random, now);
    const body = securedBy(fresh, pseudonymRequest(fresh, now), ra(), random, '1.2.4');
    const answer = await fixture.send(PROVISION, { method: 'POST', body });
    assert.equal(answer.status, 200);
  });
});

describe('a lost acknowledgement', () => {
  it('is sent again, octet for octet, for the same body, even when its time has passed', async () => {
    const fresh = createDevice(fixture.scms, random, now);
    const body = securedBy(fresh, pseudonymRequest(fresh, now), ra(), random);
    const first = await fixture.send(PROVISION, { method: 'POST', body });
    assert.equal(first.status, 200);
    fixture.clock.advance(3600);
    const second = await fixture.send(PROVISION, { method: 'POST', body });
    fixture.clock.advance(-3600);
    assert.equal(second.status, 200);
    assert.deepEqual(second.body, first.body);
  });
  it('of a request sent twice at once is one registration with one acknowledgement', async () => {
    const fresh = createDevice(fixture.scms, random, now);
    const body = securedBy(fresh, pseudonymRequest(fresh, now), ra(), random);
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => fixture.send(PROVISION, { method: 'POST', body })),
    );
    for (const answer of answers) {
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.body, answers[0]?.body);
    }
  });
  it('is not given to a device that was blacklisted meanwhile', async () => {
    const fresh = createDevice(fixture.scms, random, now);
    const body = securedBy(fresh, pseudonymRequest(fresh, now), ra(), random);
    assert.equal((await fixture.send(PROVISION, { method: 'POST', body })).status, 200);
    await fixture.ra.blacklist.add(fresh.certificate.hash, 'test', now);
    expectRefusal(
      await fixture.send(PROVISION, { method: 'POST', body }),
      'raBlacklisted',
      'blacklist',
    );
  });
});
