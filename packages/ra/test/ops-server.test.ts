/** The operators' port: whether an RA answers, whether it is ready, and what it counts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createX509Root, issueX509ServerCertificate } from '@chrysalis/authorities/x509';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import type { RegistrationAuthority } from '@chrysalis/ra/server';
import { AuthorityUnavailableError, type LinkageAuthority, timeOf } from '@chrysalis/scms';
import { type Database, openDatabase } from '@chrysalis/store';
import { downloadReq } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import type { PipelineHost, PipelineState } from '../src/pipeline.ts';
import { Readiness, type ReadinessSources } from '../src/readiness.ts';
import { createScene, eventually } from './scene.ts';

const OPS = { ops: { port: 0 } };

async function look(ra: RegistrationAuthority, path: string, method = 'GET') {
  const answer = await fetch(`${ra.opsUrl}${path}`, { method });
  const type = answer.headers.get('content-type');
  return { status: answer.status, type, text: await answer.text() };
}

async function checks(ra: RegistrationAuthority): Promise<readonly string[]> {
  const { status, text } = await look(ra, '/readyz');
  const { ready, missing } = JSON.parse(text) as { ready: boolean; missing: { check: string }[] };
  assert.equal(status, missing.length === 0 ? 200 : 503);
  assert.equal(ready, missing.length === 0);
  return missing.map(({ check }) => check);
}

/** A pipeline in name, in the state that a test says. */
function pipelineIn(state: PipelineState): PipelineHost {
  return { state, start: async () => {}, wake() {}, stop: async () => {} };
}

describe('the operators’ port', () => {
  it('is not there unless it is configured', async (t) => {
    const { start } = await createScene(t);
    assert.equal((await start()).opsUrl, undefined);
  });

  it('answers three questions and no other, to this machine alone', async (t) => {
    const { start } = await createScene(t);
    const ra = await start(OPS);
    assert.deepEqual(await look(ra, '/healthz'), {
      status: 200,
      type: 'text/plain; charset=utf-8',
      text: 'ok\n',
    });
    assert.deepEqual(await look(ra, '/readyz'), {
      status: 200,
      type: 'application/json',
      text: '{"ready":true,"missing":[]}\n',
    });
    const { status, type } = await look(ra, '/metrics');
    assert.deepEqual([status, type], [200, 'text/plain; version=0.0.4; charset=utf-8']);
    assert.equal((await look(ra, '/healthz?verbose', 'HEAD')).status, 200);
    assert.equal((await look(ra, '/metrics/')).status, 404);
    assert.equal((await look(ra, '/constructor')).status, 404);
    assert.equal((await look(ra, '/healthz', 'POST')).status, 405);
    const port = Number(new URL(ra.opsUrl ?? '').port);
    const others = Object.values(networkInterfaces()).flat();
    for (const { address, internal } of others.filter((one) => one !== undefined)) {
      if (internal || address.startsWith('fe80')) continue;
      const socket = connect(port, address);
      await assert.rejects(once(socket, 'connect'), { code: 'ECONNREFUSED' }, address);
    }
  });

  it('keeps an RA from starting when it is taken, and leaves nothing open', async (t) => {
    const { start } = await createScene(t);
    const ra = await start(OPS);
    const port = Number(new URL(ra.opsUrl ?? '').port);
    await assert.rejects(start({ ops: { port } }), { code: 'EADDRINUSE' });
  });

  it('closes after everything else has ended', async (t) => {
    const { start } = await createScene(t);
    const ra = await start(OPS);
    await ra.close();
    await assert.rejects(look(ra, '/healthz'));
  });
});

describe('/readyz', () => {
  it('names a PLV cache that is empty, until the LAs are there', async (t) => {
    let isDown = true;
    const wrapLa = (la: LinkageAuthority): LinkageAuthority => ({
      async requestPreLinkageValues(request) {
        if (isDown) throw new AuthorityUnavailableError('no route to the LA');
        return la.requestPreLinkageValues(request);
      },
    });
    const { start, clock } = await createScene(t, { wrapLa });
    const ra = await start(OPS);
    assert.deepEqual(await checks(ra), ['linkage-cache']);
    isDown = false;
    clock.advance(3600);
    ra.wake();
    await eventually(async () => ((await checks(ra)).length === 0 ? true : undefined));
  });

  it('names a TLS certificate that is over', async (t) => {
    const validity = (days: number) => ({
      notBefore: new Date(Date.now() - 30 * 86_400_000),
      notAfter: new Date(Date.now() + days * 86_400_000),
    });
    const root = await createX509Root({ commonName: 'root', ...validity(30) });
    const tls = await issueX509ServerCertificate(root, {
      commonName: 'localhost',
      dnsNames: ['localhost'],
      ipAddresses: [],
      ...validity(-1),
    });
    const { start } = await createScene(t);
    assert.deepEqual(await checks(await start({ ...OPS, tls })), ['tls-certificate']);
  });

  it('names a pipeline that does not run', async (t) => {
    const { start, options } = await createScene(t);
    await (await start()).close();
    for (const state of ['starting', 'down', 'stopped'] as const) {
      const ra = await start({ ...OPS, pipeline: pipelineIn(state) });
      assert.deepEqual(await checks(ra), ['pipeline']);
      await ra.close();
    }
    const silent = { start: async () => {}, wake() {}, stop: async () => {} };
    assert.deepEqual(await checks(await start({ ...OPS, pipeline: silent })), []);
    assert.equal(options.pipeline, undefined);
  });

  it('names a certificate of the RA that is over, and that it stops', async (t) => {
    const { start, options, clock } = await createScene(t);
    await (await start()).close();
    let isStopping = false;
    const sources: ReadinessSources = {
      ...options,
      pipeline: pipelineIn('running'),
      tlsCertificatePem: () => options.tls.certificatePem,
      isStopping: () => isStopping,
    };
    const missing = async () => (await new Readiness(sources).missing()).map(({ check }) => check);
    assert.deepEqual(await missing(), []);
    isStopping = true;
    assert.deepEqual(await missing(), ['stopping']);
    clock.set(time32FromUnix(Date.UTC(2060, 0, 1)));
    assert.deepEqual(await missing(), ['ra-certificate', 'stopping']);
  });

  it('names a database that takes no writes, and writes no more than every few seconds', async (t) => {
    const scene = await createScene(t);
    await (await scene.start()).close();
    const sources = (database: Database<RaSchema>): ReadinessSources => ({
      ...scene.options,
      database,
      pipeline: pipelineIn('running'),
      tlsCertificatePem: () => scene.options.tls.certificatePem,
      isStopping: () => false,
    });
    const readiness = new Readiness(sources(scene.database));
    assert.deepEqual(await readiness.missing(), []);
    const probed = async () =>
      (
        await scene.database.query
          .selectFrom('setting')
          .select('value')
          .where('name', '=', 'readiness_probed_at')
          .executeTakeFirstOrThrow()
      ).value;
    const first = await probed();
    assert.equal(first, timeOf(scene.clock));
    scene.clock.advance(60);
    await readiness.missing();
    assert.equal(await probed(), first);
    const directory = await mkdtemp(join(tmpdir(), 'chrysalis-ready-'));
    const url = `sqlite:${join(directory, 'ra.db')}`;
    await (await openDatabase<RaSchema>(url, RA_MIGRATIONS)).close();
    const readOnly = await openDatabase<RaSchema>(url, RA_MIGRATIONS, { readsOnly: true });
    t.after(async () => {
      await readOnly.close();
      await rm(directory, { recursive: true });
    });
    const broken = await new Readiness(sources(readOnly)).missing();
    assert.deepEqual(
      broken.map(({ check }) => check),
      ['database', 'linkage-cache'],
    );
    assert.match(broken[0]?.reason ?? '', /read-?only/);
  });
});

describe('/metrics', () => {
  it('counts what devices did, and names none of them', async (t) => {
    const { start, register, options, ca, clock, scms } = await createScene(t);
    const ra = await start(OPS);
    const registered = await register(ra);
    const { device, hash } = registered;
    const ask = async (name: string, path = '/download/info') => {
      const headers = downloadReq(device, name, timeOf(clock), scms.ra.certificate, options.random);
      return (await send(`https://localhost:${ra.port}${path}`, ca, { headers })).status;
    };
    assert.equal(await ask(`${hash}.info`), 200);
    assert.equal(await ask(`${hash}.info`), 200);
    assert.equal(await ask(`${'0'.repeat(16)}.info`), 500);
    assert.equal(await ask('x', '/download/nothing'), 500);
    await eventually(async () => {
      const file = `${hash}_${options.iPeriod.at(timeOf(clock)).toString(16)}.zip`;
      return (await ask(file, '/download/batch')) === 200 ? true : undefined;
    });
    const { text } = await look(ra, '/metrics');
    const has = (line: string) => assert(text.includes(`\n${line}\n`), `${line}\n${text}`);
    has(
      'chrysalis_requests_total{route="/provision-pseudonym-certificate-batch",outcome="served"} 1',
    );
    has('chrysalis_requests_total{route="/download/info",outcome="served"} 2');
    has('chrysalis_requests_total{route="/download/info",outcome="refused"} 1');
    has('chrysalis_requests_total{route="none",outcome="refused"} 1');
    has('chrysalis_request_duration_seconds_count{route="/download/info"} 3');
    has('chrysalis_refusals_total{code="5069"} 1');
    has('chrysalis_devices{kind="pseudonym",status="active"} 1');
    has('chrysalis_certificates_filed{window="this-hour"} 3');
    has('chrysalis_status_up 1');
    has('chrysalis_requests_under_way{class="download"} 0');
    const end = /^chrysalis_end_seconds\{role="pca",name="[^"]+"\} (\d+)$/m.exec(text)?.[1];
    assert(Number(end) > 86_400);
    for (const secret of [hash, Buffer.from(device.certificate.hash).toString('hex')]) {
      assert(!text.toLowerCase().includes(secret.toLowerCase()));
    }
  });

  it('is what the page in docs/reference says, in the text format', async (t) => {
    const { start } = await createScene(t);
    const { text } = await look(await start(OPS), '/metrics');
    for (const line of text.split('\n')) {
      assert.match(
        line,
        /^(|# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"\n]*",?)+\})? (-?[\d.e+-]+|Nan|NaN|\+Inf))$/,
      );
    }
    const served = [...text.matchAll(/^# TYPE (chrysalis_\w+) (\w+)$/gm)];
    const page = await readFile(
      new URL('../../../docs/reference/metrics.md', import.meta.url),
      'utf8',
    );
    const [ofRa = ''] = page.split('\n## A worker\n');
    const written = [...ofRa.matchAll(/^\| `(chrysalis_\w+)` +\| (\w+) /gm)];
    const sorted = (all: RegExpExecArray[]) =>
      all.map(([, name, type]) => `${name} ${type}`).sort();
    assert.deepEqual(sorted(served), sorted(written));
  });

  it('goes on without the database, and says so', async (t) => {
    const scene = await createScene(t);
    const database = await scene.openDatabase();
    const ra = await scene.start({ ...OPS, database, pipeline: pipelineIn('running') });
    await database.close();
    const { status, text } = await look(ra, '/metrics');
    assert.equal(status, 200);
    assert(text.includes('\nchrysalis_status_up 0\n'));
    assert.equal((await look(ra, '/healthz')).status, 200);
  });
});
