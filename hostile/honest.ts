/**
 * The honest devices, in a process of its own: `chrysalis simulate` in all but name, which goes on. Each device is
 * provisioned and fetches its batches, comes again and again until standard input ends, and at last all that it was given is
 * checked by its private keys. Prints lines of JSON: how far it is, and what it met.
 *
 * Arguments: the state directory, a directory for the fleet, the URL of the RA, devices, weeks, certificates in a week,
 * devices that begin in a second.
 */
import { loadConfig } from '@chrysalis/cli';
import { systemRandom } from '@chrysalis/crypto';
import { EeError, EndEntity, httpsTransport, tlsContext } from '@chrysalis/ee';
import { checkFleet, Fleet, Meter, meteredTransport, simulate } from '@chrysalis/fleet';
import { systemClock, timeOf } from '@chrysalis/scms';
import { openEnrollment } from '../packages/cli/src/enroll.ts';
import type { HonestReport } from './honest-report.ts';

const [state = '', path = '', url = '', ...numbers] = process.argv.slice(2);
const [devices = 0, weeks = 0, perPeriod = 0, ratePerSec = 0] = numbers.map(Number);
const raUrl = new URL(url);
const clock = systemClock;
/** Devices that talk at a time. */
const CONCURRENCY = 16;
const POLL_SEC = 5;
/** Between two visits of one lane. */
const PAUSE_MS = 250;

let isOver = false;
process.stdin.once('end', () => {
  isOver = true;
});
process.stdin.resume();

await using fleet = await Fleet.open(path, { create: systemRandom });
const config = await loadConfig(state);
const terms = { raUrl: raUrl.href, toleranceSec: 3600 };
const issue = await openEnrollment(state, config, { clock, random: systemRandom }, terms);
let isLoading = false;
const load = await simulate({
  ...{
    fleet,
    devices,
    weeks,
    ratePerSec,
    concurrency: CONCURRENCY,
    pollSec: POLL_SEC,
    raUrl,
    clock,
  },
  enroll: async (request) => issue(request).files,
  onProgress({ phase }) {
    if (phase === 'enrollment' || isLoading) return;
    isLoading = true;
    console.log(JSON.stringify({ phase: 'load' }));
  },
});
console.log(JSON.stringify({ phase: 'visits' }));
const meter = new Meter();
let visits = 0;
await Promise.all(Array.from({ length: CONCURRENCY / 4 }, visitOften));
const check = await checkFleet({ fleet, devices, weeks, perPeriod, raUrl, clock, workers: 0 });
const report: HonestReport = {
  load,
  visits: { count: visits, latencyMs: meter.latencyMs, errors: meter.errors },
  check,
};
console.log(JSON.stringify({ phase: 'over', report }));

/** Devices that have everything come back: for their files once more, and to see when there are more. */
async function visitOften(): Promise<void> {
  while (!isOver) {
    const device = visits % devices;
    visits += 1;
    try {
      await visit(device);
    } catch (error) {
      // What went wrong was counted where it did.
      if (!(error instanceof EeError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function visit(device: number): Promise<void> {
  const profile = await fleet.profile(device);
  const enrollment = await fleet.enrollment(profile, timeOf(clock));
  const { x509Root } = enrollment;
  const context = tlsContext(x509Root, 'TLSv1.2');
  const onConnect = (ms: number) => meter.record('connect', ms);
  const transport = meteredTransport(httpsTransport({ x509Root, context, onConnect }), meter);
  await using ee = await EndEntity.open(profile, {
    ...{ enrollment, clock, transport },
    random: systemRandom,
    settings: { raUrl },
  });
  for (const { i } of await fleet.batches(device)) await ee.fetch('pseudonym', i);
  await ee.info('pseudonym');
}
