/**
 * More than an RA can do, over real TLS: floods, connections that are slow on purpose, requests that come too many at once.
 * Whoever does what a device does is served all the while, and operators see it on their port.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemRandom } from '@chrysalis/crypto';
import type { RaSettings } from '@chrysalis/ra';
import { timeOf } from '@chrysalis/scms';
import type { ObjectStore } from '@chrysalis/store';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './support/device.ts';
import type { Answer } from './support/https-client.ts';
import { type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const PROVISION = '/provision-pseudonym-certificate-batch';
const random = systemRandom;
/** However slow the machine of the tests is. */
const NEVER_LATE = { shedAnonymousMs: 0, shedProvisioningMs: 0, shedDownloadsMs: 0 };
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Honest {
  readonly device: TestDevice;
  readonly hash: string;
}

interface Scene {
  readonly fixture: RaFixture;
  provision(device?: TestDevice): Promise<Answer>;
  register(): Promise<Honest>;
  /** The next of its two files, `.info` when no other is named. */
  download(honest: Honest, path?: string, name?: string): Promise<Answer>;
  ops(path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** The value of a metric, with its labels as they are printed. */
  metric(name: string): Promise<number>;
  /** A connection whose handshake is over; its errors are expected. */
  open(text?: string): Promise<TLSSocket>;
}

async function start(t: TestContext, changes: Partial<RaSettings> = {}): Promise<Scene> {
  const fixture = await startRaFixture({ errorDetail: 'production', policy: { weeksAhead: 1 } });
  t.after(() => fixture.close());
  await fixture.restart({ ops: { port: 0 }, ...changes });
  const now = () => timeOf(fixture.clock);
  const ra = () => fixture.scms.ra.certificate;
  const scene: Scene = {
    fixture,
    provision(device = createDevice(fixture.scms, random, now())) {
      const body = securedBy(device, pseudonymRequest(device, now()), ra(), random);
      return fixture.send(PROVISION, { method: 'POST', body });
    },
    async register() {
      const device = createDevice(fixture.scms, random, now());
      const ack = await scene.provision(device);
      assert.equal(ack.status, 200);
      return { device, hash: Buffer.from(ack.body.subarray(12, 20)).toString('hex') };
    },
    download({ device, hash }, path = '/download/info', name = `${hash}.info`) {
      return fixture.send(path, { headers: downloadReq(device, name, now(), ra(), random) });
    },
    async ops(path) {
      const answer = await fetch(`${fixture.ra.opsUrl}${path}`);
      return { status: answer.status, text: await answer.text() };
    },
    async metric(name) {
      const { text } = await scene.ops('/metrics');
      const line = text.split('\n').find((one) => one.startsWith(`${name} `));
      assert(line !== undefined, `expected ${name}`);
      return Number(line.slice(name.length + 1));
    },
    async open(text = '') {
      const socket = connect({ port: fixture.ra.port, servername: 'localhost', ca: fixture.ca });
      socket.on('error', () => {});
      await once(socket, 'secureConnect');
      socket.write(text);
      return socket;
    },
  };
  return scene;
}

/** All of a refusal, as it stands on the wire: Node would say 408. */
function expectBare(answer: string, kind: string): void {
  const [statusLine, ...lines] = answer.toLowerCase().split('\r\n');
  assert.equal(statusLine, 'http/1.1 500 internal server error', kind);
  const date = lines.find((line) => line.startsWith('date: ')) ?? '';
  // The last two: no header more, and no body.
  const expected = ['connection: close', 'content-length: 0', date, '', ''];
  assert.deepEqual(lines.toSorted(), expected.toSorted(), kind);
  assert.deepEqual(lines.slice(-2), ['', ''], kind);
}

/** Everything that comes until the peer closes. */
function readAll(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let seen = '';
    socket.on('data', (chunk) => {
      seen += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(seen));
  });
}

describe('a refusal', () => {
  const TICK_MS = 400;
  const KINDS: Readonly<Record<string, string>> = {
    'no such service': 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'no such method': 'DELETE /download/info HTTP/1.1\r\nHost: x\r\n\r\n',
    'a path that is none': 'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n',
    'a body that is too long': `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n`,
    'a head that is too long': `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    'no HTTP': 'hello\r\n\r\n',
    'an expectation': 'GET / HTTP/1.1\r\nHost: x\r\nExpect: gold\r\n\r\n',
    'an upgrade': 'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n',
    'no Download-Req': 'GET /download/batch HTTP/1.1\r\nHost: x\r\n\r\n',
    'a body that is no envelope': `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`,
  };

  it('is held until the tick, whatever found it, and a success is not', async (t) => {
    const { fixture, open, register, metric } = await start(t, { refusalTickMs: TICK_MS });
    await Promise.all(
      Object.entries(KINDS).map(async ([kind, text]) => {
        const socket = await open();
        const answer = readAll(socket);
        const sentAt = performance.now();
        socket.write(text);
        assert.match(await answer, /^HTTP\/1\.1 500 /, kind);
        assert(performance.now() - sentAt >= TICK_MS, kind);
      }),
    );
    assert.equal(await metric('chrysalis_held_refusals'), 0);
    // Nothing that leaves on a tick of an hour would come before the test ends.
    await fixture.restart({ refusalTickMs: 3_600_000 });
    await register();
  });

  it('counts from the last octet of a body, not from its head', async (t) => {
    const { open } = await start(t, { refusalTickMs: TICK_MS });
    const socket = await open(
      `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab`,
    );
    const answer = readAll(socket);
    await sleep(TICK_MS - 50);
    const sentAt = performance.now();
    socket.write('c');
    assert.match(await answer, /^HTTP\/1\.1 500 /);
    assert(performance.now() - sentAt >= TICK_MS);
  });

  it('that is held is answered when the RA stops', async (t) => {
    const { fixture, open } = await start(t, { refusalTickMs: TICK_MS });
    const sockets = await Promise.all(Array.from({ length: 10 }, () => open()));
    const answers = sockets.map(async (socket) => {
      const answer = readAll(socket);
      socket.write(KINDS['no such service'] ?? '');
      return answer;
    });
    const isHeld = () => fixture.logged.filter(({ message }) => message === 'refused').length >= 10;
    await fixture.eventually(async () => (isHeld() ? true : undefined));
    await fixture.ra.close();
    for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 500 /);
    await fixture.restart();
  });

  it('is one for a connection, however many requests come after it', async (t) => {
    const { open, metric } = await start(t, { refusalTickMs: TICK_MS });
    const answer = await readAll(await open((KINDS['no such service'] ?? '').repeat(2000)));
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1);
    assert.equal(await metric('chrysalis_requests_total{route="none",outcome="refused"}'), 1);
  });
});

describe('connections', () => {
  it('are closed, the slowest first, when there are too many, and devices are served', async (t) => {
    const limits = { connections: 60, handshakes: 20, ...NEVER_LATE };
    const scene = await start(t, { refusalTickMs: 50, limits });
    const { fixture, open, metric, ops } = scene;
    const devices = await Promise.all(Array.from({ length: 5 }, () => scene.register()));
    const before = await scene.open('GET /download/info HTTP/1.1\r\nX: slo');
    const isClosed = once(before, 'close');
    const sockets = new Set<Socket>([before]);
    const keep = (socket: Socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => sockets.delete(socket));
    };
    let isOver = false;
    const flood = async () => {
      // 1,500 connections that say nothing, and 500 that ask for what is not there, or stop in the middle.
      for (let n = 0; n < 500; n++) {
        for (let m = 0; m < 3; m++) keep(connectTcp(fixture.ra.port, '127.0.0.1'));
        const text = n % 2 === 0 ? 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' : 'GET / HTTP/1.1\r\nX: ';
        void open(text).then(keep, () => {});
        await sleep(2);
      }
      isOver = true;
    };
    let served = 0;
    const honest = async () => {
      // Not one of them fails.
      while (!isOver) {
        for (const device of devices) {
          assert.equal((await scene.download(device)).status, 200);
          served++;
        }
        assert((await metric('chrysalis_connections')) <= limits.connections);
        assert((await metric('chrysalis_handshakes')) <= limits.handshakes);
        assert.deepEqual(await ops('/healthz'), { status: 200, text: 'ok\n' });
      }
    };
    await Promise.all([flood(), honest()]);
    assert.equal((await scene.provision()).status, 200);
    await isClosed;
    const closed = (limit: string) =>
      metric(`chrysalis_connections_closed_total{limit="${limit}"}`);
    t.diagnostic(
      `${served} downloads served; closed: ${await closed('handshakes')} handshakes, ${await closed('connections')} others`,
    );
    assert((await closed('handshakes')) > 0 && (await closed('connections')) > 0);
    for (const socket of sockets) socket.destroy();
  });

  it('that send a head or a body octet by octet get the bare 500 when their time is over', async (t) => {
    const limits = { headTimeoutMs: 400, requestTimeoutMs: 800 };
    const { open } = await start(t, { refusalTickMs: 20, limits });
    const post = `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n`;
    await Promise.all(
      ['GET /download/info HTTP/1.1\r\nX: ', post].map(async (text) => {
        const socket = await open(text);
        const drip = setInterval(() => socket.write('x'), 20);
        const answer = await readAll(socket);
        clearInterval(drip);
        expectBare(answer, text);
      }),
    );
  });

  it('that send more at once than any device are closed', async (t) => {
    const gate = Promise.withResolvers<void>();
    const { fixture, open, register } = await start(t);
    const { device, hash } = await register();
    const objects = gated(fixture.raOptions.objects, gate.promise);
    await fixture.restart({ objects });
    const now = timeOf(fixture.clock);
    const name = `${hash}_${fixture.raOptions.iPeriod.at(now).toString(16)}.zip`;
    const headers = downloadReq(device, name, now, fixture.scms.ra.certificate, random);
    const get = `GET /download/batch HTTP/1.1\r\nHost: x\r\nDownload-Req: ${headers['Download-Req']}\r\n\r\n`;
    assert.equal(await readAll(await open(get.repeat(17))), '');
    gate.resolve();
  });

  it('leave nothing behind when they were refused', async (t) => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { fixture, metric } = await start(t, { refusalTickMs: 100 });
    const refuse = async (count: number) => {
      for (let n = 0; n < count; n += 20) {
        const answers = Array.from({ length: 20 }, () => fixture.send('/nothing'));
        for (const { status } of await Promise.all(answers)) assert.equal(status, 500);
        assert((await metric('chrysalis_held_refusals')) <= 20);
      }
      fixture.logged.length = 0;
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = await refuse(200);
    const after = await refuse(400);
    t.diagnostic(`heap: ${before >> 10} kB after 200 refusals, ${after >> 10} kB after 600`);
    // 400 connections that were kept would be more than 20 MB.
    assert(after - before < 5e6, `${after - before} octets`);
    assert.equal(await metric('chrysalis_held_refusals'), 0);
  });
});

/** Files come when the gate opens. */
function gated(objects: ObjectStore, gate: Promise<void>): ObjectStore {
  return {
    async get(key) {
      if (key.endsWith('.zip')) await gate;
      return objects.get(key);
    },
    put: (key, octets) => objects.put(key, octets),
    delete: (key) => objects.delete(key),
    deleteAll: (prefix) => objects.deleteAll(prefix),
    list: (prefix) => objects.list(prefix),
    removeAbandoned: () => objects.removeAbandoned(),
  };
}

/** Keeps the event loop busy, so long at a time, until it is told to stop. */
function hog(ms: number): { stop(): void } {
  let isOver = false;
  const turn = () => {
    for (const end = performance.now() + ms; performance.now() < end; );
    if (!isOver) setImmediate(turn);
  };
  turn();
  return {
    stop() {
      isOver = true;
    },
  };
}

describe('an RA that has too much to do', () => {
  const LATE_MS = 50;
  /** Later than it is made here. */
  const LATER_MS = 60_000;
  const CLASSES = ['provisioning', 'anonymous', 'download'] as const;
  for (const [name, limits, refused] of [
    [
      'gives up provisioning first',
      { shedProvisioningMs: LATE_MS, shedAnonymousMs: LATER_MS, shedDownloadsMs: LATER_MS },
      1,
    ],
    [
      'that is later gives up what anybody may ask for too, and serves files',
      { shedProvisioningMs: LATE_MS, shedAnonymousMs: LATE_MS, shedDownloadsMs: LATER_MS },
      2,
    ],
    [
      'that is later still gives up everything',
      { shedAnonymousMs: LATE_MS, shedProvisioningMs: LATE_MS, shedDownloadsMs: 60 },
      3,
    ],
  ] as const) {
    it(`${name}; its health is answered for, and it takes all again`, async (t) => {
      const scene = await start(t, { limits: NEVER_LATE });
      const { fixture, metric } = scene;
      const honest = await scene.register();
      await fixture.restart({ ops: { port: 0 }, limits });
      const statuses = async () => [
        (await scene.provision()).status,
        (await fixture.send('/download/policy/local')).status,
        (await scene.download(honest)).status,
      ];
      const hogging = hog(100);
      t.after(() => hogging.stop());
      const lag = () => metric('chrysalis_event_loop_lag_seconds');
      await fixture.eventually(async () => ((await lag()) > 0.07 ? true : undefined));
      const expected = CLASSES.map((_, n) => (n < refused ? 500 : 200));
      assert.deepEqual(await statuses(), expected);
      assert.equal((await scene.ops('/healthz')).status, 200);
      for (const [n, kind] of CLASSES.entries()) {
        assert.equal(await metric(`chrysalis_sheds_total{class="${kind}"}`), n < refused ? 1 : 0);
      }
      assert.equal(await metric('chrysalis_refusals_total{code="5903"}'), refused);
      hogging.stop();
      await fixture.eventually(async () => ((await lag()) < 0.05 ? true : undefined));
      assert.deepEqual(await statuses(), [200, 200, 200]);
    });
  }

  it('answers so many anonymous calls a second, and devices with a certificate beside them', async (t) => {
    const scene = await start(t);
    const { fixture, metric } = scene;
    const honest = await scene.register();
    // A burst of ten, and one more each second.
    await fixture.restart({ ops: { port: 0 }, limits: { ...NEVER_LATE, anonymousPerSecond: 1 } });
    const begun = performance.now();
    const paths = [
      '/download/policy/local',
      '/download/local-certificate-chain',
      '/retrieve-ra-certificate',
    ];
    const flood = Array.from({ length: 300 }, (_, n) => fixture.send(paths[n % 3] ?? ''));
    assert.equal((await scene.provision()).status, 200);
    assert.equal((await scene.download(honest)).status, 200);
    const answers = await Promise.all(flood);
    const served = answers.filter(({ status }) => status === 200).length;
    const most = 10 + Math.ceil((performance.now() - begun) / 1000);
    t.diagnostic(`${served} of ${answers.length} served, ${most} at most`);
    assert(served >= 10 && served <= most, `${served} of ${most}`);
    for (const { status, headers, body } of answers.filter(({ status }) => status !== 200)) {
      assert.equal(status, 500);
      assert.equal(body.length, 0);
      assert.deepEqual(Object.keys(headers).toSorted(), ['connection', 'content-length', 'date']);
    }
    assert.equal(await metric('chrysalis_anonymous_over_budget_total'), 300 - served);
    assert.equal(await metric('chrysalis_sheds_total{class="anonymous"}'), 300 - served);
    assert.equal(await metric('chrysalis_sheds_total{class="provisioning"}'), 0);
    assert.equal(await metric('chrysalis_sheds_total{class="download"}'), 0);
  });

  it('takes so many downloads at a time, and other calls beside them', async (t) => {
    const gate = Promise.withResolvers<void>();
    const scene = await start(t);
    const { fixture, metric } = scene;
    const honest = await scene.register();
    const objects = gated(fixture.raOptions.objects, gate.promise);
    const limits = { downloadsUnderWay: 2, ...NEVER_LATE };
    await fixture.restart({ ops: { port: 0 }, objects, limits });
    const i = fixture.raOptions.iPeriod.at(timeOf(fixture.clock));
    const batch = () =>
      scene.download(honest, '/download/batch', `${honest.hash}_${i.toString(16)}.zip`);
    const waiting = [batch(), batch()];
    const underWay = 'chrysalis_requests_under_way{class="download"}';
    await fixture.eventually(async () => ((await metric(underWay)) === 2 ? true : undefined));
    assert.equal((await scene.download(honest)).status, 500);
    assert.equal((await fixture.send('/download/policy/local')).status, 200);
    assert.equal((await scene.provision()).status, 200);
    gate.resolve();
    await Promise.all(waiting);
    assert.equal(await metric(underWay), 0);
    assert.equal((await scene.download(honest)).status, 200);
  });

  it('and stops answers all that it has begun, and forgets none of it', async (t) => {
    const scene = await start(t);
    const { fixture } = scene;
    const now = timeOf(fixture.clock);
    const devices = Array.from({ length: 60 }, () => createDevice(fixture.scms, random, now));
    const begun = () => fixture.steps.filter((step) => step === 'decode').length;
    const answers = Promise.allSettled(devices.map((device) => scene.provision(device)));
    while (begun() < 10) await sleep(1);
    await fixture.ra.close();
    const read = begun();
    const acknowledged = (await answers).flatMap((answer, n) => {
      if (answer.status === 'rejected') return [];
      assert.equal(answer.value.status, 200);
      const hash = Buffer.from(answer.value.body.subarray(12, 20)).toString('hex');
      return [{ device: devices[n]!, hash }];
    });
    t.diagnostic(
      `${read} of ${devices.length} requests were read, ${acknowledged.length} answered`,
    );
    assert.equal(acknowledged.length, read);
    await fixture.restart();
    for (const honest of acknowledged) assert.equal((await scene.download(honest)).status, 200);
  });
});

/** Connects so many times, and says how many the system has answered before any would have knocked again (RFC 6298: a second). */
const KNOCK = `
  const [port, count] = process.argv.slice(1).map(Number);
  let connected = 0;
  for (let n = 0; n < count; n += 1) {
    require('node:net').connect(port, '127.0.0.1', () => { connected += 1; }).on('error', () => {});
  }
  setTimeout(() => { console.log(connected); process.exit(0); }, 700);
`;

describe('an RA that accepts nothing for a while', () => {
  const COUNT = 40;
  /** While it runs this process, and with it the RA, does nothing else. */
  const knock = ({ ra }: RaFixture) =>
    Number(execFileSync(process.execPath, ['-e', KNOCK, String(ra.port), String(COUNT)]));

  it('keeps no more connections waiting than it may', async (t) => {
    const { fixture } = await start(t, { limits: { waiting: 4 } });
    const kept = knock(fixture);
    assert(kept < COUNT, `${kept} of ${COUNT}`);
  });

  it('keeps those of a moment in which many come', async (t) => {
    const { fixture } = await start(t);
    assert.equal(knock(fixture), COUNT);
  });
});
