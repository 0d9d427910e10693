import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { decode } from '@chrysalis/coer';
import { equalPoints, PrivateKey, PublicKey, SHA256_EMPTY, systemRandom } from '@chrysalis/crypto';
import { hashedId8, toPoint } from '@chrysalis/ieee1609dot2';
import { decodeSigned, SignedCertificateRequest122, verifyRequest } from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import {
  type BundleFiles,
  installBundle,
  loadEnrollment,
  Profile,
  prepareEnrollment,
  readBundleDirectory,
} from '../src/index.ts';
import { clockAtNow, enrolledProfile, SCMS } from './device.ts';
import { MemoryStorage } from './memory-storage.ts';
import { createMockScms, enroll, NOW } from './mock-scms.ts';

const CLOCK = clockAtNow();

async function requested(storage = new MemoryStorage()) {
  const profile = new Profile(storage);
  return { storage, profile, request: await prepareEnrollment(profile, CLOCK, systemRandom) };
}

function replaced(files: BundleFiles, name: string, octets: Uint8Array | undefined): BundleFiles {
  const changed = new Map(files);
  if (octets === undefined) changed.delete(name);
  else changed.set(name, octets);
  return changed;
}

describe('prepareEnrollment', () => {
  it('makes a self-signed request for the key of the profile, in the form of CAMP', async () => {
    const { profile, request } = await requested();
    const signed = decode(SignedCertificateRequest122, decodeSigned(request));
    const { content } = signed.tbsRequest.value;
    assert(content.type === 'ecaEe' && content.value.type === 'eeEcaCertRequest');
    const { tbsData, currentTime } = content.value.value;
    assert.equal(currentTime, NOW);
    const { verifyKeyIndicator, ...rest } = tbsData;
    assert.deepEqual(rest, {
      id: { type: 'name', value: '' },
      cracaId: new Uint8Array(3),
      crlSeries: 4,
      validityPeriod: { start: NOW, duration: { type: 'years', value: 3 } },
      region: { type: 'identifiedRegion', value: [{ type: 'countryOnly', value: 840 }] },
      certRequestPermissions: [
        {
          subjectPermissions: {
            type: 'explicit',
            value: [0x20, 0x26].map((psid) => ({
              psid,
              sspRange: { type: 'opaque', value: [new Uint8Array(0)] },
            })),
          },
          minChainDepth: 0,
          chainDepthRange: 0,
          eeType: Uint8Array.of(0x80),
        },
      ],
    });
    assert(verifyKeyIndicator.type === 'verificationKey');
    assert(verifyKeyIndicator.value.type === 'ecdsaNistP256');
    const key = await profile.requestKey();
    const { publicPoint } = key!;
    assert(equalPoints(publicPoint, toPoint(verifyKeyIndicator.value.value)));
    verifyRequest(
      { ...signed, tbsRequest: signed.tbsRequest.octets },
      'self',
      PublicKey.fromPoint(publicPoint),
    );
  });

  it('has the key on disk before the request, and keeps both whatever is asked later', async () => {
    for (const isAppliedBeforeDeath of [false, true]) {
      for (const dieAt of [1, 2]) {
        const storage = new MemoryStorage();
        Object.assign(storage, { dieAt, isAppliedBeforeDeath });
        await assert.rejects(requested(storage), { code: 'storage' });
        const names = [...storage.files.keys()];
        assert(!names.includes('SignedEeEnrollmentCertRequest.oer') || names.length === 2);
        const before = storage.files.get('enrollment-request.key');
        const reborn = storage.reborn();
        const { request } = await requested(reborn);
        if (before) assert.deepEqual(reborn.files.get('enrollment-request.key'), before);
        const again = await prepareEnrollment(new Profile(reborn), CLOCK, systemRandom, {
          psids: [1],
        });
        assert.deepEqual(again, request);
      }
    }
  });
});

describe('installBundle', () => {
  it('enrolls the device, and again changes nothing', async () => {
    const { storage, profile, request } = await requested();
    const files = enroll(SCMS, request);
    const { certificate, key, warnings } = await installBundle(profile, files, CLOCK);
    assert(equalPoints(key.publicPoint, certificate.publicKey.point));
    assert.deepEqual(warnings, []);
    const before = new Map(storage.files);
    await installBundle(profile, files, CLOCK);
    assert.deepEqual(storage.files, before);
    assert.deepEqual((await loadEnrollment(profile, CLOCK)).certificate.id, certificate.id);
    await assert.rejects(prepareEnrollment(profile, CLOCK, systemRandom), {
      code: 'profile-exists',
    });
    await assert.rejects(installBundle(profile, enroll(SCMS, request), CLOCK), {
      code: 'profile-exists',
    });
  });

  it('goes on from wherever it was interrupted', async () => {
    const { storage, request } = await requested();
    const files = enroll(SCMS, request);
    for (let dieAt = 1; ; dieAt += 1) {
      const dying = storage.reborn();
      dying.dieAt = dieAt;
      const outcome = await installBundle(new Profile(dying), files, CLOCK).then(
        () => 'installed',
        () => 'died',
      );
      if (outcome === 'installed') break;
      const profile = new Profile(dying.reborn());
      await assert.rejects(loadEnrollment(profile, CLOCK), { code: 'not-bootstrapped' });
      await installBundle(profile, files, CLOCK);
      await loadEnrollment(profile, CLOCK);
    }
  });

  it('takes a key that was made elsewhere', async () => {
    const { profile: elsewhere, request } = await requested();
    const key = (await elsewhere.requestKey())!;
    const profile = new Profile(new MemoryStorage());
    const files = enroll(SCMS, request);
    await assert.rejects(installBundle(profile, files, CLOCK), { code: 'not-bootstrapped' });
    await installBundle(profile, files, CLOCK, key);
    await loadEnrollment(profile, CLOCK);
    const other = PrivateKey.generate(systemRandom);
    await assert.rejects(installBundle(profile, files, CLOCK, other), { code: 'profile-exists' });
  });

  it('tolerates a wrong request hash, as two fielded ECAs send, with a warning', async () => {
    const { profile, request } = await requested();
    const files = enroll(SCMS, request, { requestHash: hashedId8(SHA256_EMPTY) });
    const { warnings } = await installBundle(profile, files, CLOCK);
    assert.match(warnings.join(), /expected request hash .*, saw a495991b7852b855/);
  });

  it('refuses what does not verify, and installs none of it', async () => {
    const { storage, request } = await requested();
    const other = (await requested()).request;
    const good = enroll(SCMS, request);
    const stranger = createMockScms();
    const expired = createMockScms({ start: NOW - 90_000_000, years: 2 });
    const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
    const iPeriod = { epoch: 0, lengthSec: 604_800 };
    const cases: [string, BundleFiles, string, RegExp][] = [
      ['another device', enroll(SCMS, other), 'key-mismatch', /another/],
      [
        'another root',
        replaced(good, 'certificates/root.oer', stranger.root.given.octets),
        'invalid-bundle',
        /certificate ica: expected a trusted issuer/,
      ],
      [
        'an RA of another root',
        replaced(good, 'certificates/ra.oer', stranger.ra.given.octets),
        'invalid-bundle',
        /certificate ra: expected a trusted issuer/,
      ],
      [
        'an RA that cannot be encrypted to',
        replaced(good, 'certificates/ra.oer', SCMS.pca.given.octets),
        'invalid-bundle',
        /encryption key/,
      ],
      [
        'a response by the PCA',
        enroll(SCMS, request, { signer: SCMS.pca }),
        'invalid-bundle',
        /ECA's signature/,
      ],
      [
        'an expired chain',
        enroll(expired, request),
        'invalid-bundle',
        /certificate root: expected a certificate valid at/,
      ],
      [
        'no PCA',
        replaced(good, 'certificates/pca.oer', undefined),
        'invalid-bundle',
        /certificates\/pca.oer/,
      ],
      [
        'a broken certificate',
        replaced(good, 'certificates/eca.oer', Uint8Array.of(1)),
        'invalid-bundle',
        /certificate eca/,
      ],
      [
        'http',
        replaced(good, 'bootstrap.json', json({ format: 1, raUrl: 'http://ra', iPeriod })),
        'invalid-bundle',
        /https/,
      ],
      [
        'another format',
        replaced(good, 'bootstrap.json', json({ format: 2 })),
        'invalid-bundle',
        /format 1, saw 2/,
      ],
      [
        'no period',
        replaced(
          good,
          'bootstrap.json',
          json({ format: 1, raUrl: 'https://ra', iPeriod: { epoch: 0, lengthSec: 0 } }),
        ),
        'invalid-bundle',
        /at least one second/,
      ],
    ];
    for (const [what, files, code, message] of cases) {
      const profile = new Profile(storage.reborn());
      await assert.rejects(installBundle(profile, files, CLOCK), { code, message }, what);
      await assert.rejects(loadEnrollment(profile, CLOCK), { code: 'not-bootstrapped' }, what);
    }
  });
});

describe('readBundleDirectory', () => {
  it('reads what is there, and refuses what is too large for a bundle', async () => {
    const path = temporaryDirectory();
    await writeFile(join(path, 'bootstrap.json'), '{}');
    assert.deepEqual([...(await readBundleDirectory(path)).keys()], ['bootstrap.json']);
    await writeFile(join(path, 'x509-root.pem'), new Uint8Array(70_000));
    await assert.rejects(readBundleDirectory(path), { code: 'invalid-bundle', message: /65536/ });
  });
});

describe('loadEnrollment', () => {
  it('finds out whoever changed a file of the profile', async () => {
    const { storage } = await enrolledProfile(new MemoryStorage());
    const stranger = createMockScms();
    const changed = storage.reborn();
    changed.files.set('bundle/certificates/ra.oer', stranger.ra.given.octets);
    await assert.rejects(loadEnrollment(new Profile(changed), CLOCK), { code: 'invalid-bundle' });
    const rekeyed = storage.reborn();
    rekeyed.files.set('enrollment-request.key', new Uint8Array(32).fill(7));
    await assert.rejects(loadEnrollment(new Profile(rekeyed), CLOCK), { code: 'key-mismatch' });
    const broken = storage.reborn();
    broken.files.set('enrollment-request.key', new Uint8Array(32));
    await assert.rejects(loadEnrollment(new Profile(broken), CLOCK), { code: 'profile-damaged' });
  });
});
