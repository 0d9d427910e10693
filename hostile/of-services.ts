/** Attacks on single services: files with ranges and conditions, headers, the RA certificate, the CRL store. */
import { once } from 'node:events';
import { systemRandom as random } from '@chrysalis/crypto';
import { downloadReq, pseudonymRequest, securedBy } from '../test/support/device.ts';
import { getOf, postOf } from '../test/support/device-line.ts';
import { type Arena, PROVISION, sleep } from './arena.ts';
import { base64, below, octets, pick } from './chance.ts';
import type { Kind } from './kind.ts';

const DOWNLOADS = ['/download/batch', '/download/info', '/download/identity-certificate'];
const FILES = ['/download/policy/local', '/download/local-certificate-chain'];
const text = (value: string) => Buffer.from(value, 'latin1');
/** A request for a file of the attacker's own. */
const ownBatch = (arena: Arena, headers: Readonly<Record<string, string>> = {}) =>
  getOf('/download/batch', {
    ...downloadReq(
      arena.me.device,
      arena.batchOf(arena.me),
      arena.now(),
      arena.certificate,
      random,
    ),
    ...headers,
  });

export const OF_SERVICES: readonly Kind[] = [
  {
    name: 'slow reader',
    does: 'asks for files as often as it may, and does not take the answers',
    isSlow: true,
    mayGet: [200],
    async attack({ sockets, holdMs }) {
      const socket = sockets.tls();
      socket.pause();
      const over = once(socket, 'close').catch(() => {});
      socket.once('secureConnect', () => {
        socket.write(Buffer.concat(Array(16).fill(getOf('/download/local-certificate-chain'))));
      });
      await Promise.race([sleep(holdMs), over]);
      socket.destroy();
      return '';
    },
  },
  {
    name: 'ranges',
    does: 'asks for ranges of files: many, overlapping, reversed, beyond the end',
    mayGet: [200, 206, 416, 500],
    attack(arena) {
      const range = pick([
        `bytes=${Array.from({ length: 500 }, (_, n) => `${n}-${n + 1}`).join(',')}`,
        'bytes=0-,0-,0-',
        'bytes=-0',
        'bytes=-1',
        'bytes=5-2',
        'bytes=99999999-',
        'octets=0-1',
        `bytes=${'9'.repeat(400)}-`,
        'bytes=0-18446744073709551616',
        'bytes=--1',
        'bytes=1',
        'x',
      ]);
      const ask = pick([
        () => getOf(pick(FILES), { Range: range, 'If-Range': pick(['"x"', '*', 'W/"x"', 'now']) }),
        () => ownBatch(arena, { Range: range }),
      ]);
      return arena.sockets.talk(ask());
    },
  },
  {
    name: 'conditions',
    does: 'asks for files unless it holds them: thousands of names, broken ones, dates',
    mayGet: [200, 206, 304, 500],
    attack(arena) {
      const names = pick([
        '*',
        '"',
        '""',
        'W/"*"',
        ','.repeat(8000),
        '"x", '.repeat(2500),
        `"${'y'.repeat(10_000)}"`,
        '"../../ra/signing.key"',
        '\u00ff\u00fe',
      ]);
      const headers = pick([
        { 'If-None-Match': names },
        { 'If-Match': names },
        { 'If-Modified-Since': 'yesterday' },
        { 'If-None-Match': names, Range: 'bytes=0-1' },
      ]);
      const ask = pick([() => getOf(pick(FILES), headers), () => ownBatch(arena, headers)]);
      return arena.sockets.talk(ask());
    },
  },
  {
    name: 'base64 garbage',
    does: 'sends a Download-Req that is random, not base64, twice, or of another alphabet',
    attack({ sockets }) {
      const value = pick([
        base64(octets(600)),
        octets(600).toString(),
        Buffer.from(octets(300)).toString('base64url'),
        `${base64(octets(100))}${'='.repeat(below(50))}`,
        'A'.repeat(15_000),
        '=',
        '',
      ]);
      const get = getOf(pick(DOWNLOADS), { 'Download-Req': value });
      const twice = text(
        `GET ${pick(DOWNLOADS)} HTTP/1.1\r\nHost: x\r\nDownload-Req: ${value}\r\nDownload-Req: AAAA\r\n\r\n`,
      );
      return sockets.talk(pick([get, twice]));
    },
  },
  {
    name: 'certificate requests',
    does: 'posts what is no request for the RA certificate, and gets it with strange heads',
    mayGet: [200, 500],
    attack({ sockets }) {
      const asked = Uint8Array.of(3, 0x80, 5, 1, 0x83, 0x80, 0, 1);
      const path = '/retrieve-ra-certificate';
      const body = pick([octets(100), asked.subarray(0, below(8)), Uint8Array.of(...asked, 0)]);
      return sockets.talk(pick([postOf(path, body), getOf(path, { Host: octets(20).toString() })]));
    },
  },
  {
    name: 'CRL store',
    does: 'does all that to the CRL store: paths, methods, bodies, ranges, conditions, no TLS',
    mayGet: [200, 206, 304, 416, 500],
    attack({ sockets, ra }) {
      const path = pick(['/download-crl/', '/download-crl/', '/download-crl', '/', '/crl', '//']);
      const say = pick([
        getOf(path, { Range: pick(['bytes=0-', 'bytes=-1', 'bytes=9-1', 'x']) }),
        getOf(path, { 'If-None-Match': pick(['*', '"x"', '"x", '.repeat(2500)]) }),
        postOf(path, octets(2000)),
        text(`${pick(['HEAD', 'PUT', 'TRACE'])} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`),
        text(`GET ${path} HTTP/1.1\r\n${'X: y\r\n'.repeat(5000)}\r\n`),
        Buffer.concat(Array(50).fill(getOf(path))),
        Buffer.from(octets(300)),
      ]);
      if (below(8) === 0) return sockets.talkPlain(say, { port: ra.crlPort }).then(() => '');
      return sockets.talk(say, { port: ra.crlPort });
    },
  },
  {
    name: 'honest request, cut off',
    does: 'sends what a device sends, and goes away in the middle, or before the answer',
    async attack(arena) {
      const device = pick([arena.me.device, arena.other.device]);
      const post = () => {
        const request = pseudonymRequest(device, arena.now());
        return postOf(
          PROVISION,
          securedBy(device, request, arena.elsewhere.ra.certificate, random),
        );
      };
      const whole = pick([() => ownBatch(arena), post])();
      return arena.sockets.talk(whole, { cutAfter: below(whole.length + 1) });
    },
  },
];
