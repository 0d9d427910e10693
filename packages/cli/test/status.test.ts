/** `chrysalis status`: beside an RA that serves, and without one. */
import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { section, table } from '../src/text-layout.ts';
import { run } from './run-main.ts';
import { stateDirectory } from './served.ts';

const DAY_MS = 86_400_000;

interface StatusJson {
  readonly warnings: readonly { readonly code: string; readonly at: string | null }[];
  readonly [key: string]: unknown;
}

describe('chrysalis status', () => {
  it('wants an RA that was started, and makes no database', async (t) => {
    const { cli, directory } = await stateDirectory(t);
    for (const args of [['status'], ['device', 'show', '00'.repeat(8)], ['blacklist', 'list']]) {
      const { status, stdout, stderr } = await cli(...args);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /^chrysalis: expected the database of an RA that was started, saw none/);
      assert.match(stderr, /hint: chrysalis serve makes it/);
    }
    await assert.rejects(access(join(directory, 'ra/chrysalis.db')), { code: 'ENOENT' });
  });

  it('tells of devices and files while the RA serves, and the same when it does not', async (t) => {
    const { cli, json, serve, enroll } = await stateDirectory(t);
    const ra = await serve();
    const before = await cli('status');
    assert.match(before.stdout, /^RA localhost\n {2}at {13}20.*Z\n {2}last activity {2}none\n/);
    assert.match(before.stdout, /^ {2}warnings {7}none$/m);
    assert.match(before.stdout, /^ {2}PLV cache {6}\d+ of 200 chains$/m);

    const { topUp } = await enroll(ra.url);
    await topUp();
    const { stdout, stderr } = await cli('status');
    assert.equal(stderr, '');
    assert.match(stdout, /^ {2}pseudonym +1 +0 +0 +0 +0$/m);
    assert.match(stdout, /^ {2}identification +0 +0 +0 +0 +0$/m);
    assert.match(stdout, /^ {2}complete {9}1 device$/m);
    assert.match(stdout, /^ {2}lacking {8}0 certificates/m);
    assert.match(stdout, /^ {2}last activity {2}hour of 20/m);
    assert.match(stdout, /^ {2}wanted through {3}i = \d+, 2 periods of 2 in the policy$/m);
    const served = (await json('status')) as StatusJson;
    await ra.stop();
    const stopped = (await json('status')) as StatusJson;
    const { at, linkageCache, rates, ...rest } = stopped;
    const { at: _, linkageCache: __, rates: ___, ...before_ } = served;
    assert.deepEqual(rest, before_);
    assert.deepEqual(rates, {
      certificates: { thisHour: 40, lastHour: 0, last24Hours: 0 },
      batches: { thisHour: 2, lastHour: 0, last24Hours: 0 },
      registrations: { thisHour: 1, lastHour: 0, last24Hours: 0 },
    });
  });

  it('has the keys that its reference names', async (t) => {
    const { json, serve } = await stateDirectory(t);
    const ra = await serve();
    await ra.stop();
    const status = (await json('status')) as StatusJson;
    assert.deepEqual(Object.keys(status), [
      'ra',
      'at',
      'lastActivity',
      'warnings',
      'registrations',
      'failing',
      'blacklisted',
      'horizon',
      'linkageCache',
      'workers',
      'shuffle',
      'pca',
      'batches',
      'backlog',
      'givenUp',
      'rates',
      'incidents',
      'endings',
      'generation',
      'enrollmentsEnding',
    ]);
    const roles = (status.endings as readonly { role: string }[]).map(({ role }) => role);
    assert.deepEqual(roles.toSorted(), [
      'eca',
      'ica',
      'la1',
      'la2',
      'pca',
      'policy',
      'ra',
      'root',
      'tls',
    ]);
  });

  it('warns of what runs out, and serve logs the same', async (t) => {
    const { cli, json, serve, clock } = await stateDirectory(t);
    const calm = await serve();
    assert.doesNotMatch(await calm.stop(), /ends-soon/);
    const fresh = (await json('status')) as StatusJson;
    assert.deepEqual(fresh.warnings, []);
    const { endings } = fresh as unknown as { endings: { role: string; endsAt: string }[] };
    const end = Date.parse(endings.find(({ role }) => role === 'ra')?.endsAt ?? '');
    clock.advance(end - 90 * DAY_MS - clock.now() + 60_000);
    const late = (await json('status')) as StatusJson;
    const ending = late.warnings.filter(({ code }) => code === 'ends-soon');
    assert(ending.some(({ at }) => at !== null && Date.parse(at) === end));
    assert.match(
      (await cli('status')).stdout,
      /^ {2}! the certificate of the RA \(localhost\) ends 20/m,
    );
    const logged = await (await serve()).stop();
    assert.match(logged, /"code":"ends-soon","msg":"the certificate of the RA \(localhost\) ends /);
  });

  it('explains itself', async () => {
    const { status, stdout } = await run(['status', '--help']);
    assert.equal(status, 0);
    assert.match(stdout, /docs\/reference\/status\.md/);
    assert.match(stdout, /Examples:/);
  });
});

describe('text layout', () => {
  it('puts values under each other', () => {
    const lines = [
      ['a', '1'],
      ['long', 'x'],
      ['none', undefined],
    ] as const;
    assert.equal(section('title', lines), 'title\n  a     1\n  long  x');
    assert.equal(
      table([
        ['', 'n'],
        ['a', 1_000_000],
      ]),
      '             n\n  a  1,000,000'.replace(/^ {13}n/, `     ${'n'.padStart(9)}`),
    );
  });
});
