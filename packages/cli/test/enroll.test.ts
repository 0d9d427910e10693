import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import {
  makeEnrollmentRequest,
  parseBundle,
  readBundleDirectory,
  verifyBundle,
} from '@chrysalis/ee';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { NOW_MS, run } from './run-main.ts';

const NOW = time32FromUnix(NOW_MS);
const DAY_SEC = 86_400;

describe('chrysalis enroll', () => {
  let place: string;
  let state: string;
  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'chrysalis-enroll-'));
    state = join(place, 'state');
    await run(['--dir', state, 'init', '--host', 'ra.example.com']);
  });
  after(() => rm(place, { recursive: true, force: true }));

  let count = 0;
  /** A device's request in a file, and a place for its bundle. */
  async function device({ time = NOW, countries = [840] } = {}) {
    count += 1;
    const key = PrivateKey.generate(systemRandom);
    const octets = makeEnrollmentRequest(key, time, { countries });
    const request = join(place, `request-${count}.oer`);
    await writeFile(request, octets);
    return { key, octets, request, out: join(place, `bundle-${count}`) };
  }

  it('writes a bundle that the End Entity SDK verifies as a whole', async () => {
    const { key, octets, request, out } = await device();
    const { status, stdout, stderr } = await run([
      '--dir',
      state,
      'enroll',
      '--request',
      request,
      '--out',
      out,
    ]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^enrolled: [0-9A-F]{16}, until 2029-/);
    assert.deepEqual((await readdir(out, { recursive: true })).sort(), [
      'SignedEeEnrollmentCertResponse.oer',
      'bootstrap.json',
      'certificates',
      'certificates/crlg.oer',
      'certificates/eca.oer',
      'certificates/ica.oer',
      'certificates/ma.oer',
      'certificates/pca.oer',
      'certificates/ra.oer',
      'certificates/root.oer',
      'x509-root.pem',
    ]);
    assert.deepEqual(JSON.parse(await readFile(join(out, 'bootstrap.json'), 'utf8')), {
      format: 1,
      raUrl: 'https://ra.example.com:8892',
      crlUrl: 'https://ra.example.com:8894/download-crl/',
      iPeriod: { epoch: 347_619_603, lengthSec: 604_800 },
    });
    const bundle = parseBundle(await readBundleDirectory(out));
    const enrollment = verifyBundle(bundle, key, octets, NOW);
    assert.deepEqual(enrollment.warnings, []);
    assert.match(enrollment.x509Root, /BEGIN CERTIFICATE/);
  });

  it('takes a request from standard input, and reports in JSON', async () => {
    const { octets, out } = await device();
    const { status, stdout, stderr } = await run(
      ['--dir', state, '--json', 'enroll', '--request', '-', '--out', out],
      { input: octets },
    );
    assert.equal(status, 0, stderr);
    const made = JSON.parse(stdout);
    assert.match(made.enrollment, /^[0-9A-F]{16}$/);
    assert.equal(made.raUrl, 'https://ra.example.com:8892');
    assert.equal(made.out, out);
  });

  it('takes another URL of the RA', async () => {
    const { request, out } = await device();
    const raUrl = 'https://127.0.0.1:4000/';
    await run(['--dir', state, 'enroll', '--request', request, '--out', out, '--ra-url', raUrl]);
    const bootstrap = JSON.parse(await readFile(join(out, 'bootstrap.json'), 'utf8'));
    assert.equal(bootstrap.raUrl, 'https://127.0.0.1:4000');
    assert.equal(bootstrap.crlUrl, 'https://ra.example.com:8894/download-crl/');
  });

  it('wants one when the RA takes any port', async () => {
    const { request, out } = await device();
    const free = join(place, 'free-port');
    await run(['--dir', free, 'init', '--port', '0']);
    const { status, stderr } = await run([
      '--dir',
      free,
      'enroll',
      '--request',
      request,
      '--out',
      out,
    ]);
    assert.equal(status, 1);
    assert.match(stderr, /expected a fixed port.*\nchrysalis: hint: --ra-url/);
    // The CRL store is on any port as well: the bundle names none, or the one that was said.
    const urls = ['--ra-url', 'https://ra.test:4000', '--crl-url', 'https://crl.test:4001'];
    for (const [given, expected] of [
      [urls.slice(0, 2), undefined],
      [urls, 'https://crl.test:4001'],
    ] as const) {
      const bundle = join(place, `bundle-${given.length}-urls`);
      const argv = ['--dir', free, 'enroll', '--request', request, '--out', bundle, ...given];
      assert.equal((await run(argv)).status, 0);
      const bootstrap = JSON.parse(await readFile(join(bundle, 'bootstrap.json'), 'utf8'));
      assert.equal(bootstrap.crlUrl, expected);
      const { crlUrl } = parseBundle(await readBundleDirectory(bundle));
      assert.equal(crlUrl?.host, expected && 'crl.test:4001');
    }
  });

  it('passes on why the ECA refuses, and writes nothing', async () => {
    for (const [wish, reason] of [
      [{ time: NOW - 2 * DAY_SEC }, 'ecaInvalidCurrentTime'],
      [{ countries: [124] }, 'ecaInvalidRegion'],
    ] as const) {
      const { request, out } = await device({ ...wish, countries: [...(wish.countries ?? [840])] });
      const { status, stdout, stderr } = await run([
        '--dir',
        state,
        'enroll',
        '--request',
        request,
        '--out',
        out,
      ]);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(stderr, new RegExp(`^chrysalis: ${reason}: expected .*\\nchrysalis: hint: `));
      await assert.rejects(readdir(out), { code: 'ENOENT' });
    }
  });

  it('takes an older request when told so', async () => {
    const { request, out } = await device({ time: NOW - 5 * DAY_SEC });
    const argv = ['--dir', state, 'enroll', '--request', request, '--out', out];
    assert.equal((await run([...argv, '--max-age-days', '4'])).status, 1);
    assert.equal((await run([...argv, '--max-age-days', '5'])).status, 0);
  });

  it('never replaces a bundle', async () => {
    const { request, out } = await device();
    const argv = ['--dir', state, 'enroll', '--request', request, '--out', out];
    assert.equal((await run(argv)).status, 0);
    const response = join(out, 'SignedEeEnrollmentCertResponse.oer');
    const first = await readFile(response);
    const { status, stderr } = await run(argv);
    assert.equal(status, 1);
    assert.match(stderr, /expected an empty directory/);
    assert.deepEqual(await readFile(response), first);
  });

  it('refuses what is no request, or no file, or far too large', async () => {
    const { out } = await device();
    const enroll = (request: string) =>
      run(['--dir', state, 'enroll', '--request', request, '--out', out]);
    const junk = join(place, 'junk');
    await writeFile(junk, 'junk');
    assert.match((await enroll(junk)).stderr, /^chrysalis: ecaMalformedRequest: /);
    await writeFile(junk, new Uint8Array(20_000));
    assert.match((await enroll(junk)).stderr, /expected a request of up to 16384 octets/);
    assert.match((await enroll(join(place, 'nowhere'))).stderr, /expected a request in .*nowhere/);
    assert.match((await enroll(place)).stderr, /could not read it/);
  });

  it('wants a state directory', async () => {
    const { request, out } = await device();
    const argv = ['--dir', join(place, 'nothing'), 'enroll', '--request', request, '--out', out];
    const { status, stderr } = await run(argv);
    assert.equal(status, 1);
    assert.match(stderr, /expected a state directory.*\nchrysalis: hint: chrysalis init makes one/);
  });
});
