import { systemRandom } from '@chrysalis/crypto';
import { unixFromTime32 } from '@chrysalis/ieee1609dot2';
import {
  EndEntity,
  type EndEntityOptions,
  installBundle,
  Profile,
  type ProfileStorage,
  type Progress,
  prepareEnrollment,
} from '../src/index.ts';
import { MemoryStorage } from './memory-storage.ts';
import { MockRa, type MockRaOptions, MockTransport, TestClock } from './mock-ra.ts';
import { createMockScms, type EnrollOptions, enroll, type MockScms, NOW } from './mock-scms.ts';

/** One SCMS for all tests of a file: making it costs more than most tests. */
export const SCMS: MockScms = createMockScms();

export function clockAtNow(): TestClock {
  return new TestClock(unixFromTime32(NOW));
}

/** A profile that is enrolled with {@link SCMS}. */
export async function enrolledProfile<S extends ProfileStorage>(
  storage: S,
  options: EnrollOptions = {},
): Promise<{ storage: S; profile: Profile }> {
  const profile = new Profile(storage);
  const request = await prepareEnrollment(profile, clockAtNow(), systemRandom);
  await installBundle(profile, enroll(SCMS, request, options), clockAtNow());
  return { storage, profile };
}

/** An enrolled device with an RA of its own, in memory. */
export async function device(options: MockRaOptions = {}) {
  const clock = clockAtNow();
  const { storage, profile } = await enrolledProfile(new MemoryStorage());
  const ra = new MockRa(SCMS, clock, options);
  const transport = new MockTransport(ra);
  const progress: Progress[] = [];
  const eeOptions: EndEntityOptions = {
    clock,
    transport,
    sleep: clock.sleep,
    random: systemRandom,
    onProgress: (event) => progress.push(event),
  };
  const ee = await EndEntity.open(profile, eeOptions);
  return { clock, storage, profile, ra, transport, progress, ee, eeOptions };
}
