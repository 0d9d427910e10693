/**
 * One to three RA nodes, and one to three workers, each a process of its own as operators run it, on one PostgreSQL: what they do together by
 * the clock, what of the CPU is theirs for a request or a certificate, and what is the database's. The PCA and the LAs are processes too.
 */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { readTestScms, type TestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { formatHex, IPeriodClock } from '@chrysalis/scms';
import { type Database, openDatabase } from '@chrysalis/store';
import { sql } from 'kysely';
import { DeviceRegistry } from '../packages/ra/src/device-registry.ts';
import { createDevice } from '../test/support/device.ts';
import { freePort } from '../test/support/free-port.ts';
import { Mortal } from '../test/support/mortal.ts';
import { command, editConfig, makeScms } from '../test/support/mortal-scms.ts';
import { type PostgresServer, startPostgres } from '../test/support/postgres-server.ts';
import { targetOf } from './device-connection.ts';
import { drive, signedRequests } from './download-load.ts';
import { type Measurement, measurementOf, percentile, print, printHead } from './measurement.ts';
import { median } from './native.ts';
import { cpuUsOf } from './process-cost.ts';
import { deviceRows, freshDeviceRow } from './registered-device.ts';
import type { KnownDevice } from './served-ra.ts';

/** Of each role. */
const MOST = 3;
/** The median counts. One more before warms up. */
const ROUNDS = 3;
const KNOWN = 300;
const REQUESTS = 800;
const TOGETHER = 8;
const INFO_OCTETS = 4;
const DEFAULT_DEVICES = 24;
const WEEKS = 8;
const PER_WEEK = 20;
const LOOK_MS = 50;
/** A newcomer begins two seconds after it has come, the others notice within one. */
const SETTLE_MS = 4000;

interface Cost {
  readonly wallUs: number;
  readonly processesUs: number;
  readonly databaseUs: number;
  readonly latenciesMs: readonly number[];
}

/** Measures and prints. @throws Error where there is no PostgreSQL */
export async function run(options: { readonly json: boolean; readonly devices?: number }) {
  await using resources = new AsyncDisposableStack();
  const root = await mkdtemp(join(tmpdir(), 'chrysalis-nodes-'));
  resources.defer(() => rm(root, { recursive: true }));
  const server = await startPostgres({ shared_buffers: '256MB', autovacuum: 'on' });
  resources.defer(() => server.close());
  const bench = await NodesBench.open(root, server, resources);
  printHead(options.json);
  for (let nodes = 1; nodes <= MOST; nodes += 1) {
    print(await bench.info(nodes), options.json);
  }
  const devices = Math.max(1, Math.round((options.devices ?? DEFAULT_DEVICES) / ROUNDS));
  for (let workers = 1; workers <= MOST; workers += 1) {
    print(await bench.pipeline(workers, devices), options.json);
  }
}

class NodesBench {
  readonly #root: string;
  readonly #server: PostgresServer;
  readonly #scms: TestScms;
  readonly #database: Database<RaSchema>;
  readonly #registry: DeviceRegistry;

  private constructor(
    root: string,
    server: PostgresServer,
    scms: TestScms,
    database: Database<RaSchema>,
  ) {
    this.#root = root;
    this.#server = server;
    this.#scms = scms;
    this.#database = database;
    this.#registry = new DeviceRegistry(database);
  }

  static async open(
    root: string,
    server: PostgresServer,
    resources: AsyncDisposableStack,
  ): Promise<NodesBench> {
    const supply = { devices: 0, weeks: WEEKS, perWeek: PER_WEEK };
    const scms: TestScms[] = [];
    const authorities = await makeScms(root, supply, async (directory) => {
      scms.push(await readTestScms(directory));
    });
    const state = join(root, 'ra');
    const url = server.newUrl();
    await editConfig(state, /^url = "sqlite:.*$/m, `url = "${url}"`);
    await editConfig(state, /^url = "file:.*$/m, `url = "file:${join(root, 'objects')}"`);
    // What a busy machine does to requests that were signed ahead is not measured.
    await editConfig(state, /(client-signature-ttl-sec =) 5/, '$1 60');
    await editConfig(state, /^(shed-\w+-ms) = \d+$/gm, '$1 = 0');
    await command(['--dir', state, 'migrate']);
    for (const authority of Object.values(authorities)) {
      authority.start();
      resources.defer(() => authority.remove());
    }
    await Promise.all(Object.values(authorities).map((authority) => authority.ready()));
    const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS);
    resources.defer(() => database.close());
    return new NodesBench(root, server, scms[0] as TestScms, database);
  }

  /** `.info` on connections that are kept: a look-up each, and the least that a node does beside it. */
  async info(count: number): Promise<Measurement> {
    const known = await this.#registerKnown();
    await using nodes = await this.#start(count, ['serve', '--no-pipeline']);
    const ca = await this.#ca();
    const ra = this.#scms.ra.certificate;
    const costs: Cost[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const loads = nodes.all.map(({ pid, port }, n) => {
        const devices = Array.from({ length: TOGETHER }, (_, k) => known[n * TOGETHER + k]!);
        const asking = devices.flatMap((one) => Array<KnownDevice>(REQUESTS / TOGETHER).fill(one));
        const requests = signedRequests(
          asking,
          ra,
          '/download/info',
          (one) => `${one.requestHash}.info`,
        );
        const load = { use: 'keep-alive', requests, together: TOGETHER } as const;
        return [
          { pid, target: targetOf(port, ca) },
          { ...load, status: 200, bodyOctets: INFO_OCTETS },
        ] as const;
      });
      const cost = await this.#measured(nodes.all, async () => {
        const driven = await Promise.all(loads.map(([node, load]) => drive(node, load)));
        return driven.flatMap(({ latenciesMs }) => latenciesMs);
      });
      if (round > 0) costs.push(cost);
    }
    return measurement(
      `.info, ${count} ${count === 1 ? 'node' : 'nodes'}`,
      costs,
      count * REQUESTS,
    );
  }

  /** From a registered device to its zips, the shuffle left out. */
  async pipeline(count: number, devices: number): Promise<Measurement> {
    await using workers = await this.#start(count, ['worker']);
    await setTimeout(SETTLE_MS);
    const costs: Cost[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const cost = await this.#measured(workers.all, async () => {
        await this.#registerFresh(devices);
        await this.#filed();
        return [];
      });
      if (round > 0) costs.push(cost);
    }
    const certificates = devices * WEEKS * PER_WEEK;
    const name = `certificate, ${count} ${count === 1 ? 'worker' : 'workers'}`;
    return measurement(name, costs, certificates);
  }

  async #measured(
    processes: readonly { readonly pid: number }[],
    work: () => Promise<readonly number[]>,
  ): Promise<Cost> {
    const used = () => processes.reduce((sum, { pid }) => sum + cpuUsOf(pid), 0);
    const [before, databaseBefore, start] = [used(), this.#databaseUs(), performance.now()];
    const latenciesMs = await work();
    return {
      latenciesMs,
      wallUs: (performance.now() - start) * 1000,
      processesUs: used() - before,
      databaseUs: this.#databaseUs() - databaseBefore,
    };
  }

  #databaseUs(): number {
    return cpuUsOf(this.#server.pid);
  }

  async #start(count: number, role: readonly string[]) {
    const started: { readonly pid: number; readonly port: number }[] = [];
    const resources = new AsyncDisposableStack();
    for (let n = 0; n < count; n += 1) {
      const name = `${role[0]}-${count}-${n}`;
      const directory = join(this.#root, name);
      await cp(join(this.#root, 'ra'), directory, { recursive: true });
      const port = await freePort();
      await editConfig(directory, /(^\[ra\][\s\S]*?^port = )\d+$/m, `$1${port}`);
      const argv = ['--dir', directory, '--json', ...role, '--log-level', 'warn'];
      const process = new Mortal(name, argv);
      process.start();
      resources.defer(() => process.remove());
      await process.ready();
      started.push({ pid: process.pid, port });
    }
    return { all: started, [Symbol.asyncDispose]: () => resources.disposeAsync() };
  }

  #ca(): Promise<string> {
    return readFile(join(this.#root, 'ra/authorities/x509-root/certificate.pem'), 'utf8');
  }

  async #registerKnown(): Promise<readonly KnownDevice[]> {
    const now = time32FromUnix(Date.now());
    const rowOf = deviceRows(this.#scms, now);
    const devices = Array.from({ length: KNOWN }, () =>
      createDevice(this.#scms, systemRandom, now),
    );
    return Promise.all(
      devices.map(async (device) => {
        const row = rowOf(device);
        await this.#registry.register(row, now);
        return { ...device, requestHash: formatHex(row.request_hash), registeredAt: now };
      }),
    );
  }

  async #registerFresh(count: number): Promise<void> {
    const now = time32FromUnix(Date.now());
    const first = new IPeriodClock().at(now);
    const rows = Array.from({ length: count }, () =>
      freshDeviceRow(createDevice(this.#scms, systemRandom, now), { now, first, weeks: WEEKS }),
    );
    await Promise.all(rows.map((row) => this.#registry.register(row, now)));
  }

  /** Those that were known from the start have weeks that nobody makes, and lag for ever. */
  async #filed(): Promise<void> {
    const lagging = this.#database.query
      .selectFrom('device')
      .select('id')
      .whereRef('filed_through', '<', 'last_i')
      .where('last_i', '<', sql<number>`first_i + ${WEEKS}`)
      .limit(1);
    while ((await lagging.executeTakeFirst()) !== undefined) await setTimeout(LOOK_MS);
  }
}

function measurement(variant: string, costs: readonly Cost[], count: number): Measurement {
  const of = (pick: (cost: Cost) => number) => median(costs.map(pick)) / count;
  const [ours, database] = [of((cost) => cost.processesUs), of((cost) => cost.databaseUs)];
  const latencies = costs.flatMap(({ latenciesMs }) => latenciesMs);
  const share = Math.round((100 * database) / (ours + database));
  return measurementOf({
    name: 'nodes',
    variant,
    opsPerSec: 1e6 / of((cost) => cost.wallUs),
    cpuUsPerOp: ours,
    ...(latencies.length > 0 && {
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
    }),
    note: `and ${database.toFixed(0)} us of the database, ${share} % of both`,
  });
}
