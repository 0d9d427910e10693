/**
 * `chrysalis copy` of the state of a fleet to PostgreSQL and S3, while its RA serves: a device that comes meanwhile meets a pause
 * that is shorter than its patience, and afterwards every certificate is where it should be.
 *
 * CHRYSALIS_COPY_DEVICES (20), CHRYSALIS_COPY_PER_WEEK (10 certificates): `npm run test:copy` sets 10,000 and 5.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { checkFleet, Fleet } from '@chrysalis/fleet';
import { systemClock as clock } from '@chrysalis/scms';
import { comeToRest } from './support/fleet-at-rest.ts';
import { enrolled } from './support/mortal-scms.ts';
import { cli, done, startLoad, startRa } from './support/moving-ra.ts';
import { startPostgres, withoutPostgres } from './support/postgres-server.ts';
import { eventually, type Promised } from './support/promised-devices.ts';
import { startS3Thread } from './support/s3-thread.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const DEVICES = numberOf('DEVICES', 20);
const PER_WEEK = numberOf('PER_WEEK', 10);
const WEEKS = 2;
const SUPPLY = { devices: DEVICES, weeks: WEEKS, perWeek: PER_WEEK };
/** Five tries of a device of the SDK take so long at least (packages/ee/src/back-off.ts). */
const PATIENCE_MS = 30_000;
/** In a second: one processor makes their certificates beside all else. */
const ARRIVALS = 50;

describe(`${DEVICES} devices whose state is copied while it serves`, {
  skip: withoutPostgres,
}, () => {
  it('notice a pause that is shorter than their patience, and keep everything', async (t) => {
    await using resources = new AsyncDisposableStack();
    const server = await startPostgres();
    resources.defer(() => server.close());
    const s3 = await startS3Thread();
    resources.defer(() => s3.close());
    Object.assign(process.env, s3.env);
    const ra = await startRa(t, SUPPLY);
    await using fleet = await Fleet.open(join(temporaryDirectory(), 'fleet'), {
      create: systemRandom,
      keepsZips: true,
    });
    const run = await enrolled(fleet, ra.state, SUPPLY);
    const { devices } = await run(ARRIVALS);
    assert.equal(devices.complete, DEVICES);

    const promised: Promised[] = [await ra.devices.register()];
    const [first] = promised as [Promised];
    await eventually(() => ra.devices.download(first, first.firstI));
    const load = startLoad(ra.devices, first, promised);
    const to = server.newUrl();
    const objects = `s3://${s3.bucket}/moved?endpoint=${s3.endpoint}`;
    const begun = performance.now();
    const { stdout } = await done(
      ...['--json', 'copy', '--from', ra.state],
      ...['--to', to, '--objects', objects],
    );
    const copiedSec = ((performance.now() - begun) / 1000).toFixed(1);
    const after = await ra.devices.register();
    promised.push(after);
    const { longestMs, refused } = await load.stop();
    const copied = JSON.parse(stdout);
    const held = Math.round(copied.heldMs);
    t.diagnostic(
      `${DEVICES + promised.length} devices, ${copied.objects} objects in ${copiedSec} s; held ${held} ms, ${refused} refused, longest pause ${longestMs} ms`,
    );
    assert(longestMs < PATIENCE_MS, `a pause of ${longestMs} ms`);

    await comeToRest(to);
    for (const device of promised) {
      for (let i = device.firstI; i < device.firstI + WEEKS; i++) {
        await eventually(() => ra.devices.download(device, i));
      }
    }
    // What the devices have, and what lies in the new places for them.
    const again = await run(DEVICES);
    assert.equal(again.devices.complete, DEVICES);
    const check = await checkFleet({
      ...{ fleet, clock, devices: DEVICES, weeks: WEEKS, perPeriod: PER_WEEK },
      workers: DEVICES > 100 ? 2 : 0,
    });
    assert.deepEqual(check.findings, []);
    assert.equal(check.certificates, DEVICES * WEEKS * PER_WEEK);
    const zips = (await s3.keys()).filter((key) => key.endsWith('.zip'));
    assert.equal(zips.length, (DEVICES + promised.length) * WEEKS);
    await ra.stop();
    const { status, stderr } = await cli('--dir', ra.state, 'audit', 'verify');
    assert.equal(status, 0, stderr);
  });
});

function numberOf(name: string, otherwise: number): number {
  const value = Number(process.env[`CHRYSALIS_COPY_${name}`] ?? otherwise);
  assert(Number.isSafeInteger(value) && value > 0, `CHRYSALIS_COPY_${name}: a number above 0`);
  return value;
}
