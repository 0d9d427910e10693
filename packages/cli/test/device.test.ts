/** `chrysalis device show`, on the state of an RA that serves a device. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { formatTime32 } from '@chrysalis/ieee1609dot2';
import { openObjectStore } from '@chrysalis/store';
import { run } from './run-main.ts';
import { stateDirectory } from './served.ts';

interface DeviceJson {
  readonly enrollment: { readonly id: string; readonly sha256: string };
  readonly blacklisted: { readonly reason: string } | null;
  readonly registrations: readonly {
    readonly requestHash: string;
    readonly filedThrough: { readonly i: number; readonly start: string; readonly end: string };
    readonly fetchedThrough: unknown;
    readonly givenUp: unknown;
    readonly info: { readonly answer: string; readonly time: string | null; readonly why: string };
    readonly nextStep: string;
  }[];
}

describe('chrysalis device show', () => {
  it('tells of a device by each of its names, in any case', async (t) => {
    const { cli, json, serve, enroll } = await stateDirectory(t);
    const ra = await serve();
    const { id, ee, topUp } = await enroll(ra.url);
    await topUp();
    const profile = JSON.parse((await ee('status', '--json')).stdout);
    const { requestHash, next, batches } = profile.supplies[0];
    const [report, none] = (await json('device', 'show', id)) as DeviceJson[];
    assert(report !== undefined && none === undefined);
    assert.equal(report.enrollment.id, id);
    for (const name of [requestHash, requestHash.toLowerCase(), report.enrollment.sha256]) {
      const [same] = (await json('device', 'show', name)) as DeviceJson[];
      assert.deepEqual(same?.enrollment, report.enrollment);
    }
    // What the RA says of the device is what the device has.
    const [registration] = report.registrations;
    assert(registration !== undefined);
    assert.equal(registration.requestHash, requestHash);
    const last = batches.at(-1);
    const { filedThrough } = registration;
    assert.equal(filedThrough.i.toString(16).toUpperCase(), last.i);
    assert.deepEqual([filedThrough.start, filedThrough.end], [last.from, last.until]);
    assert.equal(registration.info.answer, 'time');
    assert(Date.parse(registration.info.time ?? '') >= Date.parse(next) - 1000);

    const { stdout } = await cli('device', 'show', requestHash);
    assert.match(
      stdout,
      new RegExp(`^enrollment certificate ${id}\n {2}sha-256 {6}[0-9A-F]{64}\n`),
    );
    assert.match(stdout, new RegExp(`^pseudonym certificates, request ${requestHash}$`, 'm'));
    assert.match(stdout, /^ {2}on its way +nothing$/m);
    assert.match(stdout, /^ {2}files there +2$/m);
    assert.match(stdout, /^ {2}next step +i = \d+, which is begun 20\S+Z$/m);

    await cli('blacklist', 'add', id, '--reason', 'stolen');
    const blacklisted = await cli('device', 'show', id);
    assert.match(blacklisted.stdout, /^ {2}blacklisted {2}20\S+Z, stolen$/m);
    assert.match(blacklisted.stdout, /^ {2}\.info +refused \(raBlacklisted: it is blacklisted\)$/m);
    await ra.stop();
    // What was fetched is noted behind the answers: at the end for sure.
    const [stopped] = (await json('device', 'show', id)) as DeviceJson[];
    assert.deepEqual(stopped?.registrations[0]?.fetchedThrough, filedThrough);
    assert.deepEqual(stopped?.registrations[0]?.givenUp, []);
  });

  it('tells which weeks were given up, and `status` how many', async (t) => {
    const { cli, json, directory, serve, enroll } = await stateDirectory(t);
    const ra = await serve();
    const { id, topUp } = await enroll(ra.url);
    await topUp();
    await ra.stop();
    assert.match((await cli('status')).stdout, /^ {2}given up +none$/m);
    assert.match((await cli('device', 'show', id)).stdout, /^ {2}given up +none$/m);
    // As if the PCA had certified the second week for another database, and its file were not there.
    const database = new DatabaseSync(join(directory, 'ra', 'chrysalis.db'));
    const { i, time } = database
      .prepare('select filed_through as i, registered_at as time from device')
      .get() as { i: number; time: number };
    database.prepare('insert into given_up values (1, ?, ?, ?)').run(i, i, time);
    database.close();
    const objects = await openObjectStore(`file:${join(directory, 'ra', 'objects')}`);
    await objects.deleteAll(String(i));
    const at = formatTime32(time);
    const [report] = (await json('device', 'show', id)) as DeviceJson[];
    assert.deepEqual(report?.registrations[0]?.givenUp, [{ i, at }]);
    assert.match(
      (await cli('device', 'show', id)).stdout,
      new RegExp(`^ {2}files there +1\\n {2}given up +i = ${i}, since ${at}$`, 'm'),
    );
    const { givenUp } = (await json('status')) as { givenUp: unknown };
    const expected = { count: 1, isMore: false, firstAt: at, lastAt: at, lastI: i };
    assert.deepEqual(givenUp, expected);
    const { stdout } = await cli('status');
    assert.match(
      stdout,
      new RegExp(`^ {2}given up +1 file since ${at} .*, last i = ${i} ${at}`, 'm'),
    );
    assert.match(stdout, /^ {2}! 1 file given up: the PCA has certified their keys before$/m);
  });

  it('refuses what is no hash, and what it does not know', async (t) => {
    const { cli, serve } = await stateDirectory(t);
    await (await serve()).stop();
    for (const [hash, message] of [
      ['xyz', /expected 16 or 64 hex digits, saw "xyz"/],
      ['00'.repeat(10), /expected 16 or 64 hex digits/],
      ['00'.repeat(8), /expected a device that this RA knows, saw none with 0000000000000000/],
      ['00'.repeat(32), /expected a device that this RA knows/],
    ] as const) {
      const { status, stdout, stderr } = await cli('device', 'show', hash);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(stderr, message);
    }
    const usage = await run(['device', 'show']);
    assert.equal(usage.status, 2);
    assert.match((await run(['device', 'show', '--help'])).stdout, /Examples:/);
  });
});
