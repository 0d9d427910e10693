/** Commands that make devices ask the RA's database for the i-period, while an RA of another version may be serving from it. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { chainPartsOf, createPolicyGenerator, createTestScms } from '@chrysalis/authorities';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import { makeEnrollmentRequest } from '@chrysalis/ee';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { fixIPeriod, RA_MIGRATIONS, type RaSchema, recordedIPeriod } from '@chrysalis/ra';
import { DEFAULT_GLOBAL_POLICY, timeOf } from '@chrysalis/scms';
import { type Migration, openDatabase } from '@chrysalis/store';
import { trustOf } from '../../../test/support/device.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { TestClock } from '../../../test/support/test-clock.ts';
import { loadConfig } from '../src/config.ts';
import { iPeriodOfPolicy } from '../src/i-period.ts';
import { NOW_MS, run } from './run-main.ts';

const EPOCH = 347_619_603;
const DAY_SEC = 86_400;
const LATER: Migration = { name: '9999-of-a-later-release', statements: [] };

async function scene() {
  const place = temporaryDirectory();
  const state = join(place, 'state');
  await run(['--dir', state, 'init']);
  const { url } = (await loadConfig(state)).store;
  const request = join(place, 'request.oer');
  const key = PrivateKey.generate(systemRandom);
  const octets = makeEnrollmentRequest(key, time32FromUnix(NOW_MS), { countries: [840] });
  await writeFile(request, octets);
  const out = join(place, 'bundle');
  return {
    url,
    out,
    path: url.slice('sqlite:'.length),
    /** As an RA with these migrations leaves it that has chosen its i-period: a day, which no policy here says. */
    async started(migrations: readonly Migration[]) {
      const database = await openDatabase<RaSchema>(url, migrations);
      await fixIPeriod(database, { epoch: EPOCH }, async () => DAY_SEC);
      return database;
    },
    enroll: () => run(['--dir', state, 'enroll', '--request', request, '--out', out]),
    simulate() {
      const fleet = ['--fleet', join(place, 'fleet'), '--devices', '1'];
      return run(['--dir', state, 'simulate', ...fleet, '--ra', 'https://localhost:1']);
    },
  };
}

describe('the i-period of a device that is enrolled', () => {
  it('is that of an RA that serves, which is not made to wait', async (t) => {
    const { started, enroll, out } = await scene();
    const ra = await started(RA_MIGRATIONS);
    t.after(() => ra.close());
    await ra.transaction(async () => {
      const { status, stderr } = await enroll();
      assert.equal(status, 0, stderr);
    });
    const bootstrap = JSON.parse(await readFile(join(out, 'bootstrap.json'), 'utf8'));
    assert.deepEqual(bootstrap.iPeriod, { epoch: EPOCH, lengthSec: DAY_SEC });
  });

  it('is recorded for an RA that was never started', async (t) => {
    const { url, enroll, out } = await scene();
    assert.equal((await enroll()).status, 0);
    const { iPeriod } = JSON.parse(await readFile(join(out, 'bootstrap.json'), 'utf8'));
    const database = await openDatabase<RaSchema>(url, RA_MIGRATIONS, { readsOnly: true });
    t.after(() => database.close());
    const { epoch, lengthSec } = (await recordedIPeriod(database))!;
    assert.deepEqual({ epoch, lengthSec }, iPeriod);
  });

  for (const [version, migrations, why] of [
    ['an older', RA_MIGRATIONS.slice(0, -1), /an older program .*\n.*hint: start chrysalis serve/],
    ['a newer', [...RA_MIGRATIONS, LATER], /9999-of-a-later-release.*\n.*hint: use the chrysalis/],
  ] as const) {
    it(`is not to be had from ${version} RA, whose database stays as it is`, async () => {
      const { started, enroll, simulate, path, out } = await scene();
      await (await started(migrations)).close();
      const before = await readFile(path);
      for (const command of [enroll, simulate]) {
        const { status, stderr } = await command();
        assert.equal(status, 1);
        assert.match(stderr, /^chrysalis: the RA's database: expected .*migrations/);
        assert.match(stderr, why);
      }
      assert.deepEqual(await readFile(path), before);
      await assert.rejects(readdir(out), { code: 'ENOENT' });
    });
  }
});

describe('the i-period of an RA that starts', () => {
  it('is that of a policy that the PG makes in the second after', async () => {
    const clock = new TestClock(time32FromUnix(NOW_MS));
    const now = timeOf(clock);
    const scms = createTestScms({ now, random: systemRandom, raHostname: 'localhost' });
    const gpf = () => {
      clock.advance(1);
      const { pg } = scms;
      const trust = trustOf(scms);
      const policy = DEFAULT_GLOBAL_POLICY;
      const chain = chainPartsOf(scms);
      return createPolicyGenerator({
        ...{ pg, trust, clock, policy, chain },
        ...{ gpfVersion: 1, gccfVersion: 1 },
      }).globalPolicyFile();
    };
    assert.equal(await iPeriodOfPolicy(gpf, trustOf(scms), clock), 604_800);
  });
});
