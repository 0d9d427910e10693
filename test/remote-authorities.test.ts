/**
 * PCA, LA1 and LA2 as processes of their own, made by `chrysalis authority export` and run by `chrysalis authority serve`.
 * A device gets its certificates; strangers get nothing; a PCA that is killed or stopped loses and doubles nothing.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import {
  type IssuedPseudonym,
  openPseudonymLog,
  readTestScms,
  type TestScms,
} from '@chrysalis/authorities';
import { createX509Root, issueX509ClientCertificate } from '@chrysalis/authorities/x509';
import { type ChrysalisConfig, loadConfig, main } from '@chrysalis/cli';
import { encode } from '@chrysalis/coer';
import { PrivateKey, systemRandom } from '@chrysalis/crypto';
import { fromPoint, time32FromUnix } from '@chrysalis/ieee1609dot2';
import { RemoteAuthority } from '@chrysalis/ra';
import {
  AuthorityUnavailableError,
  IPeriodClock,
  openSignedMessage,
  ScmsPdu122,
  signRequest,
  systemClock,
} from '@chrysalis/scms';
import { unzipSync } from 'fflate';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  trustOf,
} from './support/device.ts';
import { freePort } from './support/free-port.ts';
import { send } from './support/https-client.ts';

const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');
const WEEKS = 3;
const PER_WEEK = 20;
const NAMES = ['pca', 'la1', 'la2'] as const;
type Name = (typeof NAMES)[number];

describe('PCA, LA1 and LA2 in processes of their own', () => {
  let root: string;
  let ra: string;
  let scms: TestScms;
  let ca: string;
  const ports = {} as Record<Name, number>;
  const processes = new Map<string, Served>();
  const directoryOf = (name: Name) => join(root, name);

  async function serve(name: Name): Promise<void> {
    const argv = ['--dir', directoryOf(name), '--json', 'authority', 'serve', name];
    processes.set(name, await start([...argv, '--port', String(ports[name])]));
  }

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'chrysalis-remote-'));
    ra = join(root, 'ra');
    await run([
      '--dir',
      ra,
      'init',
      '--port',
      '0',
      '--processes',
      '1',
      '--weeks-ahead',
      String(WEEKS),
    ]);
    scms = await readTestScms(ra);
    ca = await readFile(join(ra, 'authorities/x509-root/certificate.pem'), 'utf8');
    for (const name of NAMES) {
      ports[name] = await freePort();
      const to = ['--to', directoryOf(name), '--port', String(ports[name])];
      await run(['--dir', ra, 'authority', 'export', name, ...to]);
    }
    // The shortest that there is: a PCA that hangs is given up within it.
    await editConfig(ra, (text) => text.replace('[pca]\n', '[pca]\ntimeout-sec = 1\n'));
    for (const name of NAMES) await serve(name);
    processes.set('ra', await start(['--dir', ra, '--json', 'serve', '--log-level', 'warn']));
  });
  after(async () => {
    for (const served of processes.values()) await served.kill();
    await rm(root, { recursive: true });
  });

  /** Registers a device; resolves with a function that waits for all its certificates. */
  async function register() {
    const { url } = processes.get('ra')!;
    const now = time32FromUnix(Date.now());
    const device = createDevice(scms, systemRandom, now);
    const body = securedBy(
      device,
      pseudonymRequest(device, now),
      scms.ra.certificate,
      systemRandom,
    );
    const path = `${url}/provision-pseudonym-certificate-batch`;
    const answer = await send(path, ca, { method: 'POST', body });
    assert.equal(answer.status, 200);
    const hash = Buffer.from(answer.body.subarray(12, 20)).toString('hex').toUpperCase();
    const firstI = new IPeriodClock().at(now);
    return async () => {
      for (let i = firstI; i < firstI + WEEKS; i++) {
        const name = `${hash}_${i.toString(16).toUpperCase()}.zip`;
        const zip = await eventually(async () => {
          const time = time32FromUnix(Date.now());
          const headers = downloadReq(device, name, time, scms.ra.certificate, systemRandom);
          const file = await send(`${url}/download/batch`, ca, { headers });
          return file.status === 200 ? file.body : undefined;
        });
        assert.equal(Object.keys(unzipSync(zip)).length, PER_WEEK);
      }
    };
  }

  async function issued(): Promise<IssuedPseudonym[]> {
    const log = await openPseudonymLog(`sqlite:${join(root, 'pca/authorities/pca/pca.db')}`);
    const all = await Array.fromAsync(log.all());
    await log.close();
    return all;
  }

  it('leave the RA without their keys', async () => {
    const files = await readdir(join(ra, 'authorities'), { recursive: true });
    const kept = files.filter((file) => /^(pca|la1|la2)\//.test(file)).toSorted();
    assert.deepEqual(kept, NAMES.map((name) => `${name}/certificate.oer`).toSorted());
  });

  it('give a device its certificates', async () => {
    const complete = await register();
    await complete();
    assert.equal((await issued()).length, WEEKS * PER_WEEK);
  });

  it('let nobody in who has no certificate of the RA', async () => {
    const config = await loadConfig(ra);
    const mine = await remoteOf(config.pca);
    const at = new Date();
    const validity = {
      commonName: 'stranger',
      notBefore: new Date(at.getTime() - 86_400_000),
      notAfter: new Date(at.getTime() + 86_400_000),
    };
    const stranger = await issueX509ClientCertificate(await createX509Root(validity), {
      ...validity,
      dnsNames: ['localhost'],
    });
    const bySomebody = new RemoteAuthority({ ...mine, tls: { ...mine.tls, ...stranger } });
    await assert.rejects(bySomebody.requestCertificate(Uint8Array.of(1)), (error) => {
      assert(error instanceof AuthorityUnavailableError);
      assert.match(String((error.cause as { code?: string }).code), /SSL|ECONNRESET|EPIPE/);
      return true;
    });
    bySomebody.close();
    for (const name of NAMES) {
      const why = await knock(ports[name], `${name}.scms.test`, ca);
      assert.match(why, /certificate required|ECONNRESET|EPIPE|hang up/);
    }
    assert.equal((await issued()).length, WEEKS * PER_WEEK);
  });

  it('answer the same octets with the same certificate over a kill -9', async () => {
    const request = certificateRequest(scms);
    const remote = new RemoteAuthority(await remoteOf((await loadConfig(ra)).pca));
    const answer = await remote.requestCertificate(request);
    openSignedMessage(answer, trustOf(scms));
    await processes.get('pca')!.kill();
    await assert.rejects(remote.requestCertificate(request), AuthorityUnavailableError);
    await serve('pca');
    assert.deepEqual(await remote.requestCertificate(request), answer);
    remote.close();
    assert.equal((await issued()).length, WEEKS * PER_WEEK + 1);
  });

  it('lose nothing when the PCA is killed while it issues', async () => {
    const earlier = (await issued()).length;
    const completes = [await register(), await register()];
    // As soon as it has issued something for them, and certainly not all.
    await eventually(async () => ((await issued()).length > earlier ? true : undefined));
    await processes.get('pca')!.kill();
    await serve('pca');
    for (const complete of completes) await complete();
    await expectEachOnce(earlier + 2 * WEEKS * PER_WEEK);
  });

  it('make nothing twice when the PCA hangs for longer than the RA waits', async (t) => {
    const earlier = (await issued()).length;
    const pca = processes.get('pca')!;
    pca.signal('SIGSTOP');
    t.after(() => pca.signal('SIGCONT'));
    const complete = await register();
    // The RA has given up: its requests lie in the sockets of a process that stands.
    await processes
      .get('ra')!
      .logged(/pca\.scms\.test: expected an answer within 1000 ms, saw none/);
    assert.equal((await issued()).length, earlier);
    pca.signal('SIGCONT');
    await complete();
    await expectEachOnce(earlier + WEEKS * PER_WEEK);
  });

  it('end when they are told to', async () => {
    for (const [name, served] of processes) {
      assert.deepEqual(await served.stop(), { code: 0, faults: [] }, name);
    }
    processes.clear();
  });

  /** Each request has one certificate, each cocoon key too. */
  async function expectEachOnce(count: number): Promise<void> {
    const all = await issued();
    assert.equal(all.length, count);
    for (const key of ['requestHash', 'cocoonKey', 'certificateId'] as const) {
      assert.equal(new Set(all.map((row) => Buffer.from(row[key]).toString('hex'))).size, count);
    }
  }
});

/** The way that the RA is configured to go. */
async function remoteOf(peer: ChrysalisConfig['pca']) {
  assert(peer.mode === 'remote');
  const { url, hostname, tlsCa, tlsCert, tlsKey } = peer;
  const read = (file: string) => readFile(file, 'utf8');
  return {
    url,
    hostname,
    tls: {
      caPem: await read(tlsCa),
      certificatePem: await read(tlsCert),
      privateKeyPem: await read(tlsKey),
    },
  };
}

/** A request without a client certificate, and what became of it. */
function knock(port: number, servername: string, ca: string): Promise<string> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, servername, ca, method: 'POST', agent: false };
    const outgoing = request(options, (answer) => resolve(`status ${answer.statusCode}`));
    outgoing.on('error', (error) => resolve(error.message));
    outgoing.end();
  });
}

/** A SecuredRaPcaCertificateRequest that no other test makes: an identification certificate with a fresh key. */
function certificateRequest(scms: TestScms): Uint8Array {
  const point = () => fromPoint(PrivateKey.generate(systemRandom).publicPoint);
  const duration = { type: 'hours', value: 721 } as const;
  const toBeSignedCert = {
    id: { type: 'binaryId', value: systemRandom(8) } as const,
    cracaId: new Uint8Array(3),
    crlSeries: 0,
    validityPeriod: { start: time32FromUnix(Date.now()), duration },
    appPermissions: [{ psid: 0x26 }],
    verifyKeyIndicator: { type: 'reconstructionValue', value: point() } as const,
  };
  const value = {
    pcaId: 'pca.scms.test',
    type: 'implicit',
    toBeSignedCert,
    responseEncryptionKey: point(),
  } as const;
  const certRequestInfo = { type: 'authCertReq', value } as const;
  const scoped = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'pcaRa',
      value: {
        type: 'raPcaCertRequest',
        value: { version: 1, raId: 'localhost', certRequestInfo },
      },
    },
  });
  return signRequest(scoped, scms.ra.certificate, scms.ra.signingKey);
}

/** A command that ends, in this process. */
async function run(argv: readonly string[]): Promise<void> {
  let errors = '';
  const status = await main(argv, {
    stdout: { write() {} },
    stderr: { write: (text) => (errors += text) },
    stdin: (async function* () {})(),
    env: {},
    clock: systemClock,
    random: systemRandom,
    signal: new AbortController().signal,
  });
  assert.equal(status, 0, errors);
}

/** A command that stays, in a process of its own. */
interface Served {
  readonly url: string;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when it writes a line like this to its log. */
  logged(pattern: RegExp): Promise<void>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** SIGTERM: a clean end. Its exit status, and the errors that it logged. */
  stop(): Promise<{ readonly code: number | null; readonly faults: readonly string[] }>;
}

function start(argv: readonly string[]): Promise<Served> {
  const child: ChildProcess = spawn(process.execPath, [BIN, ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const gone = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const lines: string[] = [];
  const log = createInterface({ input: child.stderr! });
  log.on('line', (line) => lines.push(line));
  const end = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return gone;
  };
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (line) => {
      const { url } = JSON.parse(String(line));
      resolve({
        url,
        signal: (signal) => child.kill(signal),
        logged: (pattern) =>
          new Promise((found) => {
            log.on('line', (text) => pattern.test(text) && found());
          }),
        async kill() {
          await end('SIGKILL');
        },
        async stop() {
          const code = await end('SIGTERM');
          const faults = lines.filter((text) => !/"level":[1-4]0,/.test(text));
          return { code, faults };
        },
      });
    });
    void gone.then(() => reject(new Error(`expected it to start, saw: ${lines.join('\n')}`)));
  });
}

async function editConfig(directory: string, edit: (text: string) => string): Promise<void> {
  const file = join(directory, 'chrysalis.toml');
  const text = await readFile(file, 'utf8');
  assert.notEqual(edit(text), text);
  await writeFile(file, edit(text));
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('expected it within a minute');
}
