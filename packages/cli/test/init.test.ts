import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { hostnameOf, readTestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { loadConfig } from '../src/config.ts';
import { NOW_MS, run } from './run-main.ts';

describe('chrysalis init', () => {
  it('makes a state directory that the other commands can use', async () => {
    const directory = join(temporaryDirectory(), 'state');
    const { status, stdout, stderr } = await run([
      '--dir',
      directory,
      'init',
      '--host',
      'ra.example.com',
      '--weeks-ahead',
      '3',
    ]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^state directory: .*state\nRA: https:\/\/ra\.example\.com:8892\n/);
    assert.match(stderr, /^chrysalis: warning: .*shuffle\.initial = "immediate"/);
    assert.match(stderr, /not for production/);
    assert.deepEqual((await readdir(directory)).sort(), ['authorities', 'chrysalis.toml', 'ra']);
    assert.equal((await stat(directory)).mode & 0o777, 0o700);

    const config = await loadConfig(directory);
    assert.equal(config.certificates.weeksAhead, 3);
    const scms = await readTestScms(directory);
    assert.equal(hostnameOf(scms.ra.certificate), 'ra.example.com');
    assert.equal(hostnameOf(scms.pca.certificate), config.pca.hostname);
    for (const path of [config.ra.certificate, config.pca.certificate, ...config.trust.ecas]) {
      assert.ok((await readFile(path)).length > 0);
    }
  });

  it('gives TLS a certificate for the host and for this machine', async () => {
    const directory = temporaryDirectory();
    for (const [host, names] of [
      ['ra.example.com', 'DNS:ra.example.com, DNS:localhost, IP Address:127.0.0.1'],
      ['192.0.2.7', 'DNS:localhost, IP Address:192.0.2.7, IP Address:127.0.0.1'],
      ['localhost', 'DNS:localhost, IP Address:127.0.0.1'],
    ] as const) {
      const dir = join(directory, host);
      assert.equal((await run(['--dir', dir, 'init', '--host', host])).status, 0);
      const { ra, trust } = await loadConfig(dir);
      const certificate = new X509Certificate(await readFile(ra.tlsCert));
      const root = new X509Certificate(await readFile(trust.x509Root));
      assert.equal(certificate.subjectAltName, names);
      assert.ok(certificate.verify(root.publicKey));
      assert.ok(certificate.validFromDate.getTime() <= NOW_MS);
      assert.equal((await stat(ra.tlsKey)).mode & 0o777, 0o600);
    }
  });

  it('says in JSON what it made', async () => {
    const directory = join(temporaryDirectory(), 'state');
    const { stdout } = await run(['--dir', directory, 'init', '--json', '--port', '0']);
    const made = JSON.parse(stdout);
    assert.equal(made.directory, directory);
    assert.equal(made.raUrl, null);
    assert.equal(made.certificates.length, 10);
    assert.deepEqual(Object.keys(made.certificates[0]), [
      'authority',
      'hostname',
      'id',
      'validUntil',
    ]);
  });

  it('keeps every secret to itself', async () => {
    const directory = join(temporaryDirectory(), 'state');
    const { stdout, stderr } = await run(['--dir', directory, 'init', '--json']);
    const key = (await readFile(join(directory, 'ra/signing.key'), 'latin1')).trim();
    assert.ok(!`${stdout}${stderr}`.includes(key));
  });

  it('refuses a directory that is one already, and leaves it alone', async () => {
    const directory = temporaryDirectory();
    await run(['--dir', directory, 'init']);
    const before = await readFile(join(directory, 'ra/signing.key'), 'latin1');
    const { status, stdout, stderr } = await run(['--dir', directory, 'init']);
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /^chrysalis: expected an empty directory, saw a chrysalis state in/);
    assert.match(stderr, /\nchrysalis: hint: choose another with --dir/);
    assert.equal(await readFile(join(directory, 'ra/signing.key'), 'latin1'), before);
  });

  it('refuses a directory of something else, and leaves it alone', async () => {
    const directory = temporaryDirectory();
    await mkdir(join(directory, 'ra'));
    await writeFile(join(directory, 'ra', 'thesis.tex'), 'x');
    const { status, stderr } = await run(['--dir', directory, 'init']);
    assert.equal(status, 1);
    assert.match(stderr, /expected an empty directory, saw ra in/);
    assert.deepEqual(await readdir(join(directory, 'ra')), ['thesis.tex']);
  });

  it('redoes what was interrupted, wherever that was', async () => {
    const directory = temporaryDirectory();
    const cuts = [
      'chrysalis.toml',
      'ra/tls-key.pem',
      'ra/signing.key',
      'authorities/pca/signing.key',
    ];
    for (const cut of cuts) {
      const dir = join(directory, cut.replaceAll('/', '-'));
      await run(['--dir', dir, 'init']);
      await writeFile(join(dir, '.chrysalis-init'), '');
      await rm(join(dir, 'chrysalis.toml'));
      await rm(join(dir, cut), { force: true });
      const old = await readFile(join(dir, 'authorities/root/certificate.oer'));
      const { status, stderr } = await run(['--dir', dir, 'init']);
      assert.equal(status, 0, stderr);
      await readTestScms(dir);
      await loadConfig(dir);
      assert.notDeepEqual(await readFile(join(dir, 'authorities/root/certificate.oer')), old);
      assert.deepEqual((await readdir(dir)).sort(), ['authorities', 'chrysalis.toml', 'ra']);
    }
  });

  it('redoes what was interrupted before anything was there but a temporary file', async () => {
    const directory = temporaryDirectory();
    await writeFile(join(directory, '..chrysalis-init.8f9cc3e52d22b4d6.tmp'), '');
    await writeFile(join(directory, '.chrysalis.toml.8f9cc3e52d22b4d6.tmp'), 'half');
    const { status, stderr } = await run(['--dir', directory, 'init']);
    assert.equal(status, 0, stderr);
    assert.deepEqual((await readdir(directory)).sort(), ['authorities', 'chrysalis.toml', 'ra']);
  });

  it('makes nothing when it cannot make all: a host that is none', async () => {
    const directory = join(temporaryDirectory(), 'state');
    const { status, stderr } = await run(['--dir', directory, 'init', '--host', 'my host']);
    assert.equal(status, 1);
    assert.match(stderr, /ra\.host: expected a host name, saw "my host"/);
    await assert.rejects(stat(directory), { code: 'ENOENT' });
  });

  it('draws its keys from the randomness that it is given', async () => {
    const directory = join(temporaryDirectory(), 'state');
    let drawn = 0;
    const random = (octets: number) => {
      drawn += 1;
      return systemRandom(octets);
    };
    await run(['--dir', directory, 'init'], { random });
    assert.ok(drawn >= 10 + 4 + 4, 'ten signing keys, four encryption keys, four secrets');
  });
});

describe('the command line', () => {
  it('tells usage errors by status 2 and a hint', async () => {
    for (const argv of [
      ['frobnicate'],
      ['init', '--port', 'x'],
      ['init', '--weeks-ahead', '0'],
      ['init', '--applications', 'all'],
      ['init', '--country', '840,x'],
      ['init', '--nonsense'],
      ['enroll'],
      [],
    ]) {
      const { status, stdout, stderr } = await run(argv);
      assert.equal(status, 2, argv.join(' '));
      assert.equal(stdout, '');
      assert.match(stderr, argv.length === 0 ? /Usage/ : /^chrysalis: .*\nchrysalis: hint: /);
    }
  });

  it('prints help and version on standard output', async () => {
    const help = await run(['--help']);
    assert.equal(help.status, 0);
    assert.equal(help.stderr, '');
    for (const command of ['init', 'serve', 'enroll', 'ee', 'inspect']) {
      assert.match(help.stdout, new RegExp(`^  ${command}\\b`, 'm'));
    }
    assert.match((await run(['init', '--help'])).stdout, /Examples:[\s\S]*--country 840,410/);
    assert.match((await run(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it('calls what it did not expect a bug, and shows where only when asked', async () => {
    const directory = join(temporaryDirectory(), 'state');
    const random = (): never => {
      throw new RangeError('no entropy');
    };
    const plain = await run(['--dir', directory, 'init'], { random });
    assert.equal(plain.status, 1);
    assert.equal(
      plain.stderr,
      'chrysalis: internal error: no entropy\n' +
        'chrysalis: hint: this is a bug; CHRYSALIS_DEBUG=1 shows where\n',
    );
    const debug = await run(['--dir', directory, 'init'], {
      random,
      env: { CHRYSALIS_DEBUG: '1' },
    });
    assert.match(debug.stderr, /RangeError: no entropy\n.*at /);
  });
});
