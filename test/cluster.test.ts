/**
 * Three RA nodes and two workers on one PostgreSQL and one S3 behind HAProxy: nodes, workers and the database are killed at
 * random moments, one or two at a time, while a fleet of virtual devices asks for certificates and fetches them. Afterwards
 * nothing is missing, nothing is there twice, and nothing is left over.
 *
 * CHRYSALIS_CLUSTER_DEVICES (12), CHRYSALIS_CLUSTER_KILLS (5), CHRYSALIS_CLUSTER_PER_WEEK (10 certificates):
 * `npm run test:cluster` sets 1,000, 60 and 10. CHRYSALIS_CLUSTER_SEED repeats a plan of kills.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { systemRandom } from '@chrysalis/crypto';
import { checkFleet, Fleet } from '@chrysalis/fleet';
import { systemClock as clock } from '@chrysalis/scms';
import { withoutHaproxy } from './support/balancers.ts';
import { type ClusterName, makeCluster } from './support/cluster.ts';
import { expectEachOnce } from './support/each-once.ts';
import { comeToRest, expectRegistrations } from './support/fleet-at-rest.ts';
import { command, enrolled, logsOf } from './support/mortal-scms.ts';
import { type PostgresServer, startPostgres, withoutPostgres } from './support/postgres-server.ts';
import { openRaRows } from './support/ra-rows.ts';
import { startS3Thread } from './support/s3-thread.ts';
import { planStrikes, type Step } from './support/strikes.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const DEVICES = numberOf('DEVICES', 12);
const KILLS = numberOf('KILLS', 5);
const PER_WEEK = numberOf('PER_WEEK', 10);
const SEED = numberOf('SEED', 20261129);
const WEEKS = 2;
/** Five processes start on the cores of one machine: most strikes find all at work, some find one that starts. */
const GAP_MS = 4_000;
const AWAY_MS = 3_000;
/** Runs of the fleet: a device that was refused for too long is given up, and comes again in the next. */
const MAX_RUNS = 5;
const SUPPLY = { devices: DEVICES, weeks: WEEKS, perWeek: PER_WEEK };
/** What a node may say while it has no database, beside what devices bring about. */
const AWAY =
  /"code":"(away|busy|rolled-back)"|^chrysalis: (.*, in: connect$|hint: see that the server runs)/;

type Struck = ClusterName | 'database';
type Mortals = Readonly<Record<Struck, { kill(): Promise<void>; start(): void }>>;

describe(`${DEVICES} devices at three nodes and two workers, of which, or the database, ${KILLS} are killed`, {
  skip: withoutPostgres || withoutHaproxy,
}, () => {
  it('get what they were promised, each certificate once', async (t) => {
    t.diagnostic(`seed ${SEED}: CHRYSALIS_CLUSTER_SEED repeats its kills`);
    const begun = performance.now();
    const reached = (what: string) =>
      t.diagnostic(`${what} after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    const root = temporaryDirectory();
    await using resources = new AsyncDisposableStack();
    const server = await startPostgres();
    resources.defer(() => server.close());
    const s3 = await startS3Thread();
    resources.defer(() => s3.close());
    Object.assign(process.env, s3.env);
    const databaseUrl = server.newUrl();
    const objectsUrl = `s3://${s3.bucket}/ra?endpoint=${s3.endpoint}`;
    const cluster = await makeCluster({ ...SUPPLY, root, databaseUrl, objectsUrl });
    const { processes, authorities, balancer } = cluster;
    resources.defer(() => balancer.close());
    const names = Object.keys(processes) as ClusterName[];
    const all = [...authorities, ...Object.values(processes)];
    resources.defer(async () => {
      for (const process of all) await process.remove();
    });
    for (const process of all) process.start();
    await Promise.all(all.map((process) => process.ready()));
    reached('all serve');

    await using fleet = await Fleet.open(join(root, 'fleet'), {
      create: systemRandom,
      keepsZips: true,
    });
    const plan = planStrikes<Struck>({
      ...{ seed: SEED, names: [...names, 'database'], kills: KILLS },
      ...{ gapMs: GAP_MS, awayMs: AWAY_MS },
    });
    const run = await enrolled(fleet, join(root, 'ra'), SUPPLY);
    const mortals: Mortals = { ...processes, database: mortal(server) };
    const killed = new Map<Struck, number>();
    // Devices come as long as there are kills.
    const lastMs = plan.at(-1)?.atMs ?? 0;
    const strikes = strike(plan, mortals, (name) => killed.set(name, 1 + (killed.get(name) ?? 0)));
    const [first] = await Promise.all([run(DEVICES / (lastMs / 1000)), strikes]);
    assert.equal(
      [...killed.values()].reduce((sum, kills) => sum + kills, 0),
      KILLS,
    );
    t.diagnostic(`killed: ${[...killed].map(([name, kills]) => `${name} ${kills}`).join(', ')}`);
    const reports = [first];
    await Promise.all(all.map((process) => process.ready()));
    while (reports.at(-1)!.devices.complete < DEVICES && reports.length < MAX_RUNS) {
      reports.push(await run(DEVICES));
    }
    for (const { devices, loadSec, errors, failures } of reports) {
      t.diagnostic(JSON.stringify({ devices, loadSec, errors, failures }));
    }
    assert.equal(reports.at(-1)!.devices.complete, DEVICES, logsOf(all));

    reached('all devices have their certificates');
    await comeToRest(databaseUrl);
    reached('at rest');
    const check = await checkFleet({
      ...{ fleet, clock, devices: DEVICES, weeks: WEEKS, perPeriod: PER_WEEK },
      workers: DEVICES > 100 ? 2 : 0,
    });
    assert.deepEqual(check.findings, []);
    assert.equal(check.certificates, DEVICES * WEEKS * PER_WEEK);

    for (const process of all) {
      assert.equal(await process.stop(), 0, `${process.name} ends when it is told to`);
      const faults = process.faults.filter((line) => !AWAY.test(line));
      assert.deepEqual(faults, [], `${process.name} has no fault of its own`);
      reached(`${process.name} has ended`);
    }
    const ends = Object.values(processes).map(({ name, ends }) => `${name} ${ends}`);
    t.diagnostic(`ended by themselves while the database was away: ${ends.join(', ')}`);
    const rows = await openRaRows(databaseUrl);
    const members = await rows.all('select role, name from member where until > 0');
    await rows.close();
    t.diagnostic(`${members.length} leases are left of those that were killed`);
    const registrations = await expectRegistrations(fleet, databaseUrl, DEVICES);
    await expectEachOnce(t, fleet, registrations, { root, database: databaseUrl, ...SUPPLY });
    // Every file that lies there belongs to a device.
    const zips = (await s3.keys()).filter((key) => key.endsWith('.zip'));
    const filed = registrations.reduce((sum, { firstI, lastI }) => sum + lastI - firstI + 1, 0);
    assert.equal(zips.length, filed);
    for (const directory of cluster.directories) {
      await command(['--dir', directory, 'audit', 'verify']);
    }
  });
});

/** A crash, and the start after it. */
function mortal(server: PostgresServer): Mortals['database'] {
  let starting: Promise<void> = Promise.resolve();
  return {
    async kill() {
      await starting;
      await server.stop('immediate');
    },
    start() {
      starting = server.start();
    },
  };
}

async function strike(
  plan: readonly Step<Struck>[],
  mortals: Mortals,
  onKilled: (name: Struck) => void,
): Promise<void> {
  const begin = performance.now();
  for (const { atMs, kill, start } of plan) {
    const waitMs = begin + atMs - performance.now();
    if (waitMs > 0) await setTimeout(waitMs);
    await Promise.all(kill.map((name) => mortals[name].kill()));
    for (const name of kill) onKilled(name);
    for (const name of start) mortals[name].start();
  }
}

function numberOf(name: string, otherwise: number): number {
  const value = Number(process.env[`CHRYSALIS_CLUSTER_${name}`] ?? otherwise);
  assert(Number.isSafeInteger(value) && value > 0, `CHRYSALIS_CLUSTER_${name}: a number above 0`);
  return value;
}
