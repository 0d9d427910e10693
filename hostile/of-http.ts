/** Attacks on the HTTP server: heads, bodies, framing, and those that take their time. */
import { once } from 'node:events';
import { getOf, postOf } from '../test/support/device-line.ts';
import { type Arena, PROVISION, sleep } from './arena.ts';
import { below, octets, pick } from './chance.ts';
import type { Kind } from './kind.ts';
import { allOf } from './sockets.ts';

const DOWNLOADS = ['/download/batch', '/download/info', '/download/identity-certificate'];
const FILES = ['/download/policy/local', '/download/local-certificate-chain'];
const text = (value: string) => Buffer.from(value, 'latin1');
const DRIP_MS = 200;
/** More than the buffers of both systems hold while a refusal waits for its tick. */
const ENDLESS = 100_000_000;

/** Sends the beginning, then an octet now and then, until it is cut off or has had enough. */
async function drip({ sockets, holdMs }: Arena, head: string): Promise<string> {
  const socket = sockets.tls();
  const answer = allOf(socket);
  socket.once('secureConnect', () => socket.write(head));
  for (let ms = 0; ms < holdMs && !socket.destroyed; ms += DRIP_MS) {
    await sleep(DRIP_MS);
    if (socket.writable) socket.write(pick(['x', 'x', '\r\nX: ']));
  }
  socket.destroy();
  return answer;
}

export const OF_HTTP: readonly Kind[] = [
  {
    name: 'no HTTP',
    does: 'sends random octets over TLS',
    attack: ({ sockets }) => sockets.talk(octets(300), { ends: below(2) === 0 }),
  },
  {
    name: 'wrong path',
    does: 'asks for what is no service: traversal, encodings, other products',
    attack({ sockets }) {
      const path = pick([
        '/',
        '//',
        '/download',
        '/download/info/',
        '/DOWNLOAD/INFO',
        '/download/../etc/passwd',
        '/download/batch/../../ra/signing.key',
        '/%2e%2e/%2e%2e/ra/chrysalis.db',
        '/%00',
        '/%zz',
        '/download/info?x=1;drop',
        '/metrics',
        '/healthz',
        '/admin',
        '/.git/config',
        '*',
        'http://169.254.169.254/latest',
        `/${'a/'.repeat(2000)}`,
        '/download-crl/',
      ]);
      return sockets.talk(getOf(path));
    },
  },
  {
    name: 'wrong method',
    does: 'uses methods that no service has',
    attack({ sockets }) {
      const method = pick(['PUT', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PATCH', 'PROPFIND', 'X']);
      const path = pick([...DOWNLOADS, ...FILES, PROVISION]);
      return sockets.talk(text(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`));
    },
  },
  {
    name: 'wrong way round',
    does: 'posts to what is to be got, and gets what is to be posted',
    attack({ sockets }) {
      const get = getOf(pick([PROVISION, '/process-misbehavior-report']));
      return sockets.talk(pick([get, postOf(pick([...DOWNLOADS, ...FILES]), octets(200))]));
    },
  },
  {
    name: 'wrong content type',
    does: 'posts garbage as JSON, a form, compressed, in parts',
    attack({ sockets }) {
      const headers = pick([
        { 'Content-Type': 'application/json' },
        { 'Content-Type': 'multipart/form-data; boundary=x' },
        { 'Content-Type': 'application/x-www-form-urlencoded' },
        { 'Content-Type': 'application/octet-stream', 'Content-Encoding': 'gzip' },
        { 'Content-Type': `x/${'y'.repeat(4000)}` },
      ]);
      const body = pick([octets(500), text('{"a":'), text(`{"__proto__":${'['.repeat(5000)}`)]);
      return sockets.talk(postOf(PROVISION, body, headers));
    },
  },
  {
    name: 'huge head',
    does: 'sends heads of more than 16 KiB: one long line, or thousands of short ones',
    attack({ sockets }) {
      const lines = pick([
        `Download-Req: ${'A'.repeat(20_000 + below(80_000))}\r\n`,
        'X: y\r\n'.repeat(5000),
        `${'x'.repeat(17_000)}: y\r\n`,
        `Cookie: ${'a=b; '.repeat(8000)}\r\n`,
      ]);
      return sockets.talk(text(`GET /download/info HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n`));
    },
  },
  {
    name: 'huge body',
    does: 'announces up to terabytes, and sends a megabyte of them',
    attack({ sockets }) {
      const length = pick([16_385, 100_000, 1_000_000, 2 ** 31, 10 ** 12, '9'.repeat(30)]);
      const path = pick([PROVISION, '/process-misbehavior-report', '/retrieve-ra-certificate']);
      const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${length}\r\n\r\n`;
      return sockets.talk(Buffer.concat([text(head), Buffer.alloc(1_000_000)]));
    },
  },
  {
    name: 'body cut off',
    does: 'announces more than it sends, and closes or goes away',
    attack({ sockets }) {
      const whole = postOf(PROVISION, octets(1500));
      const cutAfter = 1 + below(whole.length - 1);
      if (below(2) === 0) return sockets.talk(whole, { cutAfter });
      return sockets.talk(whole.subarray(0, cutAfter), { ends: true });
    },
  },
  {
    name: 'endless chunks',
    does: 'sends a chunked body until it is cut off',
    async attack({ sockets }) {
      const socket = sockets.tls();
      const answer = allOf(socket);
      await Promise.race([once(socket, 'secureConnect'), answer]);
      const head = `POST ${PROVISION} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`;
      socket.write(head);
      const chunk = Buffer.concat([text('400\r\n'), Buffer.alloc(1024), text('\r\n')]);
      socket.setMaxListeners(0);
      let sent = 0;
      while (socket.writable && sent < ENDLESS) {
        if (!socket.write(chunk)) {
          await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {});
        }
        sent += chunk.length;
      }
      if (sent >= ENDLESS) throw new Error('expected an endless body to be cut off');
      return answer;
    },
  },
  {
    name: 'ambiguous framing',
    does: 'leaves open where a body ends: two lengths, length and chunks, broken chunks',
    attack({ sockets }) {
      const framing = pick([
        'Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
        'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n',
        'Transfer-Encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
        'Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc',
        'Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n',
        'Transfer-Encoding: chunked\r\n\r\n3;x=\n\r\nabc\r\n0\r\n\r\n',
        'Content-Length: -1\r\n\r\nabc',
        'Content-Length: +3\r\n\r\nabc',
        'Content-Length : 3\r\n\r\nabc',
        'X: a\r\n b\r\nContent-Length: 3\r\n\r\nabc',
        'Content-Length: 3\n\nabc',
      ]);
      return sockets.talk(text(`POST ${PROVISION} HTTP/1.1\r\nHost: localhost\r\n${framing}`));
    },
  },
  {
    name: 'pipelined',
    does: 'sends 17 to 400 requests at once, without waiting for answers',
    mayGet: [200, 500],
    attack({ sockets }) {
      const one = pick([getOf('/nothing'), getOf(pick(FILES)), getOf(pick(DOWNLOADS))]);
      return sockets.talk(Buffer.concat(Array(17 + below(384)).fill(one)));
    },
  },
  {
    name: 'slow head',
    does: 'sends a head octet by octet (slowloris)',
    isSlow: true,
    attack: (arena) => drip(arena, 'GET /download/info HTTP/1.1\r\nHost: localhost\r\nX: '),
  },
  {
    name: 'slow body',
    does: 'sends a body octet by octet',
    isSlow: true,
    attack: (arena) =>
      drip(arena, `POST ${PROVISION} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n`),
  },
  {
    name: 'other protocols',
    does: 'asks for an upgrade, a tunnel, an expectation, HTTP/2 or HTTP/0.9',
    mayGet: [200, 500],
    attack({ sockets }) {
      const say = pick([
        'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n',
        'GET /download/info HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
        'CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n',
        `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nExpect: gold\r\nContent-Length: 3\r\n\r\nabc`,
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        'GET /download/policy/local\r\n',
        'GET /download/policy/local HTTP/9.9\r\n\r\n',
        'SSH-2.0-OpenSSH_9.6\r\n',
        'EHLO localhost\r\n',
      ]);
      return sockets.talk(text(say));
    },
  },
];
