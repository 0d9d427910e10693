/** Several RA nodes on one PostgreSQL and one object store, which know of each other by the database alone. */
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { chainPartsOf, createPolicyGenerator } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { asCertificate } from '@chrysalis/ieee1609dot2';
import { Blacklist } from '@chrysalis/ra';
import type { RegistrationAuthority } from '@chrysalis/ra/server';
import {
  constantSeries,
  DEFAULT_GLOBAL_POLICY,
  type PolicyGenerator,
  timeOf,
} from '@chrysalis/scms';
import {
  createDevice,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import {
  type PostgresServer,
  startPostgres,
  withoutPostgres,
} from '../../../test/support/postgres-server.ts';
import { DeviceRegistry } from '../src/device-registry.ts';
import { VersionedFileStore } from '../src/versioned-file-store.ts';
import { createScene, eventually, type Registered, type Scene } from './scene.ts';

const NODES = 3;
const WEEKS = 3;
const REQUESTS = 8;

describe('nodes on one database', { skip: withoutPostgres }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server?.close());

  async function setUp(t: TestContext, nodes = NODES) {
    const policy = { weeksAhead: WEEKS, linkageCache: 20 };
    const scene = await createScene(t, { databaseUrl: server.newUrl(), isShared: true, policy });
    const { scms, trust, clock, options } = scene;
    let perPeriod = 3;
    let gpfVersion = 1;
    const made = () =>
      createPolicyGenerator({
        ...{ pg: scms.pg, trust, clock, gpfVersion, gccfVersion: 1, chain: chainPartsOf(scms) },
        policy: { ...DEFAULT_GLOBAL_POLICY, minCertsPerIPeriod: constantSeries(perPeriod) },
      });
    let current = made();
    const port: PolicyGenerator = {
      globalPolicyFile: () => current.globalPolicyFile(),
      globalCertificateChainFile: () => current.globalCertificateChainFile(),
      signPolicy: (request) => current.signPolicy(request),
    };
    const pg = { port, roots: [asCertificate(scms.root.certificate)] };
    const start = async () => {
      const database = await scene.openDatabase();
      const { certificatesPerPeriod: _, ...own } = options.policy;
      return scene.start({ database, pg, policy: own as typeof options.policy });
    };
    const all: RegistrationAuthority[] = [];
    for (let n = 0; n < nodes; n++) all.push(await start());
    return {
      ...{ scene, all, start },
      setPerPeriod(count: number) {
        perPeriod = count;
        gpfVersion += 1;
        current = made();
      },
    };
  }

  it('register a request once that comes to all at the same time, and answer with the same', async (t) => {
    const { scene, all } = await setUp(t);
    const devices = Array.from({ length: REQUESTS }, () => newDevice(scene));
    const bodies = devices.map((device) => bodyOf(scene, device));
    const answers = await Promise.all(
      bodies.map((body) => Promise.all(all.map((node) => provision(scene, node, body)))),
    );
    for (const ofBody of answers) {
      assert.deepEqual(
        ofBody.map(({ status }) => status),
        all.map(() => 200),
      );
      for (const { body } of ofBody) assert.deepEqual(body, ofBody[0]!.body);
    }
    const rows = await scene.database.query.selectFrom('device').select('status').execute();
    assert.equal(rows.length, REQUESTS);
    const tallies = await scene.database.query.selectFrom('tally').selectAll().execute();
    const registered = tallies.filter(({ name }) => name === 'registrations');
    assert.equal(
      registered.reduce((sum, { count }) => sum + count, 0),
      REQUESTS,
    );
  });

  it('take one of several requests with other keys under one certificate that come at the same time', async (t) => {
    const { scene, all } = await setUp(t);
    const { certificate, key } = newDevice(scene);
    const bodies = all.map(() => bodyOf(scene, { ...newDevice(scene), certificate, key }));
    await Promise.all(all.map((node, n) => provision(scene, node, bodies[n]!)));
    const rows = await scene.database.query.selectFrom('device').select('status').execute();
    assert.equal(rows.filter(({ status }) => status !== 'replaced').length, 1);
  });

  it('serve what another has made, and refuse whom another has blacklisted, from that moment', async (t) => {
    const { scene, all } = await setUp(t);
    const [a, b, c] = all as [RegistrationAuthority, RegistrationAuthority, RegistrationAuthority];
    const device = await scene.register(a);
    await eventually(() => scene.download(b, device));
    const enrollmentHash = (await rowsOf(scene))[0]!.enrollment_hash;
    await a.blacklist.add(enrollmentHash, 'a test', timeOf(scene.clock));
    for (const node of all) assert.equal(await scene.download(node, device), undefined);
    assert(await new Blacklist(scene.database).has(enrollmentHash));
    await c.blacklist.remove(enrollmentHash);
    assert(await scene.download(b, device));
  });

  it('know what another has handed out when a device asks anew, without being told', async (t) => {
    const { scene, all } = await setUp(t, 2);
    const [a, b] = all as [RegistrationAuthority, RegistrationAuthority];
    const first = await scene.register(a);
    const i = scene.options.iPeriod.at(timeOf(scene.clock));
    await eventually(() => scene.download(b, first, i + 1));
    scene.clock.advance(1);
    const second = await scene.register(a, anew(scene, first));
    for (const node of all) assert.equal(await scene.download(node, first, i), undefined);
    await eventually(() => scene.download(b, second, i + 2));
    assert.equal(await scene.download(b, second, i + 1), undefined, 'fetched under the first');
  });

  it('replace nothing under which another hands out a file meanwhile', async (t) => {
    const { scene, all } = await setUp(t, 1);
    const first = await scene.register(all[0]!);
    const i = scene.options.iPeriod.at(timeOf(scene.clock));
    await eventually(() => scene.download(all[0]!, first, i + 1));
    const registry = new DeviceRegistry(scene.database);
    const former = (await rowsOf(scene))[0]!;
    assert.equal(former.fetched_through, i + 1, 'noted before it was handed out');
    // Between the look of the one and its transaction, another node hands out the next.
    await eventually(() => scene.download(all[0]!, first, i + 2));
    const { id: _, ...columns } = {
      ...former,
      request_hash: systemRandom(8),
      inner_hash: systemRandom(32),
    };
    assert.equal(await registry.register(columns, timeOf(scene.clock), former), false);
    assert.equal((await rowsOf(scene)).length, 1);
  });

  it('have the same files under the same names, the first of them makes them, and a new policy is at each within a second', async (t) => {
    const { scene, all, start, setPerPeriod } = await setUp(t);
    const [a, b, c] = all as [RegistrationAuthority, RegistrationAuthority, RegistrationAuthority];
    const namesOf = (nodes: readonly RegistrationAuthority[]) =>
      Promise.all(nodes.map((node) => filesAt(scene, node)));
    const [names] = await namesOf(all);
    assert(names);
    await eventually(async () => same(await namesOf(all)) || undefined);
    setPerPeriod(4);
    scene.clock.advance(1);
    await b.renewed();
    assert.deepEqual(await filesAt(scene, b), names, 'b does not make any');
    await a.renewed();
    const next = await filesAt(scene, a);
    assert.notDeepEqual(next, names);
    const begun = performance.now();
    await eventually(async () => {
      const seen = await namesOf(all);
      return seen.every((files) => String(files) === String(next)) ? true : undefined;
    });
    t.diagnostic(`at all nodes after ${Math.round(performance.now() - begun)} ms`);
    // The first is gone: the next in rank makes them.
    await a.close();
    setPerPeriod(5);
    scene.clock.advance(1);
    const others = [b, c, await start()];
    const afterwards = await eventually(async () => {
      for (const node of others) await node.renewed();
      const seen = await namesOf(others);
      return String(seen[0]) !== String(next) && same(seen) ? seen[0] : undefined;
    });
    assert.deepEqual(afterwards, namesAfter(next));
  });

  it('keep no file of a maker whose lease was over in the place of a later one', async (t) => {
    const { scene } = await setUp(t, 0);
    const [late, next] = [1, 2].map(
      () => new VersionedFileStore(scene.database, scene.options.objects),
    );
    assert(late && next);
    const type = 'localPolicy';
    const now = timeOf(scene.clock);
    const [one, two] = [await late.nextVersion(type, now), await next.nextVersion(type, now)];
    const before = await late.kept();
    const kept = await next.keep({ type, gpfVersion: 1, lpfVersion: two }, Buffer.from('two'));
    await late.keep({ type, gpfVersion: 1, lpfVersion: one }, Buffer.from('one'));
    assert.equal((await late.newest(type))?.name, kept.name);
    assert.equal(await next.kept(), before + 2);
  });
});

function newDevice({ scms, clock }: Scene): TestDevice {
  return createDevice(scms, systemRandom, timeOf(clock));
}

/** The device again, with other butterfly keys. */
function anew(scene: Scene, { device }: Registered): TestDevice {
  const { certificate, key } = device;
  return { ...newDevice(scene), certificate, key };
}

function bodyOf({ scms, clock }: Scene, device: TestDevice): Uint8Array {
  const request = pseudonymRequest(device, timeOf(clock));
  return securedBy(device, request, scms.ra.certificate, systemRandom);
}

function provision({ ca }: Scene, { port }: RegistrationAuthority, body: Uint8Array) {
  const url = `https://localhost:${port}/provision-pseudonym-certificate-batch`;
  return send(url, ca, { method: 'POST', body });
}

function rowsOf({ database }: Scene) {
  return database.query.selectFrom('device').selectAll().orderBy('id').execute();
}

/** Tags of policy and chain file. */
async function filesAt({ ca }: Scene, { port }: RegistrationAuthority): Promise<unknown[]> {
  const paths = ['policy/local', 'local-certificate-chain'];
  const answers = paths.map((path) => send(`https://localhost:${port}/download/${path}`, ca));
  return (await Promise.all(answers)).map(({ headers }) => headers.etag);
}

function same(seen: readonly unknown[][]): boolean {
  return seen.every((files) => String(files) === String(seen[0]));
}

/** The next version of the policy, made of the next of the PG's; the chain file as it was. */
function namesAfter([policy, chain]: readonly unknown[]): unknown[] {
  const next = String(policy).replace(
    /_(....)_(....)\.oer/,
    (_, gpf: string, lpf: string) => `_${following(gpf)}_${following(lpf)}.oer`,
  );
  return [next, chain];
}

function following(hex: string): string {
  return (Number.parseInt(hex, 16) + 1).toString(16).toUpperCase().padStart(4, '0');
}
