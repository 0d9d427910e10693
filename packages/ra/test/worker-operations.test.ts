/** The operators' port of a worker: whether it does its share, and what it has done. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { Pipeline } from '@chrysalis/ra';
import { startWorkerOperations } from '@chrysalis/ra/worker-operations';
import { AuthorityUnavailableError, type CertificateAuthority } from '@chrysalis/scms';
import { createScene, eventually } from './scene.ts';

const POLICY = {
  certificatesPerPeriod: 3,
  weeksAhead: 2,
  shuffleInitial: 'pooled',
  shuffleThreshold: 1,
} as const;
const NOBODY = { start: async () => {}, wake() {}, stop: async () => {} };

async function setUp(t: TestContext) {
  let isPcaAway = false;
  const wrapPca = (pca: CertificateAuthority): CertificateAuthority => ({
    async requestCertificate(request) {
      if (isPcaAway) throw new AuthorityUnavailableError('no route to the PCA');
      return pca.requestCertificate(request);
    },
  });
  const scene = await createScene(t, { policy: POLICY, isShared: true, linkageCache: 8, wrapPca });
  const ra = await scene.start({ pipeline: NOBODY });
  /** A worker; it does nothing before `start`. */
  const worker = async (port = 0) => {
    const options = { ...scene.options, database: await scene.openDatabase() };
    const pipeline = new Pipeline(options);
    let isStopping = false;
    const ops = await startWorkerOperations({
      ...{ ...options, port, pipeline },
      isStopping: () => isStopping,
    });
    scene.defer(() => ops.close());
    const look = async (path: string) => {
      const answer = await fetch(`${ops.url}${path}`);
      return { status: answer.status, text: await answer.text() };
    };
    const figures = async () => (await look('/metrics')).text;
    return {
      ...{ ops, options, look, figures },
      async start() {
        await pipeline.start();
        scene.defer(() => pipeline.stop());
      },
      async stop() {
        isStopping = true;
        await pipeline.stop();
      },
      async figure(name: string) {
        const line = (await figures()).split('\n').find((one) => one.startsWith(`${name} `));
        assert(line, name);
        return Number(line.slice(name.length + 1));
      },
      async checks() {
        const { status, text } = await look('/readyz');
        const { missing } = JSON.parse(text) as { missing: { check: string }[] };
        assert.equal(status, missing.length === 0 ? 200 : 503);
        return missing.map(({ check }) => check);
      },
    };
  };
  const setPcaAway = (isAway: boolean) => {
    isPcaAway = isAway;
  };
  return { scene, ra, worker, setPcaAway };
}

const becomes = async (is: () => Promise<boolean>) =>
  eventually(async () => ((await is()) ? true : undefined));

describe('the operators’ port of a worker', () => {
  it('tells what part of the work is whose, and what each has done', async (t) => {
    const { scene, ra, worker } = await setUp(t);
    const [a, b] = [await worker(), await worker()];
    assert.deepEqual(await a.checks(), ['pipeline', 'share']);
    assert.equal(await a.figure('chrysalis_worker_share'), 0);
    await a.start();
    await b.start();
    for (const one of [a, b]) {
      await becomes(async () => (await one.figure('chrysalis_worker_share')) === 0.5);
      assert.deepEqual(await one.checks(), []);
      assert.deepEqual(await one.look('/healthz'), { status: 200, text: 'ok\n' });
    }
    const firsts = [a, b].map((one) => one.figure('chrysalis_worker_first'));
    assert.deepEqual((await Promise.all(firsts)).toSorted(), [0, 1]);

    const devices = await Promise.all(Array.from({ length: 4 }, () => scene.register(ra)));
    for (const device of devices) await eventually(() => scene.download(ra, device));
    const all = devices.length * POLICY.weeksAhead * POLICY.certificatesPerPeriod;
    await becomes(async () => (await scene.issued()).length === all);
    await becomes(async () => {
      const [one = 0, other = 0] = await Promise.all(
        [a, b].map((each) => each.figure('chrysalis_worker_certificates_total')),
      );
      return one > 0 && other > 0 && one + other === all;
    });

    await a.stop();
    assert((await a.checks()).includes('share'));
    assert((await a.checks()).includes('stopping'));
    await becomes(async () => (await b.figure('chrysalis_worker_share')) === 1);
    assert.equal(await b.figure('chrysalis_worker_first'), 1);
  });

  it('tells whom it does not ask for a while, and whose fault it is', async (t) => {
    const { scene, ra, worker, setPcaAway } = await setUp(t);
    const one = await worker();
    await one.start();
    setPcaAway(true);
    const device = await scene.register(ra);
    const paused = () => one.figure('chrysalis_worker_paused{peer="pca"}');
    await becomes(async () => (await paused()) === 1);
    assert.equal(await one.figure('chrysalis_worker_paused{peer="linkage authorities"}'), 0);
    assert.equal(await one.figure('chrysalis_worker_failed_steps_total'), 0, 'not a fault of ours');
    setPcaAway(false);
    scene.clock.advance(60);
    await eventually(() => scene.download(ra, device));
    assert.equal(await paused(), 0);
  });

  it('names a certificate of the RA that is over', async (t) => {
    const { scene, worker } = await setUp(t);
    const one = await worker();
    await one.start();
    await becomes(async () => (await one.checks()).length === 0);
    scene.clock.set(time32FromUnix(Date.UTC(2060, 0, 1)));
    assert.deepEqual(await one.checks(), ['ra-certificate']);
  });

  it('goes on without the database, and says so', async (t) => {
    const { worker } = await setUp(t);
    const one = await worker();
    await one.options.database.close();
    assert((await one.checks()).includes('database'));
    assert.equal(await one.figure('chrysalis_status_up'), 0);
    assert.equal((await one.look('/healthz')).status, 200);
  });

  it('counts steps that fail by a fault of ours', async (t) => {
    const { worker } = await setUp(t);
    const one = await worker();
    await one.start();
    assert.equal(await one.figure('chrysalis_worker_failed_steps_total'), 0);
    await one.options.database.close();
    await becomes(async () => (await one.figure('chrysalis_worker_failed_steps_total')) > 0);
  });

  it('keeps a worker from starting when it is taken', async (t) => {
    const { worker } = await setUp(t);
    const { ops } = await worker();
    await assert.rejects(worker(Number(new URL(ops.url).port)), { code: 'EADDRINUSE' });
  });

  it('is what the page in docs/reference says', async (t) => {
    const { worker } = await setUp(t);
    const served = [
      ...(await (await worker()).figures()).matchAll(/^# TYPE (chrysalis_\w+) (\w+)$/gm),
    ];
    const page = await readFile(
      new URL('../../../docs/reference/metrics.md', import.meta.url),
      'utf8',
    );
    const section = /\n## A worker\n[\s\S]*?(?=\n## )/.exec(page)?.[0] ?? '';
    const named = new Set([...section.matchAll(/`(chrysalis_\w+)`/g)].map(([, name]) => name));
    assert.deepEqual([...named].toSorted(), served.map(([, name]) => name).toSorted());
    const own = [...section.matchAll(/^\| `(chrysalis_\w+)` +\| (\w+) /gm)];
    const typeOf = new Map(served.map(([, name, type]) => [name, type]));
    assert.equal(own.length, 5);
    for (const [, name, type] of own) assert.equal(typeOf.get(name), type, name);
  });
});
