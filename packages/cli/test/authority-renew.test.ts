import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import {
  authorityDirectory,
  hostnameOf,
  readFormerCertificates,
  readTestScms,
  type TestScms,
} from '@chrysalis/authorities';
import { readCertificateFile } from '@chrysalis/authorities/keys';
import { unixFromTime32 } from '@chrysalis/ieee1609dot2';
import { type Clock, formatHex, systemClock, timeOf } from '@chrysalis/scms';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { loadConfig } from '../src/config.ts';
import { withCertificate } from '../src/config-edit.ts';
import { CliError } from '../src/context.ts';
import { run } from './run-main.ts';

const NAMES = ['pca', 'la1', 'la2', 'ra', 'pg', 'ma', 'crlg', 'eca'] as const;
const HOUR = 3600;

async function init(): Promise<string> {
  const state = join(temporaryDirectory(), 'state');
  await succeed(['--dir', state, 'init', '--port', '0', '--weeks-ahead', '1']);
  return state;
}

async function succeed(argv: readonly string[], clock: Clock = systemClock): Promise<string> {
  const { status, stdout, stderr } = await run(argv, { clock });
  assert.equal(status, 0, `chrysalis ${argv.join(' ')}: ${stderr}`);
  return stdout;
}

describe('chrysalis authority renew', () => {
  for (const name of NAMES) {
    it(`${name}: another certificate and key, and nothing else`, async () => {
      const state = await init();
      const before = await readTestScms(state);
      const path = authorityDirectory(state, name);
      const out = await succeed(['--dir', state, '--json', 'authority', 'renew', name]);
      const after = await readTestScms(state);

      const [was, is] = [before[name].certificate, after[name].certificate];
      const printed = JSON.parse(out);
      assert.deepEqual([printed.id, printed.former.id], [formatHex(is.id), formatHex(was.id)]);
      assert.deepEqual(saidBy(is), saidBy(was));
      assert(startOf(is) > startOf(was), 'as our EE demands of an RA certificate');
      assert.notDeepEqual(secretsOf(after, name), secretsOf(before, name));
      assert.deepEqual(
        (await readFormerCertificates(path)).map(({ id }) => id),
        [was.id],
      );
      for (const other of NAMES) {
        if (other === name) continue;
        assert.deepEqual(after[other].certificate.octets, before[other].certificate.octets);
        assert.deepEqual(secretsOf(after, other), secretsOf(before, other));
      }
      // Values under these wait in the RA.
      for (const key of ['pcaLa1Key', 'pcaLa2Key', 'la1ChainKey', 'la2ChainKey'] as const) {
        assert.deepEqual(after[key].reveal(), before[key].reveal());
      }
      const [signing, encryption] = secretsOf(before, name);
      const isRecipient = name === 'ra' || name === 'ma';
      assert.deepEqual(await filesWith(state, signing!), [], 'the former key is gone');
      const kept = encryption === undefined ? [] : await filesWith(state, encryption);
      const file = join(path, 'former', `${Buffer.from(was.id).toString('hex')}.key`);
      assert.deepEqual(kept, isRecipient ? [file] : []);
      for (const one of kept) assert.equal((await stat(one)).mode & 0o777, 0o600);
    });
  }

  it('names what devices depend on in chrysalis.toml, and leaves every comment there', async () => {
    const state = await init();
    const scms = await readTestScms(state);
    const file = join(state, 'chrysalis.toml');
    const lines = (await readFile(file, 'utf8')).split('\n');
    for (const name of NAMES) await succeed(['--dir', state, 'authority', 'renew', name]);
    const { pca, trust } = await loadConfig(state);
    const former = (name: 'pca' | 'eca') =>
      join(state, `authorities/${name}/former/${idOf(scms, name)}.oer`);
    assert.deepEqual(pca.former, [former('pca')]);
    assert.deepEqual(trust.ecas, [join(state, 'authorities/eca/certificate.oer'), former('eca')]);
    const now = (await readFile(file, 'utf8')).split('\n');
    const changed = lines.filter((line, at) => line !== now[at]);
    assert.deepEqual(changed, ['ecas = ["authorities/eca/certificate.oer"]', 'former = []']);
  });

  it('can be done again and again', async () => {
    const state = await init();
    for (let n = 0; n < 3; n++) await succeed(['--dir', state, 'authority', 'renew', 'pca']);
    assert.equal((await loadConfig(state)).pca.former.length, 3);
    const former = await readFormerCertificates(authorityDirectory(state, 'pca'));
    assert.equal(former.length, 3);
  });

  it('refuses what would leave a gap, and does nothing then', async () => {
    const state = await init();
    const before = await contentOf(state);
    const refused = async (argv: readonly string[], message: RegExp) => {
      const { status, stderr } = await run(['--dir', state, 'authority', 'renew', ...argv], {
        clock: systemClock,
      });
      assert.equal(status, argv[0] === 'ica' ? 2 : 1);
      assert.match(stderr, message);
      const content = await contentOf(state);
      content.delete('ra/chrysalis.db');
      assert.deepEqual(content, before);
    };
    await refused(['pca', '--years', '1'], /expected an end after that of the certificate before/);
    await refused(['pca', '--years', '60'], /a certificate of this issuer would not do/);
    await refused(['ica'], /Allowed choices are pca/);
    const file = join(state, 'chrysalis.toml');
    const text = await readFile(file, 'utf8');
    const write = async (edited: string) => {
      await writeFile(file, edited, { mode: 0o600 });
      before.set('chrysalis.toml', edited);
    };
    await write(text.replace('"authorities/pca/certificate.oer"', '"pki/pca.oer"'));
    await refused(['pca'], /expected its certificate and keys in .*authorities\/pca, saw .*pki/);
  });

  it('finds a list that it cannot add to before anything is replaced', async () => {
    const state = await init();
    const file = join(state, 'chrysalis.toml');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('former = []', 'former = [\n]'));
    const { certificate } = (await readTestScms(state)).pca;
    const { status, stderr } = await run(['--dir', state, 'authority', 'renew', 'pca'], {
      clock: systemClock,
    });
    assert.equal(status, 1);
    assert.match(
      stderr,
      /expected a section \[pca\] with a line former = \[\.\.\.\]\n.*hint: write it so/,
    );
    assert.deepEqual((await readTestScms(state)).pca.certificate.octets, certificate.octets);
  });
});

describe('pca.former', () => {
  it('that is of another authority, or verifies no more, keeps serve from starting', async () => {
    const state = await init();
    const elsewhere = await init();
    const file = join(state, 'chrysalis.toml');
    const text = await readFile(file, 'utf8');
    for (const [path, message] of [
      [
        'authorities/la1/certificate.oer',
        /pca\.former: .*expected a certificate of pca\.scms\.test/,
      ],
      [`${elsewhere}/authorities/pca/certificate.oer`, /pca\.former: .*expected a trusted issuer/],
    ] as const) {
      await writeFile(file, text.replace('former = []', `former = ["${path}"]`));
      const { status, stderr } = await run(['--dir', state, 'serve', '--log-level', 'warn'], {
        clock: systemClock,
        signal: AbortSignal.timeout(20_000),
      });
      assert.equal(status, 1);
      assert.match(stderr, message);
    }
  });
});

describe('a path is added to a list of chrysalis.toml', () => {
  it('that has some, has none, or is not there', async () => {
    const state = await init();
    const text = await readFile(join(state, 'chrysalis.toml'), 'utf8');
    const add = (to: string) => withCertificate(to, ['pca', 'former'], 'a"b.oer');
    assert.match(add(text), /^former = \["a\\"b\.oer"\]$/m);
    assert.equal(add(add(text)), add(text));
    const some = text.replace('former = []', 'former = [ "x.oer" ] # since May');
    assert.match(add(some), /^former = \[ "x\.oer", "a\\"b\.oer"\]/m);
    const none = text.replace('former = []\n', '');
    assert.match(add(none), /^\[pca\]\nformer = \["a\\"b\.oer"\]$/m);
    const comma = text.replace('former = []', 'former = ["x.oer",]');
    assert.throws(() => add(comma), CliError);
  });
});

/** Kills its process before call number `CHRYSALIS_KILL_AT` that changes a file, counted from 1. */
const KILL_BEFORE_CALL = `
import { promises } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
let calls = 0;
const die = () => { if (++calls === Number(process.env.CHRYSALIS_KILL_AT)) process.kill(process.pid, 'SIGKILL'); };
for (const name of ['mkdir', 'open', 'rename', 'rm']) {
  const call = promises[name];
  promises[name] = (...args) => {
    if (name !== 'open' || args[1] !== 'r') die();
    return call(...args);
  };
}
syncBuiltinESMExports();
`;

describe('a renewal that is killed', () => {
  it('before any of its steps leaves the old set or the new one whole, and the next ends it', async (t) => {
    const state = await init();
    const preload = join(temporaryDirectory(), 'kill.mjs');
    await writeFile(preload, KILL_BEFORE_CALL);
    const bin = join(import.meta.dirname, '../src/bin.js');
    const { pca: old } = await readTestScms(state);
    const seen: ('old' | 'new')[] = [];
    for (let at = 1; ; at++) {
      const copy = `${state}-${at}`;
      await cp(state, copy, { recursive: true });
      const { signal, status, stderr } = spawnSync(
        process.execPath,
        ['--import', preload, bin, '--dir', copy, 'authority', 'renew', 'pca'],
        { env: { ...process.env, CHRYSALIS_KILL_AT: String(at) }, encoding: 'utf8' },
      );
      if (signal === null) {
        assert.equal(status, 0, stderr);
        break;
      }
      assert.equal(signal, 'SIGKILL');
      const { pca } = await readTestScms(copy);
      const isOld = Buffer.compare(pca.certificate.hash, old.certificate.hash) === 0;
      seen.push(isOld ? 'old' : 'new');
      await expectWhole(copy);
      const out = await succeed(['--dir', copy, '--json', 'authority', 'renew', 'pca']);
      const { id, former } = JSON.parse(out);
      const after = await readTestScms(copy);
      assert.equal(id, formatHex(after.pca.certificate.id));
      // What was cut off after the certificate had come is ended, and not done once more.
      if (former === undefined) assert.equal(id, formatHex(pca.certificate.id));
      await expectWhole(copy);
      const left = await readdir(authorityDirectory(copy, 'pca'));
      assert(!left.includes('next'), 'no keys are left beside');
    }
    t.diagnostic(`killed ${seen.length} times: ${seen.join(' ')}`);
    assert(seen.includes('old') && seen.includes('new'));
    assert.deepEqual(seen, seen.toSorted().reverse(), 'once new, always new');
  });
});

describe('a device, when every authority was renewed at once', () => {
  it('goes on: sealed to the former RA, certified by all of the new ones, heard by the new MA', async (t) => {
    const state = await init();
    const profile = `${state}-obe`;
    const bundle = `${state}-bundle`;
    const start = timeOf(systemClock);
    let now = unixFromTime32(start);
    const clock = { now: () => now };
    const steps = new EventTarget();
    const cli = (...argv: string[]) => succeed(['--dir', state, ...argv], clock);
    const ee = async (command: string, ...argv: string[]) =>
      JSON.parse(await cli('ee', command, ...argv, '--profile', profile, '--json'));
    const serve = () => startServe(state, clock, steps);

    let server = await serve();
    t.after(() => server.stop());
    await cli('ee', 'bootstrap', '--new', '--profile', profile);
    const request = join(profile, 'SignedEeEnrollmentCertRequest.oer');
    await cli('enroll', '--request', request, '--out', bundle, '--ra-url', server.url);
    await cli('ee', 'bootstrap', '--profile', profile, '--bundle', bundle);
    await ee('topup', '--ra', server.url);
    now += 5000;
    await eventually(async () => {
      await ee('topup', '--ra', server.url);
      return (await ee('status')).supplies[0].batches.length === 1;
    });
    const before = await ee('status');
    await server.stop();
    const place = ['--latitude', '42.28', '--longitude', '-83.74', '--ra', server.url];
    const report = await ee('report', '--text', 'a ghost vehicle', ...place);
    assert.deepEqual([report.sent, report.waiting], [0, 1], 'it waits, sealed to the MA of then');

    for (const name of NAMES) await cli('authority', 'renew', name);
    server = await serve();
    // Without a look at the files first: the device knows of no other RA.
    const { next } = await ee('info', '--ra', server.url);
    assert.notEqual(next, null);
    await ee('topup', '--ra', server.url);
    const after = await ee('status');
    const scms = await readTestScms(state);
    assert.notEqual(after.raCertificate.id, before.raCertificate.id);
    assert.equal(after.raCertificate.id, formatHex(scms.ra.certificate.id));
    assert.equal(after.reports, 0, 'it was sent');

    now += 25 * HOUR * 1000;
    steps.dispatchEvent(new Event('step'));
    await eventually(async () => reportsOf(state) === 1);
    await server.stop();
  });
});

function reportsOf(state: string): number {
  const database = new DatabaseSync(join(state, 'authorities/ma/ma.db'), { readOnly: true });
  try {
    const [table] = database
      .prepare("select name from sqlite_master where type = 'table' and name like '%report%'")
      .all();
    return database.prepare(`select * from ${table?.name}`).all().length;
  } finally {
    database.close();
  }
}

async function startServe(state: string, clock: Clock, clockSteps: EventTarget) {
  const stopping = new AbortController();
  const printed = Promise.withResolvers<{ url: string }>();
  const running = run(['--dir', state, '--json', 'serve', '--log-level', 'warn'], {
    clock,
    clockSteps,
    signal: stopping.signal,
    stdout: { write: (text) => printed.resolve(JSON.parse(text)) },
  });
  const failed = running.then((outcome) => Promise.reject(new Error(outcome.stderr)));
  failed.catch(() => {});
  const { url } = await Promise.race([printed.promise, failed]);
  return {
    url,
    async stop() {
      stopping.abort();
      assert.equal((await running).status, 0);
    },
  };
}

/** What serve reads at its start: the configuration, every certificate that it names, keys that belong to them. */
async function expectWhole(state: string): Promise<void> {
  const { pca } = await loadConfig(state);
  await readCertificateFile(pca.certificate);
  for (const file of pca.former) {
    assert.equal(hostnameOf(await readCertificateFile(file)), pca.hostname);
  }
  await readTestScms(state);
}

/** All that a certificate says but when, and by which keys. */
function saidBy({ certificate }: TestScms['pca']['certificate']) {
  const {
    verifyKeyIndicator: _,
    encryptionKey,
    validityPeriod,
    ...content
  } = certificate.toBeSigned;
  const { issuer } = certificate;
  return {
    ...content,
    issuer,
    duration: validityPeriod.duration,
    sealed: encryptionKey !== undefined,
  };
}

function startOf({ certificate }: TestScms['pca']['certificate']): number {
  return certificate.toBeSigned.validityPeriod.start;
}

function secretsOf(scms: TestScms, name: (typeof NAMES)[number]): (Uint8Array | undefined)[] {
  const { signingKey, encryptionKey } = scms[name];
  return [signingKey.scalar().reveal(), encryptionKey?.scalar().reveal()];
}

function idOf(scms: TestScms, name: (typeof NAMES)[number]): string {
  return Buffer.from(scms[name].certificate.id).toString('hex');
}

/** Files that contain these octets in hex. */
async function filesWith(directory: string, octets: Uint8Array): Promise<string[]> {
  const hex = Buffer.from(octets).toString('hex');
  const found: string[] = [];
  for (const [file, content] of await contentOf(directory)) {
    if (content.includes(hex)) found.push(join(directory, file));
  }
  return found;
}

async function contentOf(directory: string): Promise<Map<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const content = new Map<string, string>();
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    content.set(file.slice(directory.length + 1), await readFile(file, 'latin1'));
  }
  return content;
}

async function eventually(look: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error('expected it within ten seconds');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
