import type { TestContext } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { unixFromTime32 } from '@chrysalis/ieee1609dot2';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { listenerOf, serveHttps, tlsIdentity } from '../../ee/test/https-server.ts';
import type { MockRa } from '../../ee/test/mock-ra.ts';
import { createMockScms, enroll, NOW } from '../../ee/test/mock-scms.ts';
import { checkFleet, Fleet, type SimulationOptions, simulate } from '../src/index.ts';
import { MockFleetRa, PER_PERIOD } from './mock-fleet-ra.ts';

const SCMS = createMockScms();
/** NOW of the mock SCMS when the tests begin, and going on as the machine's clock does. */
const OFFSET_MS = unixFromTime32(NOW) - Date.now();
const WEEK_MS = 604_800_000;

/** A fleet's directory, and an RA behind TLS. */
export async function scene(t: TestContext) {
  const directory = temporaryDirectory();
  const { root, server } = await tlsIdentity();
  const ra = new MockFleetRa(SCMS);
  const { url, handshakes } = await serveHttps(t, server, listenerOf(ra as unknown as MockRa));
  let enrollments = 0;
  let weeksPassed = 0;
  const clock = { now: () => Date.now() + OFFSET_MS + weeksPassed * WEEK_MS };
  const options = (fleet: Fleet): SimulationOptions => ({
    fleet,
    devices: 4,
    weeks: 2,
    ratePerSec: 1_000,
    concurrency: 8,
    pollSec: 0.05,
    clock,
    raUrl: url,
    enroll: async (request) => {
      enrollments += 1;
      return enroll(SCMS, request, { raUrl: url.href, x509Root: root.certificatePem });
    },
  });
  return {
    directory,
    ra,
    clock,
    url,
    handshakes,
    enrollments: () => enrollments,
    passWeek: () => {
      weeksPassed += 1;
    },
    async load(more: Partial<SimulationOptions> & { keepsZips?: boolean } = {}) {
      const { keepsZips = false } = more;
      await using fleet = await Fleet.open(directory, { create: systemRandom, keepsZips });
      return await simulate({ ...options(fleet), ...more });
    },
    async check(more: { workers?: number; devices?: number; weeks?: number } = {}) {
      await using fleet = await Fleet.open(directory);
      const common = { fleet, clock, raUrl: url, perPeriod: PER_PERIOD };
      return await checkFleet({ ...common, devices: 4, weeks: 2, workers: 0, ...more });
    },
  };
}
