/** The RA on PostgreSQL: the same tables, plans that hold for a fleet, and a server that is ended while devices come. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { systemRandom } from '@chrysalis/crypto';
import { timeOf } from '@chrysalis/scms';
import { type Database, openDatabase } from '@chrysalis/store';
import { unzipSync } from 'fflate';
import { CompiledQuery } from 'kysely';
import { createDevice, pseudonymRequest, securedBy } from '../../../test/support/device.ts';
import { send } from '../../../test/support/https-client.ts';
import {
  type PostgresServer,
  startPostgres,
  withoutPostgres,
} from '../../../test/support/postgres-server.ts';
import { RA_MIGRATIONS } from '../src/migrations.ts';
import type { RaSchema } from '../src/schema.ts';
import { raStatus } from '../src/status.ts';
import { createScene, type Registered, type Scene } from './scene.ts';
import { liveThrough } from './whole-life.ts';

/** Rows of a fleet; the long form has a million. */
const ROWS = Number(process.env.CHRYSALIS_PLAN_ROWS ?? 100_000);
/** Tables that grow with the fleet. */
const LARGE = ['device', 'pca_request', 'response', 'batch', 'linkage'];
/** Scans that are meant: as in query-plans.test.ts. */
const MEANT = [
  /^select count\(\*\) as "count" from "pca_request"/,
  /^delete from pca_request where (period <=|device_id =)/,
  /^delete from (response|batch|linkage|device) where/,
  // What is left of a period that is over: what is under way, which is little, once a week.
  /^select "(epoch|device_id)", "(key|i)" from "(pca_request|batch)" where "period" <= /,
  /^update device set\s+filed_through = least/,
  /^explain|^analyze|^insert into \w+ \(.*\n? *select/,
];
const DEVICES = 8;
const OUTAGES = 2;

describe('an RA on PostgreSQL', { skip: withoutPostgres }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres({
      session_preload_libraries: 'auto_explain',
      'auto_explain.log_format': 'json',
      // A million rows are to come in minutes: their indexes in memory, their log in few checkpoints.
      ...(ROWS > 100_000 && { shared_buffers: '768MB', max_wal_size: '8GB', wal_init_zero: 'off' }),
    });
  });
  after(() => server?.close());

  it('has the tables, columns and indexes that it has on SQLite', async (t) => {
    const url = server.newUrl();
    const postgres = await openDatabase<RaSchema>(url, RA_MIGRATIONS, { migrates: true });
    t.after(() => postgres.close());
    const sqlite = await openDatabase<RaSchema>('sqlite::memory:', RA_MIGRATIONS);
    t.after(() => sqlite.close());
    const columns = await rowsOf(
      sqlite,
      `select m.name || '.' || c.name || case when c."notnull" or c.pk then '' else ' null' end as of
        from sqlite_schema m join pragma_table_info(m.name) c
        where m.type = 'table' and m.name <> 'chrysalis_migration'`,
    );
    const theirs = await rowsOf(
      postgres,
      `select table_name || '.' || column_name || case is_nullable when 'NO' then '' else ' null' end as of
        from information_schema.columns
        where table_schema = current_schema() and table_name <> 'chrysalis_migration'`,
    );
    assert(columns.length > 90);
    assert.deepEqual(theirs, columns);
    const indexes = await rowsOf(
      sqlite,
      "select name as of from sqlite_schema where type = 'index' and sql is not null",
    );
    const theirIndexes = await rowsOf(
      postgres,
      `select indexname as of from pg_indexes where schemaname = current_schema()
        and indexname !~ '_(pkey|key)$'`,
    );
    assert.deepEqual(theirIndexes, indexes);
  });

  it(`finds the rows of ${ROWS} devices by indexes, whatever it does`, async (t) => {
    const url = server.newUrl();
    const schema = new URL(url).searchParams.get('schema') ?? '';
    const stage = await liveThrough(t, {
      databaseUrl: url,
      async prepare() {
        server.psql(`set search_path = ${schema};${fleetOf(ROWS)}`);
        server.psql(
          "alter system set auto_explain.log_min_duration = '0'; select pg_reload_conf()",
        );
        // The sessions take it up between two statements.
        await setTimeout(500);
      },
    });
    // Whoever starts the server after a crash does not read a million rows out of its log.
    server.psql(
      'alter system reset auto_explain.log_min_duration; select pg_reload_conf(); checkpoint',
    );
    // The fleet came without triggers: what is counted is what lived.
    const { devices } = await raStatus(stage.database, stage.options, timeOf(stage.clock));
    assert.deepEqual(
      devices.map(({ kind, status, count }) => `${count} ${kind} ${status}`).sort(),
      [
        '1 identification paused',
        '1 pseudonym active',
        '1 pseudonym paused',
        '1 pseudonym replaced',
      ],
    );
    const plans = plansIn(server.log());
    const scans = plans.filter(
      ({ sql, nodes }) =>
        !MEANT.some((meant) => meant.test(sql)) &&
        nodes.some(
          (node) =>
            node['Node Type'] === 'Seq Scan' && LARGE.includes(String(node['Relation Name'])),
        ),
    );
    assert.deepEqual(
      scans.map(({ sql }) => sql),
      [],
    );
    const statements = new Set(plans.map(({ sql }) => sql));
    assert(statements.size > 40, `${statements.size} statements`);
    for (const [of, index] of [
      [/from "device".*failures = 0.*order by "expanded_through", "id"/s, 'device_to_expand'],
      [/with recursive place/, 'device_to_expand'],
      [/from "device".*failures > 0/s, 'device_to_try_again'],
      [/from "device".*kind = 'identification'/s, 'device_identification'],
      [/from "device".*kind = 'application'/s, 'device_application'],
      [/left join "device" on "device"."enrollment_hash" = /, 'device_by_enrollment'],
      [/from "pca_request".*"attempts" > .*order by "next_attempt_at"/s, 'pca_request_to_repeat'],
      [/from "pca_request".*order by "epoch", "key"/s, 'pca_request_pkey'],
      [/from "batch".*missing = 0/s, 'batch_complete'],
      [/from "response"/, 'response_pkey'],
      [/from "linkage" where/, 'linkage_of_device'],
      [/set status = 'paused'/, 'device_by_contact'],
    ] as const) {
      const found = plans.filter(({ sql }) => of.test(sql));
      assert(found.length > 0, `no statement like ${of}`);
      for (const { nodes } of found) {
        const used = nodes.flatMap((node) => node['Index Name'] ?? []);
        assert(used.includes(index), `${of}: expected ${index}, saw ${used.join(', ')}`);
      }
    }
  });

  it('loses nothing when the server is ended and started under load', async (t) => {
    const scene = await createScene(t, { databaseUrl: server.newUrl(), linkageCache: 2 * DEVICES });
    const ra = await scene.start();
    let refused = 0;
    const devices = Array.from({ length: DEVICES }, () =>
      persistentDevice(scene, ra.port, () => (refused += 1)),
    );
    for (let n = 0; n < OUTAGES; n++) {
      await setTimeout(300);
      await server.stop('immediate');
      await setTimeout(700);
      await server.start();
    }
    const registered = await Promise.all(devices);
    for (const device of registered) {
      const zip = await patiently(() => scene.download(ra, device));
      assert.equal(Object.keys(unzipSync(zip)).length, 3);
    }
    assert(refused > 0, 'some were told to come again');
    const { count } = await scene.database.query
      .selectFrom('device')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    assert.equal(count, DEVICES, 'each is registered once');
    const issued = await scene.issued();
    assert.equal(issued.length, DEVICES * 3);
    assert.equal(new Set(issued).size, issued.length, 'nothing is certified twice');
  });
});

/** Sends one request, the same octets, until it is acknowledged. */
async function persistentDevice(
  { scms, clock, ca }: Scene,
  port: number,
  refused: () => void,
): Promise<Registered> {
  const now = timeOf(clock);
  const device = createDevice(scms, systemRandom, now);
  const request = { ...pseudonymRequest(device, now), requestedStartTime: now };
  const body = securedBy(device, request, scms.ra.certificate, systemRandom);
  const url = `https://localhost:${port}/provision-pseudonym-certificate-batch`;
  // Some come in the outages, some before and after.
  await setTimeout(Math.random() * 1500);
  return patiently(async () => {
    const answer = await send(url, ca, { method: 'POST', body });
    if (answer.status === 200) {
      return { device, hash: Buffer.from(answer.body.subarray(12, 20)).toString('hex') };
    }
    refused();
    return undefined;
  });
}

/** Longer than the longest pause of the pipeline after a few faults. */
async function patiently<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const until = performance.now() + 60_000; performance.now() < until; await setTimeout(50)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error('expected it within a minute');
}

async function rowsOf(database: Database<RaSchema>, sql: string): Promise<readonly string[]> {
  const { rows } = await database.query.executeQuery<{ of: string }>(CompiledQuery.raw(sql));
  return rows.map(({ of }) => of).sort();
}

type Node = Readonly<Record<string, unknown>>;

/** What auto_explain wrote down: each statement with the plan by which it ran. */
function plansIn(
  log: string,
): readonly { readonly sql: string; readonly nodes: readonly Node[] }[] {
  return [...log.matchAll(/ {2}plan:\n((?:\t.*\n)+)/g)].map(([, text = '']) => {
    const { 'Query Text': sql, Plan: root } = JSON.parse(text);
    return { sql, nodes: nodesOf(root) };
  });
}

function nodesOf(node: Node): readonly Node[] {
  const below = (node.Plans ?? []) as readonly Node[];
  return [node, ...below.flatMap(nodesOf)];
}

/**
 * A fleet for which nothing is to be done: pseudonym certificates are there for years, requests are those of blocked devices,
 * some have failed and wait, some have their next identification certificate far ahead.
 */
function fleetOf(rows: number): string {
  const far = 4_200_000_000;
  return `
set session_replication_role = replica;
insert into device (id, kind, request_hash, body_hash, inner_hash, enrollment_hash, enrollment_certificate, public_key,
    permissions, verify_seed, verify_expansion, encryption_seed, encryption_expansion, registered_at, ack, available_at,
    status, first_start, first_i, last_i, linked_through, expanded_through, filed_through, failures, retry_at,
    lifetime_sec, period_sec, blocked, last_seen, enrollment_end)
  select 1000000 + n,
    case when n % 10 = 0 then 'identification' when n % 20 = 1 then 'application' else 'pseudonym' end,
    substr(sha256(('r' || n)::bytea), 25), sha256(('b' || n)::bytea), sha256(('i' || n)::bytea), sha256(('e' || n)::bytea),
    '\\x00', '\\x00', '\\x00', '\\x00', '\\x00', '\\x00', '\\x00', 0, '\\x00', 0,
    'active', ${far}, 0, case when n % 20 = 1 then 0 when n % 10 = 0 then 9 else 6000 end,
    case when n % 20 = 1 then 0 when n % 10 = 0 then -1 else 5000 end,
    case when n % 20 = 1 then 0 when n % 10 = 0 then -1 else 5000 end,
    case when n % 20 = 1 then 0 when n % 10 = 0 then -1 else 5000 end,
    case when n % 20 = 2 then 3 else 0 end, case when n % 20 = 2 then ${far} else 0 end,
    608400, 604800, case when n % 20 = 3 then 1 else 0 end, ${far}, ${far}
  from generate_series(1, ${rows}) n;
insert into linkage select 1000000 + n, 5000, 5007, '\\x00', '\\x00' from generate_series(1, ${rows}) n;
insert into pca_request select 1000000, n, 1000003 + 20 * (n % (${rows} / 20)), 5001, n, 5001, '\\x00', 0, 0, 0
  from generate_series(1, ${rows}) n;
insert into pca_request select 1000000, ${rows} + n, 1000003, 5001, n, 5001, '\\x00', 0, 3, ${far}
  from generate_series(1, ${rows} / 10) n;
insert into batch select 1000000 + n, 5001, 5001, 1 from generate_series(1, ${rows}) n;
insert into response select 1000000 + n, 5001, 0, '\\x00' from generate_series(1, ${rows}) n;
analyze;`;
}
