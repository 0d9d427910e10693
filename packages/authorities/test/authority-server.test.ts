import assert from 'node:assert/strict';
import { type RequestOptions, request } from 'node:https';
import { after, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { AUTHORITY_SERVICES, AuthorityUnavailableError } from '@chrysalis/scms';
import {
  type AuthorityServer,
  type AuthorityServerOptions,
  startAuthorityServer,
  type X509Identity,
} from '../src/index.ts';
import { createX509Ca } from './mutual-tls.ts';

const NAME = 'pca.scms.test';
const ca = await createX509Ca();
const otherCa = await createX509Ca();
const serverIdentity = await ca.server(NAME);
const ra = await ca.client('ra.scms.test');
const { path, maxRequest } = AUTHORITY_SERVICES.requestCertificate;

const servers: AuthorityServer[] = [];
after(async () => {
  for (const server of servers) await server.close();
});

/** A server that answers with what it got, and what it was told. */
async function start(more: Partial<AuthorityServerOptions> = {}) {
  const refusals: string[] = [];
  const faults: unknown[] = [];
  const server = await startAuthorityServer({
    services: { requestCertificate: async (octets) => octets },
    listen: { address: '127.0.0.1', port: 0 },
    tls: { ...serverIdentity, clientCaPem: ca.root.certificatePem },
    clientNames: ['ra.scms.test'],
    onRefusal: (problem) => refusals.push(problem),
    onFault: (error) => faults.push(error),
    ...more,
  });
  servers.push(server);
  return { server, refusals, faults };
}

function tlsOf(client?: X509Identity) {
  return {
    ca: ca.root.certificatePem,
    servername: NAME,
    ...(client && { cert: client.certificatePem, key: client.privateKeyPem }),
  };
}

interface Answer {
  readonly status: number | undefined;
  readonly type: string | undefined;
  readonly body: Buffer;
}

function send(
  { url }: AuthorityServer,
  body: Uint8Array,
  { client = ra, ...more }: RequestOptions & { client?: X509Identity } = {},
): Promise<Answer> {
  const headers = { 'content-type': 'application/octet-stream', 'content-length': body.length };
  const options = { agent: false, method: 'POST', headers, ...tlsOf(client), ...more };
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, url), options, async (incoming) => {
      const chunks = await incoming.toArray();
      const type = incoming.headers['content-type'];
      resolve({ status: incoming.statusCode, type, body: Buffer.concat(chunks) });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

describe('the server of an authority', () => {
  it('answers octets with octets', async () => {
    const { server } = await start();
    const body = Buffer.from([1, 2, 3]);
    const answer = await send(server, body);
    assert.deepEqual(answer, { status: 200, type: 'application/octet-stream', body });
  });

  it('takes a request as long as the service allows, and none that is longer', async () => {
    const { server } = await start();
    const longest = Buffer.alloc(maxRequest, 7);
    assert.deepEqual((await send(server, longest)).body, longest);
    const longer = await send(server, Buffer.alloc(maxRequest + 1));
    assert.deepEqual([longer.status, longer.body.length], [500, 0]);
  });

  const octetStream = 'application/octet-stream';
  const refused: readonly [string, RequestOptions][] = [
    ['a path of no service', { path: '/' }],
    ['a service of another authority', { path: AUTHORITY_SERVICES.submitReport.path }],
    ['the path with a query', { path: `${path}?a` }],
    ['another method', { method: 'PUT' }],
    ['another type', { headers: { 'content-type': 'text/plain', 'content-length': 1 } }],
    [
      'a body whose length is not known before',
      { headers: { 'content-type': octetStream, 'transfer-encoding': 'chunked' } },
    ],
  ];
  for (const [what, options] of refused) {
    it(`refuses ${what} with a bare 500`, async () => {
      const { server, refusals, faults } = await start();
      const { status, type, body } = await send(server, Uint8Array.of(1), options);
      assert.deepEqual([status, type, body.length], [500, undefined, 0]);
      assert.equal(refusals.length, 1);
      assert.deepEqual(faults, []);
    });
  }

  for (const [what, error, expected] of [
    ['503 when the port is unavailable', new AuthorityUnavailableError('away'), 503],
    ['500 when it fails', new Error('a bug, with details'), 500],
  ] as const) {
    it(`answers a bare ${what}`, async () => {
      const requestCertificate = async () => {
        throw error;
      };
      const { server, faults } = await start({ services: { requestCertificate } });
      const { status, type, body } = await send(server, Uint8Array.of(1));
      assert.deepEqual([status, type, body.length], [expected, undefined, 0]);
      assert.deepEqual(faults, [error]);
    });
  }

  it('answers what is under way when it closes, and takes no more', async () => {
    const { promise: answer, resolve } = Promise.withResolvers<Uint8Array>();
    const { promise: asked, resolve: tell } = Promise.withResolvers<void>();
    const requestCertificate = () => {
      tell();
      return answer;
    };
    const { server } = await start({ services: { requestCertificate } });
    const sent = send(server, Uint8Array.of(1));
    await asked;
    const closed = server.close();
    await assert.rejects(send(server, Uint8Array.of(2)), { code: 'ECONNREFUSED' });
    resolve(Uint8Array.of(9));
    assert.deepEqual((await sent).body, Buffer.from([9]));
    await closed;
    servers.splice(servers.indexOf(server), 1);
  });
});

describe('the server of an authority lets nobody in', () => {
  const strangers: readonly [string, () => Promise<X509Identity | undefined>, RegExp][] = [
    ['without a certificate', async () => undefined, /certificate/],
    ['with a certificate of another root', () => otherCa.client('ra.scms.test'), /certificate/],
    ['with the certificate of a server', () => ca.server('ra.scms.test'), /certificate/],
    ['under another name', () => ca.client('ra2.scms.test'), /called ra.scms.test/],
    ['under a wildcard', () => ca.client('*.scms.test'), /called ra.scms.test/],
  ];
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const [who, identity, why] of strangers) {
      it(`${who}: ${version}`, async () => {
        let calls = 0;
        const requestCertificate = async (octets: Uint8Array) => {
          calls++;
          return octets;
        };
        const { server, refusals } = await start({ services: { requestCertificate } });
        const client = await identity();
        const versions = { minVersion: version, maxVersion: version };
        await assert.rejects(
          // `cert: undefined` takes the certificate of the RA away again.
          send(server, Uint8Array.of(1), {
            ...versions,
            ...(client ? { client } : { cert: undefined, key: undefined }),
          }),
        );
        assert.equal(calls, 0);
        assert.match(refusals[0] ?? '', why);
        const known = await send(server, Uint8Array.of(1), versions);
        assert.equal(known.status, 200);
      });
    }
  }

  it('over TLS 1.1', async () => {
    const { server } = await start();
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
    await assert.rejects(send(server, Uint8Array.of(1), old as RequestOptions), {
      code: /SSL|EPROTO|ECONNRESET/,
    });
  });

  it('by a session of somebody else: it is worth what its first handshake was', async () => {
    const { server } = await start({ clientNames: ['ra.scms.test'] });
    const first = await session(server, ra);
    const again = await session(server, ra, first.session);
    assert.deepEqual([first.isReused, again.isReused], [false, true]);
    // Of a server with the same root, but for other names.
    const other = await start({ clientNames: ['ra2.scms.test'] });
    const ra2 = await ca.client('ra2.scms.test');
    const theirs = await session(other.server, ra2);
    await assert.rejects(session(server, ra2, theirs.session));
  });
});

/** Opens a connection and makes one exchange: the session to resume, and whether one was resumed. */
async function session({ port }: AuthorityServer, client: X509Identity, resumed?: Buffer) {
  const socket = connect({ port, ...tlsOf(client), ...(resumed && { session: resumed }) });
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const { promise: ticket, resolve: keep } = Promise.withResolvers<Buffer>();
  const { promise: answer, resolve: take } = Promise.withResolvers<Buffer>();
  socket.on('session', keep);
  socket.on('data', take);
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('expected an answer, saw the end')));
  socket.on('secureConnect', () => {
    const head = `POST ${path} HTTP/1.1\r\ncontent-type: application/octet-stream\r\n`;
    socket.write(`${head}content-length: 1\r\n\r\nx`);
  });
  const [session, octets] = await Promise.race([Promise.all([resumed ?? ticket, answer]), failed]);
  assert.match(String(octets), /^HTTP\/1\.1 200 /);
  const isReused = socket.isSessionReused();
  socket.destroy();
  return { session, isReused };
}
