/** The suites of the ports once more, over mutual TLS; and what the RA makes of a server that does not keep to it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import {
  type AuthorityServerOptions,
  type AuthorityServices,
  servicesOf,
  startAuthorityServer,
} from '@chrysalis/authorities';
import { decode, encode } from '@chrysalis/coer';
import { RemoteAuthority, type RemoteAuthorityOptions } from '@chrysalis/ra';
import {
  AUTHORITY_SERVICES,
  AuthorityUnavailableError,
  CertificateAnswers,
  CertificateRequests,
  MAX_CERTIFICATE_OCTETS,
} from '@chrysalis/scms';
import { linkageAuthorityConformance } from '../packages/authorities/test/linkage-authority-conformance.ts';
import { misbehaviorAuthorityConformance } from '../packages/authorities/test/misbehavior-authority-conformance.ts';
import { createX509Ca } from '../packages/authorities/test/mutual-tls.ts';
import { policyGeneratorConformance } from '../packages/authorities/test/policy-generator-conformance.ts';
import { pseudonymAuthorityConformance } from '../packages/authorities/test/pseudonym-authority-conformance.ts';
import type { Form } from '../packages/authorities/test/ra-side.ts';

const NAME = 'authority.scms.test';
const RA = 'ra.scms.test';
const ca = await createX509Ca();
const serverIdentity = await ca.server(NAME);
const tls = { ...(await ca.client(RA)), caPem: ca.root.certificatePem };

async function serve(services: AuthorityServices, more: Partial<AuthorityServerOptions> = {}) {
  return startAuthorityServer({
    services,
    listen: { address: '127.0.0.1', port: 0 },
    tls: { ...serverIdentity, clientCaPem: ca.root.certificatePem },
    clientNames: [RA],
    ...more,
  });
}

function connect(url: string, more: Partial<RemoteAuthorityOptions> = {}): RemoteAuthority {
  return new RemoteAuthority({ url, hostname: NAME, tls, ...more });
}

/** Each authority behind a server of its own. */
function overMutualTls(): Form {
  const resources = new AsyncDisposableStack();
  const reach = async (services: AuthorityServices) => {
    const server = await serve(services);
    resources.defer(() => server.close());
    const remote = connect(server.url);
    resources.defer(() => remote.close());
    return remote;
  };
  return {
    name: 'over mutual TLS',
    async pca(port) {
      const remote = await reach(servicesOf.certificateAuthority(port));
      return {
        requestCertificate: (request) => remote.requestCertificate(request),
        log: () => port.log(),
        close: () => port.close(),
      };
    },
    la: (port) => reach(servicesOf.linkageAuthority(port)),
    pg: (port) => reach(servicesOf.policyGenerator(port)),
    async ma(port) {
      const remote = await reach(servicesOf.misbehaviorAuthority(port));
      return {
        submitReport: (report) => remote.submitReport(report),
        reports: () => port.reports(),
        close: () => port.close(),
      };
    },
    close: () => resources.disposeAsync(),
  };
}

pseudonymAuthorityConformance(overMutualTls());
linkageAuthorityConformance(overMutualTls());
policyGeneratorConformance(overMutualTls());
misbehaviorAuthorityConformance(overMutualTls());

describe('an RA that speaks to a remote authority', () => {
  it('keeps to 8 connections, whatever it asks at once, and uses them again', async (t) => {
    let together = 0;
    let most = 0;
    const peers = new Set<number | undefined>();
    const { url } = await hostile(t, async (request, response) => {
      peers.add(request.socket.remotePort);
      most = Math.max(most, ++together);
      const body = Buffer.concat(await request.toArray());
      await new Promise((resolve) => setTimeout(resolve, 5));
      together--;
      response.setHeader('content-length', body.length);
      response.end(body);
    });
    const remote = connect(url);
    t.after(() => remote.close());
    const ask = (n: number) => remote.requestPreLinkageValues(Uint8Array.of(n));
    for (let round = 0; round < 2; round++) {
      const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(n)));
      assert.deepEqual(
        answers.map(([n]) => n),
        Array.from({ length: 100 }, (_, n) => n),
      );
    }
    assert.equal(most, 8);
    assert.equal(peers.size, 8);
  });

  it('resumes the TLS session when it connects anew', async (t) => {
    const reused: boolean[] = [];
    const { url } = await hostile(t, (request, response) => {
      reused.push((request.socket as unknown as { isSessionReused(): boolean }).isSessionReused());
      response.setHeader('connection', 'close');
      response.setHeader('content-length', 1);
      response.end('x');
    });
    const remote = connect(url);
    t.after(() => remote.close());
    for (let n = 0; n < 3; n++) await remote.requestPreLinkageValues(Uint8Array.of(n));
    assert.deepEqual(reused, [false, true, true]);
  });

  it('says the same to everybody: nothing but octets differs between two requests', async (t) => {
    const heads: string[] = [];
    const { url } = await hostile(t, (request, response) => {
      heads.push(JSON.stringify([request.method, request.url, request.rawHeaders]));
      response.setHeader('content-length', 1);
      response.end('x');
    });
    const remote = connect(url);
    t.after(() => remote.close());
    await remote.requestPreLinkageValues(Uint8Array.of(1));
    await remote.requestPreLinkageValues(Uint8Array.of(2));
    assert.equal(heads.length, 2);
    assert.equal(heads[0], heads[1]);
  });

  const { maxAnswer } = AUTHORITY_SERVICES.requestPreLinkageValues;
  const answers: readonly [string, (response: ServerResponse) => void, RegExp][] = [
    ['status 500', (response) => response.writeHead(500).end(), /status 200, saw 500/],
    ['status 204', (response) => response.writeHead(204).end(), /status 200, saw 204/],
    [
      'a redirection',
      (response) => response.writeHead(302, { location: '/' }).end(),
      /status 200, saw 302/,
    ],
    [
      'more octets than the service allows',
      (response) =>
        response
          .writeHead(200, { 'content-length': maxAnswer + 1 })
          .end(Buffer.alloc(maxAnswer + 1)),
      /expected up to 16777216 octets, saw 16777217/,
    ],
    ['an answer of any length', (response) => response.writeHead(200).end('x'), /saw no length/],
    [
      'an answer that is cut off',
      (response) => {
        response.writeHead(200, { 'content-length': 2 });
        response.write('x', () => response.destroy());
      },
      /aborted/,
    ],
    ['a connection that ends', (response) => response.destroy(), /socket hang up|ECONNRESET/],
  ];
  for (const [what, answer, why] of answers) {
    it(`takes ${what} for an authority that is away`, async (t) => {
      const { url } = await hostile(t, (_request, response) => answer(response));
      const remote = connect(url);
      t.after(() => remote.close());
      await assert.rejects(remote.requestPreLinkageValues(Uint8Array.of(1)), isUnavailable(why));
    });
  }

  it('waits for an answer as long as it is told', async (t) => {
    const { url } = await hostile(t, (_request, response) => {
      response.writeHead(200, { 'content-length': 2 });
      response.write('x');
    });
    const remote = connect(url, { timeoutMs: 50 });
    t.after(() => remote.close());
    const why = isUnavailable(/expected an answer within 50 ms, saw none/);
    await assert.rejects(remote.requestPreLinkageValues(Uint8Array.of(1)), why);
    // Also for a connection: these wait for one of the 8.
    const many = Array.from({ length: 40 }, (_, n) =>
      remote.requestPreLinkageValues(Uint8Array.of(n)),
    );
    for (const one of await Promise.allSettled(many)) {
      assert.equal(one.status, 'rejected');
      assert(why(one.reason));
    }
  });

  it('speaks to nobody but the authority that is configured', async (t) => {
    const server = await serve(
      servicesOf.certificateAuthority({ requestCertificate: async () => Uint8Array.of(1) }),
    );
    t.after(() => server.close());
    const other = await createX509Ca();
    const named = connect(server.url, { hostname: 'other.scms.test' });
    const rooted = connect(server.url, { tls: { ...tls, caPem: other.root.certificatePem } });
    t.after(() => [named, rooted].map((remote) => remote.close()));
    const ask = (remote: RemoteAuthority) => remote.requestCertificate(Uint8Array.of(1));
    await assert.rejects(ask(named), isUnavailable(/other\.scms\.test.*altnames/));
    await assert.rejects(ask(rooted), isUnavailable(/certificate/));
  });

  it('asks for certificates of one turn in one exchange, in their order', async (t) => {
    const { url, bodies } = await hostilePca(t, answerEach);
    const remote = connect(url);
    t.after(() => remote.close());
    const ask = async (n: number) => (await remote.requestCertificate(Uint8Array.of(n)))[0];
    // Some at once, some after what was at hand already, as a caller does that has something to look up first.
    const first = [3, 1, 2].map(ask);
    const later = Promise.resolve().then(() => Promise.all([9, 8].map(ask)));
    assert.deepEqual(
      [await Promise.all(first), await later],
      [
        [3, 1, 2],
        [9, 8],
      ],
    );
    assert.deepEqual(bodies, [[3, 1, 2, 9, 8].map((n) => Uint8Array.of(n))]);
    assert.equal(await ask(4), 4);
    assert.equal(bodies.length, 2);
  });

  it('asks in more exchanges for more than one may carry', async (t) => {
    const { url, bodies } = await hostilePca(t, answerEach);
    const remote = connect(url);
    t.after(() => remote.close());
    const ask = async (request: Uint8Array) => (await remote.requestCertificate(request))[0];
    const numbers = Array.from({ length: 300 }, (_, n) => n % 256);
    assert.deepEqual(await Promise.all(numbers.map((n) => ask(Uint8Array.of(n)))), numbers);
    assert.deepEqual(bodies.map(({ length }) => length).toSorted(), [128, 128, 44].toSorted());
    bodies.length = 0;
    // 17 of the largest: 16 fill an exchange.
    const largest = Array.from({ length: 17 }, (_, n) =>
      new Uint8Array(MAX_CERTIFICATE_OCTETS).fill(n),
    );
    assert.deepEqual(
      await Promise.all(largest.map(ask)),
      largest.map(([n]) => n),
    );
    assert.deepEqual(bodies.map(({ length }) => length).toSorted(), [1, 16].toSorted());
  });

  it('tells each caller what became of its own request', async (t) => {
    const { url, bodies } = await hostilePca(t, (requests) =>
      encode(
        CertificateAnswers,
        requests.map((value, n) =>
          n === 1 ? { type: 'unavailable', value: null } : { type: 'answer', value },
        ),
      ),
    );
    const remote = connect(url);
    t.after(() => remote.close());
    const tooLarge = new Uint8Array(MAX_CERTIFICATE_OCTETS + 1);
    const asked = await Promise.allSettled(
      [Uint8Array.of(1), tooLarge, Uint8Array.of(2), Uint8Array.of(3)].map((request) =>
        remote.requestCertificate(request),
      ),
    );
    assert.deepEqual(
      asked.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.message)),
      [
        Uint8Array.of(1),
        `${NAME}: expected a request of up to 16384 octets, saw 16385`,
        `${NAME}: expected an answer, saw that there is none now`,
        Uint8Array.of(3),
      ],
    );
    for (const one of asked) {
      if (one.status === 'rejected') assert(one.reason instanceof AuthorityUnavailableError);
      // Alone in its memory, so that one which is kept does not keep the others.
      else assert.equal(one.value.buffer.byteLength, 1);
    }
    assert.equal(bodies.length, 1);
  });

  const answer = { type: 'answer', value: Uint8Array.of(7) } as const;
  const mismatched: readonly [string, Uint8Array, RegExp][] = [
    ['too few answers', encode(CertificateAnswers, [answer]), /expected 2 answers, saw 1/],
    [
      'too many answers',
      encode(CertificateAnswers, [answer, answer, answer]),
      /expected 2 answers, saw 3/,
    ],
    ['none', Uint8Array.of(1, 0), /expected 1 to 128 elements, saw 0/],
    ['nothing', Uint8Array.of(), /expected CertificateAnswers: /],
    [
      'octets after them',
      Uint8Array.of(...encode(CertificateAnswers, [answer, answer]), 0),
      /expected CertificateAnswers: /,
    ],
    [
      'an alternative that there is not',
      Uint8Array.of(1, 2, 0x80, 1, 7, 0x82),
      /expected an alternative of CertificateAnswer, saw 2/,
    ],
  ];
  for (const [what, octets, why] of mismatched) {
    it(`believes none of the answers when there are ${what} to two requests`, async (t) => {
      const { url } = await hostilePca(t, () => octets);
      const remote = connect(url);
      t.after(() => remote.close());
      const asked = [1, 2].map((n) => remote.requestCertificate(Uint8Array.of(n)));
      for (const one of await Promise.allSettled(asked)) {
        assert.equal(one.status, 'rejected');
        assert(isUnavailable(why)(one.reason));
      }
    });
  }

  it('fails for all of an exchange that fails, and asks anew for the next', async (t) => {
    let isAway = true;
    const { url } = await hostile(t, async (request, response) => {
      const requests = decode(CertificateRequests, Buffer.concat(await request.toArray()));
      if (isAway) response.writeHead(503).end();
      else sendOctets(response, answerEach(requests));
    });
    const remote = connect(url);
    t.after(() => remote.close());
    const asked = [1, 2].map((n) => remote.requestCertificate(Uint8Array.of(n)));
    for (const one of await Promise.allSettled(asked)) {
      assert.equal(one.status, 'rejected');
      assert(isUnavailable(/status 200, saw 503/)(one.reason));
    }
    isAway = false;
    assert.deepEqual(await remote.requestCertificate(Uint8Array.of(3)), Uint8Array.of(3));
  });

  it('sends nothing any more when it is closed', async (t) => {
    const { url, bodies } = await hostilePca(t, answerEach);
    const remote = connect(url);
    const asked = remote.requestCertificate(Uint8Array.of(1));
    remote.close();
    await assert.rejects(asked, isUnavailable(/closed/));
    assert.deepEqual(bodies, []);
  });

  it('needs a key that belongs to its certificate, at the start', async () => {
    const { privateKeyPem } = await ca.client(RA);
    assert.throws(() => connect('https://127.0.0.1:1', { tls: { ...tls, privateKeyPem } }), {
      code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
    });
  });
});

function isUnavailable(why: RegExp) {
  return (error: unknown): boolean => {
    assert(error instanceof AuthorityUnavailableError);
    assert.match(error.message, why);
    return true;
  };
}

/** A PCA that answers what was asked together as it likes, and the requests that it saw. */
async function hostilePca(
  t: TestContext,
  answer: (requests: readonly Uint8Array[]) => Uint8Array,
): Promise<{ readonly url: string; readonly bodies: (readonly Uint8Array[])[] }> {
  const bodies: (readonly Uint8Array[])[] = [];
  const { url } = await hostile(t, async (request, response) => {
    assert.equal(request.url, AUTHORITY_SERVICES.requestCertificate.path);
    const requests = decode(CertificateRequests, Buffer.concat(await request.toArray()));
    bodies.push(requests);
    sendOctets(response, answer(requests));
  });
  return { url, bodies };
}

function answerEach(requests: readonly Uint8Array[]): Uint8Array {
  return encode(
    CertificateAnswers,
    requests.map((value) => ({ type: 'answer', value })),
  );
}

function sendOctets(response: ServerResponse, octets: Uint8Array): void {
  response.setHeader('content-length', octets.length);
  response.end(octets);
}

/** A server with the right certificate that answers as it likes. */
async function hostile(
  t: TestContext,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string }> {
  const { certificatePem: cert, privateKeyPem: key } = serverIdentity;
  const server = createServer(
    { cert, key, ca: ca.root.certificatePem, requestCert: true, rejectUnauthorized: true },
    handler,
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
