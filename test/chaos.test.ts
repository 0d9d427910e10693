/**
 * RA, PCA and both LAs as processes of their own, killed at random moments, one or two at a time, while a fleet of virtual
 * devices asks for certificates and fetches them. Afterwards nothing is missing, nothing is there twice, and nothing is
 * left over.
 *
 * CHRYSALIS_CHAOS_DEVICES (20), CHRYSALIS_CHAOS_KILLS (6), CHRYSALIS_CHAOS_PER_WEEK (20 certificates): `npm run test:faults`
 * sets 1,000, 100 and 10. CHRYSALIS_CHAOS_SEED repeats a plan of kills.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { loadConfig, main } from '@chrysalis/cli';
import { cocoonPoints, Expansion, systemRandom } from '@chrysalis/crypto';
import { caterpillarKeysOf, checkFleet, Fleet, simulate } from '@chrysalis/fleet';
import { systemClock as clock } from '@chrysalis/scms';
import { openEnrollment } from '../packages/cli/src/enroll.ts';
import { freePort } from './support/free-port.ts';
import { Mortal } from './support/mortal.ts';
import { planStrikes, type Step } from './support/strikes.ts';
import { temporaryFiles } from './support/temporary-files.ts';

const DEVICES = numberOf('DEVICES', 20);
const KILLS = numberOf('KILLS', 6);
const PER_WEEK = numberOf('PER_WEEK', 20);
const SEED = numberOf('SEED', 20261122);
const WEEKS = 2;
/** A process needs a second or two to start: most strikes find all four at work, some find one that starts. */
const GAP_MS = 2_500;
const AWAY_MS = 2_000;
/** Devices ask again within it: many contacts, many of which break. */
const POLL_SEC = 2;
/** Runs of the fleet: a device that was refused for too long is given up, and comes again in the next. */
const MAX_RUNS = 5;
/** An authority that is back is noticed within a minute. */
const REST_MS = 180_000;
/** In the directory of a run. */
const RA_DATABASE = 'ra/ra/chrysalis.db';
const NAMES = ['ra', 'pca', 'la1', 'la2'] as const;
type Name = (typeof NAMES)[number];

describe(`${DEVICES} devices, and RA, PCA and LAs that are killed ${KILLS} times`, () => {
  it('get what they were promised, each certificate once', async (t) => {
    t.diagnostic(`seed ${SEED}: CHRYSALIS_CHAOS_SEED repeats its kills`);
    const root = await mkdtemp(join(tmpdir(), 'chrysalis-chaos-'));
    const processes = await makeAuthorities(root);
    t.after(async () => {
      for (const name of NAMES) await processes[name].remove();
      await rm(root, { recursive: true });
    });
    const all = NAMES.map((name) => processes[name]);
    for (const process of all) process.start();
    await Promise.all(all.map((process) => process.ready()));

    await using fleet = await Fleet.open(join(root, 'fleet'), { create: systemRandom });
    const plan = planStrikes({
      seed: SEED,
      names: NAMES,
      kills: KILLS,
      gapMs: GAP_MS,
      awayMs: AWAY_MS,
    });
    const run = await enrolled(fleet, join(root, 'ra'));
    let killed = 0;
    let killedBeforeEnd: number | undefined;
    // Devices come as long as there are kills.
    const lastMs = plan.at(-1)?.atMs ?? 0;
    const load = run(DEVICES / (lastMs / 1000)).then((report) => {
      killedBeforeEnd = killed;
      return report;
    });
    const strikes = strike(plan, processes, (kills) => {
      killed += kills;
    });
    const [first] = await Promise.all([load, strikes]);
    assert.equal(killed, KILLS);
    t.diagnostic(`${killed} kills, ${killedBeforeEnd} before every device was done`);
    const reports = [first];
    await Promise.all(all.map((process) => process.ready()));
    while (reports.at(-1)!.devices.complete < DEVICES && reports.length < MAX_RUNS) {
      reports.push(await run(DEVICES));
    }
    for (const { devices, loadSec, errors, failures } of reports) {
      t.diagnostic(JSON.stringify({ devices, loadSec, errors, failures }));
    }
    assert.equal(reports.at(-1)!.devices.complete, DEVICES, logsOf(all));

    await comeToRest(join(root, RA_DATABASE));
    const check = await checkFleet({
      fleet,
      clock,
      devices: DEVICES,
      weeks: WEEKS,
      perPeriod: PER_WEEK,
      workers: DEVICES > 100 ? 2 : 0,
    });
    assert.deepEqual(check.findings, []);
    assert.equal(check.certificates, DEVICES * WEEKS * PER_WEEK);

    for (const process of all) {
      assert.equal(await process.stop(), 0, `${process.name} ends when it is told to`);
      assert.deepEqual(process.faults, [], `${process.name} has no fault of its own`);
    }
    const inStart = all.map(({ name, killedInStart }) => `${name} ${killedInStart}`).join(', ');
    t.diagnostic(`killed while they started: ${inStart}`);
    const registrations = await expectRegistrations(fleet, join(root, RA_DATABASE));
    expectEachOnce(t, fleet, registrations, root);
    assert.deepEqual(await temporaryFiles(root), []);
  });
});

/** A test SCMS whose PCA and LAs left it, all on ports that they have again after a restart. */
async function makeAuthorities(root: string): Promise<Record<Name, Mortal>> {
  const state = join(root, 'ra');
  const port = String(await freePort());
  await command(['--dir', state, 'init', '--port', port, '--weeks-ahead', String(WEEKS)]);
  await command(['--dir', state, 'policy', 'set', 'min-certs-per-i-period', String(PER_WEEK)]);
  // Nobody asks the CRL store or the operators' port, whichever they have.
  await editConfig(state, /^port = 889[45]$/gm, 'port = 0');
  const processes: Partial<Record<Name, Mortal>> = {
    ra: new Mortal('ra', ['--dir', state, '--json', 'serve', '--log-level', 'warn']),
  };
  for (const name of ['pca', 'la1', 'la2'] as const) {
    const to = join(root, name);
    const place = ['--to', to, '--port', String(await freePort())];
    await command(['--dir', state, 'authority', 'export', name, ...place]);
    const argv = ['--dir', to, '--json', 'authority', 'serve', name, '--log-level', 'warn'];
    processes[name] = new Mortal(name, argv);
  }
  return processes as Record<Name, Mortal>;
}

/** Enrolls the devices, and returns what lets them come, so many in a second. */
async function enrolled(fleet: Fleet, state: string) {
  const config = await loadConfig(state);
  const raUrl = `https://localhost:${config.ra.port}`;
  const terms = { raUrl, toleranceSec: 60 };
  const issue = await openEnrollment(state, config, { clock, random: systemRandom }, terms);
  const enroll = async (request: Uint8Array) => issue(request).files;
  await Promise.all(Array.from({ length: DEVICES }, (_, n) => fleet.enroll(n, enroll, clock)));
  return (ratePerSec: number) =>
    simulate({
      fleet,
      devices: DEVICES,
      weeks: WEEKS,
      ratePerSec,
      // More than are ever there: a device that waits before it tries again keeps its place.
      concurrency: DEVICES,
      pollSec: POLL_SEC,
      enroll,
      clock,
    });
}

async function strike(
  plan: readonly Step<Name>[],
  processes: Record<Name, Mortal>,
  onKilled: (kills: number) => void,
): Promise<void> {
  const begin = performance.now();
  for (const { atMs, kill, start } of plan) {
    const waitMs = begin + atMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    await Promise.all(kill.map((name) => processes[name].kill()));
    onKilled(kill.length);
    for (const name of start) processes[name].start();
  }
}

/** Waits until the RA has nothing more to do: no request, no response, no batch in the making. */
async function comeToRest(path: string): Promise<void> {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const deadline = Date.now() + REST_MS;
    for (;;) {
      const rest = restOf(database);
      if (Object.values(rest).every((count) => count === 0)) return;
      if (Date.now() > deadline) assert.fail(`expected nothing more to do, saw ${show(rest)}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  } finally {
    database.close();
  }
}

function restOf(database: DatabaseSync): Record<string, number> {
  const count = (from: string) =>
    Number(database.prepare(`select count(*) as n from ${from}`).get()!.n);
  return {
    requests: count('pca_request'),
    responses: count('response'),
    batches: count('batch'),
    filedBeyondGaps: count('filed'),
    unfinished: count(`device where filed_through < expanded_through`),
  };
}

interface Registration {
  readonly device: number;
  readonly firstI: number;
  /** The last period that the RA has filed: a week may begin while the test runs. */
  readonly lastI: number;
}

/** Each device has one registration, the one that was acknowledged, and nothing waits to be done. */
async function expectRegistrations(fleet: Fleet, path: string): Promise<Registration[]> {
  const database = new DatabaseSync(path, { readOnly: true });
  const idle = restOf(database);
  const rows = database
    .prepare('select request_hash, status, failures, first_i, filed_through from device')
    .all();
  database.close();
  assert.deepEqual(new Set(Object.values(idle)), new Set([0]), show(idle));
  assert.equal(rows.length, DEVICES);
  const byHash = new Map(rows.map((row) => [hex(row.request_hash), row]));
  const registrations: Registration[] = [];
  for (let device = 0; device < DEVICES; device++) {
    const state = await (await fleet.profile(device)).provisioning('pseudonym');
    assert(state?.acknowledged, `device ${device} was acknowledged`);
    const row = byHash.get(hex(state.acknowledged.requestHash));
    assert(row, `device ${device} is registered as it was acknowledged`);
    assert.deepEqual([row.status, row.failures], ['active', 0]);
    registrations.push({
      device,
      firstI: Number(row.first_i),
      lastI: Number(row.filed_through),
    });
  }
  return registrations;
}

/**
 * The PCA's own log is exactly one certificate for each key that the devices' seeds give for the periods that were filed,
 * and each was asked for by a request that the RA knows as that device's: whatever was cut off was repeated, not made anew.
 */
function expectEachOnce(
  t: TestContext,
  fleet: Fleet,
  registrations: readonly Registration[],
  root: string,
): void {
  const log = new DatabaseSync(join(root, 'pca/authorities/pca/pca.db'), { readOnly: true });
  const issued = log
    .prepare('select cocoon_key, request_hash, certificate_id from pca_answer')
    .all();
  log.close();
  t.diagnostic(`${issued.length} certificates in the log of the PCA`);
  const keys = issued.map(({ cocoon_key }) => hex(cocoon_key));
  assert.equal(new Set(keys).size, issued.length, 'no cocoon key under two certificates');
  assert.equal(new Set(issued.map((row) => hex(row.certificate_id))).size, issued.length);
  const expected = registrations.flatMap((registration) => cocoonKeysOf(fleet, registration));
  assert(expected.length >= DEVICES * WEEKS * PER_WEEK);
  // Compared without assert's own difference of two long lists.
  const wanted = new Set(expected);
  const unknown = keys.filter((key) => !wanted.delete(key));
  assert.deepEqual(
    [unknown.length, wanted.size],
    [0, 0],
    'keys of nobody, keys without certificate',
  );

  const ra = new DatabaseSync(join(root, RA_DATABASE), { readOnly: true });
  const tables = ra.prepare("select name from sqlite_schema where name glob 'hpcr_[0-9]*'").all();
  const known = tables.flatMap(({ name }) => ra.prepare(`select hpcr from ${name}`).all());
  ra.close();
  const asked = new Set(known.map(({ hpcr }) => hex(hpcr)));
  assert.equal(known.length, issued.length, 'as many requests as certificates');
  // The index has the first octets of each hash.
  const octets = (known[0]!.hpcr as Uint8Array).length;
  const strange = issued.filter(
    ({ request_hash }) => !asked.has(hex((request_hash as Uint8Array).subarray(0, octets))),
  );
  assert.equal(strange.length, 0, 'each answers a request of the RA');
}

/** B of each certificate, uncompressed, from the seed of the device alone. */
function cocoonKeysOf(fleet: Fleet, { device, firstI, lastI }: Registration): string[] {
  const { verify } = caterpillarKeysOf(fleet.seed, device);
  const expansion = new Expansion(verify.expansion, 'signing');
  const periods = Array.from({ length: lastI - firstI + 1 }, (_, n) => firstI + n);
  return periods.flatMap((i) =>
    cocoonPoints(verify.seed.publicPoint, expansion, i, PER_WEEK).map(hex),
  );
}

/** A command that ends, in this process. */
async function command(argv: readonly string[]): Promise<void> {
  let errors = '';
  const status = await main(argv, {
    stdout: { write() {} },
    stderr: { write: (text) => (errors += text) },
    stdin: (async function* () {})(),
    env: {},
    clock,
    random: systemRandom,
    signal: new AbortController().signal,
  });
  assert.equal(status, 0, errors);
}

async function editConfig(directory: string, pattern: RegExp, replacement: string) {
  const file = join(directory, 'chrysalis.toml');
  const text = await readFile(file, 'utf8');
  assert.match(text, pattern);
  await writeFile(file, text.replace(pattern, replacement));
}

function logsOf(processes: readonly Mortal[]): string {
  return processes.map(({ name, lines }) => `${name}: ${lines.slice(-5).join('\n')}`).join('\n');
}

function hex(octets: unknown): string {
  return Buffer.from(octets as Uint8Array).toString('hex');
}

function show(value: object): string {
  return JSON.stringify(value);
}

function numberOf(name: string, otherwise: number): number {
  const value = Number(process.env[`CHRYSALIS_CHAOS_${name}`] ?? otherwise);
  assert(Number.isSafeInteger(value) && value > 0, `CHRYSALIS_CHAOS_${name}: a number above 0`);
  return value;
}
