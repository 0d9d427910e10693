/** An older copy of the RA's database is put back: the PCA has certified keys that the RA does not know of any more. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createTestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { type CertificateAuthority, timeOf } from '@chrysalis/scms';
import { copyDatabases, createMemoryObjectStore, openDatabase } from '@chrysalis/store';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { deviceReport } from '../src/device-report.ts';
import { raStatus } from '../src/status.ts';
import { createStage } from './stage.ts';

const NOW = 722_000_000;
const POLICY = { weeksAhead: 3, certificatesPerPeriod: 4 } as const;

describe('an older copy of the database', () => {
  it('costs the weeks that were asked for since, and none of those after them', async (t) => {
    const { stage, old } = await withOlderCopy(t);
    const { device, i } = old;
    // The zips went with the rows: this is the backup of another machine.
    const back = await openOld(t, old.path);
    const restored = await createStage(t, {
      now: timeOf(stage.clock),
      scms: stage.scms,
      database: back,
      policy: POLICY,
      // The PCA of before, with everything that it has certified.
      wrapPca: () => stage.options.pca.port,
    });
    const before = (await stage.issued()).length;
    for (let second = 0; second < 60; second++) {
      await restored.settle();
      restored.clock.advance(1);
      stage.clock.advance(1);
    }
    const [row] = await back.query.selectFrom('device').selectAll().execute();
    assert.equal(row?.filed_through, i + 2, 'the weeks are passed over');
    assert.equal(row?.failures, 0);
    for (const table of ['pca_request', 'batch', 'response'] as const) {
      assert.deepEqual(await back.query.selectFrom(table).selectAll().execute(), [], table);
    }
    assert.equal((await stage.issued()).length, before, 'nothing is certified a second time');
    const said = restored.logged.filter(({ message }) => message.includes('given up'));
    assert.deepEqual(
      said.map(({ fields }) => fields.i),
      [i, i + 1, i + 2],
    );

    // Operators see it, also of a process that starts now.
    const surroundings = { ...restored.options, database: await openOld(t, old.path) };
    const { givenUp, warnings } = await raStatus(
      surroundings.database,
      surroundings,
      timeOf(restored.clock),
    );
    const rows = await back.query.selectFrom('given_up').selectAll().orderBy('i').execute();
    assert.deepEqual(
      rows.map(({ device_id, i: week, period }) => [device_id, week, period]),
      [i, i + 1, i + 2].map((week) => [row?.id, week, week]),
    );
    const times = rows.map(({ given_up_at }) => given_up_at);
    assert(times.every((time) => time > NOW && time <= timeOf(restored.clock)));
    assert.equal(givenUp.count, 3);
    assert.deepEqual([givenUp.firstAt, givenUp.lastAt], [Math.min(...times), Math.max(...times)]);
    assert(warnings.some(({ code }) => code === 'files-given-up'));
    const reported = async () => {
      const hash = new Uint8Array(Buffer.from(device.hash, 'hex'));
      const [report] = await deviceReport(surroundings, hash, timeOf(restored.clock));
      return report!.registrations[0]!;
    };
    const shown = await reported();
    assert.deepEqual(
      shown.givenUp,
      rows.map(({ i: week, given_up_at: at }) => ({ i: week, at })),
    );
    assert.deepEqual(shown.files, { expected: 0, missing: [] }, 'none is lost');

    restored.toPeriod(1);
    stage.toPeriod(1);
    await restored.settle();
    restored.clock.advance(49 * 3600);
    stage.clock.advance(49 * 3600);
    await restored.settle();
    assert(await restored.download(restored.ra, device, i + 3), 'the week after them is there');
    assert.equal(await restored.download(restored.ra, device, i + 1), undefined);
    const kept = (await reported()).givenUp.map((file) => file.i);
    assert.deepEqual(kept, [i + 1, i + 2], 'of a period that is over nothing is lacking');
  });

  it('costs nothing of what lies in the object store', async (t) => {
    const { stage, old } = await withOlderCopy(t);
    const { device, i } = old;
    const before = await stage.download(stage.ra, device, i);
    const restored = await createStage(t, {
      now: timeOf(stage.clock),
      scms: stage.scms,
      database: await openOld(t, old.path),
      objects: stage.options.objects,
      policy: POLICY,
      wrapPca: () => stage.options.pca.port,
    });
    for (let second = 0; second < 60; second++) {
      await restored.settle();
      restored.clock.advance(1);
      stage.clock.advance(1);
    }
    assert.deepEqual(await restored.download(restored.ra, device, i), before);
    const hash = new Uint8Array(Buffer.from(device.hash, 'hex'));
    const [report] = await deviceReport(restored.options, hash, timeOf(restored.clock));
    const { files, givenUp } = report!.registrations[0]!;
    assert.deepEqual([files, givenUp], [{ expected: 3, missing: [] }, []]);
  });
});

describe('a refusal of the PCA', () => {
  it('that is not final is asked about again, however often', async (t) => {
    let isRefusing = true;
    const stage = await createStage(t, {
      policy: { weeksAhead: 1 },
      // Refuses everything for a reason that may pass: the request is cut, so that it cannot be read.
      wrapPca: (pca): CertificateAuthority => ({
        requestCertificate: (request) =>
          pca.requestCertificate(isRefusing ? request.subarray(0, request.length - 1) : request),
      }),
    });
    const device = await stage.register(stage.ra);
    for (let n = 0; n < 12; n++) {
      await stage.settle();
      stage.clock.advance(600);
    }
    assert(!stage.logged.some(({ message }) => message.includes('given up')));
    isRefusing = false;
    stage.clock.advance(3600);
    await stage.settle();
    assert(await stage.download(stage.ra, device));
  });
});

/** A device is registered, the database is copied, and then all its weeks are made. */
async function withOlderCopy(t: TestContext) {
  const directory = temporaryDirectory();
  const scms = createTestScms({ now: NOW, random: systemRandom, raHostname: 'localhost' });
  const live = join(directory, 'live.db');
  const database = await openOld(t, live);
  const stage = await createStage(t, {
    now: NOW,
    scms,
    database,
    objects: createMemoryObjectStore(),
    policy: POLICY,
  });
  const device = await stage.register(stage.ra);
  const path = join(directory, 'old.db');
  await copyDatabases([{ from: live, to: path }]);
  await stage.settle();
  const i = stage.currentI();
  for (const week of [i, i + 1, i + 2]) assert(await stage.download(stage.ra, device, week));
  return { stage, old: { path, device, i } };
}

async function openOld(t: TestContext, path: string) {
  const database = await openDatabase<RaSchema>(`sqlite:${path}`, RA_MIGRATIONS);
  t.after(() => database.close());
  return database;
}
