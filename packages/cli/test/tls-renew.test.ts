/** `chrysalis tls renew`: what it makes, what it leaves, what it refuses, and what a kill leaves. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect } from 'node:tls';
import { systemClock } from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { loadConfig } from '../src/config.ts';
import { withTlsPair } from '../src/config-edit.ts';
import { configFileText } from '../src/config-file.ts';
import { NOW_MS, run } from './run-main.ts';

const YEAR_MS = 365 * 86_400_000;

async function stateDirectory(...init: string[]) {
  const folder = temporaryDirectory();
  const directory = join(folder, 'state');
  const at = (file: string) => join(directory, file);
  const cli = (...args: string[]) => run(['--dir', directory, ...args]);
  const made = await cli('init', ...init);
  assert.equal(made.status, 0, made.stderr);
  const pair = async () => {
    const { tlsCert, tlsKey } = (await loadConfig(directory)).ra;
    const certificate = new X509Certificate(await readFile(tlsCert));
    const isPair = certificate.checkPrivateKey(createPrivateKey(await readFile(tlsKey)));
    return { tlsCert, tlsKey, certificate, isPair };
  };
  return { folder, directory, at, cli, pair };
}

describe('chrysalis tls renew', () => {
  it('gives the RA a new key and certificate for its names, of the same root', async () => {
    const { directory, at, pair } = await stateDirectory('--host', 'ra.example.com');
    const before = await pair();
    const text = await readFile(at('chrysalis.toml'), 'utf8');
    const clock = { now: () => NOW_MS + YEAR_MS };
    const { status, stdout, stderr } = await run(['--dir', directory, 'tls', 'renew'], { clock });
    assert.equal(status, 0, stderr);
    const after = await pair();
    assert(after.isPair);
    const root = new X509Certificate(await readFile(at('authorities/x509-root/certificate.pem')));
    assert(after.certificate.verify(root.publicKey));
    for (const what of ['serialNumber', 'fingerprint256'] as const) {
      assert.notEqual(after.certificate[what], before.certificate[what]);
    }
    assert.notDeepEqual(
      after.certificate.publicKey.export({ type: 'spki', format: 'der' }),
      before.certificate.publicKey.export({ type: 'spki', format: 'der' }),
    );
    for (const what of ['subject', 'subjectAltName', 'issuer', 'keyUsage'] as const) {
      assert.deepEqual(after.certificate[what], before.certificate[what]);
    }
    for (const what of ['validFromDate', 'validToDate'] as const) {
      const laterMs = after.certificate[what].getTime() - before.certificate[what].getTime();
      assert.equal(laterMs, YEAR_MS);
    }
    assert.equal((await stat(after.tlsKey)).mode & 0o777, 0o600);
    assert.match(stdout, new RegExp(`serial {2}${after.certificate.serialNumber.toLowerCase()}`));
    assert.match(stdout, /^ {2}status {2}good$/m);

    // The file is otherwise what it was; the certificate before stays, and its key does not.
    const serial = after.certificate.serialNumber.toLowerCase();
    assert.equal(
      await readFile(at('chrysalis.toml'), 'utf8'),
      text
        .replace('"ra/tls-certificate.pem"', `"ra/tls-certificate-${serial}.pem"`)
        .replace('"ra/tls-key.pem"', `"ra/tls-key-${serial}.pem"`),
    );
    const tlsFiles = (await readdir(at('ra'))).filter((file) => file.startsWith('tls-'));
    assert.deepEqual(tlsFiles.toSorted(), [
      `tls-certificate-${serial}.pem`,
      'tls-certificate.pem',
      `tls-key-${serial}.pem`,
    ]);
    assert(stderr.includes(before.tlsCert), stderr);
  });

  it('leaves the certificate before to be revoked, and can be repeated', async () => {
    const { cli, pair } = await stateDirectory();
    const before = await pair();
    assert.equal((await cli('tls', 'renew')).status, 0);
    const between = await pair();
    assert.equal((await cli('tls', 'renew')).status, 0);
    const revoked = await cli('tls', 'revoke', '--certificate', before.tlsCert);
    assert.match(revoked.stdout, /^ {2}status {2}revoked at /m);
    const status = await cli('tls', 'status', '--certificate', between.tlsCert);
    assert.match(status.stdout, /^ {2}status {2}good$/m);
    assert.match((await cli('tls', 'status')).stdout, /^ {2}status {2}good$/m);
    assert((await pair()).isPair);
  });

  it('is what an RA shows that is started then', async (t) => {
    // TLS knows no other time than that of the machine.
    const { directory, at, pair } = await stateDirectory('--port', '0', '--weeks-ahead', '2');
    const machine = { clock: systemClock };
    assert.equal((await run(['--dir', directory, 'tls', 'renew'], machine)).status, 0);
    const stopping = new AbortController();
    const started = Promise.withResolvers<{ url: string }>();
    const running = run(['--dir', directory, '--json', 'serve'], {
      ...machine,
      signal: stopping.signal,
      stdout: { write: (text) => started.resolve(JSON.parse(text)) },
    });
    t.after(async () => {
      stopping.abort();
      await running;
    });
    const failed = running.then(({ stderr }) => Promise.reject(new Error(stderr)));
    failed.catch(() => {});
    const { port } = new URL((await Promise.race([started.promise, failed])).url);
    const ca = await readFile(at('authorities/x509-root/certificate.pem'), 'utf8');
    const socket = connect({ port: Number(port), host: '127.0.0.1', servername: 'localhost', ca });
    await once(socket, 'secureConnect');
    const shown = socket.getPeerX509Certificate();
    socket.destroy();
    assert.equal(shown?.fingerprint256, (await pair()).certificate.fingerprint256);
  });

  it('leaves a pair, whenever it is killed, and goes on the next time', async () => {
    const { directory, cli, pair } = await stateDirectory();
    const serials = new Set([(await pair()).certificate.serialNumber]);
    // Key, certificate, configuration; the key before.
    for (const [killedAt, isRenewed] of [false, false, false, true].entries()) {
      assert.equal(await killedRenewal(directory, killedAt), 'SIGKILL');
      const { certificate, isPair } = await pair();
      assert(isPair, `killed at ${killedAt}`);
      assert.equal(!serials.has(certificate.serialNumber), isRenewed, `killed at ${killedAt}`);
      serials.add(certificate.serialNumber);
    }
    assert.equal(await killedRenewal(directory, 4), null);
    assert.equal((await cli('tls', 'renew')).status, 0);
    assert((await pair()).isPair);
  });

  it('refuses what is not its own to renew, and changes nothing', async () => {
    const { folder, at, cli } = await stateDirectory();
    const other = await stateDirectory();
    const text = await readFile(at('chrysalis.toml'), 'utf8');
    await copyFile(at('ra/tls-key.pem'), join(folder, 'key.pem'));
    await copyFile(at('ra/tls-certificate.pem'), join(folder, 'certificate.pem'));
    await copyFile(other.at('ra/tls-certificate.pem'), at('ra/other.pem'));
    for (const [from, to, message] of [
      [
        'ra/tls-certificate.pem',
        '../certificate.pem',
        /ra\.tls-cert: expected a file in .*state, saw/,
      ],
      ['ra/tls-key.pem', '../key.pem', /ra\.tls-key: expected a file in .*state, saw/],
      ['ra/tls-key.pem', join(folder, 'key.pem'), /ra\.tls-key: expected a file in .*state, saw/],
      [
        'ra/tls-certificate.pem',
        'ra/other.pem',
        /expected a certificate of .*, saw one of another/,
      ],
    ] as const) {
      const edited = text.replace(`"${from}"`, `"${to}"`);
      await writeFile(at('chrysalis.toml'), edited);
      const files = await readdir(at('ra'));
      const { status, stderr } = await cli('tls', 'renew');
      assert.equal(status, 1);
      assert.match(stderr, message);
      assert.deepEqual(await readdir(at('ra')), files);
      assert.equal(await readFile(at('chrysalis.toml'), 'utf8'), edited);
    }
  });

  it('gives no certificate that outlives the root, and none of a root that has ended', async () => {
    const { directory, at, pair } = await stateDirectory();
    const root = new X509Certificate(await readFile(at('authorities/x509-root/certificate.pem')));
    const renewAt = (nowMs: number) =>
      run(['--dir', directory, 'tls', 'renew'], { clock: { now: () => nowMs } });
    const endMs = root.validToDate.getTime();
    assert.equal((await renewAt(endMs - 1)).status, 0);
    assert.equal((await pair()).certificate.validTo, root.validTo);
    const { status, stderr } = await renewAt(endMs);
    assert.equal(status, 1);
    assert.match(stderr, /expected an X\.509 root that is valid, saw one until 20/);
  });
});

describe('withTlsPair', () => {
  const text = configFileText({
    host: 'localhost',
    listen: '127.0.0.1',
    port: 0,
    weeksAhead: 2,
    pcaHostname: 'pca.scms.test',
    la1Hostname: 'la1.scms.test',
    la2Hostname: 'la2.scms.test',
  });
  const pair = { tlsCert: 'ra/c.pem', tlsKey: 'ra/k.pem' };

  it('leaves the client certificates of remote authorities alone', () => {
    const remote = [
      'mode = "remote"',
      'url = "https://127.0.0.1:1"',
      'tls-ca = "a.pem"',
      'tls-cert = "b.pem"',
      'tls-key = "c.pem"',
    ].join('\n');
    const before = text.replace('[pca]\nmode = "in-process"', `[pca]\n${remote}`);
    assert.notEqual(before, text);
    const after = withTlsPair(before, pair);
    assert(after.includes(remote));
    assert(after.includes('\ntls-cert = "ra/c.pem"\ntls-key = "ra/k.pem"\n'));
  });

  it('refuses what it cannot change a line at a time', () => {
    for (const [from, to] of [
      ['[ra]', '[ "ra" ]'],
      ['tls-cert = ', '"tls-cert" = '],
      ['tls-key = "ra/tls-key.pem"', 'tls-key = """\nra/tls-key.pem"""'],
    ] as const) {
      const odd = text.replace(from, to);
      assert.notEqual(odd, text);
      assert.throws(() => withTlsPair(odd, pair), {
        name: 'CliError',
        message: /expected a section \[ra\] with lines tls-cert/,
      });
    }
  });
});

/** Runs the command in a process that is killed at one of its steps; resolves with the signal by which it ended. */
async function killedRenewal(directory: string, killedAt: number): Promise<NodeJS.Signals | null> {
  const preload = ['--import', join(import.meta.dirname, 'killed-at.ts')];
  const bin = join(import.meta.dirname, '../src/bin.js');
  const child = spawn(process.execPath, [...preload, bin, '--dir', directory, 'tls', 'renew'], {
    stdio: 'ignore',
    env: { ...process.env, TEST_KILLED_AT: String(killedAt) },
  });
  const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return signal;
}
