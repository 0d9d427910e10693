/** Several pipelines on one database: each does its part, and whatever happens to one, every certificate is made once. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type CertificateAuthority, timeOf } from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import { CompiledQuery } from 'kysely';
import { Pipeline } from '../src/pipeline.ts';
import { createScene, eventually, type Registered } from './scene.ts';

const PER_PERIOD = 3;
const WEEKS = 2;
/** By which clocks of nodes may be apart. */
const TOLERANCE_SEC = 5;
const POLICY = {
  certificatesPerPeriod: PER_PERIOD,
  weeksAhead: WEEKS,
  shuffleInitial: 'pooled',
  shuffleThreshold: 1,
} as const;
const NOBODY = { start: async () => {}, wake() {}, stop: async () => {} };

async function setUp(t: TestContext, devices: number) {
  const scene = await createScene(t, { policy: POLICY, isShared: true, linkageCache: devices });
  const ra = await scene.start({ pipeline: NOBODY });
  /** Requests that each pipeline has sent, hex. */
  const sent: string[][] = [];
  const pipelineOf = async (
    changes: {
      isShared?: boolean;
      /** Of its clock, before the others'. */
      aheadSec?: number;
      wrap?: (pca: CertificateAuthority) => CertificateAuthority;
    } = {},
  ) => {
    const { wrap = (pca) => pca, isShared = true, aheadSec = 0 } = changes;
    const clock = { now: () => scene.clock.now() + 1000 * aheadSec };
    const mine: string[] = [];
    sent.push(mine);
    const inner = wrap(scene.options.pca.port);
    const port: CertificateAuthority = {
      requestCertificate(request) {
        mine.push(Buffer.from(request).toString('hex'));
        return inner.requestCertificate(request);
      },
    };
    const database = await scene.openDatabase();
    return new Pipeline({
      ...scene.options,
      ...{ database, clock, isShared, pca: { ...scene.options.pca, port } },
    });
  };
  const start = async (...args: Parameters<typeof pipelineOf>) => {
    const pipeline = await pipelineOf(...args);
    await pipeline.start();
    scene.defer(() => pipeline.stop());
    return pipeline;
  };
  const register = async () => {
    const registered: Registered[] = [];
    for (let n = 0; n < devices; n++) registered.push(await scene.register(ra));
    return registered;
  };
  const hasAll = async (registered: readonly Registered[]) => {
    const i = scene.options.iPeriod.at(timeOf(scene.clock));
    for (const device of registered) {
      for (const week of [i, i + 1]) {
        const zip = await eventually(() => scene.download(ra, device, week));
        assert.equal(Object.keys(unzipSync(zip)).length, PER_PERIOD);
      }
    }
    // The files are there before the rows of the last are gone.
    await eventually(async () => {
      const row = await scene.database.query.selectFrom('batch').select('i').executeTakeFirst();
      return row === undefined ? true : undefined;
    });
  };
  const expectOnce = async () => {
    const expected = devices * WEEKS * PER_PERIOD;
    const keys = await scene.issued();
    assert.deepEqual([keys.length, new Set(keys).size], [expected, expected]);
    const tallies = await scene.database.query.selectFrom('tally').selectAll().execute();
    const tally = (name: string) => tallies.find((row) => row.name === name)?.count;
    assert.deepEqual([tally('batches'), tally('certificates')], [devices * WEEKS, expected]);
  };
  return { scene, sent, start, pipelineOf, register, hasAll, expectOnce };
}

describe('pipelines on one database', () => {
  it('share the work, and send each request once', async (t) => {
    const { sent, start, register, hasAll, expectOnce } = await setUp(t, 12);
    const pipelines = [await start(), await start()];
    // Both know of each other before there is something to do.
    await eventually(async () =>
      pipelines.every(({ share }) => share?.of === 2) ? true : undefined,
    );
    await hasAll(await register());
    const [a = [], b = []] = sent;
    const all = [...a, ...b];
    assert.equal(new Set(all).size, all.length, 'no request was sent by both');
    assert(a.length > 0 && b.length > 0, `${a.length} and ${b.length} requests`);
    await expectOnce();
  });

  it('that all take the whole for theirs, as when leases overlap, with clocks apart, make nothing twice', async (t) => {
    const { pipelineOf, register, hasAll, expectOnce } = await setUp(t, 6);
    const pipelines = [
      await pipelineOf({ isShared: false }),
      await pipelineOf({ isShared: false, aheadSec: TOLERANCE_SEC }),
      await pipelineOf({ isShared: false, aheadSec: -TOLERANCE_SEC }),
    ];
    await pipelines[0]!.step();
    const registered = await register();
    for (let idle = 0; idle < 2; ) {
      const did = await Promise.all(pipelines.map((pipeline) => pipeline.step()));
      idle = did.some(Boolean) ? 0 : idle + 1;
    }
    await hasAll(registered);
    await expectOnce();
  });

  it('take up what one leaves whose lease runs out while it waits, and its late answers change nothing', async (t) => {
    const held = Promise.withResolvers<void>();
    const { scene, sent, start, register, hasAll, expectOnce } = await setUp(t, 4);
    const stopped = await start({
      wrap: (pca) => ({
        async requestCertificate(request) {
          const answer = await pca.requestCertificate(request);
          await held.promise;
          return answer;
        },
      }),
    });
    const registered = await register();
    await eventually(async () => (sent[0]!.length > 0 ? true : undefined));
    // It renews while it waits: somebody takes its lease away, as a machine that stands still has it taken.
    await scene.database.query.executeQuery(
      CompiledQuery.raw(`update member set until = 1, name = 'gone' where role = 'pipeline'`),
    );
    await start({ isShared: false });
    await hasAll(registered);
    held.resolve();
    await stopped.stop();
    await expectOnce();
  });
});
