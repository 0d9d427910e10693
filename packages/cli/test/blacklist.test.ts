/** `chrysalis blacklist`: what it says, and what becomes of the device at an RA that serves. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { send } from '../../../test/support/https-client.ts';
import { run } from './run-main.ts';
import { stateDirectory } from './served.ts';

const BIN = join(import.meta.dirname, '../src/bin.js');

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

  it('has each change in the audit log, when it was killed before the line: the next command or RA writes it', async (t) => {
    const { cli, json, serve, directory } = await stateDirectory(t);
    await (await serve()).stop();
    const hash = '5a'.repeat(32);
    const killed = async (...args: string[]) => {
      const preload = ['--import', join(import.meta.dirname, 'killed-at-append.ts')];
      const argv = [...preload, BIN, '--dir', directory, 'blacklist', ...args];
      const child = spawn(process.execPath, argv, { stdio: 'ignore' });
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
      return signal;
    };
    const shown = async () => {
      const { stdout } = await cli('--json', 'audit', 'show', '--event', 'blacklist');
      const lines = stdout.split('\n').filter((line) => line !== '');
      const told = lines.map((line) => {
        const { writer, change, enrollment, reason } = JSON.parse(line);
        return [writer, change, enrollment, reason];
      });
      // The clocks of the commands differ: some have the test's.
      return told.sort();
    };
    assert.equal(await killed('add', hash, '--reason', 'stolen'), 'SIGKILL');
    assert.equal(((await json('blacklist', 'list')) as object[]).length, 1, 'it counts');
    assert.deepEqual(await shown(), []);
    const again = await cli('blacklist', 'add', hash, '--reason', 'another');
    assert.match(again.stdout, /^blacklisted before: .* stolen\n$/);
    const added = ['operator', 'added', hash, 'stolen'];
    assert.deepEqual(await shown(), [added]);

    assert.equal(await killed('remove', hash), 'SIGKILL');
    assert.deepEqual(await json('blacklist', 'list'), []);
    assert.deepEqual(await shown(), [added]);
    await (await serve()).stop();
    assert.deepEqual(await shown(), [added, ['server', 'removed', hash, undefined]]);
    assert.equal((await cli('audit', 'verify')).status, 0);
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
