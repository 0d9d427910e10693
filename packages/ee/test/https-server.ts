import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import {
  createX509Root,
  issueX509ServerCertificate,
  type X509Identity,
} from '../../authorities/src/x509.ts';
import type { MockRa } from './mock-ra.ts';

const DAY_MS = 86_400_000;

/** A TLS identity for localhost, and its root. */
export async function tlsIdentity(
  options: { dnsNames?: string[]; fromDays?: number; untilDays?: number } = {},
): Promise<{ root: X509Identity; server: X509Identity }> {
  const { dnsNames = ['localhost'], fromDays = -1, untilDays = 1 } = options;
  const day = (days: number) => new Date(Date.now() + days * DAY_MS);
  const root = await createX509Root({
    commonName: 'test root',
    notBefore: day(-400),
    notAfter: day(400),
  });
  const server = await issueX509ServerCertificate(root, {
    commonName: 'test server',
    dnsNames,
    notBefore: day(fromDays),
    notAfter: day(untilDays),
  });
  return { root, server };
}

export interface TestServer {
  readonly url: URL;
  /** Requests that came through TLS. */
  readonly requests: {
    method: string;
    path: string;
    headers: https.RequestOptions['headers'];
    /** Which connection it came on, counted from 0. */
    connection: number;
  }[];
  /** Octets that clients sent inside TLS, of complete and of broken requests. */
  readonly octetsReceived: () => number;
  readonly server: https.Server;
  /** TLS handshakes that were finished. */
  readonly handshakes: () => number;
}

/** An HTTPS server on a free port of this machine, gone when the test is. */
export async function serveHttps(
  t: TestContext,
  identity: X509Identity,
  listener: https.ServerOptions extends object
    ? (...args: Parameters<NonNullable<Parameters<typeof https.createServer>[1]>>) => void
    : never,
  tls: https.ServerOptions = {},
): Promise<TestServer> {
  const requests: TestServer['requests'] = [];
  const connections: Duplex[] = [];
  let octets = 0;
  let handshakes = 0;
  const server = https.createServer(
    { key: identity.privateKeyPem, cert: identity.certificatePem, minVersion: 'TLSv1.2', ...tls },
    (request, response) => {
      const { method = '', url = '', headers, socket } = request;
      if (!connections.includes(socket)) connections.push(socket);
      requests.push({ method, path: url, headers, connection: connections.indexOf(socket) });
      listener(request, response);
    },
  );
  server.on('secureConnection', (socket) => {
    handshakes += 1;
    socket.on('data', (data: Buffer) => {
      octets += data.length;
    });
  });
  server.on('tlsClientError', () => {});
  server.listen(0, 'localhost');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`https://localhost:${port}`),
    requests,
    server,
    octetsReceived: () => octets,
    handshakes: () => handshakes,
  };
}

/** Puts a mock RA behind an HTTPS server. */
export function listenerOf(ra: MockRa): Parameters<typeof serveHttps>[2] {
  return (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(request.headers)) headers[name] = String(value);
      const answer = ra.handle({
        method: request.method === 'POST' ? 'POST' : 'GET',
        url: new URL(request.url ?? '/', 'https://localhost'),
        headers,
        body: new Uint8Array(Buffer.concat(parts)),
      });
      response.writeHead(answer.status, answer.headers);
      response.end(answer.body);
    });
  };
}
