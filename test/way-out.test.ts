/** Two refusals that leave on one connection at one moment: of a request, and of the octets after it that are none. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connect } from 'node:tls';
import { createX509Root, issueX509ServerCertificate } from '@chrysalis/authorities/x509';
import { Refusal } from '@chrysalis/ra';
import { Door } from '@chrysalis/ra/server';
import { createGuards } from '../packages/ra/src/guards.ts';
import { WayOut } from '../packages/ra/src/way-out.ts';

const TICK_MS = 50;
const DAY_MS = 86_400_000;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const ANSWER = /^HTTP\/1\.1 500 Internal Server Error\r\n(?:[^\r]+\r\n)+\r\n$/;

describe('a connection that is refused twice at once', () => {
  let server: Server;
  let ca = '';
  /** The order in which the two are refused. */
  let order: readonly ('request' | 'octets')[] = [];

  before(async () => {
    const validity = {
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
    };
    const root = await createX509Root({ commonName: 'root', ...validity });
    const names = { commonName: 'localhost', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
    const pair = await issueX509ServerCertificate(root, { ...names, ...validity });
    ca = root.certificatePem;
    const guards = createGuards({}, TICK_MS);
    const wayOut = new WayOut(new Door('production', SILENT), guards);
    server = createServer({ cert: pair.certificatePem, key: pair.privateKeyPem });
    guards.connections.watch(server);
    server.on('request', async (request, response) => {
      const { socket, method = '', url = '' } = request;
      guards.connections.begin(socket);
      const arrival = guards.tick.arrive();
      // The request has arrived well before the octets.
      await setTimeout(5);
      const departing = { socket, method, url, route: undefined, arrival, secondsSinceArrival: 0 };
      const refuse = {
        request: () =>
          wayOut.refuse(
            new Refusal('raWrongParameters', 'expected another'),
            departing,
            ({ status, headers }) =>
              void response.writeHead(status, { ...headers, 'content-length': 0 }).end(),
          ),
        octets: () => wayOut.refuseOnSocket(socket, 'octets that are no request'),
      };
      for (const what of order) refuse[what]();
      // A process that was busy when both were due finds them together.
      for (const end = performance.now() + 2 * TICK_MS; performance.now() < end; );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => server.close());

  async function answerTo(text: string): Promise<string> {
    const { port } = server.address() as AddressInfo;
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca });
    socket.setEncoding('latin1').write(text);
    let answer = '';
    socket.on('data', (part: string) => (answer += part));
    await once(socket, 'close');
    return answer;
  }

  for (const both of [
    ['octets', 'request'],
    ['request', 'octets'],
  ] as const) {
    it(`is told once: ${both.join(', then ')}`, async () => {
      order = both;
      assert.match(await answerTo('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), ANSWER);
    });
  }
});
