/** Misbehavior reports (E11): a device posts them, the RA pools them and hands them to the MA. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createTestScms, type StoredMisbehaviorReport } from '@chrysalis/authorities';
import { decode } from '@chrysalis/coer';
import { PrivateKey, sha256, systemRandom } from '@chrysalis/crypto';
import {
  encryptForCertificate,
  hashCertificate,
  issueExplicit,
  type Time32,
  time32FromUnix,
} from '@chrysalis/ieee1609dot2';
import {
  AuthorityUnavailableError,
  IPeriodClock,
  MisbehaviorReportContents,
  RA_EE_ERRORS,
  type RaEeErrorName,
  secureMisbehaviorReport,
} from '@chrysalis/scms';
import { createDevice, pseudonymRequest, signedBy } from './support/device.ts';
import type { Answer } from './support/https-client.ts';
import { type FixtureOptions, type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const REPORT = '/process-misbehavior-report';
const NOW = time32FromUnix(Date.UTC(2026, 10, 21, 12));
const DAY_SEC = 86_400;

describe('a misbehavior report', () => {
  it('is answered with nothing, waits a day, and is then read by the MA', async (t) => {
    const fixture = await start(t);
    const body = reportOf(fixture, 'a ghost vehicle');

    const answer = await post(fixture, body);
    assert.equal(answer.status, 200);
    assert.equal(answer.body.length, 0);
    assert.equal((await post(fixture, body)).status, 200, 'sent again: the answer was lost');

    fixture.clock.advance(DAY_SEC - 1);
    await quietly(fixture);
    assert.deepEqual(await read(fixture), []);
    fixture.clock.advance(1);
    const [stored, ...others] = await untilRead(fixture, 1);
    assert.deepEqual(others, []);
    assert.equal(stored, 'a ghost vehicle');
  });

  it('goes with all others once enough of them wait, in an order that tells nothing', async (t) => {
    const fixture = await start(t, { reports: { poolThreshold: 12 } });
    const texts = Array.from({ length: 12 }, (_, n) => `report ${n}`);
    const bodies = texts.map((text) => reportOf(fixture, text));
    for (const body of bodies.slice(0, 11)) {
      await post(fixture, body);
      // Seconds apart: an order by arrival would show.
      fixture.clock.advance(1);
    }
    await quietly(fixture);
    assert.deepEqual(await read(fixture), []);

    await post(fixture, bodies[11]!);
    const order = await untilRead(fixture, 12);
    const byHash = texts
      .map((text, n) => ({ text, hash: Buffer.from(sha256(bodies[n]!)).toString('hex') }))
      .sort((a, b) => (a.hash < b.hash ? -1 : 1));
    assert.deepEqual(
      order,
      byHash.map(({ text }) => text),
    );

    // The next one waits for company again.
    await post(fixture, reportOf(fixture, 'late'));
    await quietly(fixture);
    assert.equal((await read(fixture)).length, 12);
  });

  it('outlives a restart of the RA and an MA that is away, and is forgotten when the MA has it', async (t) => {
    let isDown = true;
    let submitted = 0;
    const fixture = await start(t, {
      reports: { poolThreshold: 2 },
      wrapMa: (ma) => ({
        async submitReport(report) {
          submitted++;
          if (isDown) throw new AuthorityUnavailableError('expected the MA');
          await ma.submitReport(report);
        },
      }),
    });
    await post(fixture, reportOf(fixture, 'first'));
    await fixture.restart();
    await post(fixture, reportOf(fixture, 'second'));
    await quietly(fixture);
    assert.equal(submitted, 1, 'one report is enough to see that the MA is away');
    await quietly(fixture);
    assert.equal(submitted, 1, 'nor is it asked again at once');

    isDown = false;
    fixture.clock.advance(60);
    assert.deepEqual((await untilRead(fixture, 2)).sort(), ['first', 'second']);
    await quietly(fixture);
    assert.equal(submitted, 3);
    await fixture.restart();
    fixture.clock.advance(2 * DAY_SEC);
    await quietly(fixture);
    assert.equal(submitted, 3);
  });

  it('that makes the MA stumble does not hold up the others', async (t) => {
    const bad = { hash: '' };
    const fixture = await start(t, {
      reports: { poolThreshold: 4 },
      wrapMa: (ma) => ({
        async submitReport(report) {
          const hash = Buffer.from(sha256(report)).toString('hex');
          if (hash === bad.hash) throw new TypeError('a bug of the MA');
          await ma.submitReport(report);
        },
      }),
    });
    const bodies = ['a', 'b', 'c', 'd'].map((text) => reportOf(fixture, text));
    bad.hash = bodies.map((body) => Buffer.from(sha256(body)).toString('hex')).sort()[0]!;
    for (const body of bodies) await post(fixture, body);
    assert.equal((await untilRead(fixture, 3)).length, 3);
    // The round that failed is over, and its pause begins before the clock moves.
    await quietly(fixture);
    bad.hash = '';
    fixture.clock.advance(60);
    assert.equal((await untilRead(fixture, 4)).length, 4);
  });

  it('of 64 kB is taken, and a larger one is not', async (t) => {
    const fixture = await start(t);
    const frame = reportOf(fixture, '').length + 10;
    const large = reportOf(fixture, 'x'.repeat(64 * 1024 - frame));
    assert.equal((await post(fixture, large)).status, 200);
    const tooLarge = reportOf(fixture, 'x'.repeat(64 * 1024));
    expectRefusal(await post(fixture, tooLarge), 'raWrongParameters');
  });

  it('is refused when it is not encrypted, not for the MA, or nothing at all', async (t) => {
    const fixture = await start(t);
    const device = createDevice(fixture.scms, systemRandom, NOW);
    const open = signedBy(device, pseudonymRequest(device, NOW));
    expectRefusal(await post(fixture, open), 'raRequestNotEncrypted');
    const { ra } = fixture.scms;
    const forRa = encryptForCertificate(new Uint8Array(9), ra.certificate, systemRandom);
    expectRefusal(await post(fixture, forRa), 'raWrongParameters');
    expectRefusal(await post(fixture, systemRandom(300)), 'raWrongParameters');
    expectRefusal(await post(fixture, new Uint8Array(0)), 'raWrongParameters');
    const longer = Uint8Array.of(...reportOf(fixture, 'x'), 0);
    expectRefusal(await post(fixture, longer), 'raWrongParameters');
    const other = createTestScms({ now: NOW, random: systemRandom, raHostname: 'localhost' });
    const elsewhere = reportOf({ ...fixture, scms: other } as RaFixture, 'x');
    expectRefusal(await post(fixture, elsewhere), 'raWrongParameters');
  });

  it('is refused when too many come in a minute, and taken again a little later', async (t) => {
    const fixture = await start(t, { reports: { perMinute: 3 } });
    for (const text of ['a', 'b', 'c']) {
      assert.equal((await post(fixture, reportOf(fixture, text))).status, 200);
    }
    const body = reportOf(fixture, 'd');
    expectRefusal(await post(fixture, body), 'raMoreThanAllowedTries');
    fixture.clock.advance(20);
    assert.equal((await post(fixture, body)).status, 200);
  });

  it('is no service of an RA without an MA', async (t) => {
    const fixture = await start(t);
    const { ma: _, ...rest } = fixture.raOptions;
    await fixture.restart({ ...rest, ma: undefined as never });
    expectRefusal(await post(fixture, reportOf(fixture, 'x')), 'raInvalidURL');
  });
});

async function start(t: TestContext, options: FixtureOptions = {}): Promise<RaFixture> {
  const fixture = await startRaFixture({ now: NOW, ...options });
  t.after(() => fixture.close());
  return fixture;
}

function post(fixture: RaFixture, body: Uint8Array): Promise<Answer> {
  return fixture.send(REPORT, { method: 'POST', body });
}

/** What an EE sends: signed by a pseudonym certificate of now, encrypted to the MA. */
function reportOf({ scms }: RaFixture, text: string, generationTime: Time32 = NOW): Uint8Array {
  const key = PrivateKey.generate(systemRandom);
  const iPeriods = new IPeriodClock();
  const iCert = iPeriods.at(NOW);
  const certificate = issueExplicit(
    {
      id: { type: 'linkageData', value: { iCert, linkageValue: systemRandom(9) } },
      cracaId: scms.pca.certificate.certificate.toBeSigned.cracaId,
      crlSeries: 1,
      validityPeriod: {
        start: iPeriods.start(iCert),
        duration: { type: 'hours', value: 169 },
      },
      appPermissions: [{ psid: 0x26 }],
    },
    key.publicPoint,
    { certificate: scms.pca.certificate, key: scms.pca.signingKey },
  );
  return secureMisbehaviorReport(
    {
      contents: { version: 1, misbehavingDeviceInfo: new TextEncoder().encode(text) },
      generationTime,
      generationLocation: { latitude: 423_000_000, longitude: -830_000_000, elevation: 4096 },
    },
    { certificate: hashCertificate(certificate), key },
    scms.ma.certificate,
    systemRandom,
  );
}

/** What the MA has, in the order in which it came. */
async function read({ ma }: RaFixture): Promise<string[]> {
  const texts: string[] = [];
  for await (const report of ma.reports()) texts.push(textOf(report));
  return texts;
}

function untilRead(fixture: RaFixture, count: number): Promise<string[]> {
  return fixture.eventually(async () => {
    fixture.ra.wake();
    const texts = await read(fixture);
    return texts.length >= count ? texts : undefined;
  });
}

/** Gives the RA the time to do what it should not. */
async function quietly({ ra }: RaFixture): Promise<void> {
  ra.wake();
  await new Promise((resolve) => setTimeout(resolve, 100));
}

function textOf({ contents }: StoredMisbehaviorReport): string {
  const { misbehavingDeviceInfo } = decode(MisbehaviorReportContents, contents);
  return new TextDecoder().decode(misbehavingDeviceInfo);
}

function expectRefusal(answer: Answer, reason: RaEeErrorName): void {
  assert.equal(answer.status, 500);
  const seen = `${answer.headers['scms-poc-error-message']}`;
  assert.equal(answer.headers['scms-poc-error'], String(RA_EE_ERRORS[reason]), seen);
}
