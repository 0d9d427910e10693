/** A device of the End Entity SDK, enrolled by the ECA of a fixture's test SCMS. */
import { createEnrollmentAuthority } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import {
  type BundleFiles,
  type DeviceKind,
  EndEntity,
  type EndEntityOptions,
  installBundle,
  Profile,
  type ProfileStorage,
  prepareEnrollment,
  RSE_PSIDS,
} from '@chrysalis/ee';
import type { RaFixture } from './ra-fixture.ts';

const NAMES = ['root', 'ica', 'eca', 'pca', 'ra', 'ma', 'crlg'] as const;

/** Enrolls the profile in a storage, and opens it; it talks to the fixture's RA over TLS. */
export async function enrolledEndEntity(
  fixture: RaFixture,
  storage: ProfileStorage,
  options: EndEntityOptions & { readonly kind?: DeviceKind } = {},
): Promise<{ ee: EndEntity; profile: Profile; options: EndEntityOptions }> {
  const { scms, clock, raOptions, ra, ca } = fixture;
  const { kind = 'obe', ...others } = options;
  const profile = new Profile(storage);
  const request = await prepareEnrollment(profile, clock, systemRandom, {
    ...(kind === 'rse' && { psids: RSE_PSIDS }),
  });
  const authority = createEnrollmentAuthority({
    eca: scms.eca,
    clock,
    random: systemRandom,
    toleranceSec: 60,
  });
  const { epoch, lengthSec } = raOptions.iPeriod;
  const raUrl = `https://localhost:${ra.port}`;
  const text = (value: string) => new TextEncoder().encode(value);
  const bundle: BundleFiles = new Map([
    ...NAMES.map((name) => [`certificates/${name}.oer`, scms[name].certificate.octets] as const),
    ['x509-root.pem', text(ca)],
    ['SignedEeEnrollmentCertResponse.oer', authority.enroll(request)],
    ['bootstrap.json', text(JSON.stringify({ format: 1, raUrl, iPeriod: { epoch, lengthSec } }))],
  ]);
  await installBundle(profile, bundle, clock);
  const eeOptions: EndEntityOptions = {
    clock,
    sleep: () => new Promise((resolve) => setTimeout(resolve, 20)),
    ...others,
    settings: { kind, ...others.settings },
  };
  return { ee: await EndEntity.open(profile, eeOptions), profile, options: eeOptions };
}
