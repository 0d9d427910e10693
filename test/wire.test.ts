/** What strangers and devices see on the wire, in production: curl, openssl s_client, and raw connections. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { decode } from '@chrysalis/coer';
import { systemRandom } from '@chrysalis/crypto';
import { Certificate, hashCertificate } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './support/device.ts';
import { type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const run = promisify(execFile);
const random = systemRandom;
const PROVISION = '/provision-pseudonym-certificate-batch';

let fixture: RaFixture;
let device: TestDevice;
let directory: string;
let rootFile: string;
let batchFile: string;
let batch: Uint8Array;

before(async () => {
  fixture = await startRaFixture({ errorDetail: 'production', policy: { weeksAhead: 1 } });
  directory = await mkdtemp(join(tmpdir(), 'chrysalis-wire-'));
  rootFile = join(directory, 'root.pem');
  await writeFile(rootFile, fixture.ca);
  const now = timeOf(fixture.clock);
  device = createDevice(fixture.scms, random, now);
  const body = securedBy(device, pseudonymRequest(device, now), ra(), random);
  const ack = await fixture.send(PROVISION, { method: 'POST', body });
  assert.equal(ack.status, 200);
  const hash = Buffer.from(ack.body.subarray(12, 20)).toString('hex');
  const i = Math.floor((now - 347_619_603) / 604_800);
  batchFile = `${hash}_${i.toString(16).toUpperCase()}.zip`;
  batch = await fixture.eventually(async () => {
    const answer = await fixture.send('/download/batch', { headers: fresh(batchFile) });
    return answer.status === 200 ? answer.body : undefined;
  });
});
after(async () => {
  await fixture.close();
  await rm(directory, { recursive: true });
});

function ra() {
  return fixture.scms.ra.certificate;
}
function fresh(name: string): Record<string, string> {
  return downloadReq(device, name, timeOf(fixture.clock), ra(), random);
}
function url(path: string): string {
  return `https://localhost:${fixture.ra.port}${path}`;
}
const curl = (...args: string[]) => run('curl', ['-sS', '--cacert', rootFile, ...args]);

describe('openssl s_client', {
  skip: spawnSync('openssl', ['version']).status !== 0 && 'no openssl',
}, () => {
  // The RA runs in this process: openssl must not block it.
  const handshake = async (...args: string[]) => {
    try {
      const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>(
        (resolve) => {
          const child = execFile(
            'openssl',
            [
              's_client',
              '-connect',
              `127.0.0.1:${fixture.ra.port}`,
              '-servername',
              'localhost',
              '-CAfile',
              rootFile,
              ...args,
            ],
            { timeout: 20_000 },
            (_error, stdout, stderr) => resolve({ stdout, stderr }),
          );
          child.stdin?.end();
        },
      );
      return stdout + stderr;
    } catch (error) {
      return String(error);
    }
  };
  for (const suite of [
    'ECDHE-ECDSA-AES128-SHA256',
    'ECDHE-ECDSA-AES128-CCM',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
  ]) {
    it(`agrees on ${suite} under TLS 1.2`, async () => {
      const output = await handshake('-tls1_2', '-cipher', suite);
      assert.match(output, new RegExp(`Cipher is ${suite}`));
      assert.match(output, /Verify return code: 0 \(ok\)/);
    });
  }
  it('gets nowhere with TLS 1.1', async () => {
    const output = await handshake('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0');
    assert.match(output, /Cipher is \(NONE\)/);
    assert.match(output, /protocol version|alert/);
  });
});

describe('curl', () => {
  it('without Download-Req gets 500 and nothing more', async () => {
    const { stdout } = await curl('-i', url('/download/info'));
    const [head = '', body] = stdout.split('\r\n\r\n');
    assert.match(head, /^HTTP\/1\.1 500 /);
    assert.equal(body, '');
    assert.match(head, /connection: close/i);
    assert.match(head, /content-length: 0/i);
    assert.doesNotMatch(head, /scms-poc|raAuth|fastify|server:|powered/i);
  });
  it('with --range 500-700 and a fresh Download-Req gets those 201 octets', async () => {
    const part = join(directory, 'part');
    const { stdout } = await curl(
      '--range',
      '500-700',
      '-H',
      `Download-Req: ${fresh(batchFile)['Download-Req']}`,
      '-D',
      '-',
      '-o',
      part,
      url('/download/batch'),
    );
    assert.match(stdout, /^HTTP\/1\.1 206 /);
    assert.match(stdout, new RegExp(`content-range: bytes 500-700/${batch.length}`, 'i'));
    assert.deepEqual(new Uint8Array(await readFile(part)), batch.slice(500, 701));
  });
  it('resumes from an offset, and is told 416 behind the end', async () => {
    const rest = await fixture.send('/download/batch', {
      headers: { ...fresh(batchFile), Range: `bytes=1000-` },
    });
    assert.equal(rest.status, 206);
    assert.deepEqual(rest.body, batch.slice(1000));
    const beyond = await fixture.send('/download/batch', {
      headers: { ...fresh(batchFile), Range: `bytes=${batch.length}-` },
    });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.headers['content-range'], `bytes */${batch.length}`);
    assert.equal(beyond.body.length, 0);
  });
  it('gets the whole file when If-Range names another version', async () => {
    const etag = `"${batchFile}"`;
    const headers = { Range: 'bytes=0-9', 'If-Range': etag };
    const same = await fixture.send('/download/batch', {
      headers: { ...fresh(batchFile), ...headers },
    });
    assert.equal(same.status, 206);
    assert.equal(same.headers.etag, etag);
    const other = await fixture.send('/download/batch', {
      headers: { ...fresh(batchFile), ...headers, 'If-Range': '"other"' },
    });
    assert.equal(other.status, 200);
    assert.deepEqual(other.body, batch);
  });
  it('finds a file whatever the case of its name, under the name that it asked for', async () => {
    for (const name of [batchFile.toUpperCase().replace('.ZIP', '.zip'), batchFile.toLowerCase()]) {
      const answer = await fixture.send('/download/batch', { headers: fresh(name) });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['content-disposition'], `attachment; filename="${name}"`);
    }
  });
  it('gets the RA certificate for a SecuredRACertRequest, and only for one', async () => {
    const body = Uint8Array.of(3, 0x80, 5, 1, 0x83, 0x80, 0, 1);
    const answer = await fixture.send('/retrieve-ra-certificate', { method: 'POST', body });
    assert.equal(answer.status, 200);
    assert.deepEqual(hashCertificate(decode(Certificate, answer.body)).id, ra().id);
    const wrong = await fixture.send('/retrieve-ra-certificate', {
      method: 'POST',
      body: body.slice(1),
    });
    assert.equal(wrong.status, 500);
    const plain = await fixture.send('/retrieve-ra-certificate');
    assert.deepEqual(plain.body, answer.body, 'GET without a body (Q5)');
  });
  it('may leave out Content-Type, and send it with GET', async () => {
    const now = timeOf(fixture.clock);
    const another = createDevice(fixture.scms, random, now);
    const file = join(directory, 'body');
    await writeFile(file, securedBy(another, pseudonymRequest(another, now), ra(), random));
    const { stdout } = await curl(
      '-H',
      'Content-Type:',
      '--data-binary',
      `@${file}`,
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      url(PROVISION),
    );
    assert.equal(stdout, '200');
    const answer = await fixture.send('/download/batch', {
      headers: { ...fresh(batchFile), 'Content-Type': 'application/octet-stream', Accept: '*/*' },
    });
    assert.equal(answer.status, 200);
  });
});

describe('every refusal is the same 500, for', () => {
  const rawly = (text: string) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect(
        { port: fixture.ra.port, servername: 'localhost', ca: fixture.ca },
        () => {
          socket.write(text);
        },
      );
      let seen = '';
      socket.on('data', (chunk) => {
        seen += chunk;
      });
      socket.on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ECONNRESET' ? resolve(seen) : reject(error),
      );
      socket.on('close', () => resolve(seen));
    });
  const expectBare500 = (answer: string) => {
    assert.match(answer, /^HTTP\/1\.1 500 Internal Server Error\r\n/);
    assert.match(answer, /connection: close\r\n/i);
    assert.match(answer, /\r\n\r\n$/, 'the body is empty');
    assert.doesNotMatch(answer, /scms-poc|error-message|allow:/i);
  };

  const requests: Record<string, string> = {
    'octets that are no HTTP': '\x16\x03\x01 hello\r\n\r\n',
    'a request line without an end': 'GET\r\n\r\n',
    'another method on a path of ours':
      'PUT /download/info HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
    HEAD: 'HEAD /download/info HTTP/1.1\r\nHost: x\r\n\r\n',
    OPTIONS: 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
    PROPFIND: 'PROPFIND /download/info HTTP/1.1\r\nHost: x\r\n\r\n',
    CONNECT: 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'a method that nobody knows': 'FROB /download/info HTTP/1.1\r\nHost: x\r\n\r\n',
    'an unknown path': 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'a path that is badly encoded': 'GET /%ff%zz HTTP/1.1\r\nHost: x\r\n\r\n',
    'a path without Host': 'GET /download/info HTTP/1.1\r\n\r\n',
    'an upgrade':
      'GET /download/info HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n',
    'an expectation':
      'POST /retrieve-ra-certificate HTTP/1.1\r\nHost: x\r\nExpect: gold\r\nContent-Length: 0\r\n\r\n',
    'headers that are too long': `GET /download/info HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
    'a path that is too long': `GET /${'a'.repeat(15_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    'a body that is announced too long': `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n`,
    'a body in chunks that is too long': `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${'4000\r\n'.concat('a'.repeat(0x4000), '\r\n').repeat(2)}0\r\n\r\n`,
    'two lengths': `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd`,
    'a JSON body': `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
    'a content type that is nonsense': `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Type: ///\r\nContent-Length: 2\r\n\r\n{}`,
  };
  for (const [name, text] of Object.entries(requests)) {
    it(name, async () => {
      const answer = await rawly(text);
      // An answer to HEAD has no body in any case, and may not announce one.
      expectBare500(answer);
    });
  }
  it('a missing and a broken Download-Req, which look alike', async () => {
    const missing = await fixture.send('/download/info');
    const broken = await fixture.send('/download/info', { headers: { 'Download-Req': 'AAAA' } });
    const { date: _1, ...first } = missing.headers;
    const { date: _2, ...second } = broken.headers;
    assert.deepEqual(first, second);
    assert.equal(missing.body.length + broken.body.length, 0);
  });
});
