import assert from 'node:assert/strict';
import net from 'node:net';
import { before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RA_EE_ERROR_EXPLANATIONS } from '@chrysalis/scms';
import type { X509Identity } from '../../authorities/src/x509.ts';
import {
  EeError,
  type HttpsTimeouts,
  httpsTransport,
  type RaTransport,
  tlsContext,
} from '../src/index.ts';
import { expectStatus, readBody } from '../src/response-body.ts';
import { serveHttps, tlsIdentity } from './https-server.ts';

let root: X509Identity;
let server: X509Identity;
before(async () => {
  ({ root, server } = await tlsIdentity());
});

const BODY = new Uint8Array(300).fill(7);

async function withTransport<T>(
  work: (transport: RaTransport) => Promise<T>,
  timeouts: Partial<HttpsTimeouts> = {},
): Promise<T> {
  const transport = httpsTransport({ x509Root: root.certificatePem, timeouts });
  try {
    return await work(transport);
  } finally {
    await transport.close();
  }
}

function post(transport: RaTransport, url: URL, signal?: AbortSignal) {
  return transport.exchange(
    {
      method: 'POST',
      url,
      message: () => ({ headers: { 'Content-Type': 'application/octet-stream' }, body: BODY }),
    },
    signal,
  );
}

describe('httpsTransport', () => {
  it('sends a body and headers, and hands on status, headers and body', async (t) => {
    let seen = Buffer.alloc(0);
    const { url, requests } = await serveHttps(t, server, (request, response) => {
      request.on('data', (part: Buffer) => {
        seen = Buffer.concat([seen, part]);
      });
      request.on('end', () => {
        response.writeHead(200, { ETag: '"x"' });
        response.end('answer');
      });
    });
    await withTransport(async (transport) => {
      const response = await post(transport, url);
      assert.equal(response.status, 200);
      assert.equal(response.headers.etag, '"x"');
      assert.equal(Buffer.from(await readBody(response, 100)).toString(), 'answer');
    });
    assert.deepEqual(new Uint8Array(seen), BODY);
    assert.equal(requests[0]?.headers?.['content-type' as never], 'application/octet-stream');
    assert.equal(requests[0]?.headers?.['content-length' as never], '300');
  });

  it('makes the request when TLS is done, and not at all when it fails', async (t) => {
    const { url, requests, handshakes } = await serveHttps(t, server, (_, response) => {
      response.end();
    });
    const impostor = await tlsIdentity();
    const other = await serveHttps(t, impostor.server, (_, response) => response.end());
    const made: number[] = [];
    const exchange = (transport: RaTransport, to: URL) =>
      transport.exchange({
        method: 'GET',
        url: to,
        message: async () => {
          // In TLS 1.3 the server finishes a little later.
          await delay(20);
          made.push(handshakes());
          assert.equal(requests.length, made.length - 1);
          return { headers: { 'Download-Req': `made at ${made.length}` } };
        },
      });
    await withTransport(async (transport) => {
      for (const n of [1, 2]) {
        await readBody(await exchange(transport, url), 0);
        assert.equal(requests[n - 1]!.headers?.['download-req' as never], `made at ${n}`);
      }
      await assert.rejects(exchange(transport, other.url), { code: 'tls' });
    });
    // Both over the same connection.
    assert.deepEqual(made, [1, 1]);
    assert.equal(handshakes(), 1);
  });

  it('shares a context with other transports, which may hold it to TLS 1.2', async (t) => {
    const versions: (string | null)[] = [];
    const { url, server: tlsServer } = await serveHttps(t, server, (_, response) => response.end());
    tlsServer.on('secureConnection', (socket) => versions.push(socket.getProtocol()));
    const connects: number[] = [];
    const x509Root = root.certificatePem;
    for (const context of [tlsContext(x509Root), tlsContext(x509Root, 'TLSv1.2')]) {
      for (let n = 0; n < 2; n += 1) {
        const onConnect = (ms: number) => connects.push(ms);
        const transport = httpsTransport({ x509Root, context, onConnect });
        await readBody(await post(transport, url), 0);
        await transport.close();
      }
    }
    assert.deepEqual(versions, ['TLSv1.3', 'TLSv1.3', 'TLSv1.2', 'TLSv1.2']);
    assert(connects.length === 4 && connects.every((ms) => ms > 0));
  });

  it('connects anew when the connection was closed in the meantime', async (t) => {
    const { url, handshakes } = await serveHttps(t, server, (request, response) => {
      response.writeHead(200, { connection: request.url === '/last' ? 'close' : 'keep-alive' });
      response.end();
    });
    await withTransport(async (transport) => {
      const last = new URL('/last', url);
      for (let n = 0; n < 3; n += 1) await readBody(await post(transport, last), 0);
    });
    assert.equal(handshakes(), 3);
  });

  it('gives the connection back when the request cannot be made', async (t) => {
    const { url, requests } = await serveHttps(t, server, (_, response) => response.end());
    await withTransport(async (transport) => {
      const message = () => Promise.reject(new Error('no disk'));
      await assert.rejects(transport.exchange({ method: 'GET', url, message }), {
        message: 'no disk',
      });
    });
    assert.equal(requests.length, 0);
  });

  const wrong: [string, Parameters<typeof tlsIdentity>[0], boolean][] = [
    ['of another root', {}, false],
    ['that has expired', { fromDays: -30, untilDays: -1 }, true],
    ['that is not valid yet', { fromDays: 1, untilDays: 30 }, true],
    ['for another name', { dnsNames: ['ra.example'] }, true],
  ];
  for (const [what, options, isOurRoot] of wrong) {
    it(`sends nothing to a server with a certificate ${what}`, async (t) => {
      const other = await tlsIdentity(options);
      const { url, requests, octetsReceived } = await serveHttps(t, other.server, (_, response) => {
        response.end();
      });
      const transport = httpsTransport({
        x509Root: (isOurRoot ? other.root : root).certificatePem,
      });
      t.after(() => transport.close());
      // Not even when the environment says not to care.
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
      t.after(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
      await assert.rejects(post(transport, url), { name: 'EeError', code: 'tls' });
      await delay(20);
      assert.equal(requests.length, 0);
      assert.equal(octetsReceived(), 0);
    });
  }

  it('sends nothing to a server that speaks less than TLS 1.2', async (t) => {
    const { url, octetsReceived } = await serveHttps(t, server, (_, response) => response.end(), {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await withTransport((transport) =>
      assert.rejects(post(transport, url), { name: 'EeError', code: 'tls' }),
    );
    assert.equal(octetsReceived(), 0);
  });

  it('follows no redirect', async (t) => {
    const { url, requests } = await serveHttps(t, server, (_, response) => {
      response.writeHead(307, { location: '/elsewhere' });
      response.end();
    });
    await withTransport(async (transport) => {
      const response = await post(transport, url);
      assert.throws(() => expectStatus(response, [200]), {
        code: 'unexpected-response',
        message: 'expected HTTP 200, saw HTTP 307',
      });
    });
    assert.equal(requests.length, 1);
  });

  it('tells a port where nobody listens from a connection that breaks', async (t) => {
    const closed = net.createServer().listen(0, 'localhost');
    await new Promise((resolve) => closed.once('listening', resolve));
    const { port } = closed.address() as net.AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const { url } = await serveHttps(t, server, (request) => request.socket.destroy());
    await withTransport(async (transport) => {
      await assert.rejects(post(transport, new URL(`https://localhost:${port}`)), {
        code: 'unreachable',
      });
      await assert.rejects(post(transport, url), { code: 'interrupted' });
    });
  });

  it('waits longer for a handshake once the connection is there, and not for ever', async (t) => {
    const { url } = await serveHttps(t, server, (_, response) => response.end('answer'));
    // As in the queue of a busy RA: the system has taken the connection, and nobody reads it yet.
    const busy = net.createServer((socket) => {
      socket.on('error', () => {});
      t.after(() => socket.destroy());
    });
    busy.once('connection', (socket) => {
      setTimeout(() => socket.pipe(net.connect(Number(url.port))).pipe(socket), 1300);
    });
    busy.listen(0, 'localhost');
    t.after(() => busy.close());
    await new Promise((resolve) => busy.once('listening', resolve));
    const late = new URL(`https://localhost:${(busy.address() as net.AddressInfo).port}`);
    await withTransport(
      async (transport) => {
        const response = await post(transport, late);
        assert.equal(Buffer.from(await readBody(response, 100)).toString(), 'answer');
      },
      { connectMs: 1000 },
    );
    await withTransport(
      (transport) =>
        assert.rejects(post(transport, late), { code: 'unreachable', message: /handshake/ }),
      { handshakeMs: 50 },
    );
  });

  it('gives up on a server that is slow to begin, and on one that drips for ever', async (t) => {
    const slow = await serveHttps(t, server, () => {});
    const dripping = await serveHttps(t, server, (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(timer));
    });
    await withTransport(
      async (transport) => {
        await assert.rejects(post(transport, slow.url), { code: 'timeout' });
        const whole = async () => readBody(await post(transport, dripping.url), 1_000_000);
        await assert.rejects(whole, { code: 'timeout' });
      },
      { exchangeMs: 200 },
    );
  });

  it('reads no further than the limit, announced or not', async (t) => {
    const { url } = await serveHttps(t, server, (request, response) => {
      response.writeHead(200, request.url === '/announced' ? { 'content-length': 1_000 } : {});
      response.end(Buffer.alloc(1_000));
    });
    await withTransport(async (transport) => {
      for (const path of ['/announced', '/chunked']) {
        const response = await post(transport, new URL(path, url));
        await assert.rejects(readBody(response, 999), { code: 'too-large' });
        const again = await post(transport, new URL(path, url));
        assert.equal((await readBody(again, 1_000)).length, 1_000);
      }
    });
  });

  it('says when a body ends early', async (t) => {
    const { url } = await serveHttps(t, server, (_, response) => {
      response.writeHead(200, { 'content-length': 1_000 });
      response.write(Buffer.alloc(500), () => response.destroy());
    });
    await withTransport(async (transport) => {
      const response = await post(transport, url);
      await assert.rejects(readBody(response, 1_000), { code: 'interrupted' });
    });
  });

  it('stops when the caller does', async (t) => {
    const { url } = await serveHttps(t, server, () => {});
    await withTransport(async (transport) => {
      const exchange = post(transport, url, AbortSignal.timeout(50));
      await assert.rejects(exchange, { code: 'aborted' });
    });
  });
});

describe('expectStatus', () => {
  const response = (status: number, headers: Record<string, string> = {}) => ({
    status,
    headers,
    body: (async function* () {})(),
    discard: () => {},
  });

  it('takes 200 and nothing like it', () => {
    expectStatus(response(200), [200]);
    for (const status of [201, 202, 204, 301, 304, 400, 404, 503]) {
      assert.throws(() => expectStatus(response(status), [200]), { code: 'unexpected-response' });
    }
    assert.throws(() => expectStatus(response(500), [200]), { code: 'refused' });
    assert.throws(() => expectStatus(response(200, { 'content-encoding': 'gzip' }), [200]), {
      code: 'unexpected-response',
      message: /content-encoding "gzip"/,
    });
  });

  it("shows an RA's own reason without its control characters", () => {
    const headers = { 'scms-poc-error': '5057', 'scms-poc-error-message': 'duplicate\u001b[2J' };
    for (const status of [500, 409]) {
      assert.throws(
        () => expectStatus(response(status, headers), [200], 'request'),
        (error) => {
          assert(error instanceof EeError);
          assert.equal(error.code, 'refused');
          assert.match(
            error.message,
            new RegExp(
              `HTTP ${status}, 5057 raDuplicateRequestReceived: .* \\(duplicate\\?\\[2J\\)$`,
            ),
          );
          const { when, next } = RA_EE_ERROR_EXPLANATIONS.raDuplicateRequestReceived;
          assert.equal(error.refusal?.code, 5057);
          assert.equal(error.refusal?.meaning, when);
          assert(error.refusal?.next.startsWith(`${next}\n`));
          return true;
        },
      );
    }
    const unnamed = { 'scms-poc-error': '5061' };
    assert.throws(
      () => expectStatus(response(500, unnamed), [200]),
      /HTTP 500, 5061 without a name/,
    );
    const noNumber = { 'scms-poc-error': 'x\u0007y' };
    assert.throws(() => expectStatus(response(500, noNumber), [200]), {
      message: 'the RA refused or is not ready: HTTP 500 (x?y)',
    });
    assert.throws(() => expectStatus(response(404, noNumber), [200]), {
      code: 'unexpected-response',
    });
  });

  it('says what a bare 500 of a service can mean, and what the device does next', () => {
    const seen = new Set<string>();
    for (const service of ['request', 'download', 'info', 'ra-certificate', 'report'] as const) {
      assert.throws(
        () => expectStatus(response(500), [200], service),
        (error) => {
          assert(error instanceof EeError && error.refusal !== undefined);
          assert.equal(error.refusal.code, undefined);
          seen.add(error.refusal.meaning).add(error.refusal.next);
          return true;
        },
      );
    }
    assert.equal(seen.size, 10);
  });
});
