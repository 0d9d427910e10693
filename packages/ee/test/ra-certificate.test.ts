import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { roleSsp } from '@chrysalis/scms';
import {
  EndEntity,
  installBundle,
  loadEnrollment,
  Profile,
  prepareEnrollment,
  SECURED_RA_CERT_REQUEST,
} from '../src/index.ts';
import { clockAtNow, device, SCMS } from './device.ts';
import { MemoryStorage } from './memory-storage.ts';
import { chainFile, crlFile, hashesOf, policyFile } from './mock-files.ts';
import { MockRa, MockTransport } from './mock-ra.ts';
import { createMockScms, enroll, type MockScms, NOW, withRa } from './mock-scms.ts';

const DAY_SEC = 86_400;
const until = (seconds: number) => ({
  start: NOW - DAY_SEC,
  duration: { type: 'minutes', value: (seconds + DAY_SEC) / 60 } as const,
});

/** An RA with a new certificate, and the same name. */
const NEXT = withRa(SCMS, {
  validityPeriod: { start: NOW, duration: { type: 'years', value: 9 } },
});

/** A device whose bundle has the RA of `bundled`, and an RA that has the keys of `present`. */
async function deviceOf(bundled: MockScms, present: MockScms) {
  const clock = clockAtNow();
  const storage = new MemoryStorage();
  const profile = new Profile(storage);
  const request = await prepareEnrollment(profile, clock, systemRandom);
  await installBundle(profile, enroll(bundled, request), clock);
  const ra = new MockRa(present, clock);
  const transport = new MockTransport(ra);
  const progress: { type: string }[] = [];
  const eeOptions = {
    clock,
    transport,
    sleep: clock.sleep,
    random: systemRandom,
    onProgress: (event: { type: string }) => progress.push(event),
  };
  const ee = await EndEntity.open(profile, eeOptions);
  return { clock, storage, profile, ra, transport, progress, ee, eeOptions };
}

describe('a device and the certificate of its RA', () => {
  it('asks for it with the eight octets of a SecuredRACertRequest', () => {
    assert.equal(Buffer.from(SECURED_RA_CERT_REQUEST).toString('hex'), '0380050183800001');
  });

  it('takes the one that a chain file brings, and lives by it', async () => {
    const { ee, ra, profile, progress, eeOptions } = await deviceOf(SCMS, NEXT);
    ra.files.chains = chainFile(1, 2, { ra: NEXT.ra.given });
    // Signed by the new certificate: the device knows of it when the file is judged.
    ra.files.policy = policyFile(1, 1, { scms: NEXT });
    const { files, supplies } = await ee.topUp();
    assert.deepEqual([files.chains, files.policy], ['new', 'new']);
    assert.equal(supplies[0]!.batches.length, 2);
    assert.deepEqual(ee.enrollment.ra.hash, NEXT.ra.certificate.hash);
    assert.equal(progress.filter(({ type }) => type === 'ra-certificate').length, 1);
    const reborn = await EndEntity.open(profile, eeOptions);
    assert.deepEqual(reborn.enrollment.ra.hash, NEXT.ra.certificate.hash);
    // Also when the next file has it no more.
    ra.files.chains = chainFile(1, 3);
    await reborn.topUp();
    assert.deepEqual(reborn.enrollment.ra.hash, NEXT.ra.certificate.hash);
    assert.equal(reborn.enrollment.pinned.get(SCMS.ra.certificate.id) !== undefined, true);
  });

  it('takes the one that the RA gives for the asking, which then is the present one', async () => {
    const { ee, ra } = await deviceOf(SCMS, NEXT);
    ra.raCertificate = NEXT.ra.given.octets;
    assert.equal(await ee.fetchRaCertificate(), true);
    assert.equal(await ee.fetchRaCertificate(), false);
    const { requestHash } = await ee.request('pseudonym');
    assert.equal(requestHash.length, 8);
    assert.equal(ra.keySets, 1);
  });

  it('takes none of another name, role, root or time, and none that is revoked', async () => {
    const stranger = createMockScms();
    const start = (time: number) => ({
      start: time,
      duration: { type: 'years', value: 1 } as const,
    });
    const cases: [string, MockScms, RegExp][] = [
      [
        'another name',
        withRa(SCMS, { id: { type: 'name', value: 'x.test' } }),
        /ra\.test, saw.*x\.test/,
      ],
      ['no name', withRa(SCMS, { id: { type: 'none', value: null } }), /saw one of none/],
      [
        'a PG',
        withRa(SCMS, { appPermissions: [{ psid: 0x23, ssp: roleSsp('pg') }] }),
        /ra, saw pg/,
      ],
      ['older', withRa(SCMS, { validityPeriod: start(NOW - 2 * DAY_SEC) }), /or later, saw/],
      ['not yet', withRa(SCMS, { validityPeriod: start(NOW + 60) }), /valid at/],
      ['ended', withRa(SCMS, { validityPeriod: until(-60) }), /valid at/],
      ['another root', withRa(stranger), /trusted issuer/],
      ['of the old RA', withRa(SCMS, {}, SCMS.ra), /trusted issuer/],
    ];
    for (const [what, { ra: other }, message] of cases) {
      const { ee, ra, progress } = await deviceOf(SCMS, SCMS);
      ra.raCertificate = other.given.octets;
      const refusal = { code: 'invalid-ra-certificate', message };
      await assert.rejects(ee.fetchRaCertificate(), refusal, what);
      ra.files.chains = chainFile(1, 1, { more: [other.given] });
      await ee.topUp();
      assert.deepEqual(ee.enrollment.ra.hash, SCMS.ra.certificate.hash, what);
      assert(!progress.some(({ type }) => type === 'ra-certificate'));
    }
    const { profile, eeOptions, ra } = await deviceOf(SCMS, SCMS);
    const settings = { crlUrl: new URL('https://crl.test') };
    const ee = await EndEntity.open(profile, { ...eeOptions, settings });
    ra.files.crl = crlFile('1', { series: 2, typeSpecific: hashesOf(NEXT.ra.certificate) });
    await ee.fetchFiles();
    ra.raCertificate = NEXT.ra.given.octets;
    await assert.rejects(ee.fetchRaCertificate(), { message: /on no CRL/ });
    for (const octets of [new Uint8Array(0), Uint8Array.of(...NEXT.ra.given.octets, 0)]) {
      ra.raCertificate = octets;
      await assert.rejects(ee.fetchRaCertificate(), { code: 'invalid-ra-certificate' });
    }
    ra.raCertificate = undefined;
    await assert.rejects(ee.fetchRaCertificate(), { code: 'refused' });
  });

  it('asks by itself when the present one is about to end, has ended, or is revoked', async () => {
    const ending = withRa(SCMS, { validityPeriod: until(3 * DAY_SEC) });
    const near = await deviceOf(ending, ending);
    // The RA has no other yet: the present one goes on.
    await near.ee.topUp();
    assert.equal(near.progress.filter(({ type }) => type === 'ra-certificate-kept').length, 1);

    const { clock, ra, profile, eeOptions } = await deviceOf(ending, NEXT);
    clock.unixMs += 4 * DAY_SEC * 1_000;
    const late = await EndEntity.open(profile, eeOptions);
    await assert.rejects(late.request('pseudonym'), { code: 'refused' });
    await assert.rejects(late.topUp(), { code: 'refused' });
    ra.raCertificate = ending.ra.given.octets;
    await assert.rejects(late.request('pseudonym'), {
      code: 'invalid-ra-certificate',
      message: /no newer one/,
    });
    assert.equal(ra.asked.length, 0, 'nothing was sealed to a certificate that has ended');
    ra.raCertificate = NEXT.ra.given.octets;
    assert.equal((await late.topUp()).supplies[0]!.batches.length, 2);

    const revoked = await deviceOf(SCMS, NEXT);
    const settings = { crlUrl: new URL('https://crl.test') };
    const ee = await EndEntity.open(revoked.profile, { ...revoked.eeOptions, settings });
    revoked.ra.files.crl = crlFile('1', { series: 2, typeSpecific: hashesOf(SCMS.ra.certificate) });
    await assert.rejects(ee.topUp(), { code: 'revoked' });
    revoked.ra.raCertificate = NEXT.ra.given.octets;
    assert.equal((await ee.topUp()).supplies[0]!.batches.length, 2);
  });

  it('seals a request that waits anew, with the same keys', async () => {
    const { ee, ra, transport, profile } = await deviceOf(SCMS, NEXT);
    transport.faults.push('lost-request');
    // Nobody got it, and the RA of now cannot open what is sealed to the one before.
    await assert.rejects(ee.request('pseudonym'), { code: 'refused' });
    const before = await profile.provisioning('pseudonym');
    assert(before!.bodies.length > 0 && before!.acknowledged === undefined);
    ra.raCertificate = NEXT.ra.given.octets;
    await ee.fetchRaCertificate();
    await ee.request('pseudonym');
    const after = await profile.provisioning('pseudonym');
    assert.deepEqual(
      after!.keys.verify.seed.scalar().reveal(),
      before!.keys.verify.seed.scalar().reveal(),
    );
    assert.equal(ra.keySets, 1);
    assert.equal(ra.accepted.size, 1);
  });

  it('takes the acknowledgement of the new RA only, for whatever body', async () => {
    // The body reached the old RA, which repeats its acknowledgement with the old key.
    const old = await deviceOf(SCMS, SCMS);
    old.transport.faults.push(...Array(5).fill('lost-answer'));
    await assert.rejects(old.ee.request('pseudonym'), { code: 'interrupted' });
    old.ra.raCertificate = NEXT.ra.given.octets;
    await old.ee.fetchRaCertificate();
    await assert.rejects(old.ee.request('pseudonym'), { code: 'refused' });
    assert.equal((await old.profile.provisioning('pseudonym'))!.acknowledged, undefined);
    assert.equal(old.ra.accepted.size, 1);
  });

  it('has it on disk before it uses it, and finds out whoever changed it there', async () => {
    const { storage, ra, clock, eeOptions } = await deviceOf(SCMS, NEXT);
    ra.raCertificate = NEXT.ra.given.octets;
    for (const isAppliedBeforeDeath of [false, true]) {
      const dying = storage.reborn();
      Object.assign(dying, { dieAt: 1, isAppliedBeforeDeath });
      const ee = await EndEntity.open(new Profile(dying), eeOptions);
      await assert.rejects(ee.fetchRaCertificate(), { code: 'storage' });
      assert.deepEqual(ee.enrollment.ra.hash, SCMS.ra.certificate.hash);
      const { ra: held } = await loadEnrollment(new Profile(dying.reborn()), clock);
      const expected = isAppliedBeforeDeath ? NEXT : SCMS;
      assert.deepEqual(held.hash, expected.ra.certificate.hash);
    }
    const stranger = createMockScms();
    const chains = [
      [stranger.ica, stranger.ra],
      [SCMS.ica, SCMS.pg],
      [],
      [SCMS.ica],
      Array(7).fill(SCMS.ica),
    ];
    for (const chain of chains) {
      const certificates = chain.map(({ given }) => Buffer.from(given.octets).toString('hex'));
      const changed = storage.reborn();
      const octets = new TextEncoder().encode(JSON.stringify({ format: 1, certificates }));
      changed.files.set('ra-certificate.json', octets);
      await assert.rejects(loadEnrollment(new Profile(changed), clock), {
        code: 'profile-damaged',
        message: /^ra-certificate\.json/,
      });
    }
  });

  it('opens a profile whose bundle has an RA that has ended, and installs no such bundle', async () => {
    const ended = withRa(SCMS, { validityPeriod: until(-60) });
    const profile = new Profile(new MemoryStorage());
    const request = await prepareEnrollment(profile, clockAtNow(), systemRandom);
    await assert.rejects(installBundle(profile, enroll(ended, request), clockAtNow()), {
      code: 'invalid-bundle',
    });
    const { ee } = await device();
    assert.equal(ee.enrollment.vouchedFor.length, 2);
  });
});
