/**
 * No command shows a secret: an RA and a device of real processes, with all that they log and with the stacks of their errors,
 * through what works and what does not; then each private key, seed and passphrase is looked for in everything they wrote.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { decode } from '@chrysalis/coer';
import { systemRandom } from '@chrysalis/crypto';
import { Certificate, hashCertificate } from '@chrysalis/ieee1609dot2';
import { secureRequest, systemClock } from '@chrysalis/scms';
import type { CliContext } from '../packages/cli/src/context.ts';
import { run } from '../packages/cli/test/run-main.ts';
import { freePort } from './support/free-port.ts';
import { leaksIn, type NamedSecret, secretsBelow } from './support/secret-search.ts';

const BIN = join(import.meta.dirname, '../packages/cli/src/bin.js');
const PASSPHRASE = 'correct horse battery staple';

describe('the search for secrets', () => {
  const octets = Uint8Array.from(randomBytes(32));
  const buffer = Buffer.from(octets);
  const secret: NamedSecret = { name: 'planted', octets };
  const forms: Readonly<Record<string, string | Uint8Array>> = {
    'hex in lower case': buffer.toString('hex'),
    'hex in upper case': buffer.toString('hex').toUpperCase(),
    'hex with colons': buffer.toString('hex').replaceAll(/../g, '$&:'),
    'half of it in hex': buffer.subarray(0, 16).toString('hex'),
    'its other half': buffer.subarray(16).toString('hex'),
    base64: buffer.toString('base64'),
    base64url: buffer.toString('base64url'),
    'base64 inside other data': Buffer.concat([Buffer.alloc(10), buffer]).toString('base64'),
    'base64 in lines': Buffer.concat([Buffer.alloc(41), buffer])
      .toString('base64')
      .replaceAll(/.{64}/g, '$&\n'),
    'a number': BigInt(`0x${buffer.toString('hex')}`).toString(),
    'a bigint': `${BigInt(`0x${buffer.toString('hex')}`)}n`,
    'the octets': Buffer.concat([Buffer.from('key: '), buffer, Buffer.from('.')]),
    'JSON of a Uint8Array': JSON.stringify({ key: octets }),
    'JSON of a Buffer': JSON.stringify({ key: buffer }),
    'inspect of a Uint8Array': inspect({ key: octets }),
    'inspect of a Buffer': inspect({ key: buffer }),
    'an array': `[${[...octets].join(', ')}]`,
  };
  for (const [form, written] of Object.entries(forms)) {
    it(`finds ${form}`, () => {
      const text = typeof written === 'string' ? Buffer.from(`a line ${written}\n`) : written;
      assert.notEqual(leaksIn(text, [secret]).length, 0);
    });
  }

  it('finds nothing where there is nothing', () => {
    const others = [randomBytes(4096), Buffer.from(randomBytes(4096).toString('hex'))];
    for (const other of others) assert.deepEqual(leaksIn(other, [secret]), []);
  });
});

describe('no command shows a secret', () => {
  let folder: string;
  /** What was written, by the command that wrote it. */
  const written = new Map<string, Buffer>();
  const secrets: NamedSecret[] = [{ name: 'the passphrase', octets: Buffer.from(PASSPHRASE) }];
  const servers: ChildProcess[] = [];
  const at = (file: string) => join(folder, file);
  const encrypted = { CHRYSALIS_PASSPHRASE: PASSPHRASE };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'chrysalis-secrets-'));
  });
  after(async () => {
    for (const server of servers) server.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  /** In this process, which is as good and a hundred times as fast: all that a command writes goes through its context. */
  async function chrysalis(
    expected: 'succeeds' | 'fails' | 'either',
    args: readonly string[],
    env: CliContext['env'] = {},
  ): Promise<void> {
    const name = `${args.join(' ')} #${written.size}`;
    const more = { env: { CHRYSALIS_DEBUG: '1', ...env }, clock: systemClock };
    const { status, stdout, stderr } = await run(['--dir', at('state'), ...args], more);
    written.set(name, Buffer.from(stdout + stderr));
    if (expected === 'either') return;
    assert.equal(status === 0, expected === 'succeeds', `${name}: ${stdout}${stderr}`);
  }

  /** A process of its own, with the pipeline in a thread. */
  function start(args: readonly string[], env: NodeJS.ProcessEnv) {
    const name = `${args.join(' ')} #${written.size}`;
    const child = spawn(process.execPath, [BIN, '--dir', at('state'), ...args], {
      env: { ...process.env, CHRYSALIS_DEBUG: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    written.set(name, Buffer.alloc(0));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        written.set(name, Buffer.concat([written.get(name)!, chunk]));
      });
    }
    return { child, name };
  }

  async function serve(env: NodeJS.ProcessEnv) {
    const { child, name } = start(['serve', '--log-level', 'debug'], env);
    servers.push(child);
    const ended = once(child, 'close').then(() => {
      throw new Error(`expected serve to go on, saw it end: ${written.get(name)}`);
    });
    await Promise.race([once(child.stdout, 'data'), ended]);
    ended.catch(() => {});
    return async () => {
      child.kill('SIGTERM');
      await once(child, 'close');
    };
  }

  it('while everything works', async () => {
    const [port, crlPort] = [await freePort(), await freePort()];
    await chrysalis('succeeds', [
      'init',
      '--port',
      `${port}`,
      '--processes',
      '1',
      '--weeks-ahead',
      '1',
    ]);
    await edit((text) =>
      text
        .replace('port = 8894', `port = ${crlPort}`)
        .replace('port = 8895', 'port = 0')
        .replace('error-detail = "production"', 'error-detail = "qa"'),
    );
    await remember('state');
    await chrysalis('succeeds', ['keys', 'status']);
    await chrysalis('succeeds', ['keys', 'encrypt', '--cost', '14'], encrypted);
    await chrysalis('succeeds', ['--json', 'keys', 'status']);
    const stop = await serve(encrypted);
    const profile = ['--profile', at('obu')];
    await chrysalis('succeeds', ['ee', 'bootstrap', ...profile, '--new', '--identification']);
    const enrollment = join(at('obu'), 'SignedEeEnrollmentCertRequest.oer');
    await chrysalis(
      'succeeds',
      ['enroll', '--request', enrollment, '--out', at('bundle')],
      encrypted,
    );
    await chrysalis('succeeds', ['ee', 'bootstrap', ...profile, '--bundle', at('bundle')]);
    await chrysalis('succeeds', ['ee', 'run', '--once', ...profile]);
    await chrysalis('succeeds', ['ee', 'topup', '--wait', ...profile]);
    const report = ['--text', 'a ghost', '--latitude', '42.28', '--longitude', '-83.74'];
    await chrysalis('succeeds', ['ee', 'report', ...profile, ...report]);
    await chrysalis('succeeds', ['ee', 'status', ...profile, '--json']);
    const roadside = ['--profile', at('rsu')];
    await chrysalis('succeeds', ['ee', 'bootstrap', ...roadside, '--new', '--kind', 'rse']);
    const other = join(at('rsu'), 'SignedEeEnrollmentCertRequest.oer');
    await chrysalis('succeeds', ['enroll', '--request', other, '--out', at('bundle2')], encrypted);
    await chrysalis('succeeds', ['ee', 'bootstrap', ...roadside, '--bundle', at('bundle2')]);
    await chrysalis('succeeds', ['ee', 'topup', '--wait', ...roadside]);
    for (const look of [['status'], ['policy', 'show'], ['tls', 'status'], ['--json', 'status']]) {
      await chrysalis('succeeds', look, encrypted);
    }
    await chrysalis('succeeds', ['crl', 'show'], encrypted);
    for (const body of await hostileBodies()) await post(port, body);
    await stop();
    await remember('obu');
    await remember('rsu');
    assert(secrets.length > 50, `${secrets.length} secrets`);
  });

  it('when files are wrong', async () => {
    await chrysalis('succeeds', ['keys', 'decrypt'], encrypted);
    const cases: readonly [string, (content: Buffer) => Buffer | string][] = [
      ['ra/signing.key', (key) => key.subarray(0, 60)],
      ['ra/signing.key', (key) => `${key.toString().trim()}0\n`],
      ['ra/signing.key', (key) => `0x${key}`],
      ['ra/signing.key', (key) => JSON.stringify({ key: key.toString() })],
      ['ra/encryption.key', () => readSync('ra/signing.key')],
      ['authorities/pca/signing.key', () => readSync('authorities/la1/signing.key')],
      ['authorities/la1/chain.key', (key) => `${key}${key}`],
      ['ra/tls-key.pem', (pem) => pem.subarray(0, 150)],
      ['ra/tls-key.pem', (pem) => pem.toString().replace('PRIVATE KEY', 'SOMETHING')],
      ['ra/tls-key.pem', (pem) => pem.toString().replace('M', 'Z')],
      ['ra/certificate.oer', () => readSync('ra/signing.key')],
    ];
    const originals = new Map<string, Buffer>();
    const readSync = (file: string) => originals.get(file)!;
    for (const file of ['authorities/la1/signing.key', ...cases.map(([one]) => one)]) {
      originals.set(file, await readFile(join(at('state'), file)));
    }
    for (const [file, change] of cases) {
      const path = join(at('state'), file);
      await writeFile(path, change(originals.get(file)!));
      await chrysalis('fails', ['serve', '--log-level', 'debug']);
      await writeFile(path, originals.get(file)!);
    }
    await chmod(join(at('state'), 'ra/signing.key'), 0o644);
    await chrysalis('fails', ['serve', '--log-level', 'debug']);
    await chmod(join(at('state'), 'ra/signing.key'), 0o600);
  });

  it('when a key or a passphrase stands where it does not belong', async () => {
    const key = (await readFile(join(at('state'), 'ra/signing.key'), 'utf8')).trim();
    const pem = await readFile(join(at('state'), 'ra/tls-key.pem'), 'utf8');
    const text = await readFile(join(at('state'), 'chrysalis.toml'), 'utf8');
    const replaced = (line: string, value: string) =>
      text.replace(new RegExp(`^${line} = .*$`, 'm'), () => `${line} = ${value}`);
    for (const wrong of [
      replaced('signing-key', JSON.stringify(key)),
      replaced('signing-key', key),
      replaced('signing-key', JSON.stringify(`pkcs11:token=a;object=b?pin-value=${key}`)),
      replaced('encryption-key', JSON.stringify(`pkcs11:token=${key}`)),
      replaced('tls-key', JSON.stringify(pem)),
      replaced('tls-key', `"""${pem}"""`),
      replaced('port', JSON.stringify(key)),
      replaced('host', JSON.stringify(key)),
      `${text}\n[extra]\nkey = ${JSON.stringify(key)}\n`,
      `${text}\nkey ${key}\n`,
    ]) {
      await edit(() => wrong);
      await chrysalis('fails', ['serve', '--log-level', 'debug']);
    }
    await edit(() => text);
    await chrysalis('succeeds', ['keys', 'encrypt', '--cost', '14'], encrypted);
    await chrysalis('fails', ['serve'], { CHRYSALIS_PASSPHRASE: `${PASSPHRASE} ` });
    await chrysalis('fails', ['keys', 'encrypt'], { CHRYSALIS_PASSPHRASE: `${PASSPHRASE} ` });
    await writeFile(at('passphrase'), `${PASSPHRASE}\n${PASSPHRASE}\n`, { mode: 0o600 });
    await chrysalis('fails', ['serve'], { CHRYSALIS_PASSPHRASE_FILE: at('passphrase') });
    const both = { ...encrypted, CHRYSALIS_PASSPHRASE_FILE: at('passphrase') };
    await chrysalis('fails', ['serve'], both);
  });

  it('when the profile of a device is wrong, and when keys are inspected', async () => {
    for (const file of ['provisioning.json', 'enrollment.key', 'certificates']) {
      const broken = at(`broken-${file}`);
      await cp(at('obu'), broken, { recursive: true });
      const [name] = file === 'certificates' ? await readdir(join(broken, file)) : [''];
      const path = join(broken, file, name ?? '');
      const content = await readFile(path);
      await writeFile(path, content.subarray(0, content.length - 20));
      await chrysalis('either', ['ee', 'status', '--profile', broken]);
      await chrysalis('either', ['ee', 'header', '0.info', '--profile', broken]);
      await chrysalis('either', ['inspect', path]);
    }
    for (const file of ['enrollment.key', 'provisioning.json', 'enrollment-request.key']) {
      await chrysalis('either', ['inspect', join(at('obu'), file)]);
      await chrysalis('either', [
        'inspect',
        join(at('state'), 'ra/certificate.oer'),
        '--key',
        join(at('obu'), file),
      ]);
    }
  });

  it('as the search says', () => {
    assert(written.size > 50, `${written.size} commands`);
    for (const [command, text] of written) {
      assert.deepEqual(leaksIn(text, secrets), [], command);
    }
  });

  it('and no file of a state directory whose keys are encrypted holds one', async () => {
    const held = secrets.filter(
      ({ name }) => name.startsWith(at('state')) || name === 'the passphrase',
    );
    assert(held.length > 20);
    const entries = await readdir(at('state'), { recursive: true, withFileTypes: true });
    let count = 0;
    for (const entry of entries.filter((one) => one.isFile())) {
      count += 1;
      const path = join(entry.parentPath, entry.name);
      assert.deepEqual(leaksIn(await readFile(path), held), [], path);
    }
    assert(count > 40);
  });

  async function edit(change: (text: string) => string): Promise<void> {
    const path = join(at('state'), 'chrysalis.toml');
    await writeFile(path, change(await readFile(path, 'utf8')));
  }

  async function remember(directory: string): Promise<void> {
    secrets.push(...(await secretsBelow(at(directory))));
  }

  /** Nothing, garbage, and garbage that is sealed to the RA. */
  async function hostileBodies(): Promise<Uint8Array[]> {
    const octets = new Uint8Array(await readFile(join(at('state'), 'ra/certificate.oer')));
    const ra = hashCertificate(decode(Certificate, octets));
    const garbage = new Uint8Array(randomBytes(200));
    const sealed = secureRequest(garbage, ra, systemRandom);
    return [new Uint8Array(0), garbage, sealed, sealed.with(-1, sealed.at(-1)! ^ 1)];
  }

  async function post(port: number, body: Uint8Array): Promise<void> {
    const ca = await readFile(join(at('state'), 'authorities/x509-root/certificate.pem'));
    const sent = request({
      ...{ host: '127.0.0.1', port, ca, method: 'POST', servername: 'localhost' },
      path: '/provision-pseudonym-certificate-batch',
      headers: { 'content-type': 'application/octet-stream', 'content-length': body.length },
    });
    sent.end(body);
    const [response] = await once(sent, 'response');
    assert.equal(response.statusCode, 500);
    response.resume();
  }
});
