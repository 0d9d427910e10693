/**
 * `chrysalis serve` in several processes, as an operator has them: killed, replaced, told of new certificates, while devices come
 * over real TLS. What needs a test to choose its process is in packages/ra/test/two-fronts.test.ts.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connect } from 'node:tls';
import { readTestScms, type TestScms } from '@chrysalis/authorities';
import { readCertificateFile } from '@chrysalis/authorities/keys';
import { systemRandom } from '@chrysalis/crypto';
import type { HashedCertificate } from '@chrysalis/ieee1609dot2';
import { systemClock, timeOf } from '@chrysalis/scms';
import { loadConfig } from '../packages/cli/src/config.ts';
import { run } from '../packages/cli/test/run-main.ts';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './support/device.ts';
import { type Answer, send } from './support/https-client.ts';

/** Node alone takes more. */
const LEAST_MB = 40;
const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');
const PASSPHRASE = 'correct horse battery staple';
const FRONTS = 2;
/** Between two visits of a device. */
const PAUSE_MS = 150;
const MOST_TRIES = 300;
/** The seed pages' octets of SecuredRACertRequest. */
const RA_CERT_REQUEST = Buffer.from('0380050183800001', 'hex');

let root: string;
let state: string;
let scms: TestScms;
let ca: string;
let server: ChildProcess;
let urls: { readonly url: string; readonly crlUrl: string; readonly opsUrl: string };
let logged = '';

const cli = async (...args: string[]) => {
  const env = { CHRYSALIS_PASSPHRASE: PASSPHRASE };
  const outcome = await run(['--dir', state, ...args], { clock: systemClock, env });
  assert.equal(outcome.status, 0, outcome.stderr);
  return outcome.stdout;
};

describe('chrysalis serve in several processes', () => {
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'chrysalis-processes-'));
    state = join(root, 'state');
    await cli('init', '--port', '0', '--weeks-ahead', '1', '--processes', String(FRONTS));
    // Whoever asks for a file does not wait for those of hundreds.
    await cli('policy', 'set', 'min-certs-per-i-period', '1');
    scms = await readTestScms(state);
    ca = await readFile(join(state, 'authorities/x509-root/certificate.pem'), 'utf8');
    const file = join(state, 'chrysalis.toml');
    const text = await readFile(file, 'utf8');
    await writeFile(
      file,
      text
        .replace('linkage-cache = 200', 'linkage-cache = 40')
        // The machine of a test may be slow, and the test is no flood.
        .replace('client-signature-ttl-sec = 5', 'client-signature-ttl-sec = 600')
        .replaceAll(/^(shed-\w+-ms) = .*$/gm, '$1 = 0'),
    );
    await cli('keys', 'encrypt', '--cost', '14');
    await start();
  });
  after(async () => {
    await stop();
    await rm(root, { recursive: true, force: true });
  });

  it('is ready, counts together, and tells no process the passphrase by its environment', async () => {
    assert.deepEqual(await ready(), []);
    assert.equal((await fronts()).length, FRONTS);
    const asked = 8;
    for (let n = 0; n < asked; n++) assert.equal((await policy()).status, 200);
    const served = 'chrysalis_requests_total{route="/download/policy/local",outcome="served"}';
    assert.equal(await metric(served), asked);
    assert.equal(await metric('chrysalis_processes{state="answering"}'), FRONTS);
    // The sums have the memory of all: of those, of the one that makes certificates and of the one that watches.
    assert.equal(await metric('chrysalis_processes{state="counted"}'), FRONTS + 2);
    const residentMb = ((await metric('process_resident_memory_bytes')) ?? 0) / 1e6;
    assert(residentMb > (FRONTS + 2) * LEAST_MB, `${residentMb} MB`);
    for (const pid of await children()) {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      assert(!environment.includes(PASSPHRASE));
      const argv = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      assert(!argv.includes(PASSPHRASE));
    }
  });

  it('registers a request once that comes on many connections at the same time', async () => {
    const body = bodyOf(newDevice(), scms.ra.certificate);
    const answers = await Promise.all(Array.from({ length: 16 }, () => provision(body)));
    for (const { status, body: ack } of answers) {
      assert.equal(status, 200);
      assert.deepEqual(ack, answers[0]!.body);
    }
    assert.equal(registered().filter((hash) => hash === hashOf(answers[0]!)).length, 1);
  });

  it('loses nothing that was acknowledged, and no device, when processes are killed', async () => {
    const killed = new Set<number>();
    const acknowledged: string[] = [];
    let isOver = false;
    const devices = Array.from({ length: 3 }, async () => {
      while (!isOver) {
        const body = bodyOf(newDevice(), scms.ra.certificate);
        acknowledged.push(hashOf(await registeredAt(() => again(() => provision(body)))));
        await setTimeout(4 * PAUSE_MS);
      }
    });
    for (const role of ['front', 'back']) {
      await setTimeout(300);
      const victim = (await pidsOf(role))[0]!;
      killed.add(victim);
      process.kill(victim, 'SIGKILL');
      await eventually(async () => {
        const now = await pidsOf(role);
        const wanted = role === 'front' ? FRONTS : 1;
        return now.length === wanted && !now.includes(victim);
      });
    }
    isOver = true;
    await Promise.all(devices);
    assert(acknowledged.length > 0);
    const rows = new Set(registered());
    for (const hash of acknowledged) assert(rows.has(hash), hash);
    assert.equal(await metric('chrysalis_process_restarts_total'), killed.size);
  });

  it('refuses who is blacklisted, at every process', async () => {
    const device = newDevice();
    const body = bodyOf(device, scms.ra.certificate);
    await registeredAt(() => provision(body));
    const file = join(root, 'bad.oer');
    await writeFile(file, device.certificate.octets);
    await cli('blacklist', 'add', '--certificate', file);
    const answers = await Promise.all(Array.from({ length: 12 }, () => provision(body)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [500]);
  });

  it('takes renewed certificates in all processes, and goes on making certificates', async () => {
    const former = await readCertificateFile(join(state, 'ra/certificate.oer'));
    const onItsWay = bodyOf(newDevice(), former);
    await cli('tls', 'renew');
    await cli('authority', 'renew', 'ra');
    server.kill('SIGHUP');
    await eventually(async () => logged.includes('"renewed":"ra.certificate"'));
    assert(logged.includes('"renewed":"ra.tls-cert"'), logged);
    const present = await readCertificateFile(join(state, 'ra/certificate.oer'));
    const { tlsCert } = (await loadConfig(state)).ra;
    const { serialNumber } = new X509Certificate(await readFile(tlsCert));
    for (let n = 0; n < 8; n++) {
      assert.equal(await serialShown(), serialNumber);
      const asked = { method: 'POST', body: RA_CERT_REQUEST };
      const { body } = await send(`${urls.url}/retrieve-ra-certificate`, ca, asked);
      assert.deepEqual(body, present.octets);
    }
    await registeredAt(() => provision(onItsWay));
    const device = newDevice();
    const body = bodyOf(device, present);
    const acknowledged = await registeredAt(() => provision(body));
    await eventually(async () => (await batch(device, hashOf(acknowledged), present)) === 200);
  });

  it('replaces all processes under load, and no connection is refused or cut off', async () => {
    const present = await readCertificateFile(join(state, 'ra/certificate.oer'));
    const pids = await children();
    let isOver = false;
    const done = { anew: 0, kept: 0, registered: 0 };
    const each = async (what: keyof typeof done, ask: () => Promise<{ status: number }>) => {
      while (!isOver) {
        assert.equal((await ask()).status, 200, what);
        done[what]++;
      }
    };
    const agents = [1, 2].map(() => new Agent({ keepAlive: true, maxSockets: 1, ca }));
    const load = [
      each('anew', policy),
      each('anew', policy),
      ...agents.map((agent) => each('kept', () => keptAlive(agent))),
      each('registered', async () => {
        const body = bodyOf(newDevice(), present);
        const answer = await registeredAt(() => provision(body));
        await setTimeout(4 * PAUSE_MS);
        return answer;
      }),
    ];
    const failed = Promise.all(load);
    server.kill('SIGUSR2');
    const replaced = eventually(async () =>
      logged.includes('the processes of the RA were replaced'),
    );
    await Promise.race([replaced, failed]);
    isOver = true;
    await failed;
    for (const agent of agents) agent.destroy();
    for (const count of Object.values(done)) assert(count > 0, JSON.stringify(done));
    const now = await children();
    assert.equal(now.length, FRONTS + 1);
    for (const pid of now) assert(!pids.includes(pid));
    await eventually(async () => (await ready()).length === 0);
  });

  it('keeps one audit log of a chain for each process, and ends them all', async () => {
    const before = await children();
    await stop();
    for (const pid of before) assert(!(await isAlive(pid)), `${pid}`);
    const report = await cli('audit', 'verify');
    for (const writer of ['server', 'pipeline', 'fronta', 'frontb', 'frontc']) {
      assert.match(report, new RegExp(`^${writer}: as written`, 'm'));
    }
  });

  it('leaves no process behind when the one that watches is killed', async () => {
    await start();
    const before = await children();
    assert.equal(before.length, FRONTS + 1);
    server.kill('SIGKILL');
    await eventually(async () => {
      const alive = await Promise.all(before.map(isAlive));
      return alive.every((is) => !is);
    });
    await start();
    assert.equal((await policy()).status, 200);
  });
});

async function start(): Promise<void> {
  logged = '';
  server = spawn(process.execPath, [BIN, '--dir', state, '--json', 'serve'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CHRYSALIS_PASSPHRASE: PASSPHRASE },
  });
  server.stderr!.setEncoding('utf8').on('data', (text: string) => {
    logged += text;
  });
  const ended = once(server, 'exit').then(() => Promise.reject(new Error(logged)));
  ended.catch(() => {});
  const [line] = (await Promise.race([once(server.stdout!, 'data'), ended])) as [Buffer];
  urls = JSON.parse(line.toString('utf8'));
}

async function stop(): Promise<void> {
  if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null], logged);
}

function newDevice(): TestDevice {
  return createDevice(scms, systemRandom, timeOf(systemClock));
}

function bodyOf(device: TestDevice, ra: HashedCertificate): Uint8Array {
  const request = pseudonymRequest(device, timeOf(systemClock));
  return securedBy(device, request, ra, systemRandom);
}

function provision(body: Uint8Array): Promise<Answer> {
  const url = `${urls.url}/provision-pseudonym-certificate-batch`;
  return send(url, ca, { method: 'POST', body });
}

/** In an acknowledgement; the name by which the device asks for its files. */
function hashOf({ body }: Answer): string {
  return Buffer.from(body.subarray(12, 20)).toString('hex');
}

function registered(): string[] {
  const database = new DatabaseSync(join(state, 'ra/chrysalis.db'), { readOnly: true });
  const rows = database.prepare('select request_hash from device').all();
  database.close();
  return rows.map((row) => Buffer.from(row.request_hash as Uint8Array).toString('hex'));
}

function policy(): Promise<Answer> {
  return send(`${urls.url}/download/policy/local`, ca);
}

function keptAlive(agent: Agent): Promise<{ status: number }> {
  return new Promise((resolve, reject) => {
    request(`${urls.url}/download/policy/local`, { agent }, (response) => {
      response.resume().once('end', () => resolve({ status: response.statusCode ?? 0 }));
    })
      .once('error', reject)
      .end();
  });
}

async function batch(device: TestDevice, hash: string, ra: HashedCertificate): Promise<number> {
  const now = timeOf(systemClock);
  // The period of a test SCMS lasts a week from its epoch.
  const { iperiod } = await loadConfig(state);
  const lengthSec = iperiod.lengthSec ?? 604_800;
  const i = Math.floor((now - iperiod.epoch) / lengthSec);
  const headers = downloadReq(
    device,
    `${hash}_${i.toString(16).toUpperCase()}.zip`,
    now,
    ra,
    systemRandom,
  );
  return (await send(`${urls.url}/download/batch`, ca, { headers })).status;
}

async function serialShown(): Promise<string | undefined> {
  const port = Number(new URL(urls.url).port);
  const socket = connect({ port, servername: 'localhost', ca });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  return certificate?.serialNumber;
}

/** Those that serve, by what the log says of their beginnings and ends. */
async function pidsOf(role: string): Promise<number[]> {
  const alive = await children();
  const lines = logged.split('\n').filter((line) => line.includes('a process of the RA serves'));
  const begun = lines.map((line) => JSON.parse(line) as { role: string; pid: number });
  return begun.filter((one) => one.role === role && alive.includes(one.pid)).map(({ pid }) => pid);
}

const fronts = () => pidsOf('front');

async function children(): Promise<number[]> {
  const path = `/proc/${server.pid}/task/${server.pid}/children`;
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

/** One that is dead and not yet buried is not. */
async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'State:\tZ');
  return !/^State:\tZ/m.test(status);
}

async function ready(): Promise<readonly unknown[]> {
  const answer = await fetch(`${urls.opsUrl}/readyz`);
  return ((await answer.json()) as { missing: readonly unknown[] }).missing;
}

async function metric(name: string): Promise<number | undefined> {
  const text = await (await fetch(`${urls.opsUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length));
}

/** A device comes again with the same octets while there is no chain for it, as when the back begins. */
async function registeredAt(ask: () => Promise<Answer>): Promise<Answer> {
  for (let n = 0; ; n++) {
    const answer = await ask();
    if (answer.status === 200) return answer;
    assert(n < MOST_TRIES, logged);
    await setTimeout(PAUSE_MS);
  }
}

/** What a device does when its connection breaks. */
async function again<T>(ask: () => Promise<T>): Promise<T> {
  for (let n = 0; ; n++) {
    try {
      return await ask();
    } catch (error) {
      if (n === MOST_TRIES) throw error;
      await setTimeout(PAUSE_MS);
    }
  }
}

async function eventually(look: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < MOST_TRIES; n++) {
    if (await look()) return;
    await setTimeout(4 * PAUSE_MS);
  }
  throw new Error(`expected it long ago, saw ${logged}`);
}
