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
import { RemoteAuthority, type RemoteAuthorityOptions } from '@chrysalis/ra';
import { AUTHORITY_SERVICES, AuthorityUnavailableError } from '@chrysalis/scms';
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
  it('keeps to 32 connections, whatever it asks at once, and uses them again', async (t) => {
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
    const ask = (n: number) => remote.requestCertificate(Uint8Array.of(n));
    for (let round = 0; round < 2; round++) {
      const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(n)));
      assert.deepEqual(
        answers.map(([n]) => n),
        Array.from({ length: 100 }, (_, n) => n),
      );
    }
    assert.equal(most, 32);
    assert.equal(peers.size, 32);
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
    for (let n = 0; n < 3; n++) await remote.requestCertificate(Uint8Array.of(n));
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
    await remote.requestCertificate(Uint8Array.of(1));
    await remote.requestCertificate(Uint8Array.of(2));
    assert.equal(heads.length, 2);
    assert.equal(heads[0], heads[1]);
  });

  const { maxAnswer } = AUTHORITY_SERVICES.requestCertificate;
  const answers: readonly [string, (response: ServerResponse) => void, RegExp][] = [
    ['status 500', (response) => response.writeHead(500).end(), /status 200, saw 500/],
    ['status 204', (response) => response.writeHead(204).end(), /status 200, saw 204/],
    [
      'a redirection',
      (response) => response.writeHead(302, { location: '/' }).end(),
      /status 200, saw 302/,
    ],
    [
      'more octets than a certificate can have',
      (response) =>
        response
          .writeHead(200, { 'content-length': maxAnswer + 1 })
          .end(Buffer.alloc(maxAnswer + 1)),
      /expected up to 16384 octets, saw 16385/,
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
      await assert.rejects(remote.requestCertificate(Uint8Array.of(1)), isUnavailable(why));
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
    await assert.rejects(remote.requestCertificate(Uint8Array.of(1)), why);
    // Also for a connection: these wait for one of the 32.
    const many = Array.from({ length: 40 }, (_, n) => remote.requestCertificate(Uint8Array.of(n)));
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
