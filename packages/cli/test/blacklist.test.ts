/** `chrysalis blacklist`: what it says, and what becomes of the device at an RA that serves. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { send } from '../../../test/support/https-client.ts';
import { run } from './run-main.ts';
import { stateDirectory } from './served.ts';

describe('chrysalis blacklist', () => {
  it('refuses a device at once, and serves it again at once', async (t) => {
    const { cli, json, serve, enroll, directory } = await stateDirectory(t);
    const ra = await serve();
    const { id, ee, topUp } = await enroll(ra.url);
    await topUp();
    const { requestHash } = JSON.parse((await ee('status', '--json')).stdout).supplies[0];
    const ca = await readFile(join(directory, 'authorities/x509-root/certificate.pem'), 'utf8');
    const info = async () => {
      const { stdout } = await ee('header', `${requestHash}.info`);
      const [name = '', value = ''] = stdout.trim().split(': ');
      return (await send(`${ra.url}/download/info`, ca, { headers: { [name]: value } })).status;
    };
    assert.equal(await info(), 200);
    assert.equal((await cli('blacklist', 'list')).stdout, 'nobody is blacklisted\n');

    const added = await cli('blacklist', 'add', id.toLowerCase(), '--reason', 'stolen');
    assert.match(added.stdout, new RegExp(`^blacklisted: 20\\S+Z {2}${id} {2}stolen\n$`));
    assert.equal(await info(), 500);
    const again = await cli('blacklist', 'add', id, '--reason', 'another');
    assert.match(again.stdout, /^blacklisted before: .* stolen\n$/);
    const [entry, none] = (await json('blacklist', 'list')) as Record<string, string>[];
    assert.equal(none, undefined);
    assert.deepEqual([entry?.enrollment, entry?.reason], [id, 'stolen']);
    assert(entry?.sha256?.endsWith(id) && entry.sha256.length === 64);

    assert.equal((await cli('blacklist', 'remove', id)).stdout, `off the blacklist: ${id}\n`);
    assert.equal(await info(), 200);
    const { status, stderr } = await cli('blacklist', 'remove', id);
    assert.equal(status, 1);
    assert.match(stderr, /expected an enrollment certificate that is blacklisted, saw/);
    await ra.stop();
  });

  it('takes a device that has asked for nothing yet, by its certificate or whole hash', async (t) => {
    const { cli, json, serve, enroll } = await stateDirectory(t);
    const ra = await serve();
    const { id, certificate, topUp } = await enroll(ra.url);
    const unknown = await cli('blacklist', 'add', id);
    assert.equal(unknown.status, 1);
    assert.match(unknown.stderr, /expected the HashedId8 of an enrollment certificate of ours/);
    assert.match(unknown.stderr, /hint: .*--certificate FILE/);

    const added = (await json('blacklist', 'add', '--certificate', certificate)) as {
      readonly [key: string]: unknown;
    };
    assert.deepEqual([added.enrollment, added.reason, added.isNew], [id, 'not given', true]);
    assert.match((await cli('device', 'show', id)).stdout, /^it has asked for nothing$/m);
    assert.deepEqual(await json('blacklist', 'remove', String(added.sha256)), {
      enrollment: id,
      sha256: added.sha256,
    });
    await topUp();
    await ra.stop();
  });

  it('refuses what names no enrollment certificate', async (t) => {
    const { cli, serve, directory } = await stateDirectory(t);
    await (await serve()).stop();
    const ofRa = join(directory, 'ra/certificate.oer');
    for (const [args, message] of [
      [[], /expected either a hash or --certificate FILE/],
      [['00'.repeat(32), '--certificate', ofRa], /expected either a hash or --certificate FILE/],
      [['abc'], /expected 16 or 64 hex digits, saw "abc"/],
      [['--certificate', ofRa], /expected an enrollment certificate, CRL series 4, saw series 2/],
      [['--certificate', join(directory, 'none')], /expected a certificate in .*, could not read/],
    ] as const) {
      for (const command of ['add', 'remove']) {
        const { status, stderr } = await cli('blacklist', command, ...args);
        assert.equal(status, 1);
        assert.match(stderr, message);
      }
    }
    assert.equal((await cli('blacklist', 'list')).stdout, 'nobody is blacklisted\n');
    assert.equal((await cli('blacklist', 'add', '--reason', 'two\nlines')).status, 2);
    for (const command of [['add'], ['remove'], []]) {
      const { stdout } = await run(['blacklist', ...command, '--help']);
      assert.match(stdout, /Usage: chrysalis blacklist/);
    }
  });
});
