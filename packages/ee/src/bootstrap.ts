import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PrivateKey, type Random } from '@chrysalis/crypto';
import { type Clock, timeOf } from '@chrysalis/scms';
import { BUNDLE_FILES, type BundleFiles, parseBundle, readBundleFiles } from './bundle.ts';
import { systemCodeOf } from './directory-storage.ts';
import { type Enrollment, verifyBundle, verifyBundleChains } from './enrollment.ts';
import { type EnrollmentWishes, makeEnrollmentRequest } from './enrollment-request.ts';
import { EeError, messageOf } from './error.ts';
import { toHex } from './json-record.ts';
import type { Profile } from './profile.ts';
import { restoreRa } from './ra-certificate.ts';

/**
 * The first half of bootstrap: the device's own key, and a request for an enrollment certificate.
 * The key is on disk before the request is. A profile that has a request gives the same one again,
 * whatever the wishes: a second key would make the answer to the first worthless.
 *
 * @returns COER of SignedEeEnrollmentCertRequest
 * @throws EeError `profile-exists` when the device is enrolled already, `storage`, `profile-damaged`
 */
export async function prepareEnrollment(
  profile: Profile,
  clock: Clock,
  random: Random,
  wishes: EnrollmentWishes = {},
): Promise<Uint8Array> {
  if (isInstalled(await profile.bundleFiles())) {
    throw new EeError('profile-exists', 'expected a new profile, saw one that is enrolled');
  }
  const made = await profile.enrollmentRequest();
  if (made !== undefined) return made;
  let key = await profile.requestKey();
  if (key === undefined) {
    key = PrivateKey.generate(random);
    await profile.saveRequestKey(key);
  }
  const request = makeEnrollmentRequest(key, timeOf(clock), wishes);
  await profile.saveEnrollmentRequest(request);
  return request;
}

/**
 * The second half of bootstrap: verifies a bundle against the device's key and installs it. Again
 * with the same bundle it changes nothing.
 *
 * @param key the request key, where it was made elsewhere; else the profile's own is used
 * @throws EeError `invalid-bundle`, `key-mismatch`, `not-bootstrapped` when there is no key,
 *   `profile-exists` when another bundle or key is installed, `storage`
 */
export async function installBundle(
  profile: Profile,
  files: BundleFiles,
  clock: Clock,
  key?: PrivateKey,
): Promise<Enrollment> {
  const held = await profile.requestKey();
  if (held !== undefined && key !== undefined && !isSameKey(held, key)) {
    throw new EeError('profile-exists', 'expected the key of this profile, saw another');
  }
  const requestKey = held ?? key;
  if (requestKey === undefined) {
    throw new EeError('not-bootstrapped', 'expected the key of an enrollment request, saw none');
  }
  const request = await profile.enrollmentRequest();
  const enrollment = verifyBundle(parseBundle(files), requestKey, request, timeOf(clock));
  const installed = await profile.bundleFiles();
  if (isInstalled(installed) && !isSameBundle(installed, files)) {
    throw new EeError('profile-exists', 'expected the installed bundle, saw another');
  }
  if (held === undefined) await profile.saveRequestKey(requestKey);
  await profile.saveEnrollment(enrollment.certificate.octets, enrollment.key);
  if (!isInstalled(installed)) await profile.saveBundle(files);
  return enrollment;
}

/**
 * The enrollment of a profile, verified afresh, with the RA certificate that was taken last: whoever
 * changed a file of the bundle on disk is found out, and so is an enrollment certificate that has ended.
 *
 * @throws EeError `not-bootstrapped`, `invalid-bundle`, `key-mismatch`, `storage`, `profile-damaged`
 */
export async function loadEnrollment(profile: Profile, clock: Clock): Promise<Enrollment> {
  const files = await profile.bundleFiles();
  const key = await profile.requestKey();
  if (!isInstalled(files) || key === undefined) {
    throw new EeError('not-bootstrapped', 'expected an enrolled profile, saw no bundle in it');
  }
  const request = await profile.enrollmentRequest();
  const bundle = parseBundle(files);
  const time = timeOf(clock);
  const chains = verifyBundleChains(bundle, time, 'installed');
  const enrollment = verifyBundle(bundle, key, request, time, chains);
  const newer = await profile.raCertificate();
  return newer === undefined ? enrollment : restoreRa(newer.name, newer.octets, enrollment);
}

/** Reads the files of a bundle from a directory. @throws EeError `invalid-bundle` */
export async function readBundleDirectory(directory: string): Promise<BundleFiles> {
  return readBundleFiles(async (name) => {
    try {
      return new Uint8Array(await readFile(join(directory, name)));
    } catch (cause) {
      if (systemCodeOf(cause) === 'ENOENT') return undefined;
      throw new EeError('invalid-bundle', `expected to read ${name}: ${messageOf(cause)}`, {
        cause,
      });
    }
  });
}

/** The file that is written last. */
function isInstalled(files: BundleFiles): boolean {
  return files.has(BUNDLE_FILES.at(-1) ?? '');
}

function isSameBundle(a: BundleFiles, b: BundleFiles): boolean {
  return BUNDLE_FILES.every((name) => {
    const [one, other] = [a.get(name), b.get(name)];
    return one === undefined || other === undefined ? one === other : toHex(one) === toHex(other);
  });
}

function isSameKey(a: PrivateKey, b: PrivateKey): boolean {
  return toHex(a.publicPoint) === toHex(b.publicPoint);
}
