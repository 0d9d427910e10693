/** `chrysalis tls`: what it says, what it writes, what it refuses. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { OcspQuestion } from '../../ra/src/ocsp-response.ts';
import { loadConfig, parseConfig } from '../src/config.ts';
import { openOcspSource } from '../src/ocsp-source.ts';
import { NOW_MS, run } from './run-main.ts';

const clock = { now: () => NOW_MS };

async function stateDirectory(name = 'state') {
  const directory = join(temporaryDirectory(), name);
  const cli = (...args: string[]) => run(['--dir', directory, ...args]);
  assert.equal((await cli('init')).status, 0);
  return { directory, cli, at: (file: string) => join(directory, file) };
}

describe('chrysalis tls', () => {
  it('says what the certificate is, and that nobody has revoked it', async () => {
    const { cli, at } = await stateDirectory();
    const certificate = new X509Certificate(await readFile(at('ra/tls-certificate.pem')));
    const { status, stdout } = await cli('tls', 'status');
    assert.equal(status, 0);
    assert.match(stdout, /^CN=localhost\n {2}names {3}DNS:localhost, IP Address:127\.0\.0\.1\n/);
    assert.match(stdout, /^ {2}status {2}good$/m);
    const json = JSON.parse((await cli('--json', 'tls', 'status')).stdout);
    assert.equal(json.serialNumber, certificate.serialNumber.toLowerCase());
    assert.equal(json.validUntil, certificate.validToDate.toISOString());
    assert.equal(json.status, 'good');
  });

  it('revokes once: the first time and reason stay', async () => {
    const { directory, cli, at } = await stateDirectory();
    const first = await cli('tls', 'revoke', '--reason', 'keyCompromise');
    assert.match(
      first.stdout,
      /^ {2}status {2}revoked at 2026-11-21T20:50:00\.000Z, keyCompromise$/m,
    );
    const folder = at('authorities/x509-root/revoked');
    const [file = ''] = await readdir(folder);
    const written = await readFile(join(folder, file), 'utf8');
    const later = await run(['--dir', directory, 'tls', 'revoke'], {
      clock: { now: () => NOW_MS + 1000 },
    });
    assert.equal(later.stdout, first.stdout);
    assert.deepEqual(await readdir(folder), [file]);
    assert.equal(await readFile(join(folder, file), 'utf8'), written);
    assert.equal((await cli('tls', 'status')).stdout, first.stdout);
  });

  it('revokes another certificate of the same root, and leaves that of the RA alone', async () => {
    const { cli, at } = await stateDirectory();
    await copyFile(at('authorities/x509-root/certificate.pem'), at('old.pem'));
    assert.equal((await cli('tls', 'revoke', '--certificate', at('old.pem'))).status, 0);
    assert.match((await cli('tls', 'status')).stdout, /^ {2}status {2}good$/m);
  });

  it('refuses what it cannot revoke', async () => {
    const { cli, at } = await stateDirectory();
    const other = await stateDirectory('other');
    for (const [file, message] of [
      [other.at('ra/tls-certificate.pem'), /expected a certificate of .*, saw one of another/],
      [at('ra/certificate.oer'), /expected an X\.509 certificate, PEM/],
      [at('nothing.pem'), /no such file/],
    ] as const) {
      const { status, stderr } = await cli('tls', 'revoke', '--certificate', file);
      assert.equal(status, 1);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /internal error/);
    }
    assert.equal((await cli('tls', 'revoke', '--reason', 'boredom')).status, 2);
  });

  it('loses nothing when several revoke at once', async () => {
    const { directory, cli, at } = await stateDirectory();
    const files: string[] = [];
    for (let n = 0; n < 4; n++) {
      files.push((await loadConfig(directory)).ra.tlsCert);
      assert.equal((await cli('tls', 'renew')).status, 0);
    }
    // Each certificate twice, for other reasons: the two have to agree on one.
    const revoked = await Promise.all(
      files.flatMap((file) =>
        ['keyCompromise', 'superseded'].map((reason) =>
          cli('tls', 'revoke', '--certificate', file, '--reason', reason),
        ),
      ),
    );
    for (const [n, file] of files.entries()) {
      const { stdout } = await cli('tls', 'status', '--certificate', file);
      assert.match(stdout, /^ {2}status {2}revoked at /m);
      assert.deepEqual(
        revoked.slice(2 * n, 2 * n + 2).map((outcome) => outcome.stdout),
        [stdout, stdout],
      );
    }
    const names = await readdir(at('authorities/x509-root/revoked'));
    assert.equal(names.length, 4, names.join());
    assert.match((await cli('tls', 'status')).stdout, /^ {2}status {2}good$/m);
  });

  it('knows what an earlier version has revoked', async () => {
    const { directory, cli, at } = await stateDirectory();
    const { tlsCert } = (await loadConfig(directory)).ra;
    const { serialNumber } = new X509Certificate(await readFile(tlsCert));
    const first = {
      serialNumber: serialNumber.toLowerCase(),
      revokedAt: '2026-01-02T03:04:05.000Z',
      reason: 'keyCompromise',
    };
    const list = at('authorities/x509-root/revoked.json');
    await writeFile(list, JSON.stringify({ revoked: [first] }));
    const state = /^ {2}status {2}revoked at 2026-01-02T03:04:05\.000Z, keyCompromise$/m;
    assert.match((await cli('tls', 'status')).stdout, state);
    assert.match((await cli('tls', 'revoke', '--reason', 'superseded')).stdout, state);
  });

  for (const file of ['revoked.json', 'revoked/00ff.json']) {
    it(`says nothing to be good when it cannot read ${file}`, async () => {
      await expectNothingGood(await stateDirectory(), file);
    });
  }

  async function expectNothingGood(
    { cli, at, directory }: Awaited<ReturnType<typeof stateDirectory>>,
    file: string,
  ): Promise<void> {
    const path = at(join('authorities/x509-root', file));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, '{ "revoked": [{}] }');
    const { status, stderr } = await cli('tls', 'status');
    assert.equal(status, 1);
    assert.match(stderr, /00ff\.json: expected|revoked\.json: expected/);
    const config = await loadConfig(directory);
    const source = await openOcspSource(config, { mode: 'in-process' }, directory, clock);
    const { request } = await OcspQuestion.about(
      new X509Certificate(await readFile(config.ra.tlsCert)).raw,
      new X509Certificate(source.issuerPem).raw,
    );
    const { signal } = new AbortController();
    await assert.rejects(source.respond(request, signal), /\.json: expected what chrysalis writes/);
  }
});

describe('[ocsp]', () => {
  it('is in process in what init writes, or has a URL', async () => {
    const { directory, at } = await stateDirectory();
    assert.deepEqual((await loadConfig(directory)).ocsp, { mode: 'in-process' });
    const text = await readFile(at('chrysalis.toml'), 'utf8');
    const withSection = (section: string) =>
      parseConfig(text.replace(/^\[ocsp\]\n[^[]*/m, `${section}\n`), directory).ocsp;
    assert.equal(withSection(''), undefined);
    const url = 'http://ocsp.example.com/';
    assert.deepEqual(withSection(`[ocsp]\nmode = "http"\nurl = "${url}"`), { mode: 'http', url });
    for (const [section, message] of [
      ['[ocsp]\nmode = "http"', /ocsp\.url: expected/],
      ['[ocsp]\nmode = "http"\nurl = "ldap://x/"', /ocsp\.url: expected an http URL, saw "ldap/],
      ['[ocsp]\nmode = "in-process"\nurl = "http://x/"', /ocsp\.url: expected a known key/],
      ['[ocsp]\nmode = "file"', /ocsp\.mode: expected/],
    ] as const) {
      assert.throws(() => withSection(section), { name: 'CliError', message });
    }
  });

  it('is refused when the issuer of the certificate is another', async () => {
    const { directory, at } = await stateDirectory();
    const other = await stateDirectory('other');
    await copyFile(other.at('ra/tls-certificate.pem'), at('ra/tls-certificate.pem'));
    const config = await loadConfig(directory);
    for (const ocsp of [
      { mode: 'in-process' },
      { mode: 'http', url: 'http://127.0.0.1/' },
    ] as const) {
      await assert.rejects(openOcspSource(config, ocsp, directory, clock), {
        name: 'CliError',
        message: 'ocsp: expected the issuer of ra.tls-cert, saw another',
      });
    }
    // The one whom it may be: the second certificate of the chain.
    const chain = await Promise.all(
      [at('ra/tls-certificate.pem'), other.at('authorities/x509-root/certificate.pem')].map(
        (file) => readFile(file, 'utf8'),
      ),
    );
    await writeFile(at('ra/tls-certificate.pem'), chain.join(''));
    const http = { mode: 'http', url: 'http://127.0.0.1/' } as const;
    const { issuerPem } = await openOcspSource(config, http, directory, clock);
    assert.equal(`${issuerPem}\n`, chain[1]);
  });
});
