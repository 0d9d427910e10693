/**
 * RA, PCA and both LAs as processes of their own, killed at random moments, one or two at a time, while a fleet of virtual
 * devices asks for certificates and fetches them. Afterwards nothing is missing, nothing is there twice, and nothing is
 * left over.
 *
 * CHRYSALIS_CHAOS_DEVICES (20), CHRYSALIS_CHAOS_KILLS (6), CHRYSALIS_CHAOS_PER_WEEK (20 certificates): `npm run test:faults`
 * sets 1,000, 100 and 10. CHRYSALIS_CHAOS_SEED repeats a plan of kills.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { checkFleet, Fleet } from '@chrysalis/fleet';
import { systemClock as clock } from '@chrysalis/scms';
import { expectEachOnce } from './support/each-once.ts';
import { comeToRest, expectRegistrations } from './support/fleet-at-rest.ts';
import type { Mortal } from './support/mortal.ts';
import {
  enrolled,
  logsOf,
  makeAuthorities,
  NAMES,
  type Name,
  RA_DATABASE,
} from './support/mortal-scms.ts';
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
/** Runs of the fleet: a device that was refused for too long is given up, and comes again in the next. */
const MAX_RUNS = 5;
const SUPPLY = { devices: DEVICES, weeks: WEEKS, perWeek: PER_WEEK };

describe(`${DEVICES} devices, and RA, PCA and LAs that are killed ${KILLS} times`, () => {
  it('get what they were promised, each certificate once', async (t) => {
    t.diagnostic(`seed ${SEED}: CHRYSALIS_CHAOS_SEED repeats its kills`);
    const root = await mkdtemp(join(tmpdir(), 'chrysalis-chaos-'));
    const processes = await makeAuthorities(root, SUPPLY);
    t.after(async () => {
      for (const name of NAMES) await processes[name].remove();
      await rm(root, { recursive: true });
    });
    const all = NAMES.map((name) => processes[name]);
    for (const process of all) process.start();
    await Promise.all(all.map((process) => process.ready()));

    await using fleet = await Fleet.open(join(root, 'fleet'), {
      create: systemRandom,
      keepsZips: true,
    });
    const plan = planStrikes({
      seed: SEED,
      names: NAMES,
      kills: KILLS,
      gapMs: GAP_MS,
      awayMs: AWAY_MS,
    });
    const run = await enrolled(fleet, join(root, 'ra'), SUPPLY);
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
    const registrations = await expectRegistrations(fleet, join(root, RA_DATABASE), DEVICES);
    await expectEachOnce(t, fleet, registrations, { root, ...SUPPLY });
    assert.deepEqual(await temporaryFiles(root), []);
  });
});

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

function numberOf(name: string, otherwise: number): number {
  const value = Number(process.env[`CHRYSALIS_CHAOS_${name}`] ?? otherwise);
  assert(Number.isSafeInteger(value) && value > 0, `CHRYSALIS_CHAOS_${name}: a number above 0`);
  return value;
}
