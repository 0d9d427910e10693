/** Code 5071: the failures of an enrollment certificate at a service, counted when its signature was verified (Q15). */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import { type PseudonymRequest, RA_EE_ERRORS, type RaEeErrorName, timeOf } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './support/device.ts';
import type { Answer } from './support/https-client.ts';
import { startRaFixture } from './support/ra-fixture.ts';

const PROVISION = '/provision-pseudonym-certificate-batch';
const HOUR_SEC = 3600;
const WEEK_SEC = 604_800;
const random = systemRandom;

describe('a device that fails again and again', () => {
  it('is refused with 5071 at that service, alone, until some of the hour has passed', async (t) => {
    const { fixture, post, postWrong, get, newDevice } = await start(t);
    const device = newDevice();
    const [first, other] = [await post(device), newDevice()];
    assert.equal(first.status, 200);
    for (let n = 0; n < 5; n++) {
      expectRefusal(await postWrong(device), 'raWrongParameters');
    }
    const refused = await postWrong(device);
    expectRefusal(refused, 'raMoreThanAllowedTries');
    assert.match(
      String(refused.headers['scms-poc-error-message']),
      /^raMoreThanAllowedTries: expected at most 5 failures in an hour at this service, saw more$/,
    );

    const info = await get('/download/info', device, `${hashOf(first)}.info`);
    assert.equal(info.status, 200, 'another service');
    assert.equal((await post(other)).status, 200, 'another device');
    fixture.clock.advance(HOUR_SEC / 5);
    expectRefusal(await postWrong(device), 'raWrongParameters');
    expectRefusal(await postWrong(device), 'raMoreThanAllowedTries');
  });

  it('may have its acknowledgement again all the same: a repetition is no try', async (t) => {
    const { fixture, postWrong, newDevice } = await start(t);
    const device = newDevice();
    const body = securedBy(
      device,
      pseudonymRequest(device, timeOf(fixture.clock)),
      fixture.scms.ra.certificate,
      random,
    );
    const repeat = () => fixture.send(PROVISION, { method: 'POST', body });
    const first = await repeat();
    for (let n = 0; n < 10; n++) assert.deepEqual((await repeat()).body, first.body);
    for (let n = 0; n < 5; n++) {
      expectRefusal(await postWrong(device), 'raWrongParameters');
    }
    expectRefusal(await postWrong(device), 'raMoreThanAllowedTries');
    assert.deepEqual((await repeat()).body, first.body);
  });

  it('may look for files that are not there, as configured, and is then refused those that are', async (t) => {
    const { get, post, newDevice } = await start(t, { tries: { downloadsPerHour: 20 } });
    const device = newDevice();
    const hash = hashOf(await post(device));
    const missing = `${hash}_FFF.zip`;
    for (let n = 0; n < 19; n++) {
      expectRefusal(await get('/download/batch', device, missing), 'raNoCertFileAvailable');
    }
    expectRefusal(await get('/download/batch', device, 'no name'), 'raInvalidURL');
    expectRefusal(await get('/download/batch', device, missing), 'raMoreThanAllowedTries');
    const info = await get('/download/info', device, `${hash}.info`);
    assert.equal(info.status, 200, 'another service');
    const unknown = await get('/download/info', device, '0000000000000000.info');
    expectRefusal(unknown, 'raNoInfoFileAvailable');
  });

  it('looks in production like every other', async (t) => {
    const { fixture, post, postWrong, newDevice } = await start(t);
    await fixture.restart({ errorDetail: 'production' });
    const device = newDevice();
    assert.equal((await post(device)).status, 200);
    const answers: Answer[] = [];
    for (let n = 0; n < 6; n++) answers.push(await postWrong(device));
    const [wrong, tooMany] = [answers[0]!, answers[5]!];
    assert.equal(fixture.logged.at(-1)?.fields.code, RA_EE_ERRORS.raMoreThanAllowedTries);
    assert.deepEqual([tooMany.status, tooMany.body.length], [500, 0]);
    assert.deepEqual(Object.keys(tooMany.headers), Object.keys(wrong.headers));
  });
});

describe('a stranger', () => {
  it('cannot lock a device out: a thousand requests with its certificate and another key', async (t) => {
    const { fixture, get, post, newDevice } = await start(t, {
      tries: { provisioningPerHour: 5, downloadsPerHour: 5 },
    });
    const device = newDevice();
    const liar = { ...device, key: PrivateKey.generate(random) };
    for (let n = 0; n < 20; n++) expectRefusal(await post(liar), 'raInvalidSignature');
    for (let n = 0; n < 1000; n++) {
      const forged = await get('/download/info', liar, '0000000000000000.info');
      expectRefusal(forged, 'raAuthenticationFailed');
    }
    const late = await get('/download/info', device, 'x', timeOf(fixture.clock) - 6);
    expectRefusal(late, 'chrysalisTimeOutsideTolerance');
    const first = await post(device);
    assert.equal(first.status, 200);
    assert.equal((await get('/download/info', device, `${hashOf(first)}.info`)).status, 200);
  });
});

type Changes = Parameters<Awaited<ReturnType<typeof startRaFixture>>['restart']>[0];

async function start(t: TestContext, changes: Changes = {}) {
  const fixture = await startRaFixture({ policy: { weeksAhead: 1, certificatesPerPeriod: 1 } });
  t.after(() => fixture.close());
  if (Object.keys(changes).length > 0) await fixture.restart(changes);
  const { scms, clock } = fixture;
  const ra = scms.ra.certificate;
  const post = (by: TestDevice, request: PseudonymRequest): Promise<Answer> =>
    fixture.send(PROVISION, { method: 'POST', body: securedBy(by, request, ra, random) });
  return {
    fixture,
    newDevice: () => createDevice(scms, random, timeOf(clock)),
    post: (by: TestDevice) => post(by, pseudonymRequest(by, timeOf(clock))),
    /** A request for a time that the RA makes no certificates for yet. */
    postWrong: (by: TestDevice) =>
      post(by, {
        ...pseudonymRequest(by, timeOf(clock)),
        requestedStartTime: timeOf(clock) + 52 * WEEK_SEC,
      }),
    get: (path: string, by: TestDevice, name: string, time = timeOf(clock)): Promise<Answer> =>
      fixture.send(path, { headers: downloadReq(by, name, time, ra, random) }),
  };
}

/** Of a Signed acknowledgement, section 4.6. */
function hashOf(ack: Answer): string {
  return Buffer.from(ack.body.subarray(12, 20)).toString('hex').toUpperCase();
}

function expectRefusal(answer: Answer, reason: RaEeErrorName): void {
  assert.equal(answer.status, 500);
  assert.equal(
    answer.headers['scms-poc-error'],
    String(RA_EE_ERRORS[reason]),
    String(answer.headers['scms-poc-error-message']),
  );
}
