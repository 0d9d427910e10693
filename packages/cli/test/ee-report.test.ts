/** `ee report`, `ee ra-cert`, and what the command line says of a refusal; through `main`. */
import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { lockProfile } from '@chrysalis/ee';
import { RA_EE_ERROR_EXPLANATIONS } from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import type { X509Identity } from '../../authorities/src/x509.ts';
import { clockAtNow, SCMS } from '../../ee/test/device.ts';
import { listenerOf, serveHttps, tlsIdentity } from '../../ee/test/https-server.ts';
import { MockRa } from '../../ee/test/mock-ra.ts';
import { enroll, NOW, withRa } from '../../ee/test/mock-scms.ts';
import { run } from './run-main.ts';

let root: X509Identity;
let server: X509Identity;
before(async () => {
  ({ root, server } = await tlsIdentity());
});

async function commandLine(t: TestContext, ...settings: string[]) {
  const clock = clockAtNow();
  const folder = temporaryDirectory();
  const profile = join(folder, 'obu');
  const ra = new MockRa(SCMS, clock, { periods: 1 });
  const { url, requests } = await serveHttps(t, server, listenerOf(ra));
  ra.certDLURL = url.href;
  const ee = (command: string, ...argv: string[]) =>
    run(['ee', command, '--profile', profile, ...argv], { clock });
  const made = await ee('bootstrap', '--new', ...settings);
  const request = new Uint8Array(await readFile(made.stdout.trim()));
  const bundle = join(folder, 'bundle');
  for (const [name, octets] of enroll(SCMS, request, {
    raUrl: url.href,
    x509Root: root.certificatePem,
  })) {
    await mkdir(dirname(join(bundle, name)), { recursive: true });
    await writeFile(join(bundle, name), octets);
  }
  const bootstrapped = await ee('bootstrap', '--bundle', bundle);
  assert.equal(bootstrapped.status, 0, bootstrapped.stderr);
  return { ee, ra, clock, profile, folder, requests };
}

describe('chrysalis ee report', () => {
  it('sends what is in a file or a text, and keeps what it cannot send', async (t) => {
    const { ee, ra, profile, folder } = await commandLine(t);
    await ee('topup');
    const place = ['--latitude', '42.28', '--longitude', '-83.74', '--elevation', '256'];
    const first = await ee('report', '--text', 'a ghost vehicle', ...place);
    assert.deepEqual([first.status, first.stdout], [0, 'report: sent\n']);
    const file = join(folder, 'report.bin');
    await writeFile(file, Uint8Array.of(1, 2, 3));
    ra.script.push({ status: 500 });
    const second = await ee('report', '--file', file, '--json');
    assert.equal(second.status, 0);
    assert.deepEqual(JSON.parse(second.stdout), {
      report: 'waiting',
      sent: 0,
      waiting: 1,
      dropped: 0,
      reason: 'the RA refused or is not ready: HTTP 500',
    });
    assert.equal((await readdir(join(profile, 'reports'))).length, 1);
    assert.match((await ee('status')).stdout, /\nreports waiting: 1\n/);
    const topUp = await ee('topup');
    assert.match(topUp.stdout, /\nreports: 1 sent, 0 waiting\n/);
    assert.match(topUp.stderr, /: the RA has it\n/);
    assert.equal(ra.reports.length, 2);
    assert(!(await ee('topup')).stdout.includes('reports'));
  });

  it('goes on a connection of its own, on which nothing says whose it is', async (t) => {
    const { ee, ra, requests } = await commandLine(t);
    await ee('topup');
    ra.script.push({ status: 500 });
    await ee('report', '--text', 'a ghost vehicle');
    requests.length = 0;
    await ee('topup');
    const isReport = (path: string) => path === '/process-misbehavior-report';
    const of = (report: boolean) =>
      new Set(requests.filter((r) => isReport(r.path) === report).map((r) => r.connection));
    assert.equal(of(true).size, 1);
    const others = of(false);
    assert(others.size > 0);
    for (const connection of of(true)) assert(!others.has(connection));
  });

  it('leaves it in the profile while another command has that', async (t) => {
    const { ee, ra, profile } = await commandLine(t);
    await ee('topup');
    const lock = await lockProfile(profile);
    const { status, stdout, stderr } = await ee('report', '--text', 'a ghost vehicle');
    assert.equal(status, 0, stderr);
    assert.equal(stdout, 'report: in the profile, 1 waiting for the next topup\n');
    assert.match(stderr, /expected a free profile/);
    assert.equal((await readdir(join(profile, 'reports'))).length, 1);
    assert.equal(ra.reports.length, 0);
    // Everything else waits for the lock.
    assert.equal((await ee('topup')).status, 1);
    await lock.release();
    assert.match((await ee('topup')).stdout, /\nreports: 1 sent, 0 waiting\n/);
    assert.equal(ra.reports.length, 1);
  });

  it('says what is missing', async (t) => {
    const { ee } = await commandLine(t);
    const none = await ee('report', '--text', 'x');
    assert.equal(none.status, 1);
    assert.match(none.stderr, /saw none in the profile\nchrysalis: hint: .*`ee topup` first/);
    for (const argv of [[], ['--text', 'x', '--file', 'y'], ['--text', 'x', '--latitude', '1']]) {
      assert.equal((await ee('report', ...argv)).status, 1);
    }
    for (const argv of [
      ['--latitude', '91'],
      ['--longitude', 'west'],
      ['--elevation', '9999'],
    ]) {
      assert.equal((await ee('report', '--text', 'x', ...argv)).status, 2);
    }
  });
});

describe('chrysalis ee ra-cert', () => {
  it('takes the next certificate of the RA, and says which one holds', async (t) => {
    const { ee, ra } = await commandLine(t);
    ra.raCertificate = SCMS.ra.given.octets;
    const same = await ee('ra-cert');
    assert.match(same.stdout, /^RA certificate: [0-9A-F]{16}, until .*, as before\n$/);
    const start = { start: NOW, duration: { type: 'years', value: 1 } } as const;
    const { ra: next } = withRa(SCMS, { validityPeriod: start });
    ra.raCertificate = next.given.octets;
    const { isNew, raCertificate } = JSON.parse((await ee('ra-cert', '--json')).stdout);
    assert.equal(isNew, true);
    const id = Buffer.from(next.certificate.id).toString('hex').toUpperCase();
    assert.equal(raCertificate, id);
    assert.match((await ee('status')).stdout, new RegExp(`\nra certificate: ${id}, until`));
    ra.raCertificate = SCMS.ra.given.octets;
    const older = await ee('ra-cert');
    assert.equal(older.status, 1);
    assert.match(older.stderr, /or later, saw one from/);
  });
});

describe('a refusal of the RA', () => {
  it('is shown with code, name, meaning and advice when the RA tells', async (t) => {
    const { ee, ra } = await commandLine(t);
    for (const [code, name] of [
      [5055, 'raBlacklisted'],
      [5065, 'raNoCertFileAvailable'],
      [5901, 'chrysalisDecryptionFailed'],
    ] as const) {
      const headers = { 'SCMS-POC-Error': String(code), 'SCMS-POC-Error-Message': 'in its words' };
      ra.script.push({ status: 500, headers });
      const { status, stderr } = await ee('ra-cert');
      assert.equal(status, 1);
      const { when, next } = RA_EE_ERROR_EXPLANATIONS[name];
      assert(
        stderr.includes(
          `chrysalis: the RA refused: HTTP 500, ${code} ${name}: ${when} (in its words)`,
        ),
        stderr,
      );
      assert(stderr.includes(`chrysalis: hint: ${next}\n`), stderr);
    }
  });

  it('is explained for its service when the RA tells nothing', async (t) => {
    const { ee, ra } = await commandLine(t);
    ra.script.push({ status: 500 });
    const { status, stderr } = await ee('ra-cert');
    assert.equal(status, 1);
    assert.match(stderr, /chrysalis: the RA refused or is not ready: HTTP 500\n/);
    assert.match(stderr, /hint: without a code this means: .*does not have this service\n/);
    assert.match(stderr, /chrysalis: the certificate that is held goes on/);
  });
});

describe('a key that others can read', () => {
  it('is not used, and the hint says how to mend it', async (t) => {
    const { ee, profile, ra, folder } = await commandLine(t);
    await ee('topup');
    const before = ra.requests.length;
    const files = ['enrollment-request.key', 'provisioning.json', 'certificates/26B.json'];
    for (const name of files) {
      const path = join(profile, name);
      await chmod(path, 0o644);
      const { status, stderr } = await ee('download', '--no-files');
      assert.equal(status, 1, name);
      assert.match(stderr, /only its owner can read, saw mode 644\n/);
      assert(stderr.includes(`chrysalis: hint: chmod 600 ${path}\n`), stderr);
      await chmod(path, 0o600);
    }
    assert.equal(ra.requests.length, before);
    assert.equal((await ee('download')).status, 0);
    const key = join(folder, 'request.key');
    await writeFile(key, new Uint8Array(32).fill(1), { mode: 0o644 });
    const other = join(folder, 'other');
    const { stderr } = await run([
      ...['ee', 'bootstrap', '--profile', other, '--bundle', join(folder, 'bundle')],
      ...['--key', key],
    ]);
    assert.match(stderr, /saw mode 644\nchrysalis: hint: chmod 600/);
  });
});
