/**
 * A PCA that is killed at the very points that matter: when an answer is written down and nothing of it is sent yet, and as
 * soon as it is sent. The RA has to ask again with the same octets, and the PCA to answer with what it wrote down: a PCA
 * that makes a second certificate, or sends what it has not written down, is found out here.
 *
 * CHRYSALIS_LOST_ANSWER_KILLS (4), CHRYSALIS_LOST_ANSWER_DEVICES (8): `npm run test:faults` sets 40 and 100.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { systemRandom } from '@chrysalis/crypto';
import { checkFleet, Fleet } from '@chrysalis/fleet';
import { systemClock as clock } from '@chrysalis/scms';
import { expectEachOnce } from './support/each-once.ts';
import { comeToRest, expectRegistrations } from './support/fleet-at-rest.ts';
import {
  enrolled,
  logsOf,
  makeAuthorities,
  NAMES,
  PCA_LOG,
  RA_DATABASE,
} from './support/mortal-scms.ts';

const KILLS = Number(process.env.CHRYSALIS_LOST_ANSWER_KILLS ?? 4);
const SUPPLY = {
  devices: Number(process.env.CHRYSALIS_LOST_ANSWER_DEVICES ?? 8),
  weeks: 2,
  perWeek: 20,
};
/** The first exchange after a silence is for one certificate, the next for eight, the next for sixteen: `pca-dispatch.ts`. */
const ANSWERS = [3, 2];
const PRELOADED = pathToFileURL(join(import.meta.dirname, 'support/killed-at-answer.ts')).href;

describe(`a PCA that is killed at ${KILLS} answers`, () => {
  it('answers the same octets with the same certificate, sent or not', async (t) => {
    const { devices, weeks, perWeek } = SUPPLY;
    const root = await mkdtemp(join(tmpdir(), 'chrysalis-lost-'));
    const processes = await makeAuthorities(root, SUPPLY);
    t.after(async () => {
      for (const name of NAMES) await processes[name].remove();
      await rm(root, { recursive: true });
    });
    const { ra, la1, la2, pca } = processes;
    for (const process of [ra, la1, la2]) process.start();
    await Promise.all([ra, la1, la2].map((process) => process.ready()));
    await using fleet = await Fleet.open(join(root, 'fleet'), {
      create: systemRandom,
      keepsZips: true,
    });
    const run = await enrolled(fleet, join(root, 'ra'), SUPPLY);
    const load = run(devices);
    const written = new Map<string, string>();
    for (let kill = 0; kill < KILLS; kill++) {
      const answer = ANSWERS[kill % ANSWERS.length];
      const moment = Math.floor(kill / ANSWERS.length) % 2 === 0 ? 'before' : 'after';
      pca.start({
        NODE_OPTIONS: `--import=${PRELOADED}`,
        TEST_KILLED_AT_ANSWER: `${answer} ${moment}`,
      });
      await pca.death();
      // What it once wrote down stays as it is.
      for (const [request, certificate] of logOf(root)) {
        assert.equal(written.get(request) ?? certificate, certificate, 'another answer');
        written.set(request, certificate);
      }
      t.diagnostic(`killed ${moment} answer ${answer}, with ${written.size} written down`);
    }
    pca.start();
    await pca.ready();
    const all = NAMES.map((name) => processes[name]);
    assert.equal((await load).devices.complete, devices, logsOf(all));
    await comeToRest(join(root, RA_DATABASE));
    const check = await checkFleet({
      fleet,
      clock,
      devices,
      weeks,
      perPeriod: perWeek,
      workers: 0,
    });
    assert.deepEqual(check.findings, []);
    assert.equal(check.certificates, devices * weeks * perWeek);
    for (const process of all) {
      assert.equal(await process.stop(), 0, `${process.name} ends when it is told to`);
      assert.deepEqual(process.faults, [], `${process.name} has no fault of its own`);
    }
    const log = new Map(logOf(root));
    for (const [request, certificate] of written) {
      assert.equal(log.get(request), certificate, 'the answer that was written down stands');
    }
    const registrations = await expectRegistrations(fleet, join(root, RA_DATABASE), devices);
    await expectEachOnce(t, fleet, registrations, { root, ...SUPPLY });
  });
});

/** Of each request the answer, both in hex. */
function logOf(root: string): [string, string][] {
  const log = new DatabaseSync(join(root, PCA_LOG), { readOnly: true });
  const rows = log
    .prepare('select hex(request_hash) as request, hex(answer) as answer from pca_answer')
    .all();
  log.close();
  return rows.map(({ request, answer }) => [String(request), String(answer)]);
}
