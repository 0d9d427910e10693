/** What operators are told of a whole RA, and what is logged for them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createX509Root, issueX509ServerCertificate } from '@chrysalis/authorities/x509';
import { systemRandom } from '@chrysalis/crypto';
import { endOfValidity, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { RA_MIGRATIONS, type RaSchema } from '@chrysalis/ra';
import { AuthorityUnavailableError, type CertificateAuthority, timeOf } from '@chrysalis/scms';
import { type Database, openDatabase } from '@chrysalis/store';
import fc from 'fast-check';
import { sql } from 'kysely';
import { lastPeriodOfAll } from '../src/horizon.ts';
import { HorizonWarnings } from '../src/horizon-warnings.ts';
import { OperatorsView, tallyAt } from '../src/operators-view.ts';
import type { DeviceStatus } from '../src/schema.ts';
import { writeSetting } from '../src/setting.ts';
import { MOST_COUNTED, raStatus } from '../src/status.ts';
import { NOTICE_SEC } from '../src/status-warnings.ts';
import { endingsOf } from '../src/what-ends.ts';
import { insertDevice } from './device-rows.ts';
import { createScene, eventually, type Scene } from './scene.ts';

const DAY_SEC = 86_400;
const HOUR_SEC = 3600;

describe('device_count', () => {
  it('is what counting the devices gives, after any changes of them', async () => {
    const actions = fc.array(
      fc.record({
        what: fc.constantFrom('insert', 'file', 'status', 'block', 'delete', 'nothing'),
        which: fc.nat(5),
        value: fc.nat(3),
      }),
      { maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(actions, async (list) => {
        const database = await openDatabase<RaSchema>('sqlite::memory:', RA_MIGRATIONS);
        try {
          for (const action of list) await act(database, action);
          const counted =
            await sql`select kind, status, blocked, last_i, filed_through, count(*) as count
            from device group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5`.execute(database.query);
          const kept = await sql`select * from device_count order by 1, 2, 3, 4, 5`.execute(
            database.query,
          );
          assert.deepEqual(kept.rows, counted.rows);
        } finally {
          await database.close();
        }
      }),
      { numRuns: 30 },
    );
  });
});

async function act(
  database: Database<RaSchema>,
  { what, which, value }: { what: string; which: number; value: number },
): Promise<void> {
  const status = (['active', 'paused', 'replaced', 'failed'] as const)[value] as DeviceStatus;
  const update = database.query.updateTable('device').where('id', '=', which);
  if (what === 'insert') await insertDevice(database, { last_i: value, filed_through: which });
  if (what === 'file') await update.set({ filed_through: value }).execute();
  if (what === 'status') await update.set({ status }).execute();
  if (what === 'block') await update.set({ blocked: value % 2 }).execute();
  if (what === 'nothing') await update.set({ last_seen: value }).execute();
  if (what === 'delete') {
    await database.query.deleteFrom('device').where('id', '=', which).execute();
  }
}

describe('raStatus', () => {
  it('counts devices, and who has how much of the supply', async (t) => {
    const { database, options, clock } = await createScene(t, { policy: { weeksAhead: 4 } });
    const now = timeOf(clock);
    const i = options.iPeriod.at(now);
    const add = (filed_through: number, more: object = {}) =>
      insertDevice(database, { filed_through, last_i: i + 50, ...more });
    await add(i + 3);
    await add(i + 1, { last_i: i + 1 }); // all that its enrollment certificate allows
    await add(i + 2);
    await add(i);
    await add(i);
    await add(i - 1);
    await add(i - 2, { last_i: i - 1 });
    await add(i - 1, { status: 'paused' });
    await add(i - 1, { status: 'replaced' });
    await add(i - 1, { blocked: 1 });
    await add(i + 1, { failures: 2, retry_at: now + 30 });
    await add(-1, { kind: 'identification', period_sec: 1, lifetime_sec: 1, last_i: 9 });
    await add(0, { kind: 'application', period_sec: 1, lifetime_sec: 1, last_i: 0 });
    const { devices, horizon, failing } = await raStatus(database, options, now);
    assert.deepEqual(
      Object.fromEntries(
        devices.map((row) => [`${row.kind} ${row.status} ${row.blocked}`, row.count]),
      ),
      {
        'application active false': 1,
        'identification active false': 1,
        'pseudonym active false': 8,
        'pseudonym active true': 1,
        'pseudonym paused false': 1,
        'pseudonym replaced false': 1,
      },
    );
    assert.deepEqual(horizon, {
      currentI: i,
      weeksAhead: 4,
      lastI: i + 3,
      complete: 2,
      lagging: 5,
      withoutCurrent: 1,
      newRegistrations: 0,
      ended: 1,
      furthestBehind: { i, start: options.iPeriod.start(i), count: 1 },
      waitingForFirst: { identification: 1, application: 0 },
    });
    assert.deepEqual(failing, { count: 1, nextTryAt: now + 30 });

    // Thirteen weeks of three certificates; weeks of who gets nothing, or is over, are not waited for.
    const lacking = async () => (await raStatus(database, options, now)).backlog;
    assert.deepEqual(await lacking(), { certificates: 39 });
    await writeSetting(database.query, 'pace_per_hour', 1000);
    assert.deepEqual(await lacking(), { certificates: 39, perHour: 1000, doneAt: now + 141 });
    await database.query.updateTable('device_count').set({ count: 1e9 }).execute();
    const endless = await lacking();
    assert.deepEqual(endless, { certificates: endless.certificates, perHour: 1000 });
    await database.query.deleteFrom('device_count').execute();
    assert.deepEqual(await lacking(), { certificates: 0, perHour: 1000 });
  });

  it('tells what was done by the hour', async (t) => {
    const { database, options, clock } = await createScene(t);
    const now = timeOf(clock);
    const hour = now - (now % HOUR_SEC);
    await database.transaction(async (query) => {
      await tallyAt(query, 'certificates', 5, hour);
      await tallyAt(query, 'certificates', 7, hour - 1);
      await tallyAt(query, 'certificates', 11, hour - 24 * HOUR_SEC);
      await tallyAt(query, 'certificates', 13, hour - 24 * HOUR_SEC - 1);
      await tallyAt(query, 'registrations', 1, now);
    });
    const { rates, lastActivity } = await raStatus(database, options, now);
    assert.deepEqual(rates.certificates, { thisHour: 5, lastHour: 7, last24Hours: 18 });
    assert.deepEqual(rates.batches, { thisHour: 0, lastHour: 0, last24Hours: 0 });
    assert.equal(lastActivity, hour);
  });

  it('tells what waits in the shuffle, and what at a PCA that is down', async (t) => {
    let isDown = true;
    const wrapPca = (pca: CertificateAuthority): CertificateAuthority => ({
      async requestCertificate(request) {
        if (isDown) throw new AuthorityUnavailableError('no route to the PCA');
        return pca.requestCertificate(request);
      },
    });
    // Early in a period, so that it does not end meanwhile.
    const now = time32FromUnix(Date.UTC(2026, 10, 24, 12));
    const scene = await createScene(t, { now, wrapPca, policy: { shuffleInitial: 'pooled' } });
    const { database, options, clock } = scene;
    const ra = await scene.start();
    const device = await scene.register(ra);
    const registeredAt = timeOf(clock);
    const pooled = await eventually(async () => {
      const seen = await raStatus(database, options, timeOf(clock));
      return seen.shuffle.size > 0 ? seen : undefined;
    });
    const opensAt = registeredAt + options.policy.shuffleMaxAgeSec;
    assert.deepEqual(pooled.shuffle, {
      size: 3,
      threshold: 1000,
      oldestAt: registeredAt,
      opensAt,
    });
    const policy = { ...options.policy, shuffleThreshold: 50_000 };
    const wide = await raStatus(database, { ...options, policy }, registeredAt);
    assert.equal(wide.shuffle.threshold, 20_000, 'no more are let wait');
    assert.deepEqual(pooled.pca, { waiting: 0, repeated: 0, mostAttempts: 0 });
    assert.deepEqual(pooled.batches, { inTheMaking: 1, complete: 0 });
    assert.equal(pooled.rates.registrations.thisHour, 1);
    assert.equal(pooled.linkageCache.wanted, 4);

    clock.set(opensAt);
    ra.wake();
    const down = await eventually(async () => {
      const seen = await raStatus(database, options, timeOf(clock));
      // What went wrong is noted behind the requests.
      return seen.pca.repeated === 3 && seen.incidents.length > 0 ? seen : undefined;
    });
    assert.equal(down.shuffle.size, 0);
    assert.equal(down.pca.oldestAt, registeredAt);
    assert(down.pca.nextAttemptAt !== undefined && down.pca.nextAttemptAt > opensAt);
    const [incident] = down.incidents.filter(({ source }) => source === 'pca');
    assert.equal(incident?.message, 'no route to the PCA');
    const open = down.warnings.find(({ code }) => code === 'incident-open');
    assert.match(open?.message ?? '', /^pca: no route to the PCA \(since 2026-11-26T12:00:00Z, /);
    assert(!down.warnings.some(({ code }) => code === 'requests-overdue'));

    clock.advance(DAY_SEC + 1);
    const late = await raStatus(database, options, timeOf(clock));
    assert(late.warnings.some(({ code }) => code === 'requests-overdue'));
    // What a device that is blacklisted has waiting is nobody's trouble.
    await ra.blacklist.add(device.device.certificate.hash, 'stolen', timeOf(clock));
    const blocked = await raStatus(database, options, timeOf(clock));
    assert.deepEqual(blocked.pca, { waiting: 0, repeated: 0, mostAttempts: 0 });
    assert.equal(blocked.blacklisted, 1);
    assert(!blocked.warnings.some(({ code }) => code === 'requests-overdue'));
    await ra.blacklist.remove(device.device.certificate.hash);

    isDown = false;
    clock.advance(HOUR_SEC);
    ra.wake();
    const after = await eventually(async () => {
      const seen = await raStatus(database, options, timeOf(clock));
      const isOver = seen.incidents.every(({ count }) => count === 0);
      return seen.horizon.complete === 1 && isOver ? seen : undefined;
    });
    assert.equal(after.rates.certificates.thisHour, 3);
    assert.equal(after.incidents.find(({ source }) => source === 'pca')?.count, 0);
    assert(!after.warnings.some(({ code }) => code === 'incident-open'));
  });

  it('counts enrollment certificates that end within 90 days, each once, by month', async (t) => {
    const { database, options, clock } = await createScene(t);
    const end = (text: string) => time32FromUnix(Date.parse(text));
    const add = (text: string, more: object = {}) =>
      insertDevice(database, { enrollment_end: end(text), ...more });
    const twice = systemRandom(32);
    await add('2026-11-21T11:59:59Z'); // over
    await add('2026-11-30T23:59:59Z');
    await add('2026-12-01T00:00:00Z', { enrollment_hash: twice });
    await add('2026-12-01T00:00:00Z', { enrollment_hash: twice, kind: 'identification' });
    await add('2026-12-31T23:59:59Z');
    await add('2027-02-19T11:59:59Z');
    await add('2027-02-19T12:00:00Z'); // 90 days
    const { enrollmentsEnding, warnings } = await raStatus(database, options, timeOf(clock));
    assert.deepEqual(enrollmentsEnding, [
      { month: '2026-11', count: 1 },
      { month: '2026-12', count: 2 },
      { month: '2027-02', count: 1 },
    ]);
    const ending = warnings.find(({ code }) => code === 'enrollments-ending');
    assert.equal(ending?.message, '4 enrollment certificates ending within 90 days');
  });

  it('counts up to a thousand of what it reads one by one, and says that there are more', async (t) => {
    const { database, options, clock } = await createScene(t);
    const now = timeOf(clock);
    const add = (n: number) =>
      insertDevice(database, {
        ...{ failures: 1, retry_at: now + 10 + n, enrollment_end: now + DAY_SEC + n },
        ...(n === 1 && { enrollment_hash: new Uint8Array(32) }),
        ...(n === 2 && { enrollment_hash: new Uint8Array(32), kind: 'identification' as const }),
      });
    for (let n = 0; n < MOST_COUNTED; n++) await add(n);
    const at = await raStatus(database, options, now);
    assert.deepEqual(at.failing, { count: 1000, nextTryAt: now + 10 });
    assert.deepEqual(at.enrollmentsEnding, [{ month: '2026-11', count: 999 }]);
    await add(MOST_COUNTED);
    const beyond = await raStatus(database, options, now);
    assert.deepEqual(beyond.failing, { count: 1000, isMore: true, nextTryAt: now + 10 });
    assert.deepEqual(beyond.enrollmentsEnding, [{ month: '2026-11', count: 1000, isMore: true }]);
    const messages = beyond.warnings.map(({ message }) => message);
    assert(messages.includes('certificates of at least 1000 devices cannot be made for now'));
    assert(messages.includes('at least 1000 enrollment certificates ending within 90 days'));
  });

  it('counts the files that are given up, up to a thousand, with the first and the last', async (t) => {
    const { database, options, clock } = await createScene(t);
    const now = timeOf(clock);
    const seen = async () => {
      const { givenUp, warnings } = await raStatus(database, options, now);
      return [givenUp, warnings.filter(({ code }) => code === 'files-given-up')];
    };
    assert.deepEqual(await seen(), [{ count: 0 }, []]);
    const add = (
      files: readonly (readonly [i: number, given_up_at: number])[],
      device_id: number,
    ) =>
      database.query
        .insertInto('given_up')
        .values(files.map(([i, given_up_at]) => ({ device_id, i, period: i, given_up_at })))
        .execute();
    await add([[700, now - 50]], 1);
    const message = (count: string) => `${count} given up: the PCA has certified their keys before`;
    const one = { code: 'files-given-up', message: message('1 file'), at: now - 50 };
    const times = { firstAt: now - 50, lastAt: now - 50, lastI: 700 };
    assert.deepEqual(await seen(), [{ count: 1, ...times }, [one]]);
    await add(
      Array.from({ length: MOST_COUNTED }, (_, n) => [600 + n, now - 40] as const),
      2,
    );
    await add([[650, now - 30]], 3);
    const many = { ...one, message: message('at least 1000 files') };
    const last = { lastAt: now - 30, lastI: 650 };
    assert.deepEqual(await seen(), [
      { count: 1000, isMore: true, firstAt: now - 50, ...last },
      [many],
    ]);
  });

  it('notes the end of an enrollment certificate at registration', async (t) => {
    const scene = await createScene(t);
    const ra = await scene.start();
    const { device } = await scene.register(ra);
    const { enrollment_end } = await scene.database.query
      .selectFrom('device')
      .select('enrollment_end')
      .executeTakeFirstOrThrow();
    const { validityPeriod } = device.certificate.certificate.toBeSigned;
    assert.equal(enrollment_end, endOfValidity(validityPeriod));
  });

  it('says when the PCA cuts the supply: from then on the policy is not met', async (t) => {
    const { database, options } = await createScene(t, { policy: { weeksAhead: 100 } });
    const { generation } = await raStatus(database, options, timeOf(options.clock));
    const { firstI, stopsAt, because } = generation;
    assert.equal(because.role, 'pca');
    const wanted = (now: number) => options.iPeriod.at(now) + 99;
    assert.equal(lastPeriodOfAll(options, stopsAt - 1), wanted(stopsAt - 1));
    assert.equal(lastPeriodOfAll(options, stopsAt), wanted(stopsAt) - 1);
    assert.equal(firstI, wanted(stopsAt));

    const codes = async (now: number) => {
      const { warnings } = await raStatus(database, options, now);
      return warnings.map(({ code }) => code).filter((code) => code.startsWith('supply'));
    };
    assert.deepEqual(await codes(stopsAt - NOTICE_SEC - 1), []);
    assert.deepEqual(await codes(stopsAt - NOTICE_SEC), ['supply-cut-soon']);
    assert.deepEqual(await codes(stopsAt), ['supply-cut']);
  });

  it('says so when RA or LA end before the PCA cuts anything', async (t) => {
    const { database, options } = await createScene(t, { policy: { weeksAhead: 2 } });
    const { generation } = await raStatus(database, options, timeOf(options.clock));
    const { validityPeriod } = options.la1.certificate.certificate.toBeSigned;
    assert(['la1', 'la2', 'ra'].includes(generation.because.role));
    assert.equal(generation.stopsAt, endOfValidity(validityPeriod));
    assert.equal(generation.firstI, lastPeriodOfAll(options, generation.stopsAt - 1) + 1);
  });

  it('warns of each certificate 90 days before it counts, and when it has ended', async (t) => {
    const { database, options } = await createScene(t, { policy: { weeksAhead: 10 } });
    const { iPeriod } = options;
    const endings = endingsOf(options);
    assert.deepEqual(endings.map(({ role }) => role).toSorted(), [
      'eca',
      'ica',
      'la1',
      'la2',
      'pca',
      'ra',
      'root',
      'tls',
    ]);
    for (const { role, name, endsAt } of endings) {
      // The end of those that issue is seen in certificates of ten weeks ahead.
      const isIssuer = ['root', 'ica', 'pca', 'eca'].includes(role);
      const from = endsAt - NOTICE_SEC - (isIssuer ? 10 * iPeriod.lengthSec : 0);
      const codes = async (now: number) => {
        const { warnings } = await raStatus(database, options, now);
        return warnings
          .filter(({ message, at }) => at === endsAt && message.includes(` (${name}) `))
          .map(({ code }) => code);
      };
      const found = async (now: number) => new Set(await codes(now));
      assert.deepEqual(await found(from - 1), new Set(), role);
      assert.deepEqual(await found(from), new Set(['ends-soon']), role);
      assert.deepEqual(await found(endsAt), new Set(['ended']), role);
    }
  });

  it('has nothing to warn of when all is well', async (t) => {
    const scene = await createScene(t, { tls: await tlsFor(365) });
    const ra = await scene.start();
    const { warnings } = await raStatus(scene.database, scene.options, timeOf(scene.clock));
    assert.deepEqual(warnings, []);
    await ra.close();
    await scene.database.query.deleteFrom('linkage_cache').execute();
    const empty = await raStatus(scene.database, scene.options, timeOf(scene.clock));
    assert.deepEqual(
      empty.warnings.map(({ code }) => code),
      ['linkage-cache-empty'],
    );
  });
});

describe('HorizonWarnings', () => {
  const tlsLines = ({ logged }: Scene) =>
    logged.filter(({ message }) => message.startsWith('the X.509 certificate of the RA'));

  it('logs what runs out at start and once a day, and keeps it an open incident', async (t) => {
    const scene = await createScene(t, { tls: await tlsFor(30) });
    const ra = await scene.start();
    assert.equal(tlsLines(scene).length, 1);
    assert.equal(tlsLines(scene)[0]?.fields.code, 'ends-soon');
    const { options, database, clock } = scene;
    const horizon = new HorizonWarnings(options, new OperatorsView(options));
    await horizon.start();
    t.after(() => horizon.stop());
    assert.equal(tlsLines(scene).length, 2);
    await horizon.wake();
    assert.equal(tlsLines(scene).length, 2);
    clock.advance(DAY_SEC);
    await horizon.wake();
    assert.equal(tlsLines(scene).length, 3);
    const { incidents } = await raStatus(database, options, timeOf(clock));
    const incident = incidents.find(({ source }) => source === 'horizon');
    assert.equal(incident?.count, 3);
    assert.equal(incident?.lastAt, timeOf(clock));
    assert.match(
      incident?.message ?? '',
      /^the X\.509 certificate of the RA \(CN=localhost\) ends /,
    );
    await ra.close();
  });

  it('is over when what ended was renewed', async (t) => {
    const scene = await createScene(t, { tls: await tlsFor(30) });
    const before = await scene.start();
    await before.close();
    const after = await scene.start({ tls: await tlsFor(365) });
    const { incidents } = await raStatus(scene.database, scene.options, timeOf(scene.clock));
    assert.equal(incidents.find(({ source }) => source === 'horizon')?.count, 0);
    await after.close();
  });

  it('says what went wrong when it cannot look, and looks again', async (t) => {
    const scene = await createScene(t, { tls: await tlsFor(30) });
    let isBroken = true;
    const { options } = scene;
    const broken = {
      ...options,
      get tls() {
        return isBroken ? { ...options.tls, certificatePem: 'no certificate' } : options.tls;
      },
    };
    const horizon = new HorizonWarnings(broken, new OperatorsView(options));
    await horizon.start();
    t.after(() => horizon.stop());
    assert(scene.logged.some(({ message }) => message === 'no look at what runs out'));
    assert.equal(tlsLines(scene).length, 0);
    isBroken = false;
    await horizon.wake();
    assert.equal(tlsLines(scene).length, 1);
  });
});

/** A certificate that lasts so long by the clock of a scene: nobody connects. */
async function tlsFor(days: number) {
  const now = Date.UTC(2026, 10, 21, 12);
  const validity = {
    notBefore: new Date(now - DAY_SEC * 1000),
    notAfter: new Date(now + days * DAY_SEC * 1000),
  };
  const root = await createX509Root({ commonName: 'another root', ...validity });
  return issueX509ServerCertificate(root, {
    commonName: 'localhost',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    ...validity,
  });
}
