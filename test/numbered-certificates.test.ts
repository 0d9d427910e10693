/** Identification certificates of an OBE and application certificates of an RSE, over real TLS. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { chainPartsOf, createPolicyGenerator } from '@chrysalis/authorities';
import { decode } from '@chrysalis/coer';
import {
  cocoonPoints,
  cocoonPrivateKey,
  Expansion,
  PrivateKey,
  systemRandom,
} from '@chrysalis/crypto';
import {
  asCertificate,
  type Duration,
  encryptionPointOf,
  fromPoint,
  type GeographicRegion,
} from '@chrysalis/ieee1609dot2';
import type { PolicySource } from '@chrysalis/ra';
import {
  type ApplicationRequest,
  constantSeries,
  DEFAULT_GLOBAL_POLICY,
  type Dialect,
  type EeRaRequest,
  type IdentificationRequest,
  openSignedMessage,
  RA_EE_ERRORS,
  type RaEeErrorName,
  ScmsPdu122,
  timeOf,
} from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import { openResponse } from './support/certificate-response.ts';
import { createDevice, downloadReq, securedBy, type TestDevice } from './support/device.ts';
import type { Answer } from './support/https-client.ts';
import { type FixtureOptions, type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const random = systemRandom;
const HOUR = 3600;
const USA: GeographicRegion = {
  type: 'identifiedRegion',
  value: [{ type: 'countryOnly', value: 840 }],
};
const KOREA: GeographicRegion = {
  type: 'identifiedRegion',
  value: [{ type: 'countryOnly', value: 410 }],
};
const PATHS = {
  identification: {
    provision: '/provision-identity-certificate',
    download: '/download/identity-certificate',
  },
  application: {
    provision: '/provision-application-certificate',
    download: '/download/application-certificate',
  },
} as const;
type Kind = keyof typeof PATHS;

async function start(t: TestContext, options: FixtureOptions = {}): Promise<RaFixture> {
  const fixture = await startRaFixture(options);
  t.after(() => fixture.close());
  return fixture;
}

function send(fixture: RaFixture, device: TestDevice, request: EeRaRequest, dialect?: Dialect) {
  const body = securedBy(device, request, fixture.scms.ra.certificate, random, dialect);
  const path = PATHS[request.type as Kind].provision;
  return fixture.send(path, { method: 'POST', body });
}

/** The request hash of an acknowledgement, whose kind and URL are checked. */
function acknowledged(fixture: RaFixture, answer: Answer, kind: Kind): string {
  assert.equal(answer.status, 200, String(answer.headers['scms-poc-error-message']));
  const pdu = decode(ScmsPdu122, openSignedMessage(answer.body, fixture.trust).payload).content;
  const name =
    kind === 'identification' ? 'raEeIdCertProvisioningAck' : 'raEeAppCertProvisioningAck';
  assert(pdu.type === 'eeRa' && pdu.value.type === name && pdu.value.value.reply.type === 'ack');
  assert.match(
    pdu.value.value.reply.value.certDLURL,
    new RegExp(`^https://localhost:\\d+${PATHS[kind].download}$`),
  );
  return Buffer.from(pdu.value.value.requestHash).toString('hex').toUpperCase();
}

async function get(fixture: RaFixture, device: TestDevice, path: string, name: string) {
  const { certificate } = fixture.scms.ra;
  const headers = downloadReq(device, name, timeOf(fixture.clock), certificate, random);
  return fixture.send(path, { headers });
}

/** The one entry of a zip that is there sooner or later. */
function entryOf(
  fixture: RaFixture,
  device: TestDevice,
  kind: Kind,
  name: string,
  entryName: string,
) {
  return fixture.eventually(async () => {
    const answer = await get(fixture, device, PATHS[kind].download, name);
    if (answer.status !== 200) return undefined;
    const entries = unzipSync(answer.body);
    assert.deepEqual(Object.keys(entries), [entryName]);
    return new Uint8Array(entries[entryName] ?? []);
  });
}

function expectRefusal(answer: Answer, reason: RaEeErrorName): void {
  assert.equal(answer.status, 500);
  assert.equal(answer.headers['scms-poc-error'], String(RA_EE_ERRORS[reason]));
}

/** Opens a response and proves that the key which `requestKey` leads to belongs to the certificate. */
function open(
  fixture: RaFixture,
  entry: Uint8Array,
  responseKey: PrivateKey,
  requestKey: PrivateKey,
  expected: 'implicitButterfly' | 'implicit',
) {
  const { type, certificate } = openResponse(entry, {
    response: responseKey,
    request: requestKey,
    trust: fixture.trust,
    pca: fixture.scms.pca.certificate,
  });
  assert.equal(type, expected);
  return certificate;
}

function identification(device: TestDevice, now: number): IdentificationRequest {
  return {
    type: 'identification',
    verifyKeyInfo: {
      seedKey: fromPoint(device.verifySeed.publicPoint),
      expansion: device.verifyExpansion,
    },
    respEncKeyInfo: {
      seedKey: fromPoint(device.encryptionSeed.publicPoint),
      expansion: device.encryptionExpansion,
    },
    currentTime: now,
    requestedStartTime: now,
  };
}

describe('identification certificates', () => {
  it('come one in a file, from 0 on, each for a month and an hour, as far as the supply reaches', async (t) => {
    const fixture = await start(t, { policy: { weeksAhead: 8 } });
    const now = timeOf(fixture.clock);
    const device = createDevice(fixture.scms, random, now);
    const certSeed = PrivateKey.generate(random);
    const certExpansion = random(16);
    const certEncKeyInfo = { seedKey: fromPoint(certSeed.publicPoint), expansion: certExpansion };
    const answer = await send(fixture, device, { ...identification(device, now), certEncKeyInfo });
    const hash = acknowledged(fixture, answer, 'identification');
    const signing = new Expansion(device.verifyExpansion, 'signing');
    const encryption = new Expansion(device.encryptionExpansion, 'encryption');
    for (const i of [0, 1]) {
      const entry = await entryOf(
        fixture,
        device,
        'identification',
        `${hash}_${i}.zip`,
        `${hash}_${i}`,
      );
      const certificate = open(
        fixture,
        entry,
        cocoonPrivateKey(device.encryptionSeed, encryption, i, 0),
        cocoonPrivateKey(device.verifySeed, signing, i, 0),
        'implicitButterfly',
      );
      const tbs = certificate.certificate.toBeSigned;
      assert.deepEqual(tbs.id, { type: 'binaryId', value: device.certificate.id }, 'the RIF');
      assert.equal(tbs.crlSeries, 3);
      assert.deepEqual(tbs.validityPeriod, {
        start: now + i * 720 * HOUR,
        duration: { type: 'hours', value: 721 },
      });
      const expansion = new Expansion(certExpansion, 'encryption');
      assert.deepEqual(
        encryptionPointOf(certificate),
        cocoonPoints(certSeed.publicPoint, expansion, i, 1)[0],
      );
    }
    // 7 weeks ahead are 1,176 hours: certificate 2 begins after 1,440.
    const beyond = await get(fixture, device, PATHS.identification.download, `${hash}_2.zip`);
    expectRefusal(beyond, 'raNoCertFileAvailable');
    const info = await get(fixture, device, '/download/info', `${hash}.info`);
    assert.equal(info.status, 200);
    const next = new DataView(info.body.buffer).getUint32(0);
    assert.equal(next, now + (1440 - 1176) * HOUR + 60);

    fixture.clock.set(next);
    fixture.ra.wake();
    await entryOf(fixture, device, 'identification', `${hash}_2.zip`, `${hash}_2`);
  });

  it('are another thing than the pseudonym certificates of the same device', async (t) => {
    const fixture = await start(t, { policy: { weeksAhead: 1 } });
    const now = timeOf(fixture.clock);
    const device = createDevice(fixture.scms, random, now);
    const pseudonym = { ...identification(device, now), type: 'pseudonym' as const };
    const body = securedBy(device, pseudonym, fixture.scms.ra.certificate, random);
    const first = await fixture.send('/provision-pseudonym-certificate-batch', {
      method: 'POST',
      body,
    });
    assert.equal(first.status, 200);
    const hash = acknowledged(
      fixture,
      await send(fixture, device, identification(device, now)),
      'identification',
    );
    await entryOf(fixture, device, 'identification', `${hash}_0.zip`, `${hash}_0`);
    expectRefusal(
      await get(fixture, device, '/download/batch', `${hash}_0.zip`),
      'raNoCertFileAvailable',
    );
    const again = { ...createDevice(fixture.scms, random, now), ...enrollmentOf(device) };
    expectRefusal(
      await send(fixture, again, identification(again, now)),
      'raDuplicateRequestReceived',
    );
    const wrongPath = securedBy(
      device,
      identification(device, now),
      fixture.scms.ra.certificate,
      random,
    );
    expectRefusal(
      await fixture.send(PATHS.application.provision, { method: 'POST', body: wrongPath }),
      'raWrongParameters',
    );
  });

  it('of release 1.2.4 are for a region inside that of the enrollment certificate', async (t) => {
    const fixture = await start(t, { policy: { weeksAhead: 1 } });
    const now = timeOf(fixture.clock);
    const device = createDevice(fixture.scms, random, now);
    const request = identification(device, now);
    expectRefusal(
      await send(fixture, device, { ...request, region: KOREA }, '1.2.4'),
      'raWrongParameters',
    );
    const hash = acknowledged(
      fixture,
      await send(fixture, device, { ...request, region: USA }, '1.2.4'),
      'identification',
    );
    const entry = await entryOf(fixture, device, 'identification', `${hash}_0.zip`, `${hash}_0`);
    const certificate = open(
      fixture,
      entry,
      cocoonPrivateKey(
        device.encryptionSeed,
        new Expansion(device.encryptionExpansion, 'encryption'),
        0,
        0,
      ),
      cocoonPrivateKey(device.verifySeed, new Expansion(device.verifyExpansion, 'signing'), 0, 0),
      'implicitButterfly',
    );
    assert.deepEqual(certificate.certificate.toBeSigned.region, USA);
  });
});

describe('application certificates', () => {
  const application = (keys: Keys, now: number, startTime = now): ApplicationRequest => ({
    type: 'application',
    verifyKey: { type: 'ecdsaNistP256', value: fromPoint(keys.verify.publicPoint) },
    certEncryptionKey: encryptionKey(keys.certificate),
    responseEncryptionKey: encryptionKey(keys.response),
    currentTime: now,
    requestedStartTime: startTime,
  });

  it('come one for a request, for a week and an hour, with the very keys that were sent', async (t) => {
    const fixture = await start(t);
    const now = timeOf(fixture.clock);
    const device = createDevice(fixture.scms, random, now);
    const keys = freshKeys();
    const answer = await send(fixture, device, application(keys, now, now + HOUR));
    const hash = acknowledged(fixture, answer, 'application');
    const entry = await entryOf(fixture, device, 'application', `${hash}.zip`, hash);
    const certificate = open(fixture, entry, keys.response, keys.verify, 'implicit');
    const tbs = certificate.certificate.toBeSigned;
    assert.deepEqual(tbs.validityPeriod, {
      start: now + HOUR,
      duration: { type: 'hours', value: 169 },
    });
    assert.deepEqual(tbs.id, { type: 'binaryId', value: device.certificate.id });
    assert.equal(tbs.crlSeries, 3);
    assert.deepEqual(encryptionPointOf(certificate), keys.certificate.publicPoint);
    const info = await get(fixture, device, '/download/info', `${hash}.info`);
    expectRefusal(info, 'raNoInfoFileAvailable');
  });

  it('of release 1.2.4 are for a region inside that of the enrollment certificate', async (t) => {
    const fixture = await start(t);
    const now = timeOf(fixture.clock);
    const device = createDevice(fixture.scms, random, now);
    const keys = freshKeys();
    const request = application(keys, now);
    const outside = await send(fixture, device, { ...request, region: KOREA }, '1.2.4');
    expectRefusal(outside, 'raWrongParameters');
    const answer = await send(fixture, device, { ...request, region: USA }, '1.2.4');
    const hash = acknowledged(fixture, answer, 'application');
    const entry = await entryOf(fixture, device, 'application', `${hash}.zip`, hash);
    const certificate = open(fixture, entry, keys.response, keys.verify, 'implicit');
    assert.deepEqual(certificate.certificate.toBeSigned.region, USA);
  });

  it('are asked for one at a time, until the overlap begins', async (t) => {
    const fixture = await start(t);
    const now = timeOf(fixture.clock);
    const device = createDevice(fixture.scms, random, now);
    const ask = () => send(fixture, device, application(freshKeys(), timeOf(fixture.clock)));
    const first = acknowledged(fixture, await ask(), 'application');
    expectRefusal(await ask(), 'raRequestForMultipleCerts');
    fixture.clock.set(now + 168 * HOUR - 1);
    expectRefusal(await ask(), 'raRequestForMultipleCerts');
    fixture.clock.set(now + 168 * HOUR);
    const second = acknowledged(fixture, await ask(), 'application');
    assert.notEqual(second, first);
    await entryOf(fixture, device, 'application', `${second}.zip`, second);
    // Two weeks after its end the first is forgotten, file and row.
    fixture.clock.set(now + (169 + 14 * 24) * HOUR);
    fixture.ra.wake();
    await fixture.eventually(async () => {
      const answer = await get(fixture, device, PATHS.application.download, `${first}.zip`);
      return answer.status === 500 || undefined;
    });
  });

  it('last and are renewed as the policy said when they were asked for', async (t) => {
    const held = Promise.withResolvers<void>();
    const fixture = await start(t, {
      wrapPca: (pca) => ({
        async requestCertificate(request) {
          await held.promise;
          return pca.requestCertificate(request);
        },
      }),
    });
    await fixture.restart({ pg: pgWith(fixture, 2, { validity: 48, overlap: 24 }) });
    const now = timeOf(fixture.clock);
    const device = createDevice(fixture.scms, random, now);
    const keys = freshKeys();
    const ask = (own = freshKeys()) =>
      send(fixture, device, application(own, timeOf(fixture.clock)));
    const hash = acknowledged(fixture, await ask(keys), 'application');

    // Another policy before the PCA has answered changes nothing of it, wherever it stands.
    await fixture.restart({ pg: pgWith(fixture, 3, { validity: 30, overlap: 2 }) });
    held.resolve();
    const entry = await entryOf(fixture, device, 'application', `${hash}.zip`, hash);
    const certificate = open(fixture, entry, keys.response, keys.verify, 'implicit');
    assert.deepEqual(certificate.certificate.toBeSigned.validityPeriod, {
      start: now,
      duration: { type: 'hours', value: 72 },
    });
    fixture.clock.set(now + 48 * HOUR - 1);
    expectRefusal(await ask(), 'raRequestForMultipleCerts');
    fixture.clock.set(now + 48 * HOUR);
    const next = freshKeys();
    const second = acknowledged(fixture, await ask(next), 'application');
    const later = await entryOf(fixture, device, 'application', `${second}.zip`, second);
    const { validityPeriod } = open(fixture, later, next.response, next.verify, 'implicit')
      .certificate.toBeSigned;
    assert.deepEqual(validityPeriod, {
      start: now + 48 * HOUR,
      duration: { type: 'hours', value: 32 },
    });
    // It is still to be had until the end that it has, by the policy of then.
    fixture.clock.set(now + 72 * HOUR - 1);
    fixture.ra.wake();
    const still = await get(fixture, device, PATHS.application.download, `${hash}.zip`);
    assert.equal(still.status, 200);
  });

  it('asked for twice at once are one', async (t) => {
    const fixture = await start(t);
    const now = timeOf(fixture.clock);
    const device = createDevice(fixture.scms, random, now);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => send(fixture, device, application(freshKeys(), now))),
    );
    assert.equal(answers.filter((answer) => answer.status === 200).length, 1);
    for (const answer of answers.filter(({ status }) => status !== 200)) {
      expectRefusal(answer, 'raRequestForMultipleCerts');
    }
  });

  it('do not begin further ahead than four weeks', async (t) => {
    const fixture = await start(t);
    const now = timeOf(fixture.clock);
    const device = createDevice(fixture.scms, random, now);
    const tooLate = application(freshKeys(), now, now + 28 * 24 * HOUR + 1);
    expectRefusal(await send(fixture, device, tooLate), 'raWrongParameters');
  });
});

/** A PG whose application certificates are renewed after `validity` hours and last `overlap` longer. */
function pgWith(
  { scms, trust, clock }: RaFixture,
  gpfVersion: number,
  { validity, overlap }: { readonly validity: number; readonly overlap: number },
): PolicySource {
  const hours = (value: number) => constantSeries<Duration>({ type: 'hours', value });
  const port = createPolicyGenerator({
    pg: scms.pg,
    trust,
    clock,
    gpfVersion,
    gccfVersion: 1,
    policy: {
      ...DEFAULT_GLOBAL_POLICY,
      rseApplicationCertValidity: hours(validity),
      rseApplicationCertOverlap: hours(overlap),
    },
    chain: chainPartsOf(scms),
  });
  return { port, roots: [asCertificate(scms.root.certificate)] };
}

interface Keys {
  readonly verify: PrivateKey;
  readonly response: PrivateKey;
  readonly certificate: PrivateKey;
}

function freshKeys(): Keys {
  const key = () => PrivateKey.generate(random);
  return { verify: key(), response: key(), certificate: key() };
}

function encryptionKey(key: PrivateKey) {
  return {
    supportedSymmAlg: 'aes128Ccm',
    publicKey: { type: 'eciesNistP256', value: fromPoint(key.publicPoint) },
  } as const;
}

function enrollmentOf({ certificate, key }: TestDevice) {
  return { certificate, key };
}
