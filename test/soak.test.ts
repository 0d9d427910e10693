/** The short form of `npm run test:soak`: an RA in a process of its own under twice what it can do; and what a soak would find. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { SoakReport } from '../soak/report.ts';
import { runSoak } from '../soak/soak.ts';
import { complaintsOf } from '../soak/verdict.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const SECONDS = 12;

describe('an RA under twice what it can do', () => {
  it('answers for its health, serves what it can, and is itself again afterwards', async (t) => {
    const directory = temporaryDirectory();
    const report = await runSoak({
      directory: join(directory, 'state'),
      seconds: SECONDS,
      roundSeconds: SECONDS,
      measureSeconds: 3,
      devices: 10,
      factor: 2,
      nice: 0,
    });
    assert.deepEqual(complaintsOf(report), []);
    const { rounds, visits, sheds, memoryMb } = report;
    t.diagnostic(JSON.stringify({ rounds, visits, sheds, memoryMb }));
  });
});

describe('a soak', () => {
  const latency = { count: 1, p50: 1, p95: 1, p99: 1, max: 1 };
  const sound = {
    seconds: 3600,
    visits: { download: { served: 1, refused: 0, broken: 0, gaveUp: 0 } },
    health: { asked: 10, failed: 0, ms: latency },
    sheds: {
      provisioning: { requests: 100, shed: 50 },
      download: { requests: 1000, shed: 100 },
      anonymous: { requests: 100, shed: 10 },
    },
    memoryMb: { before: 200, early: 300, late: 310, peak: 320, after: 310 },
    descriptors: { before: 70, peak: 3000, after: 71 },
    unexpected: [],
    faults: [],
    exitStatus: 0,
  } as unknown as SoakReport;

  it('that shows nothing of these is sound', () => {
    assert.deepEqual(complaintsOf(sound), []);
  });

  for (const [what, changes] of Object.entries({
    'a health check that was not answered': { health: { ...sound.health, failed: 1 } },
    'memory that grows': { memoryMb: { ...sound.memoryMb, late: 360, peak: 360 } },
    'memory without bound': { memoryMb: { ...sound.memoryMb, peak: 2000 } },
    'descriptors that stay open': { descriptors: { ...sound.descriptors, after: 200 } },
    'downloads that are shed before provisioning': {
      sheds: { ...sound.sheds, provisioning: { requests: 1000, shed: 20 } },
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
