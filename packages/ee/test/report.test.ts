import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode } from '@chrysalis/coer';
import { systemRandom } from '@chrysalis/crypto';
import { Certificate, hashCertificate } from '@chrysalis/ieee1609dot2';
import { decodeSecured } from '@chrysalis/scms';
import { EndEntity, locationOf, MAX_REPORTS, Profile } from '../src/index.ts';
import { composeReport } from '../src/report.ts';
import { device, SCMS } from './device.ts';
import { chainFile, crlFile, hashesOf } from './mock-files.ts';
import { withMa } from './mock-scms.ts';

const DAY_SEC = 86_400;
const WISH = { misbehavingDeviceInfo: Uint8Array.of(1, 2, 3) };

async function provisioned() {
  const made = await device({ periods: 2 });
  await made.ee.topUp();
  return made;
}

describe('locationOf', () => {
  it('writes degrees and metres in the units of 1609.2, and unknown values as such', () => {
    assert.deepEqual(locationOf({ latitude: 42.2808256, longitude: -83.7430378, elevation: 256 }), {
      latitude: 422_808_256,
      longitude: -837_430_378,
      elevation: 6_656,
    });
    assert.deepEqual(locationOf({ latitude: -90, longitude: -180, elevation: -409.5 }), {
      latitude: -900_000_000,
      longitude: -1_799_999_999,
      elevation: 1,
    });
    assert.equal(locationOf({ latitude: 90, longitude: 180, elevation: 6143.9 }).elevation, 65_535);
    const unknown = { latitude: 900_000_001, longitude: 1_800_000_001, elevation: 0 };
    assert.deepEqual(locationOf(undefined), unknown);
    assert.equal(locationOf({ latitude: 0, longitude: 0 }).elevation, 0);
  });

  it('refuses a place that is none', () => {
    for (const place of [
      { latitude: 90.1, longitude: 0 },
      { latitude: 0, longitude: -180.1 },
      { latitude: 0, longitude: 0, elevation: 6_144 },
      { latitude: Number.NaN, longitude: 0 },
    ]) {
      assert.throws(() => locationOf(place), { code: 'cannot-report' });
    }
  });
});

describe('a report', () => {
  it('is on disk before it is sent, and gone when the RA has it', async () => {
    const { ee, ra, profile, transport } = await provisioned();
    const exchange = transport.exchange.bind(transport);
    let onDisk: string[] = [];
    transport.exchange = async (request) => {
      onDisk = await profile.reports();
      return exchange(request);
    };
    const outcome = await ee.report(WISH);
    assert.deepEqual(outcome, { isSent: true, sent: 1, waiting: 0, dropped: 0 });
    assert.equal(onDisk.length, 1);
    assert.deepEqual(await profile.reports(), []);
    assert.equal(ra.reports.length, 1);
    const sent = ra.requests.at(-1)!;
    assert.equal(sent.url.pathname, '/process-misbehavior-report');
    assert.equal(sent.headers['Content-Type'], 'application/octet-stream');
  });

  it('waits when the RA is away or refuses, and goes with the next contact', async () => {
    const { ee, ra, transport, eeOptions, profile } = await provisioned();
    transport.faults.push('unreachable');
    const away = await ee.report(WISH);
    assert.equal(away.isSent, false);
    assert.equal(away.reason?.code, 'unreachable');
    ra.script.push({ status: 500 }, { status: 500 });
    const refused = await ee.report(WISH);
    assert.deepEqual([refused.isSent, refused.waiting], [false, 2]);
    assert.match(refused.reason?.refusal?.next ?? '', /stays in the profile/);
    transport.faults.push('lost-answer');
    assert.equal((await ee.report(WISH)).waiting, 3);
    const reborn = await EndEntity.open(profile, eeOptions);
    const { reports } = await reborn.topUp();
    assert.deepEqual(reports, { sent: 3, waiting: 0, dropped: 0 });
    // The one whose answer was lost came twice, as the same octets.
    const distinct = new Set(ra.reports.map((report) => Buffer.from(report).toString('hex')));
    assert.deepEqual([ra.reports.length, distinct.size], [4, 3]);
    assert.deepEqual(await profile.reports(), []);
  });

  it('survives a death at any step, once it is on disk', async () => {
    const { storage, eeOptions, ra } = await provisioned();
    let steps = 0;
    for (let dieAt = 1; ; dieAt += 1) {
      const dying = storage.reborn();
      Object.assign(dying, { dieAt, isAppliedBeforeDeath: dieAt % 2 === 1 });
      const ee = await EndEntity.open(new Profile(dying), eeOptions);
      const before = ra.reports.length;
      const isDone = await ee.report(WISH).then(
        () => true,
        () => false,
      );
      if (isDone) break;
      steps += 1;
      const profile = new Profile(dying.reborn());
      const held = await profile.reports();
      const isSent = ra.reports.length > before;
      assert(held.length === 1 || isSent || dieAt === 1, `step ${dieAt}`);
      const reborn = await EndEntity.open(profile, eeOptions);
      assert.equal((await reborn.sendReports()).sent, held.length);
    }
    assert.equal(steps, 2);
  });

  it('is given up when it is refused and over a week old, with a word about it', async () => {
    const { ee, ra, clock, progress, profile } = await provisioned();
    ra.script.push({ status: 500 });
    await ee.report(WISH);
    clock.unixMs += 7 * DAY_SEC * 1_000;
    ra.script.push({ status: 500 });
    assert.deepEqual((await ee.sendReports()).waiting, 1);
    clock.unixMs += 1_000;
    ra.script.push({ status: 500 });
    const { dropped, waiting } = await ee.sendReports();
    assert.deepEqual([dropped, waiting], [1, 0]);
    assert.equal(progress.filter(({ type }) => type === 'report-dropped').length, 1);
    assert.deepEqual(await profile.reports(), []);
  });

  it('holds up no other when it is refused, and finds a limit', async () => {
    const { ee, ra, profile, clock, transport } = await provisioned();
    transport.faults.push('unreachable', 'unreachable');
    await ee.report(WISH);
    clock.unixMs += 1_000;
    await ee.report(WISH);
    ra.script.push({ status: 500 });
    const { sent, waiting } = await ee.sendReports();
    assert.deepEqual([sent, waiting], [1, 1]);
    for (let n = 1; n < MAX_REPORTS; n += 1) {
      await profile.saveReport(
        `${(0x2b000000 + n).toString(16)}-0123456789abcdef.oer`,
        systemRandom(9),
      );
    }
    ra.script.push(...Array(20).fill({ status: 500 }));
    const full = await ee.sendReports();
    assert.equal(ra.script.length, 12, 'eight refusals are enough for one contact');
    assert.equal(full.waiting, MAX_REPORTS - full.dropped);
    ra.script.length = 0;
    await Promise.all((await profile.reports()).map((name) => profile.removeReport(name)));
    const young = (n: number) => `7f${n.toString(16).padStart(6, '0')}-0123456789abcdef.oer`;
    for (let n = 0; n < MAX_REPORTS; n += 1) await profile.saveReport(young(n), systemRandom(9));
    await assert.rejects(ee.report(WISH), { code: 'outbox-full' });
    await profile.removeReport(young(0));
    await profile.saveReport('20000000-0123456789abcdef.oer', systemRandom(9));
    assert.equal((await ee.report(WISH)).isSent, true);
  });

  it('is made by a device that may: with a certificate of now, on no CRL', async () => {
    const { ee } = await device();
    const none = {
      code: 'cannot-report',
      message: /a pseudonym certificate that is valid now, saw none/,
    };
    await assert.rejects(ee.report(WISH), none);
    const later = await provisioned();
    later.clock.unixMs += 14 * DAY_SEC * 1_000;
    await assert.rejects(later.ee.report(WISH), none);

    const { profile, eeOptions, ra } = await device();
    const settings = { kind: 'rse' } as const;
    const rse = await EndEntity.open(profile, { ...eeOptions, settings });
    await assert.rejects(rse.report(WISH), { code: 'cannot-report', message: /an application/ });
    await rse.topUp();
    // The test PCA's application certificates may not report.
    await assert.rejects(rse.report(WISH), { message: /may report \(PSID 0x26\), saw 1 without/ });
    assert.equal(ra.reports.length, 0);

    const revoked = await provisioned();
    const crl = { crlUrl: new URL('https://crl.test') };
    const own = await EndEntity.open(revoked.profile, { ...revoked.eeOptions, settings: crl });
    const typeSpecific = hashesOf(own.enrollment.certificate);
    revoked.ra.files.crl = crlFile('1', { series: 4, typeSpecific });
    await assert.rejects(own.fetchFiles(), { code: 'revoked' });
    await assert.rejects(own.report(WISH), { code: 'revoked' });
    assert.deepEqual(await revoked.profile.reports(), []);
  });

  it('is for the MA of the bundle, or one that takes its place in the chain file', async () => {
    const recipientOf = (octets: Uint8Array) => {
      const [recipient] = decodeSecured(octets).recipients;
      assert(recipient?.type === 'certRecipInfo');
      return recipient.value.recipientId;
    };
    const { ee, ra } = await provisioned();
    const expectFor = async (id: Uint8Array) => {
      await ee.fetchFiles();
      assert.equal((await ee.report(WISH)).isSent, true);
      assert.deepEqual(recipientOf(ra.reports.at(-1)!), id);
    };
    await expectFor(SCMS.ma.certificate.id);
    ra.files.chains = chainFile(1, 1);
    await expectFor(SCMS.ma.certificate.id);
    // An RA makes the file: it does not become the MA by it.
    ra.files.chains = chainFile(1, 2, { ma: SCMS.ra.given });
    await expectFor(SCMS.ma.certificate.id);
    ra.files.chains = chainFile(1, 3, { ma: withMa(SCMS, 'other.test').ma.given });
    await expectFor(SCMS.ma.certificate.id);
    const { ma } = withMa(SCMS, 'ma.test');
    ra.files.chains = chainFile(1, 4, { ma: ma.given });
    await expectFor(ma.certificate.id);
  });

  it('is too large for an RA above 64 KiB', async () => {
    const { ee, profile } = await provisioned();
    const misbehavingDeviceInfo = new Uint8Array(65_536);
    await assert.rejects(ee.report({ misbehavingDeviceInfo }), { code: 'too-large' });
    assert.deepEqual(await profile.reports(), []);
    const batch = await profile.certificates('pseudonym').opened(619);
    const { certificate, key } = batch!.certificates[0]!;
    const reporter = { certificate: hashCertificate(decode(Certificate, certificate)), key };
    assert.throws(
      () =>
        composeReport({
          wish: WISH,
          reporter,
          ma: ee.enrollment.ma!,
          time: 2 ** 32 - 1,
          random: systemRandom,
        }),
      { code: 'cannot-report', message: /^the MA: expected a certificate valid/ },
    );
  });
});
