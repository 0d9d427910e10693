/**
 * `chrysalis backup` of an RA that registers and serves devices meanwhile, and `chrysalis restore` in another place: whoever was
 * acknowledged before gets everything, and no cocoon key is certified twice.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openPseudonymLog, readTestScms, type TestScms } from '@chrysalis/authorities';
import { main } from '@chrysalis/cli';
import { systemRandom } from '@chrysalis/crypto';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { IPeriodClock, systemClock } from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './support/device.ts';
import { send } from './support/https-client.ts';
import { temporaryFiles } from './support/temporary-files.ts';

const WEEKS = 2;
const PER_WEEK = 20;
const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');
const random = systemRandom;

interface Promised {
  readonly device: TestDevice;
  readonly hash: string;
  readonly firstI: number;
}

interface Server {
  readonly url: string;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

describe('a backup', { timeout: 180_000 }, () => {
  let root: string;
  let state: string;
  let archive: string;
  let scms: TestScms;
  let ca: string;
  const servers: Server[] = [];
  /** Acknowledged before the backup began, and while it was made. */
  const promised: { readonly earlier: Promised[]; readonly meanwhile: Promised[] } = {
    earlier: [],
    meanwhile: [],
  };

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'chrysalis-backup-'));
    state = join(root, 'state');
    archive = join(root, 'ra.tar');
    await done(
      '--dir',
      state,
      'init',
      '--port',
      '0',
      '--processes',
      '1',
      '--weeks-ahead',
      String(WEEKS),
    );
    scms = await readTestScms(state);
    ca = await readFile(join(state, 'authorities/x509-root/certificate.pem'), 'utf8');
  });
  after(async () => {
    for (const server of servers) await server.kill();
    await rm(root, { recursive: true, force: true });
  });

  it('is made while devices register and fetch', async (t) => {
    const server = await startServer(state);
    for (let n = 0; n < 8; n++) promised.earlier.push(await register(server.url));
    const [first] = promised.earlier as [Promised];
    await eventually(() => downloadBatch(server.url, first, first.firstI));

    let isMade = false;
    let served = 0;
    const load = (async () => {
      do {
        promised.meanwhile.push(await register(server.url));
        const zip = await downloadBatch(server.url, first, first.firstI);
        assert(zip, 'expected a file while the backup is made');
        served += 1;
      } while (!isMade);
    })();
    const { stdout } = await done('--dir', state, '--json', 'backup', '--to', archive);
    isMade = true;
    await load;
    const made = JSON.parse(stdout);
    assert.deepEqual(made.databases, [
      'ra/chrysalis.db',
      'authorities/crlg/crlg.db',
      'authorities/ma/ma.db',
      'authorities/pca/pca.db',
    ]);
    assert.deepEqual(made.elsewhere, []);
    assert.equal((await stat(archive)).mode & 0o777, 0o600);
    assert.deepEqual((await readdir(root)).sort(), ['ra.tar', 'state']);
    t.diagnostic(
      `${made.files} files, ${made.octets} octets; ${served} rounds of devices meanwhile`,
    );
    await server.kill();
  });

  it('restored elsewhere goes on with every device of before', async () => {
    await rename(state, join(root, 'lost'));
    const restored = join(root, 'elsewhere', 'ra');
    const { stdout } = await done('--dir', restored, '--json', 'restore', '--from', archive);
    assert.equal(JSON.parse(stdout).kind, 'ra');
    await expectOwnersOnly(restored);
    await done('--dir', restored, 'audit', 'verify');

    const server = await startServer(restored);
    for (const device of promised.earlier) {
      for (let i = device.firstI; i < device.firstI + WEEKS; i++) {
        const zip = await eventually(() => downloadBatch(server.url, device, i));
        assert.equal(Object.keys(unzipSync(zip)).length, PER_WEEK);
      }
    }
    const another = await register(server.url);
    await eventually(() => downloadBatch(server.url, another, another.firstI));
    await server.stop();
    await expectNoKeyTwice(restored, promised.earlier.length * WEEKS * PER_WEEK);
    assert.deepEqual(await temporaryFiles(restored), []);
  });

  it('has in the log of the PCA what the RA has filed, and nothing that the RA does not know', async () => {
    const restored = join(root, 'compared');
    await done('--dir', restored, 'restore', '--from', archive);
    const { DatabaseSync } = await import('node:sqlite');
    const ra = new DatabaseSync(join(restored, 'ra/chrysalis.db'));
    const known = new Set<string>();
    for (const { name } of ra
      .prepare("select name from sqlite_schema where name glob 'hpcr_*'")
      .all()) {
      for (const { hpcr } of ra.prepare(`select hpcr from ${name}`).all()) {
        known.add(Buffer.from(hpcr as Uint8Array).toString('hex'));
      }
    }
    const { here } = ra.prepare('select count(*) as here from response').get() as { here: number };
    ra.close();
    const log = await openPseudonymLog(`sqlite:${join(restored, 'authorities/pca/pca.db')}`);
    let certified = 0;
    for await (const { requestHash } of log.all()) {
      certified += 1;
      const index = Buffer.from(requestHash.subarray(0, 16)).toString('hex');
      assert(known.has(index), 'expected the RA to know what the PCA has certified');
    }
    await log.close();
    assert(certified >= here, `${here} answers here, ${certified} at the PCA`);
    const filed = await zipsBelow(join(restored, 'ra/objects'));
    assert(filed.length > 0);
  });

  it('is refused when anything in it is not as it was, and nothing is there then', async () => {
    const whole = await readFile(archive);
    const bad = join(root, 'bad.tar');
    const target = join(root, 'never');
    const names = (await readdir(root)).sort();
    const expectRefusal = async (octets: Uint8Array, pattern: RegExp) => {
      await writeFile(bad, octets);
      const { status, stderr } = await cli('--dir', target, 'restore', '--from', bad);
      assert.equal(status, 1, stderr);
      assert.match(stderr, pattern);
      await rm(bad);
      assert.deepEqual((await readdir(root)).sort(), names);
    };
    const inDatabase = Buffer.from(whole);
    // The first member is the database of the RA; its second page begins 512 + 4096 octets into the archive.
    inDatabase[512 + 4096 + 100]! ^= 1;
    await expectRefusal(
      inDatabase,
      /ra\/chrysalis\.db: expected \d+ octets, SHA-256 [0-9a-f]{64}, saw/,
    );
    await expectRefusal(whole.subarray(0, Math.floor(whole.length / 2)), /expected a whole backup/);
    const end = whole.lastIndexOf('"members"');
    await expectRefusal(whole.subarray(0, end), /expected a whole backup/);
    const inHeader = Buffer.from(whole);
    inHeader.write('../r.db', 0, 'latin1');
    await expectRefusal(inHeader, /expected a whole backup/);
    const named = withName(whole, '../r.db');
    await expectRefusal(named, /expected files alone, each once, saw "\.\.\/r\.db"/);
    await expectRefusal(new Uint8Array(0), /expected a whole backup/);
    await expectRefusal(Buffer.from('no archive at all'), /expected a whole backup/);
  });

  it('replaces nothing', async () => {
    const full = join(root, 'full');
    await mkdir(full);
    await writeFile(join(full, 'a'), 'mine');
    const refused = await cli('--dir', full, 'restore', '--from', archive);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /expected .* to be empty, saw 1 files/);
    assert.equal(await readFile(join(full, 'a'), 'utf8'), 'mine');

    const again = await cli('--dir', join(root, 'compared'), 'backup', '--to', archive);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /expected no .*ra\.tar, saw one/);
    const inside = join(root, 'compared', 'b.tar');
    const within = await cli('--dir', join(root, 'compared'), 'backup', '--to', inside);
    assert.equal(within.status, 1);
    assert.match(within.stderr, /expected --to outside/);
  });

  it('of a database that is damaged is refused, with the place', async () => {
    const damaged = join(root, 'damaged');
    await done('--dir', damaged, 'restore', '--from', archive);
    const path = join(damaged, 'authorities/pca/pca.db');
    const octets = await readFile(path);
    octets.fill(0x5a, 4096, 8192);
    await writeFile(path, octets);
    const { status, stderr } = await cli(
      '--dir',
      damaged,
      'backup',
      '--to',
      join(root, 'of-damage.tar'),
    );
    assert.equal(status, 1);
    assert.match(stderr, /pca\.db|malformed/);
    assert.match(stderr, /hint: put a backup back: chrysalis restore/);
    assert(!(await readdir(root)).some((name) => name.includes('of-damage')));
  });

  it('follows links, and says what it cannot have', async () => {
    const linked = join(root, 'linked');
    await done('--dir', linked, 'restore', '--from', archive);
    const outside = join(root, 'objects-elsewhere');
    await rename(join(linked, 'ra/objects'), outside);
    await symlink(outside, join(linked, 'ra/objects'));
    const key = join(root, 'tls.key');
    await rename(join(linked, 'ra/tls-key.pem'), key);
    const toml = join(linked, 'chrysalis.toml');
    const text = (await readFile(toml, 'utf8')).replace('"ra/tls-key.pem"', JSON.stringify(key));
    await writeFile(toml, text);
    const second = join(root, 'linked.tar');
    const { stdout } = await done('--dir', linked, 'backup', '--to', second);
    assert.match(stdout, new RegExp(`not in it: ${key}`));
    const back = join(root, 'back');
    const restored = await done('--dir', back, 'restore', '--from', second);
    assert.match(restored.stdout, new RegExp(`outside of it: ${key}`));
    assert.deepEqual(await zipsBelow(join(back, 'ra/objects')), await zipsBelow(outside));

    await writeFile(toml, text.replace('"file:ra/objects"', JSON.stringify(`file:${outside}`)));
    const refused = await cli('--dir', linked, 'backup', '--to', join(root, 'c.tar'));
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /objects\.url: expected a path in/);
  });

  it('that the disk has no room for leaves nothing', async (t) => {
    // A file system of its own that is full: 1 MB.
    const small = join(root, 'small');
    await mkdir(small);
    const { status } = await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', small]);
    if (status !== 0) return t.skip('needs to be root, and tmpfs');
    try {
      const { status: failed, stderr } = await cli(
        '--dir',
        join(root, 'compared'),
        'backup',
        '--to',
        join(small, 'x.tar'),
      );
      assert.equal(failed, 1);
      assert.match(stderr, /ENOSPC|full/);
      assert.deepEqual(await readdir(small), []);
    } finally {
      await runProgram('umount', [small]);
    }
  });

  async function startServer(directory: string): Promise<Server> {
    const argv = [BIN, '--dir', directory, '--json', 'serve', '--log-level', 'error'];
    const child: ChildProcess = spawn(process.execPath, argv, {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = once(child, 'exit');
    const end = async (signal: NodeJS.Signals) => {
      child.kill(signal);
      await gone;
    };
    const server = {
      url: '',
      kill: () => end('SIGKILL'),
      stop: () => end('SIGTERM'),
    };
    servers.push(server);
    const ended = gone.then(() => Promise.reject(new Error('expected the RA to start')));
    ended.catch(() => {});
    const [line] = (await Promise.race([once(child.stdout!, 'data'), ended])) as [Buffer];
    server.url = JSON.parse(String(line)).url;
    return server;
  }

  async function register(url: string): Promise<Promised> {
    const now = time32FromUnix(Date.now());
    const device = createDevice(scms, random, now);
    const body = securedBy(device, pseudonymRequest(device, now), scms.ra.certificate, random);
    const path = `${url}/provision-pseudonym-certificate-batch`;
    // The PLV cache is refilled while devices come: one that is told to come again does.
    return eventually(async () => {
      const answer = await send(path, ca, { method: 'POST', body });
      if (answer.status !== 200) return undefined;
      const hash = Buffer.from(answer.body.subarray(12, 20)).toString('hex').toUpperCase();
      return { device, hash, firstI: new IPeriodClock().at(now) };
    });
  }

  async function downloadBatch(url: string, { device, hash }: Promised, i: number) {
    const name = `${hash}_${i.toString(16).toUpperCase()}.zip`;
    const now = time32FromUnix(Date.now());
    const headers = downloadReq(device, name, now, scms.ra.certificate, random);
    const answer = await send(`${url}/download/batch`, ca, { headers });
    return answer.status === 200 ? answer.body : undefined;
  }
});

/** The archive with its first member under another name, and a header that is sound. */
function withName(archive: Uint8Array, name: string): Uint8Array {
  const octets = Buffer.from(archive);
  octets.fill(0, 0, 100);
  octets.write(name, 0, 'latin1');
  octets.fill(' ', 148, 156);
  const sum = octets.subarray(0, 512).reduce((total, octet) => total + octet, 0);
  octets.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return octets;
}

async function expectNoKeyTwice(state: string, atLeast: number): Promise<void> {
  const log = await openPseudonymLog(`sqlite:${join(state, 'authorities/pca/pca.db')}`);
  const keys: string[] = [];
  for await (const { cocoonKey } of log.all()) keys.push(Buffer.from(cocoonKey).toString('hex'));
  await log.close();
  assert(keys.length >= atLeast, `${keys.length} certificates, at least ${atLeast} promised`);
  assert.equal(new Set(keys).size, keys.length);
}

async function expectOwnersOnly(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    const expected = entry.isDirectory() ? 0o700 : 0o600;
    assert.equal((await stat(path)).mode & 0o777, expected, path);
  }
}

async function zipsBelow(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true });
  return names.filter((name) => name.endsWith('.zip')).sort();
}

async function cli(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const status = await main(argv, {
    stdout: { write: (text) => (written.stdout += text) },
    stderr: { write: (text) => (written.stderr += text) },
    stdin: (async function* () {})(),
    env: {},
    clock: systemClock,
    random,
    signal: new AbortController().signal,
  });
  return { status, ...written };
}

async function done(...argv: string[]) {
  const outcome = await cli(...argv);
  assert.equal(outcome.status, 0, outcome.stderr);
  return outcome;
}

async function runProgram(program: string, argv: string[]): Promise<{ status: number | null }> {
  const child = spawn(program, argv, { stdio: 'ignore' });
  const status = await new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', resolve);
  });
  return { status };
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('expected it within a minute');
}
