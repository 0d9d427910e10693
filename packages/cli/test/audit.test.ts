/** `chrysalis audit`: what a served RA has written down, and what is said when somebody changes it. */
import assert from 'node:assert/strict';
import { copyFile, cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { configDigest } from '../src/audit-parts.ts';
import { loadConfig } from '../src/config.ts';
import { stateDirectory } from './served.ts';

describe('chrysalis audit', () => {
  it('verifies what an RA, its pipeline and its operator have written, and shows it', async (t) => {
    const { cli, json, serve, enroll, directory } = await stateDirectory(t);
    const audit = join(directory, 'ra', 'audit');
    const ra = await serve();
    const { id, topUp } = await enroll(ra.url);
    await topUp();
    assert.equal((await cli('audit', 'verify')).status, 0, 'while it serves');
    await cli('blacklist', 'add', id, '--reason', 'stolen');
    await ra.stop();
    assert.equal((await stat(audit)).mode & 0o777, 0o700);

    const { status, stdout } = await cli('audit', 'verify');
    assert.equal(status, 0);
    assert.match(stdout, /^operator: as written; lines 1 to 3 in 1 file,/m);
    assert.match(stdout, /^server: as written; .*\n {2}signed by the RA through line \d+,/m);
    const shown = await cli('audit', 'show', '--device', id);
    const events = shown.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split('  ')[2]);
    // It has come too early, perhaps: that is a refusal then.
    assert.deepEqual([...new Set(events)].filter((event) => event !== 'refusal').sort(), [
      'blacklist',
      'registration',
    ]);
    const [start] = (await lines(await cli('--json', 'audit', 'show', '--event', 'start'))) as [
      Record<string, unknown>,
    ];
    assert.equal(start.writer, 'server');
    assert.equal(start.config, configDigest(await loadConfig(directory)));
    const future = await cli('audit', 'show', '--since', '2999-01-01');
    assert.equal(future.stdout, '');

    // An auditor has kept the last line of an earlier look.
    const { series } = (await json('audit', 'verify')) as {
      readonly series: readonly { writer: string; last: { seq: number; hash: string } }[];
    };
    const server = series.find(({ writer }) => writer === 'server')!;
    const kept = `server:${server.last.seq}:${server.last.hash}`;
    assert.equal((await cli('audit', 'verify', '--line', kept)).status, 0);
    const copy = join(directory, '..', 'copy');
    await cp(audit, copy, { recursive: true });
    assert.equal((await cli('audit', 'verify', '--audit', copy)).status, 0);

    const name = (await readdir(copy)).find((file) => file.startsWith('operator-'))!;
    const text = await readFile(join(copy, name), 'utf8');
    await writeFile(join(copy, name), text.replace('stolen', 'borrow'));
    const broken = await cli('audit', 'verify', '--audit', copy);
    assert.equal(broken.status, 1);
    assert.match(
      broken.stderr,
      /not as it was written: operator-00000001\.jsonl:2: expected the hash/,
    );
  });

  it('verifies what a former certificate of the RA has signed', async (t) => {
    const { cli, serve, directory } = await stateDirectory(t);
    await (await serve()).stop();
    const renewed = await cli('authority', 'renew', 'ra');
    assert.equal(renewed.status, 0, renewed.stderr);
    await (await serve()).stop();
    const { status, stderr } = await cli('audit', 'verify');
    assert.equal(status, 0, stderr);
    const text = await readFile(join(directory, 'ra', 'audit', 'server-00000001.jsonl'), 'utf8');
    const signers = new Set([...text.matchAll(/"signer":"(\w+)"/g)].map(([, signer]) => signer));
    assert.equal(signers.size, 2);
  });

  it('says what is missing', async (t) => {
    const { cli, directory } = await stateDirectory(t);
    const none = await cli('audit', 'verify');
    assert.equal(none.status, 1);
    assert.match(none.stderr, /expected an audit log, saw none/);
    assert.equal((await cli('audit', 'verify', '--line', 'x')).status, 2);
    assert.equal((await cli('audit', 'show', '--since', 'yesterday')).status, 2);
    const config = join(directory, 'chrysalis.toml');
    await copyFile(config, `${config}.before`);
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace('max-file-mb = 64', 'max-file-mb = 0'));
    const wrong = await cli('audit', 'verify');
    assert.match(wrong.stderr, /audit\.max-file-mb: expected 1 or more, saw 0/);
  });
});

async function lines({ stdout }: { readonly stdout: string }): Promise<unknown[]> {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}
