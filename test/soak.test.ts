/** The short form of `npm run test:soak`: an RA in a process of its own under twice what it can do; and what a soak would find. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { complaintsOfMemory, flatnessOf, type MemorySample } from '../soak/flatness.ts';
import type { SoakReport } from '../soak/report.ts';
import { runSoak } from '../soak/soak.ts';
import { complaintsOf } from '../soak/verdict.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

/** A minute for both. */
const SECONDS = 30;
/** A leak of that size shows sooner. */
const LEAKING_SECONDS = 12;

describe('an RA under twice what it can do', () => {
  for (const [processes, what] of [
    [1, 'with one process'],
    [2, 'with two processes'],
  ] as const) {
    it(`${what} answers for its health, serves what it can, and is itself again afterwards`, async (t) => {
      const directory = temporaryDirectory();
      const report = await runSoak({
        directory: join(directory, 'state'),
        seconds: SECONDS,
        roundSeconds: SECONDS,
        measureSeconds: 3,
        devices: 10,
        factor: 2,
        nice: 0,
        processes,
      });
      assert.deepEqual(complaintsOf(report), []);
      assert.equal(report.processes, processes);
      const { rounds, visits, sheds, memoryMb } = report;
      t.diagnostic(JSON.stringify({ rounds, visits, sheds, memoryMb }));
    });
  }
});

describe('the known-bad control of a soak', () => {
  const LEAK_OCTETS = 200_000;

  it('an RA that loses memory with each visit, is caught', async (t) => {
    const directory = temporaryDirectory();
    const { memoryMb, faults } = await runSoak({
      directory: join(directory, 'state'),
      ...{ seconds: LEAKING_SECONDS, roundSeconds: LEAKING_SECONDS, measureSeconds: 1 },
      ...{ devices: 5, factor: 2, nice: 0, processes: 1, leakOctets: LEAK_OCTETS },
    });
    t.diagnostic(JSON.stringify(memoryMb));
    assert.deepEqual(faults, []);
    assert.match(complaintsOfMemory(memoryMb, false).join(), /what V8 keeps grow/);
  });
});

describe('memory', () => {
  /** An hour, a look a second: caches fill, the resident memory finds its level by less and less, both breathe. */
  function hour(perSec: number, leaks: { heap?: number; native?: number } = {}): MemorySample[] {
    return Array.from({ length: 3600 }, (_, sec) => {
      const visits = sec * perSec;
      const kept = (visits * (leaks.heap ?? 0)) / 1e6;
      const warm = 1 - Math.exp(-sec / 700);
      return {
        visits,
        keptMb: 45 + 10 * warm + 8 * ((sec * 7) % 13) + kept,
        rssMb:
          230 + 150 * warm + 15 * Math.sin(sec / 50) + kept + (visits * (leaks.native ?? 0)) / 1e6,
      };
    });
  }
  const judged = (samples: readonly MemorySample[]) =>
    complaintsOfMemory(flatnessOf(samples), true);

  it('that warms up for half an hour and breathes is flat', () => {
    for (const perSec of [10, 50, 200]) assert.deepEqual(judged(hour(perSec)), []);
  });

  it('of which a kilobyte is lost with each visit is not, though the machine is slow', () => {
    for (const perSec of [10, 50, 200]) {
      assert.match(judged(hour(perSec, { heap: 1000 })).join(), /what V8 keeps grow/);
    }
  });

  it('that is lost outside the heap is not flat either', () => {
    assert.match(judged(hour(50, { native: 1000 })).join(), /the resident memory grow/);
  });

  it('of a run with too few visits is not judged flat', () => {
    assert.match(judged(hour(2)).join(), /expected 8000 visits/);
    assert.deepEqual(complaintsOfMemory(flatnessOf(hour(2)), false), []);
  });
});

describe('a soak', () => {
  const latency = { count: 1, p50: 1, p95: 1, p99: 1, max: 1 };
  const sound = {
    seconds: 3600,
    processes: 1,
    visits: { download: { served: 1, refused: 0, broken: 0, gaveUp: 0 } },
    health: { asked: 10, failed: 0, ms: latency },
    sheds: {
      provisioning: { requests: 100, shed: 50 },
      download: { requests: 1000, shed: 100 },
      anonymous: { requests: 100, shed: 30 },
    },
    memoryMb: {
      ...{ before: 200, peak: 320, after: 310, keptBefore: 50, visits: 20_000 },
      ...{ keptMb: [55, 56], rssMb: [300, 310], keptOctetsPerVisit: 50, rssOctetsPerVisit: 500 },
    },
    descriptors: { before: 70, peak: 3000, after: 71 },
    unexpected: [],
    faults: [],
    exitStatus: 0,
  } as unknown as SoakReport;

  it('that shows nothing of these is sound', () => {
    assert.deepEqual(complaintsOf(sound), []);
  });

  it('of several processes has the memory of several', () => {
    const memoryMb = { ...sound.memoryMb, peak: 1700 };
    assert.deepEqual(complaintsOf({ ...sound, processes: 2, memoryMb }), []);
    assert.equal(complaintsOf({ ...sound, processes: 1, memoryMb }).length, 1);
  });

  for (const [what, changes] of Object.entries({
    'a health check that was not answered': { health: { ...sound.health, failed: 1 } },
    'memory that grows': {
      memoryMb: { ...sound.memoryMb, keptMb: [55, 75], keptOctetsPerVisit: 1000 },
    },
    'memory without bound': { memoryMb: { ...sound.memoryMb, peak: 2000 } },
    'descriptors that stay open': { descriptors: { ...sound.descriptors, after: 200 } },
    'downloads that are shed before what anybody may ask for': {
      sheds: { ...sound.sheds, anonymous: { requests: 1000, shed: 20 } },
    },
    'what anybody may ask for that is shed before provisioning': {
      sheds: { ...sound.sheds, anonymous: { requests: 1000, shed: 900 } },
    },
    'nothing that is served': { visits: { download: { ...sound.visits.download, served: 0 } } },
    'a status that devices do not know': { unexpected: ['batch: 503'] },
    'a fault of the RA': { faults: ['failed'] },
    'an RA that ends badly': { exitStatus: null },
  })) {
    it(`finds ${what}`, () => {
      assert.equal(complaintsOf({ ...sound, ...changes } as SoakReport).length, 1);
    });
  }
});
