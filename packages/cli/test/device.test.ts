/** `chrysalis device show`, on the state of an RA that serves a device. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { run } from './run-main.ts';
import { stateDirectory } from './served.ts';

interface DeviceJson {
  readonly enrollment: { readonly id: string; readonly sha256: string };
  readonly blacklisted: { readonly reason: string } | null;
  readonly registrations: readonly {
    readonly requestHash: string;
    readonly filedThrough: { readonly i: number; readonly start: string; readonly end: string };
    readonly fetchedThrough: unknown;
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
