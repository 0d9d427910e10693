/**
 * A hundred virtual devices against an RA in a process of its own, over HTTPS, through the checker that `npm run
 * test:fleet` uses for ten thousand: every certificate of the first weeks, and of those after.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mostSameDeviceNext, runFleet } from '../scripts/fleet.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const DEVICES = 100;
const WEEKS = 2;
/** A quarter of CAMP's, to be done in half a minute. */
const PER_WEEK = 5;
/** A fifth of CAMP's: twenty devices are in each, and the first do not wait for the last. */
const SHUFFLE = { threshold: 200, maxAgeSec: 3 };
const CERTIFICATES = DEVICES * WEEKS * PER_WEEK;

describe(`a fleet of ${DEVICES} devices`, () => {
  it('gets every certificate of two supplies, each once, each its own', async (t) => {
    const directory = temporaryDirectory();
    const run = {
      directory,
      devices: DEVICES,
      weeks: WEEKS,
      perPeriod: PER_WEEK,
      rate: 100,
      pollSec: 2,
      workers: 1,
      shuffle: SHUFFLE,
      stderr: 'ignore',
    } as const;
    const [first, second] = await runFleet(run);
    for (const { load, check, mixing } of [first, second]) {
      assert.equal(load.devices.complete, DEVICES);
      assert.equal(load.certificates, CERTIFICATES);
      assert.deepEqual(load.failures, {});
      assert.deepEqual(check.findings, []);
      assert.equal(check.goneBatches, 0);
      // The PCA saw all of it, and could not tell from the order whose it was.
      assert(mixing.requests >= CERTIFICATES);
      assert(mixing.epochs > 0);
      assert(mixing.sameDeviceNext <= mostSameDeviceNext(run), JSON.stringify(mixing));
      t.diagnostic(JSON.stringify(mixing));
    }
    assert.equal(first.load.requests, DEVICES);
    assert.equal(first.check.certificates, CERTIFICATES);
    // Nobody asks for a second set of certificates of the weeks that they have.
    assert.equal(second.load.requests, 0);
    assert.equal(second.check.certificates + second.check.earlierCertificates, 2 * CERTIFICATES);
    t.diagnostic(`${first.load.certificatesPerSec} certificates per second`);
  });
});
