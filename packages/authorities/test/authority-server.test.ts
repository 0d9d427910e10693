import assert from 'node:assert/strict';
import { type RequestOptions, request } from 'node:https';
import { after, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { decode, encode } from '@chrysalis/coer';
import {
  AUTHORITY_SERVICES,
  AuthorityUnavailableError,
  CertificateAnswers,
  CertificateRequests,
  MAX_CERTIFICATE_OCTETS,
} from '@chrysalis/scms';
import {
  type AuthorityServer,
  type AuthorityServerOptions,
  startAuthorityServer,
} from '../src/index.ts';
import type { X509Identity } from '../src/x509.ts';
import { createX509Ca } from './mutual-tls.ts';

const NAME = 'pca.scms.test';
const ca = await createX509Ca();
const otherCa = await createX509Ca();
const serverIdentity = await ca.server(NAME);
const ra = await ca.client('ra.scms.test');
const { path, maxRequest } = AUTHORITY_SERVICES.requestPreLinkageValues;

const servers: AuthorityServer[] = [];
after(async () => {
  for (const server of servers) await server.close();
});

/** A server that answers with what it got, and what it was told. */
async function start(more: Partial<AuthorityServerOptions> = {}) {
  const refusals: string[] = [];
  const faults: unknown[] = [];
  const server = await startAuthorityServer({
    services: { requestPreLinkageValues: async (octets) => octets },
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
      const requestPreLinkageValues = async () => {
        throw error;
      };
      const { server, faults } = await start({ services: { requestPreLinkageValues } });
      const { status, type, body } = await send(server, Uint8Array.of(1));
      assert.deepEqual([status, type, body.length], [expected, undefined, 0]);
      assert.deepEqual(faults, [error]);
    });
  }

  it('answers what is under way when it closes, and takes no more', async () => {
    const { promise: answer, resolve } = Promise.withResolvers<Uint8Array>();
    const { promise: asked, resolve: tell } = Promise.withResolvers<void>();
    const requestPreLinkageValues = () => {
      tell();
      return answer;
    };
    const { server } = await start({ services: { requestPreLinkageValues } });
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

describe('the server of a PCA', () => {
  const service = AUTHORITY_SERVICES.requestCertificate;
  const ask = async (server: AuthorityServer, requests: readonly Uint8Array[]) => {
    const { status, body } = await send(server, encode(CertificateRequests, requests), {
      path: service.path,
    });
    assert.equal(status, 200);
    return decode(CertificateAnswers, body);
  };
  const octets = (n: number) => Uint8Array.of(n);

  it('asks the port for all at once, and answers in the order of the requests', async () => {
    const asked: number[] = [];
    const { promise: last, resolve } = Promise.withResolvers<void>();
    const requestCertificate = async ([n = 0]: Uint8Array) => {
      asked.push(n);
      // The first is answered when the last has been asked, and the last first.
      if (n === 128) resolve();
      else await last;
      return octets(n);
    };
    const { server } = await start({ services: { requestCertificate } });
    const numbers = Array.from({ length: 128 }, (_, n) => n + 1);
    const answers = await ask(server, numbers.map(octets));
    assert.deepEqual(asked, numbers);
    assert.deepEqual(
      answers,
      numbers.map((n) => ({ type: 'answer', value: octets(n) })),
    );
  });

  it('answers the others when there is no answer to one', async () => {
    const away = new AuthorityUnavailableError('away');
    const bug = new Error('a bug, with details');
    const tooLong = new Uint8Array(MAX_CERTIFICATE_OCTETS + 1);
    const longest = new Uint8Array(MAX_CERTIFICATE_OCTETS).fill(7);
    const requestCertificate = async ([n = 0]: Uint8Array) => {
      if (n === 1) throw away;
      if (n === 2) throw bug;
      return n === 3 ? tooLong : longest;
    };
    const { server, faults, refusals } = await start({ services: { requestCertificate } });
    const unavailable = { type: 'unavailable', value: null };
    const answer = { type: 'answer', value: longest };
    assert.deepEqual(await ask(server, [0, 1, 2, 3, 4].map(octets)), [
      answer,
      unavailable,
      unavailable,
      unavailable,
      answer,
    ]);
    assert.deepEqual(faults.slice(0, 2), [away, bug]);
    assert.match(String(faults[2]), /expected an answer of up to 16384 octets, saw 16385/);
    assert.deepEqual([faults.length, refusals], [3, []]);
  });

  it('answers as many and as long as it may', async () => {
    const longest = new Uint8Array(MAX_CERTIFICATE_OCTETS).fill(7);
    const { server } = await start({ services: { requestCertificate: async () => longest } });
    const answers = await ask(server, Array<Uint8Array>(128).fill(octets(1)));
    assert.equal(answers.length, 128);
    for (const { value } of answers) assert.deepEqual(value, longest);
  });

  const one = encode(CertificateRequests, [octets(1)]);
  const hostile: readonly [string, Uint8Array, RegExp][] = [
    ['an empty body', Uint8Array.of(), /certificates: expected/],
    ['no request', Uint8Array.of(1, 0), /expected 1 to 128 elements, saw 0/],
    [
      '129 requests',
      Uint8Array.of(1, 129, ...new Uint8Array(129)),
      /expected 1 to 128 elements, saw 129/,
    ],
    [
      'a count that no body could hold',
      Uint8Array.of(4, 0xff, 0xff, 0xff, 0xff, 1, 1),
      /expected 1 to 128 elements, saw 4294967295/,
    ],
    ['fewer requests than it says', Uint8Array.of(1, 3, 1, 1, 1, 1), /certificates: expected/],
    ['more than it says', Uint8Array.of(...one, 1, 1), /certificates: expected/],
    ['one that is cut off', one.subarray(0, -1), /certificates: expected/],
    [
      'one that is too long',
      Uint8Array.of(1, 1, 0x82, 0x40, 1, ...new Uint8Array(MAX_CERTIFICATE_OCTETS + 1)),
      /expected OCTET STRING \(SIZE\(0\.\.16384\)\), saw 16385 octets/,
    ],
    ['more octets than are read', new Uint8Array(service.maxRequest + 1), /octets, saw 262659/],
  ];
  for (const [what, body, why] of hostile) {
    it(`refuses ${what} with a bare 500, and does not ask the port`, async () => {
      let calls = 0;
      const requestCertificate = async (request: Uint8Array) => {
        calls++;
        return request;
      };
      const { server, refusals, faults } = await start({ services: { requestCertificate } });
      const answer = await send(server, body, { path: service.path });
      assert.deepEqual([answer.status, answer.type, answer.body.length], [500, undefined, 0]);
      assert.equal(refusals.length, 1);
      assert.match(refusals[0] ?? '', why);
      assert.deepEqual([faults, calls], [[], 0]);
    });
  }
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
        const requestPreLinkageValues = async (octets: Uint8Array) => {
          calls++;
          return octets;
        };
        const { server, refusals } = await start({ services: { requestPreLinkageValues } });
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
