import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { DirectoryStorage, lockProfile, Profile } from '@chrysalis/ee';
import { formatTime32 } from '@chrysalis/ieee1609dot2';
import { Command } from 'commander';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import type { X509Identity } from '../../authorities/src/x509.ts';
import { clockAtNow, SCMS } from '../../ee/test/device.ts';
import { listenerOf, serveHttps, tlsIdentity } from '../../ee/test/https-server.ts';
import { chainFile } from '../../ee/test/mock-files.ts';
import { MockRa, type MockRaOptions, type TestClock } from '../../ee/test/mock-ra.ts';
import { enroll, NOW, openAsRa } from '../../ee/test/mock-scms.ts';
import { type CliContext, CliError } from '../src/context.ts';
import { addEeCommands } from '../src/ee.ts';

let root: X509Identity;
let server: X509Identity;
before(async () => {
  ({ root, server } = await tlsIdentity());
});

/** A command line in this process, with its own clock and streams. */
function commandLine(
  clock: TestClock,
  signal = new AbortController().signal,
  onStderr: (text: string) => void = () => {},
) {
  return async (...argv: string[]) => {
    let stdout = '';
    let stderr = '';
    const context: CliContext = {
      stdout: { write: (text) => (stdout += text) },
      stderr: {
        write(text) {
          stderr += text;
          onStderr(text);
        },
      },
      stdin: (async function* () {})(),
      env: {},
      clock,
      random: systemRandom,
      signal,
    };
    const program = new Command('chrysalis').exitOverride().option('--json');
    program.configureOutput({ writeErr: (text) => (stderr += text) });
    addEeCommands(program, context);
    try {
      await program.parseAsync(['ee', ...argv], { from: 'user' });
    } catch (error) {
      return { stdout, stderr, error };
    }
    return { stdout, stderr, error: undefined };
  };
}

async function enrolledCommandLine(t: TestContext, ...settings: string[]) {
  return commandLineAt(t, {}, ...settings);
}

async function commandLineAt(t: TestContext, options: MockRaOptions, ...settings: string[]) {
  const clock = clockAtNow();
  const ee = commandLine(clock);
  const folder = temporaryDirectory();
  const profile = join(folder, 'obu');
  const ra = new MockRa(SCMS, clock, { periods: 2, ...options });
  const { url } = await serveHttps(t, server, listenerOf(ra));
  const { stdout } = await ee('bootstrap', '--new', '--profile', profile, ...settings);
  const request = new Uint8Array(await readFile(stdout.trim()));
  const bundle = join(folder, 'bundle');
  const files = enroll(SCMS, request, { raUrl: url.href, x509Root: root.certificatePem });
  for (const [name, octets] of files) {
    await mkdir(dirname(join(bundle, name)), { recursive: true });
    await writeFile(join(bundle, name), octets);
  }
  const bootstrapped = await ee('bootstrap', '--bundle', bundle, '--profile', profile);
  assert.equal(bootstrapped.error, undefined);
  assert.match(bootstrapped.stdout, /^enrolled as [0-9A-F]{16} at https:\/\/localhost:\d+\/\n$/);
  const here = (command: string, ...argv: string[]) =>
    ee(command, '--profile', profile, '--ra', url.href, ...argv);
  return { clock, ra, here, ee, profile, url };
}

describe('chrysalis ee', () => {
  it('brings a device to its certificates in one run, and the next run only looks for more', async (t) => {
    const { ra, here } = await enrolledCommandLine(t);
    const first = await here('run', '--once');
    assert.equal(first.error, undefined);
    assert.match(
      first.stdout,
      /^policy: not-offered\nchains: not-offered\ncrl: not-offered\npseudonym: 2 new batches, 6 certificates, next 20..-.*Z\n$/,
    );
    assert.match(
      first.stderr,
      /chrysalis: pseudonym request [0-9A-F]{16}: keys and body are on disk\n/,
    );
    assert.match(first.stderr, /chrysalis: batch 26B: 3 certificates, all verified\n/);
    const second = await here('topup', '--json');
    assert.deepEqual(JSON.parse(second.stdout).supplies[0].batches, []);
    assert.equal(ra.keySets, 1);
  });

  it('does the same step by step', async (t) => {
    const { here, clock } = await enrolledCommandLine(t);
    const request = await here('request', '--json');
    const { requestHash, certDLTime } = JSON.parse(request.stdout);
    assert.equal(certDLTime, NOW);
    const again = await here('request');
    assert.equal(
      again.stdout,
      `request hash: ${requestHash}\nready: ${formatTime32(NOW)}\n` +
        'at: https://localhost:8892\n',
    );
    const one = await here('download', '--i', '26c', '--json');
    const { batches } = JSON.parse(one.stdout);
    assert.equal(batches[0].i, '26C');
    assert.equal(batches[0].certificates.length, 3);
    assert.equal((await here('download', '--weeks', '2')).stdout, 'batches: 1\ncertificates: 3\n');
    assert.match((await here('info')).stdout, /^next batch: 20/);
    const status = JSON.parse((await here('status', '--json')).stdout);
    const [supply] = status.supplies;
    assert.equal(supply.request, 'acknowledged');
    assert.equal(supply.requestHash, requestHash);
    assert.deepEqual(
      supply.batches.map(({ i, use }: { i: string; use: string }) => [i, use]),
      [
        ['26B', 'current'],
        ['26C', 'future'],
      ],
    );
    assert.match((await here('status')).stdout, / {2}periods: 26B to 26C, 2 batches\n/);
    clock.unixMs += 1;
  });

  it('prints a fresh header for curl', async (t) => {
    const { here, clock, profile } = await enrolledCommandLine(t);
    const storage = await DirectoryStorage.open(profile);
    // Beside a device that is running.
    await using _lock = await lockProfile(storage.path);
    const open = (text: string) => openAsRa(SCMS, new Uint8Array(Buffer.from(text, 'base64')));
    const file = 'ab09281c9867de53.info';
    const { stdout } = await here('header', file);
    assert.match(stdout, /^Download-Req: [A-Za-z0-9+/]+=*\n$/);
    const filename = 'AB09281C9867DE53.info';
    assert.deepEqual(open(stdout.slice(14)), { type: 'download', timestamp: NOW, filename });
    clock.unixMs += 5_000;
    const later = await here('header', file, '--value');
    assert.deepEqual(open(later.stdout), { type: 'download', timestamp: NOW + 5, filename });
    const wrong = await here('header', '../../etc/passwd');
    assert(wrong.error instanceof CliError);
    assert.equal(wrong.stdout, '');
  });

  it('refuses with a hint', async () => {
    const folder = temporaryDirectory();
    const ee = commandLine(clockAtNow());
    const expectHint = async (hint: RegExp, ...argv: string[]) => {
      const { error, stdout } = await ee(...argv);
      assert(error instanceof CliError, String(error));
      assert.match(error.hint ?? '', hint);
      assert.equal(stdout, '');
    };
    const none = join(folder, 'none');
    const fresh = join(folder, 'fresh');
    await expectHint(/ee bootstrap --new/, 'run', '--profile', none);
    await expectHint(/--bundle DIR/, 'bootstrap', '--profile', none);
    await ee('bootstrap', '--new', '--profile', fresh);
    await expectHint(/chrysalis enroll/, 'run', '--profile', fresh);
    const { stdout } = await ee('status', '--profile', fresh);
    assert.equal(
      stdout,
      'bootstrap: requested\ndevice: obe, requests in 1.2.2\npseudonym request: none\n  certificates: 0\n',
    );
    const lock = await lockProfile(fresh);
    await expectHint(/wait for it/, 'run', '--profile', fresh);
    await lock.release();
  });

  it('refuses arguments that make no sense', async () => {
    const ee = commandLine(clockAtNow());
    for (const argv of [
      ['run', '--weeks', '0'],
      ['run', '--ra', 'http://ra.test'],
      ['download', '--i', 'xyz'],
      ['bootstrap', '--new', '--psid', 'BSM'],
      ['bootstrap', '--new', '--years', '-1'],
      ['bootstrap', '--new', '--kind', 'bus'],
      ['request', '--certificates', 'driving'],
      ['request', '--start', 'tomorrow'],
      ['topup', '--dialect', '1.2.3'],
    ]) {
      const { error } = await ee(...argv);
      assert.equal((error as { code?: string }).code, 'commander.invalidArgument', argv.join(' '));
    }
  });

  it('keeps a vehicle in identification certificates besides', async (t) => {
    const { ra, here } = await enrolledCommandLine(t, '--identification', '--dialect', '1.2.4');
    const first = await here('topup');
    assert.equal(first.error, undefined);
    assert.match(first.stdout, /identification: 2 new batches, 2 certificates, next 20/);
    assert.deepEqual(
      ra.asked.map((request) => request.type),
      ['pseudonym', 'identification'],
    );
    assert('region' in ra.asked[1]!);
    const again = JSON.parse((await here('topup', '--json')).stdout);
    assert.deepEqual(
      again.supplies.map(({ batches }: { batches: unknown[] }) => batches),
      [[], []],
    );
    assert.match(
      (await here('status')).stdout,
      /identification request: ack.*\n.*\n.* 2\n {2}files: 0 to 1/,
    );
  });

  it('keeps a roadside unit in application certificates, week after week', async (t) => {
    const { ra, here, clock } = await enrolledCommandLine(t, '--kind', 'rse');
    for (let week = 0; week < 3; week += 1) {
      const { stdout, error } = await here('topup');
      assert.equal(error, undefined);
      assert.match(stdout, /application: 1 new batches, 1 certificates, next 20/);
      assert.match((await here('topup')).stdout, /application: 0 new batches/);
      assert.equal(ra.keySets, week + 1);
      clock.unixMs += 168 * 3_600_000;
    }
    assert.equal(new Set(ra.filesAsked).size, ra.filesAsked.length);
    const status = JSON.parse((await here('status', '--json')).stdout);
    assert.deepEqual(
      status.supplies.map(({ certificates }: { certificates: string }) => certificates),
      ['application'],
    );
    assert.equal(status.supplies[0].batches.length, 3);
    const { error } = await here('info');
    assert.match((error as CliError).message, /saw application/);
  });

  it('follows the RA to another place, for good or for once', async (t) => {
    const { ra, ee, profile } = await enrolledCommandLine(t);
    const moved = await serveHttps(t, server, listenerOf(ra));
    const { stdout } = await ee('set-ra', moved.url.href, '--profile', profile);
    assert.equal(stdout, `ra: ${moved.url.href}\n`);
    assert.equal((await ee('topup', '--profile', profile)).error, undefined);
    assert(moved.requests.length > 4);
    assert.match((await ee('status', '--profile', profile)).stdout, new RegExp(moved.url.host));
    await ee('set-ra', 'bundle', '--profile', profile);
    const { stdout: status } = await ee('status', '--profile', profile);
    assert(!status.includes(moved.url.host));
    const wrong = await ee('set-ra', 'http://ra.test', '--profile', profile);
    assert(wrong.error instanceof CliError);
  });

  it('stays until it is stopped, with the profile free between two contacts', async (t) => {
    const { profile, clock, url } = await enrolledCommandLine(t);
    const controller = new AbortController();
    const running = commandLine(clock, controller.signal, (text) => {
      if (text.includes('next contact at 20')) controller.abort();
    })('run', '--profile', profile, '--ra', url.href);
    const { error, stdout } = await running;
    assert.match(stdout, /pseudonym: 2 new batches/);
    assert.equal((error as Error).name, 'AbortError');
    await (await lockProfile(profile)).release();
  });

  it('stays when it is told 0, and ends in order with its enrollment certificate', async (t) => {
    const { profile, clock, url, ra, here } = await enrolledCommandLine(t);
    Object.assign(ra, { info: new Uint8Array(4), periods: 400 });
    const { enrollment } = JSON.parse((await here('status', '--json')).stdout);
    const endMs = Date.parse(enrollment.until);
    const pausesMs: number[] = [];
    const run = commandLine(clock, undefined, (text) => {
      const [, at] = /next contact at (\S+)/.exec(text) ?? [];
      if (at === undefined) return;
      pausesMs.push(Date.parse(at) - clock.unixMs);
      // Three years are passed over.
      clock.unixMs = pausesMs.length === 1 ? endMs - 10 * 86_400_000 : Date.parse(at);
    });
    const args = ['--weeks', '1', '--profile', profile, '--ra', url.href];
    const { error, stdout, stderr } = await run('run', ...args);
    assert.equal(error, undefined);
    assert.match(stdout, /pseudonym: 1 new batches, 3 certificates, no more, the RA has stopped\n/);
    assert.match(stderr, /pseudonym: the RA makes no more for now; asked again at 20/);
    assert.match(stderr, /the enrollment certificate is over: no more certificates/);
    assert.equal(clock.unixMs, endMs);
    const weeks = pausesMs.map((pause) => pause / 604_800_000);
    assert(weeks[0]! >= 0.75 && weeks[0]! <= 1.25, String(weeks));
    assert(weeks.length >= 3 && weeks[1]! <= 1.25 && weeks.at(-1)! <= 1.25, String(weeks));
  });

  it('says what did not open, and goes on; `topup` fails with it', async (t) => {
    const { profile, clock, url, ra, here } = await enrolledCommandLine(t);
    const handle = ra.handle.bind(ra);
    ra.handle = (request) => {
      const answer = handle(request);
      if (request.url.pathname !== '/download/batch') return answer;
      const body = answer.body?.slice();
      body?.fill(0, 60, 90);
      return { ...answer, ...(body && { body }) };
    };
    const refused = /2 certificates did not open; 26B_\d: /;
    const once = await here('topup');
    assert.match((once.error as CliError).message, refused);
    assert.match(once.stdout, /pseudonym: 2 new batches, 4 certificates/);
    const controller = new AbortController();
    const run = commandLine(clock, controller.signal, (text) => {
      if (text.includes('next contact at 20')) controller.abort();
    });
    const { error, stderr } = await run('run', '--profile', profile, '--ra', url.href);
    assert.equal((error as Error).name, 'AbortError');
    assert.match(stderr, refused);
  });

  it('does not keep the profile for what is promised for days later, and asks for all kinds at once', async (t) => {
    // As an RA with `shuffle.initial = "pooled"` promises it.
    const certDLTime = NOW + 172_805;
    const made = await commandLineAt(t, { certDLTime }, '--identification');
    const { profile, clock, url, ra, here } = made;
    const controller = new AbortController();
    t.after(() => controller.abort());
    const paused = Promise.withResolvers<string>();
    const running = commandLine(clock, controller.signal, (text) => {
      if (/next contact at 20|waiting until/.test(text)) paused.resolve(text);
    })('run', '--profile', profile, '--ra', url.href);
    const line = await Promise.race([paused.promise, running.then(({ stderr }) => stderr)]);
    // No policy file was there: it is looked for before the certificates are due.
    assert(line.includes(`next contact at ${formatTime32(NOW + 86_400)}`), line);
    assert.deepEqual(
      ra.asked.map(({ type }) => type),
      ['pseudonym', 'identification'],
    );
    const beside = await here('topup');
    assert.equal(beside.error, undefined);
    const promise = `not ready before ${formatTime32(certDLTime)}`;
    assert.match(beside.stdout, new RegExp(`pseudonym: ${promise}\nidentification: ${promise}\n`));
    controller.abort();
    const { error, stdout } = await running;
    assert.equal((error as Error).name, 'AbortError');
    assert.match(stdout, new RegExp(`identification: ${promise}`));
  });

  it('says that it waits with the profile locked when it is told to wait', async (t) => {
    const { profile, clock, url, ra } = await commandLineAt(
      t,
      { certDLTime: NOW + 3_600 },
      '--identification',
    );
    let kinds: string[] = [];
    const waiting = commandLine(clock, undefined, (text) => {
      if (!text.includes('waiting until')) return;
      kinds = ra.asked.map(({ type }) => type);
      clock.unixMs += 3_600_000;
    });
    const { error, stderr } = await waiting(
      'topup',
      '--wait',
      '--profile',
      profile,
      '--ra',
      url.href,
    );
    assert.equal(error, undefined);
    assert.match(stderr, /pseudonym: waiting until 20.*, 3600 s, with the profile locked\n/);
    assert.deepEqual(kinds, ['pseudonym', 'identification']);
  });

  it('brings the certificates though a file is withheld, and fails', async (t) => {
    const { ra, here } = await enrolledCommandLine(t);
    ra.files.chains = chainFile(1, 1);
    assert.match((await here('topup')).stdout, /^policy: not-offered\nchains: new\n/);
    ra.periods = 3;
    // A code that is not tried again at once, so that the test need not wait.
    const withheld = { status: 500, headers: { 'SCMS-POC-Error': '5068' } };
    ra.script.push(undefined, withheld);
    const { stdout, error } = await here('topup');
    assert.match(stdout, /\nchains: withheld\n.*\npseudonym: 1 new batches, 3 certificates, next/);
    assert.match((error as CliError).message, /^chain file: the RA refused: HTTP 500, 5068/);
    assert.equal((await here('topup')).error, undefined);
    ra.periods = 4;
    ra.script.push(undefined, withheld);
    const step = await here('download');
    assert.equal(step.stdout, 'batches: 1\ncertificates: 3\n');
    assert.match((step.error as CliError).message, /^chain file/);
  });

  it('gives up after as many failed contacts as it is told', async (t) => {
    const { profile, clock, url, ra } = await enrolledCommandLine(t);
    ra.script.push(...Array(20).fill({ status: 202 }));
    const controller = new AbortController();
    const run = commandLine(clock, controller.signal, (text) => {
      if (text.includes('next contact at')) clock.unixMs += 3_600_000;
    });
    const { error } = await run('run', '--give-up', '2', '--profile', profile, '--ra', url.href);
    assert.match((error as CliError).message, /HTTP 202/);
    assert.equal(ra.requests.length, 2);
  });

  it('begins each step with the policy and chain files, unless it is told not to', async (t) => {
    const { ra, here } = await enrolledCommandLine(t);
    const files = ['/download/policy/local', '/download/local-certificate-chain'];
    for (const [command, ...more] of [
      ['request'],
      ['download', '--weeks', '1'],
      ['info'],
    ] as const) {
      ra.requests.length = 0;
      const { error } = await here(command, ...more);
      assert.equal(error, undefined);
      const paths = ra.requests.map(({ url }) => url.pathname);
      assert.deepEqual(paths.slice(0, 2), files, command);
      ra.requests.length = 0;
      await here(command, '--no-files', ...more);
      assert(!ra.requests.some(({ url }) => files.includes(url.pathname)), command);
    }
  });

  it('asks anew, with new keys, when it is told that the RA has lost its data', async (t) => {
    const { ra, here } = await enrolledCommandLine(t);
    await here('topup');
    ra.accepted.clear();
    ra.script.push(undefined, undefined, { status: 500, headers: { 'SCMS-POC-Error': '5069' } });
    const { error } = await here('info');
    assert.match((error as CliError).hint ?? '', /chrysalis ee request --anew/);
    assert.equal((await here('request')).error, undefined);
    assert.equal(ra.keySets, 1);
    const anew = await here('request', '--anew', '--certificates', 'pseudonym', '--json');
    assert.equal(anew.error, undefined);
    assert.equal(ra.keySets, 2);
    const { requestHash } = JSON.parse(anew.stdout);
    assert.deepEqual([...ra.accepted.keys()], [requestHash]);
    assert.equal((await here('info')).error, undefined);
  });

  it('says so when the RA is another, and sends nothing', async (t) => {
    const { ra, here } = await enrolledCommandLine(t);
    const impostor = await tlsIdentity();
    const { url, requests } = await serveHttps(t, impostor.server, listenerOf(ra));
    const { error } = await here('request', '--ra', url.href);
    assert(error instanceof CliError);
    assert.match(error.message, /X.509 certificate/);
    assert.match(error.hint ?? '', /nothing was sent/);
    assert.equal(requests.length, 0);
    assert.equal((await here('request')).error, undefined);
    assert.equal(ra.keySets, 1);
  });

  it('stops on Ctrl-C with the error of the signal', async (t) => {
    const { ra, profile, clock, url } = await enrolledCommandLine(t);
    // The policy and the chain file, and then the request.
    ra.script.push(undefined, undefined, { status: 500 });
    const controller = new AbortController();
    const run = commandLine(clock, controller.signal, (text) => {
      if (text.includes('again in')) controller.abort();
    });
    const { error } = await run('run', '--profile', profile, '--ra', url.href);
    assert.equal((error as Error).name, 'AbortError');
    const storage = await DirectoryStorage.open(profile);
    assert.equal((await new Profile(storage).provisioning('pseudonym'))?.bodies.length, 1);
    await (await lockProfile(storage.path)).release();
  });
});
