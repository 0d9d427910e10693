/** Connections that are slow, half open, cut off or many; and what happens to them when the RA stops. */
import assert from 'node:assert/strict';
import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import { Agent, request } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { systemRandom } from '@chrysalis/crypto';
import { timeOf } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './support/device.ts';
import { type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const random = systemRandom;
const PROVISION = '/provision-pseudonym-certificate-batch';
const UPGRADE =
  'GET /download/info HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n';
const EXPECT = `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nExpect: gold\r\nContent-Length: 100\r\n\r\n`;
const HALF_A_BODY = `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc`;

/** Sockets of servers in this process that are open. */
const open = new Set<Socket>();
diagnostics.subscribe('net.server.socket', (message) => {
  const { socket } = message as { socket: Socket };
  open.add(socket);
  socket.once('close', () => open.delete(socket));
});
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function untilClosed(count: number, withinMs: number): Promise<void> {
  for (const end = Date.now() + withinMs; open.size > count && Date.now() < end; ) await sleep(10);
  assert.equal(open.size, count);
}

/** A client that keeps its half of the connection open whatever the server does. */
function stubborn(fixture: RaFixture, text: string): Promise<{ socket: TLSSocket; raw: Socket }> {
  const raw = connectTcp({ port: fixture.ra.port, host: '127.0.0.1', allowHalfOpen: true });
  raw.on('error', () => {});
  return new Promise((resolve) => {
    const socket = connect({ socket: raw, servername: 'localhost', ca: fixture.ca }, () => {
      socket.write(text);
      resolve({ socket, raw });
    });
    socket.on('error', () => {});
    socket.on('data', () => {});
  });
}

describe('a refused connection', () => {
  let fixture: RaFixture;
  before(async () => {
    fixture = await startRaFixture({ errorDetail: 'production', policy: { weeksAhead: 1 } });
  });
  after(() => fixture.close());

  for (const [name, text] of Object.entries({
    'an upgrade': UPGRADE,
    CONNECT: 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'an expectation': EXPECT,
    'octets that are no HTTP': 'hello\r\n\r\n',
    'an unknown path': 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  })) {
    it(`is closed after ${name}, though the peer keeps its half open`, async () => {
      const { raw } = await stubborn(fixture, text);
      await untilClosed(0, 1000);
      raw.destroy();
    });
  }

  it('whose peer is reset at any moment harms nobody', async () => {
    for (const text of [UPGRADE, EXPECT, HALF_A_BODY, 'hello\r\n\r\n']) {
      for (let delay = 0; delay < 5; delay++) {
        const { raw } = await stubborn(fixture, text);
        await sleep(delay);
        raw.resetAndDestroy();
      }
    }
    await untilClosed(0, 1000);
    assert.equal((await fixture.send('/download/info')).status, 500);
  });
});

describe('a peer that has gone before its refusal leaves', () => {
  it('takes no place among those that wait for their peers', async (t) => {
    const limits = { connections: 2 };
    const fixture = await startRaFixture({ policy: { weeksAhead: 1 } });
    t.after(() => fixture.close());
    await fixture.restart({ limits, refusalTickMs: 100 });
    for (const text of [
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      'GET /download/info HTTP/1.1\r\nHost: x\r\n\r\n',
    ]) {
      const { raw } = await stubborn(fixture, text);
      // It has arrived, and waits for its tick.
      await sleep(30);
      raw.resetAndDestroy();
    }
    await untilClosed(0, 1000);
    // Until both would have left.
    await sleep(250);
    const clients = [];
    for (let n = 0; n < 4; n++) clients.push(await stubborn(fixture, ''));
    await untilClosed(limits.connections, 1000);
    for (const { raw } of clients) raw.destroy();
  });
});

describe('close', () => {
  it('does not wait for clients that are idle, in the middle of a request or of a handshake', async () => {
    const fixture = await startRaFixture({ policy: { weeksAhead: 1 } });
    const agent = new Agent({ keepAlive: true, ca: fixture.ca });
    await exchange(fixture, agent, '/download/info', {});
    const clients = [
      await stubborn(fixture, ''),
      await stubborn(fixture, HALF_A_BODY),
      await stubborn(fixture, 'GET /download/info HTTP/1.1\r\n'),
      await stubborn(fixture, UPGRADE),
      { raw: connectTcp(fixture.ra.port, '127.0.0.1').on('error', () => {}) },
    ];
    await sleep(50);
    const start = performance.now();
    await fixture.close();
    assert(performance.now() - start < 3000, 'a grace of two seconds');
    await untilClosed(0, 100);
    for (const { raw } of clients) raw.destroy();
    agent.destroy();
  });

  it('answers what has arrived, and what arrives on a connection that is still busy, and is quick then', async () => {
    const fixture = await startRaFixture({ policy: { weeksAhead: 1 } });
    const now = timeOf(fixture.clock);
    const agent = new Agent({ keepAlive: true, maxSockets: 20, ca: fixture.ca });
    // Open connections first, so that the requests are all on their way at once.
    await Promise.all(
      Array.from({ length: 20 }, () =>
        exchange(fixture, agent, '/retrieve-ra-certificate', {}, RA_CERT),
      ),
    );
    const answers = Array.from({ length: 20 }, () => {
      const device = createDevice(fixture.scms, random, now);
      const body = securedBy(
        device,
        pseudonymRequest(device, now),
        fixture.scms.ra.certificate,
        random,
      );
      return exchange(fixture, agent, PROVISION, {}, body);
    });
    const settled = Promise.allSettled(answers);
    while (!fixture.steps.includes('decode')) await sleep(1);
    const start = performance.now();
    await fixture.close();
    const took = performance.now() - start;
    const statuses = (await settled).map((answer) =>
      answer.status === 'fulfilled' ? answer.value.status : answer.reason.code,
    );
    // Those that the RA had not read yet are cut off: the device sends the same octets again.
    assert(
      statuses.every((status) => status === 200 || status === 'ECONNRESET'),
      `${statuses}`,
    );
    assert(statuses.includes(200));
    assert(took < 1500, `${took} ms`);
    agent.destroy();
  });
});

const RA_CERT = Uint8Array.of(3, 0x80, 5, 1, 0x83, 0x80, 0, 1);

describe('one connection', () => {
  let fixture: RaFixture;
  let device: TestDevice;
  let hash: string;
  before(async () => {
    fixture = await startRaFixture({ policy: { weeksAhead: 1 } });
    const now = timeOf(fixture.clock);
    device = createDevice(fixture.scms, random, now);
    const body = securedBy(
      device,
      pseudonymRequest(device, now),
      fixture.scms.ra.certificate,
      random,
    );
    const ack = await fixture.send(PROVISION, { method: 'POST', body });
    hash = Buffer.from(ack.body.subarray(12, 20)).toString('hex').toUpperCase();
  });
  after(() => fixture.close());
  const fresh = () =>
    downloadReq(device, `${hash}.info`, timeOf(fixture.clock), fixture.scms.ra.certificate, random);

  it('serves many files, and a refusal ends it', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: fixture.ca });
    const ports = new Set<number>();
    for (let n = 0; n < 20; n++) {
      const answer = await exchange(fixture, agent, '/download/info', fresh());
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['content-length'], '4');
      ports.add(answer.port);
    }
    assert.equal(ports.size, 1);
    const refused = await exchange(fixture, agent, '/download/info', {});
    assert.equal(refused.headers.connection, 'close');
    await exchange(fixture, agent, '/download/info', fresh()).then(({ port }) => ports.add(port));
    assert.equal(ports.size, 2);
    agent.destroy();
  });

  it('takes HTTP/1.0, pipelined requests, and two Download-Req headers for none', async () => {
    const header = `Download-Req: ${fresh()['Download-Req']}\r\n`;
    const get = (headers: string, version = '1.1') =>
      `GET /download/info HTTP/${version}\r\nHost: x\r\n${headers}\r\n`;
    assert.match(await talk(fixture, get(header, '1.0')), /^HTTP\/1\.[01] 200 OK/);
    const piped = await talk(fixture, get(header) + get(header) + get(''));
    assert.deepEqual(piped.match(/HTTP\/1\.1 \d+/g), [
      'HTTP/1.1 200',
      'HTTP/1.1 200',
      'HTTP/1.1 500',
    ]);
    assert.match(await talk(fixture, get(header + header)), /^HTTP\/1\.1 500/);
  });

  it('gives ranges of a file, however huge the numbers', async () => {
    const whole = (await fixture.send('/download/policy/local')).body.length;
    for (const [range, status, length] of [
      ['bytes=0-0', 206, 1],
      [`bytes=${whole - 1}-`, 206, 1],
      ['bytes=-2', 206, 2],
      ['bytes=-999999999999999', 206, whole],
      ['bytes=0-999999999999999', 206, whole],
      [`bytes=${whole}-`, 416, 0],
      ['bytes=999999999999999-', 416, 0],
      ['bytes=-0', 416, 0],
      [`bytes=${'9'.repeat(300)}-`, 200, whole],
      ['bytes=2-1', 200, whole],
      ['bytes=0-1,2-3', 200, whole],
      ['items=0-1', 200, whole],
    ] as const) {
      const answer = await fixture.send('/download/policy/local', { headers: { Range: range } });
      assert.deepEqual([answer.status, answer.body.length], [status, length], range);
      assert.equal(answer.headers['content-length'], String(length));
    }
  });

  it('gives .info as a whole, whatever is asked of it', async () => {
    for (const range of ['bytes=0-0', 'bytes=4-', 'bytes=-0', 'bytes=0-1,2-3']) {
      const headers = { ...fresh(), Range: range };
      const { status, body } = await fixture.send('/download/info', { headers });
      assert.deepEqual([status, body.length], [200, 4], range);
    }
  });
});

interface Exchanged {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The client's own port: which connection it was. */
  readonly port: number;
}

function exchange(
  fixture: RaFixture,
  agent: Agent,
  path: string,
  headers: Record<string, string>,
  body?: Uint8Array,
): Promise<Exchanged> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `https://localhost:${fixture.ra.port}${path}`,
      { agent, headers, method: body ? 'POST' : 'GET' },
      (incoming) => {
        const port = incoming.socket.localPort ?? 0;
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode, headers: incoming.headers, port }),
        );
        incoming.resume();
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Everything that comes back on one connection until half a second is quiet or the server ends it. */
function talk(fixture: RaFixture, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port: fixture.ra.port, servername: 'localhost', ca: fixture.ca }, () =>
      socket.write(text),
    );
    let seen = '';
    socket.on('data', (chunk) => {
      seen += chunk;
    });
    socket.on('error', () => {});
    socket.setTimeout(500, () => socket.destroy());
    socket.on('close', () => resolve(seen));
  });
}

describe('a connection of TLS 1.2', () => {
  it('has one handshake, and no other on the same connection', async (t) => {
    const fixture = await startRaFixture({ errorDetail: 'production', policy: { weeksAhead: 1 } });
    t.after(() => fixture.close());
    const { port } = fixture.ra;
    const name = { host: '127.0.0.1', servername: 'localhost' };
    const socket = connect({ ...name, port, ca: fixture.ca, maxVersion: 'TLSv1.2' });
    await once(socket, 'secureConnect');
    const before = socket.getFinished();
    const refused = once(socket, 'error');
    const done = new Promise<Error[]>((resolve) => {
      socket.renegotiate({}, () => resolve([new Error('another handshake')]));
    });
    const [error] = (await Promise.race([refused.catch((cause) => [cause]), done])) as [Error];
    assert.match(error.message, /no renegotiation/);
    assert.deepEqual(socket.getFinished(), before);
    socket.destroy();
  });
});
