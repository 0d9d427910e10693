/** Attacks below HTTP: TCP and TLS. */
import { once } from 'node:events';
import { connect, createSecureContext } from 'node:tls';
import { sleep } from './arena.ts';
import { below, changed, octets, pick } from './chance.ts';
import type { Kind } from './kind.ts';
import { allOf } from './sockets.ts';

const OLD = createSecureContext({
  minVersion: 'TLSv1',
  maxVersion: 'TLSv1.1',
  ciphers: 'DEFAULT@SECLEVEL=0',
});

export const OF_CONNECTIONS: readonly Kind[] = [
  {
    name: 'silent connection',
    does: 'opens a TCP connection and says nothing',
    isSlow: true,
    async attack({ sockets, holdMs }) {
      const socket = sockets.tcp();
      const answer = allOf(socket);
      await sleep(holdMs);
      socket.destroy();
      return answer;
    },
  },
  {
    name: 'half a ClientHello',
    does: 'sends the beginning of a handshake, then nothing: a half-open TLS connection',
    isSlow: true,
    async attack({ sockets, holdMs, hello }) {
      const socket = sockets.tcp();
      socket.resume();
      socket.write(hello.subarray(0, 1 + below(hello.length - 1)));
      await sleep(holdMs);
      socket.destroy();
      return '';
    },
  },
  {
    name: 'handshake given up',
    does: 'lets the RA sign its part of a handshake and goes away: a handshake flood',
    async attack({ sockets, hello }) {
      const socket = sockets.tcp();
      socket.write(hello);
      await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => {});
      if (below(2) === 0) socket.resetAndDestroy();
      else socket.destroy();
      return '';
    },
  },
  {
    name: 'no TLS',
    does: 'sends random octets to the TLS port',
    async attack({ sockets }) {
      await sockets.talkPlain(octets(600));
      return '';
    },
  },
  {
    name: 'changed ClientHello',
    does: 'sends a ClientHello with one to three changes',
    async attack({ sockets, hello }) {
      await sockets.talkPlain(changed(hello));
      return '';
    },
  },
  {
    name: 'plain HTTP',
    does: 'speaks HTTP without TLS to the TLS port',
    async attack({ sockets }) {
      const path = pick(['/', '/download/info', '/download/policy/local']);
      const answer = await sockets.talkPlain(
        Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
      );
      if (answer.includes('HTTP/')) throw new Error('expected no HTTP without TLS');
      return '';
    },
  },
  {
    name: 'old TLS',
    does: 'offers TLS 1.0 and 1.1 alone',
    async attack({ ra }) {
      const socket = connect({ host: '127.0.0.1', port: ra.port, secureContext: OLD });
      socket.on('error', () => {});
      const isOpen = await Promise.race([
        once(socket, 'secureConnect').then(
          () => true,
          () => false,
        ),
        once(socket, 'close').then(
          () => false,
          () => false,
        ),
      ]);
      socket.destroy();
      if (isOpen) throw new Error(`expected TLS 1.2 or later, saw ${socket.getProtocol()}`);
      return '';
    },
  },
  {
    name: 'renegotiation',
    does: 'asks for one handshake after the other on a connection of TLS 1.2',
    async attack({ sockets }) {
      const socket = sockets.tls();
      const answer = allOf(socket);
      await Promise.race([once(socket, 'secureConnect'), answer]);
      const before = socket.getFinished();
      socket.once('error', () => socket.destroy());
      socket.renegotiate({}, () => socket.destroy());
      // Whoever sends a request instead of going on with the handshake is served in the old session.
      await answer;
      const after = socket.getFinished();
      if (before && after && Buffer.compare(before, after) !== 0) {
        throw new Error('expected no renegotiation, saw another handshake');
      }
      return '';
    },
  },
  {
    name: 'connection churn',
    does: 'finishes a handshake and closes or resets the connection at once',
    async attack({ sockets }) {
      const tcp = sockets.tcp();
      const socket = sockets.tls(undefined, tcp);
      const over = allOf(socket);
      socket.once('secureConnect', () => {
        if (below(2) === 0) tcp.resetAndDestroy();
        else socket.end();
      });
      return over;
    },
  },
  {
    name: 'no records',
    does: 'finishes a handshake and sends octets that are no TLS records below it',
    async attack({ sockets }) {
      const tcp = sockets.tcp();
      const socket = sockets.tls(undefined, tcp);
      const answer = allOf(socket);
      socket.once('secureConnect', () => tcp.end(octets(300)));
      return answer;
    },
  },
];
