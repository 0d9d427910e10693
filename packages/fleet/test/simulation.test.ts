import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatTime32 } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import { CURRENT_I } from '../../ee/test/mock-scms.ts';
import { Fleet, type SimulationProgress } from '../src/index.ts';
import { scene } from './fleet-scene.ts';
import { PER_PERIOD } from './mock-fleet-ra.ts';

const DAY_SEC = 86_400;
const ZIP = /_([0-9A-F]+)\.zip$/i;

describe('simulate', () => {
  it('brings every device to its batches, and reports what it took', async (t) => {
    const { ra, load, enrollments, handshakes } = await scene(t);
    const report = await load();
    assert.deepEqual(report.devices, {
      asked: 4,
      enrolled: 4,
      provisioned: 4,
      complete: 4,
      failed: 0,
      putOff: 0,
    });
    assert.equal(report.isInterrupted, false);
    assert.equal(report.requests, 4);
    assert.equal(report.batches, 8);
    assert.equal(report.certificates, 8 * PER_PERIOD);
    assert.deepEqual(report.errors, {});
    assert.deepEqual(report.failures, {});
    assert.equal(enrollments(), 4);
    const { connect, provision, batch, info } = report.latencyMs;
    assert.deepEqual(
      [connect, provision, batch, info].map((latency) => latency?.count),
      // One connection for the request, one for the two batches and .info.
      [handshakes(), 4, 8, 4],
    );
    assert.equal(handshakes(), 8);
    assert(batch && batch.p50 > 0 && batch.p50 <= batch.p99 && batch.p99 <= batch.max);
    assert.equal(ra.asked.length, 4 + 8 + 4);
  });

  it('asks for nothing that it has, and for what is new', async (t) => {
    const { ra, load, enrollments } = await scene(t);
    await load();
    ra.asked.length = 0;
    const again = await load();
    assert.deepEqual(ra.asked, []);
    assert.equal(again.devices.complete, 4);
    assert.equal(again.batches, 0);
    await load({ devices: 5, weeks: 3 });
    assert.equal(enrollments(), 5);
    assert.equal(ra.asked.filter((what) => what === 'POST').length, 1);
    // The third week of four devices, and three weeks of the fifth.
    assert.equal(ra.asked.filter((what) => ZIP.test(what)).length, 4 + 3);
  });

  it('goes on after it was stopped at any moment, with the same keys and bodies', async (t) => {
    const { ra, load, check } = await scene(t);
    let steps = 0;
    let stopAt = 1;
    let abort = new AbortController();
    ra.onRequest = () => {
      steps += 1;
      // In the middle of an exchange: the RA has the request, and nobody reads the answer.
      if (steps === stopAt) abort.abort();
    };
    for (; ; stopAt += 2) {
      steps = 0;
      abort = new AbortController();
      const report = await load({ signal: abort.signal, concurrency: 1 });
      assert.equal(report.isInterrupted, steps >= stopAt);
      if (!report.isInterrupted) {
        assert.equal(report.devices.complete, 4);
        break;
      }
    }
    assert(stopAt > 5, 'several runs were stopped');
    ra.onRequest = () => {};
    // What was sent before a stop went out again octet for octet: the RA knows four requests.
    assert.equal(ra.devices.length, 4);
    assert(ra.asked.filter((what) => what === 'POST').length > 4);
    assert.deepEqual((await check()).findings, []);
  });

  it('fetches the next weeks when they have begun, and waits for none that is over', async (t) => {
    const { ra, load, passWeek } = await scene(t);
    const abort = new AbortController();
    ra.readyThrough = CURRENT_I - 1;
    // The device is acknowledged, and finds nothing.
    const onProgress = ({ errors }: { errors: number }) => errors > 0 && abort.abort();
    await load({ devices: 1, signal: abort.signal, onProgress });
    ra.readyThrough = CURRENT_I + 2;
    passWeek();
    ra.asked.length = 0;
    const report = await load({ devices: 1 });
    assert.equal(report.missed, 1);
    assert.equal(report.requests, 0);
    const fetched = ra.asked.flatMap((what) => ZIP.exec(what)?.[1] ?? []);
    assert.deepEqual(fetched, ['26C', '26D']);
  });

  it('waits for a batch that is not ready, and asks for no other', async (t) => {
    const { ra, load } = await scene(t);
    ra.readyThrough = CURRENT_I;
    let refusals = 0;
    const onProgress = ({ errors }: { errors: number }) => {
      refusals = errors;
      if (errors >= 6) ra.readyThrough = CURRENT_I + 1;
    };
    const report = await load({ devices: 2, onProgress });
    assert.equal(report.devices.complete, 2);
    assert.equal(report.batches, 4);
    assert.equal(report.errors.batch?.['http-500'], refusals);
    assert(refusals >= 6);
    // The batch that was there has been fetched once by each.
    const first = ra.asked.filter(
      (what) => ZIP.exec(what)?.[1] === CURRENT_I.toString(16).toUpperCase(),
    );
    assert.equal(first.length, 2);
    // Whoever finds nothing is told anew when to come, and so is who has all.
    assert.equal(ra.asked.filter((what) => what === 'info').length, refusals + 2);
  });

  it('puts off who lacks only what the RA expects later than it waits, and ends', async (t) => {
    const { ra, clock, load } = await scene(t);
    ra.readyThrough = CURRENT_I + 1;
    ra.expectedAt = timeOf(clock) + 4 * DAY_SEC;
    const seen: SimulationProgress[] = [];
    const waits = { weeks: 4, longestWaitSec: 3 * DAY_SEC };
    const report = await load({ ...waits, onProgress: (progress) => seen.push(progress) });
    const counts = { asked: 4, enrolled: 4, provisioned: 4, complete: 0, failed: 0, putOff: 4 };
    assert.deepEqual(report.devices, counts);
    const expectedAt = formatTime32(ra.expectedAt);
    assert.deepEqual(report.putOff, { readyWeeks: 2, expectedAt });
    assert.equal(report.batches, 8, 'all that was there was fetched');
    // Each asked once, was told, and came no more.
    assert.equal(ra.asked.filter((what) => what === 'info').length, 4);
    const first = seen.find(({ putOff }) => putOff > 0);
    assert.deepEqual([first?.readyWeeks, first?.expectedAt], [2, ra.expectedAt]);
    assert.equal(seen.at(-1)?.waiting, 0);
    ra.readyThrough = CURRENT_I + 3;
    const next = await load(waits);
    assert.deepEqual([next.devices.complete, next.putOff], [4, null]);
  });

  it('waits for what is expected sooner, and says so', async (t) => {
    const { ra, clock, load } = await scene(t);
    ra.readyThrough = CURRENT_I;
    ra.expectedAt = timeOf(clock) + 2 * DAY_SEC;
    const report = await load({
      devices: 2,
      longestWaitSec: 3 * DAY_SEC,
      onProgress({ active, waiting, expectedAt }) {
        if (active > 0 || waiting < 2) return;
        assert.equal(expectedAt, ra.expectedAt);
        ra.readyThrough = CURRENT_I + 1;
      },
    });
    assert.equal(ra.readyThrough, CURRENT_I + 1, 'nobody talked, and both waited');
    assert.deepEqual([report.devices.complete, report.putOff], [2, null]);
  });

  it('gives a device up for this run when the RA refuses its request, and tries again in the next', async (t) => {
    const { ra, load } = await scene(t);
    ra.isOpen = false;
    const report = await load({ sleep: async () => {} });
    assert.equal(report.devices.failed, 4);
    assert.deepEqual(report.failures, { refused: 4 });
    // The SDK tries five times.
    assert.deepEqual(report.errors, { provision: { 'http-500': 20 } });
    ra.isOpen = true;
    assert.equal((await load()).devices.complete, 4);
  });

  it('comes back again and again when there is no RA, and gives up', async (t) => {
    const { load } = await scene(t);
    const raUrl = new URL('https://localhost:1');
    const report = await load({ raUrl, devices: 2, sleep: async () => {} });
    assert.deepEqual(report.failures, { unreachable: 2 });
    assert.deepEqual(report.errors, { provision: { unreachable: 2 * 8 * 5 } });
    assert.equal((await load({ devices: 2 })).devices.complete, 2);
  });

  it('keeps zips when it is told to, and their digests otherwise', async (t) => {
    const { directory, load } = await scene(t);
    await load({ devices: 1 });
    await load({ devices: 2, keepsZips: true });
    await using fleet = await Fleet.open(directory);
    assert.equal(await fleet.zip(0, CURRENT_I), undefined);
    assert((await fleet.zip(1, CURRENT_I))!.length > 0);
    const digests = (await fleet.batches()).map(({ digest }) => digest?.length);
    assert.deepEqual(digests, [32, 32, 32, 32]);
  });
});
