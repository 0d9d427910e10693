import { createHash, type X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type AddressInfo, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { CoerError, decode, encode } from '@chrysalis/coer';
import {
  AUTHORITY_SERVICES,
  type AuthorityService,
  type AuthorityServiceName,
  AuthorityUnavailableError,
  type CertificateAnswer,
  CertificateAnswers,
  type CertificateAuthority,
  CertificateRequests,
  type LinkageAuthority,
  MAX_CERTIFICATE_OCTETS,
  type MisbehaviorAuthority,
  type PolicyGenerator,
  type RegistrationAuthorityPort,
} from '@chrysalis/scms';

/** A peer that does not finish its handshake is given up. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** An RA sends one short request: it has this long for its head, and for the whole. */
const HEAD_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** How often Node looks for requests that take too long: by so much the two may be exceeded. */
const TIMEOUT_CHECK_MS = 5000;
/** The RA lets go a second earlier: it is told this time in each answer. */
const KEEP_ALIVE_MS = 60_000;
/** A connection on which nothing moves for so long is dropped. */
const STALLED_MS = 120_000;
/** Of all RAs together. One has up to 8. */
const MAX_CONNECTIONS = 256;
/** A request has five short headers. */
const MAX_HEAD = 4096;
/** What requests under way get when the server stops. */
const CLOSE_GRACE_MS = 5000;
/** How often connections that have become idle are closed meanwhile. */
const CLOSE_SWEEP_MS = 50;

const OCTET_STREAM = 'application/octet-stream';
/** Suites of TLS 1.2 that are AEAD with forward secrecy; TLS 1.3 brings its own. Both ends are ours. */
const SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
];

/** What a server offers: octets in, octets out, as in `port.ts` of scms; `requestCertificate` is called for each request. */
export type AuthorityServices = {
  readonly [Name in AuthorityServiceName]?: (request: Uint8Array) => Promise<Uint8Array>;
};

/** The services of each port. */
export const servicesOf = {
  certificateAuthority: (port: CertificateAuthority): AuthorityServices => ({
    requestCertificate: (request) => port.requestCertificate(request),
  }),
  linkageAuthority: (port: LinkageAuthority): AuthorityServices => ({
    requestPreLinkageValues: (request) => port.requestPreLinkageValues(request),
  }),
  policyGenerator: (port: PolicyGenerator): AuthorityServices => ({
    globalPolicyFile: () => port.globalPolicyFile(),
    globalCertificateChainFile: () => port.globalCertificateChainFile(),
    signPolicy: (request) => port.signPolicy(request),
  }),
  misbehaviorAuthority: (port: MisbehaviorAuthority): AuthorityServices => ({
    submitReport: async (report) => {
      await port.submitReport(report);
      return new Uint8Array(0);
    },
  }),
  registrationAuthority: (port: RegistrationAuthorityPort): AuthorityServices => ({
    answerMisbehaviorAuthority: (request) => port.answerMisbehaviorAuthority(request),
  }),
} as const;

export interface AuthorityServerOptions {
  readonly services: AuthorityServices;
  /** Port 0 takes one that is free. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly tls: {
    /** Of the server: the chain and its key, PEM. */
    readonly certificatePem: string;
    readonly privateKeyPem: string;
    /** The X.509 root in which the certificate of a client has to end, PEM. */
    readonly clientCaPem: string;
  };
  /** Who may connect: a client's certificate has to bear one of these names or addresses as subjectAltName. */
  readonly clientNames: readonly string[];
  /** Told what was refused before it reached the port, and why: the peer is told less. */
  readonly onRefusal?: (problem: string) => void;
  /** Told what the port threw, AuthorityUnavailableError included. */
  readonly onFault?: (error: unknown) => void;
}

/** A server that is listening. */
export interface AuthorityServer {
  /** `https://<address>:<port>` */
  readonly url: string;
  readonly port: number;
  /** Shows another certificate from the next handshake on. @throws what OpenSSL says of a pair that is none */
  replaceTls(pair: Pick<AuthorityServerOptions['tls'], 'certificatePem' | 'privateKeyPem'>): void;
  /** Answers what has arrived, and listens no more. */
  close(): Promise<void>;
}

/**
 * Offers the port of an authority over mutual TLS 1.2 or later (`authority-service.ts` of scms). Whoever has no certificate
 * of the right root and name is refused in the handshake, or directly after it, before an octet of HTTP is read. An
 * answer leaves when the port has resolved, so the port's guarantee is the server's.
 *
 * @throws Error of the system when the port is taken or the TLS files do not fit together
 */
export async function startAuthorityServer(
  options: AuthorityServerOptions,
): Promise<AuthorityServer> {
  const { address, port } = options.listen;
  const state = { isClosing: false };
  const server = createTlsServer(options, (request, response) => {
    void serve(options, request, response, state);
  });
  const open = trackConnections(server);
  server.listen({ host: address, port });
  await once(server, 'listening');
  const listening = (server.address() as AddressInfo).port;
  const host = isIP(address) === 6 ? `[${address}]` : address;
  return {
    url: `https://${host}:${listening}`,
    port: listening,
    replaceTls(pair) {
      const { clientNames, tls } = options;
      server.setSecureContext(contextOptions({ ...tls, ...pair }, clientNames));
    },
    async close() {
      state.isClosing = true;
      const closed = once(server, 'close');
      server.close();
      const sweep = setInterval(() => server.closeIdleConnections(), CLOSE_SWEEP_MS);
      const grace = setTimeout(() => {
        for (const socket of open) socket.destroy();
      }, CLOSE_GRACE_MS);
      await closed;
      clearInterval(sweep);
      clearTimeout(grace);
    },
  };
}

function createTlsServer(
  { tls, clientNames, onRefusal }: AuthorityServerOptions,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const server = createServer(
    {
      ...contextOptions(tls, clientNames),
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxHeaderSize: MAX_HEAD,
      headersTimeout: HEAD_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Node's own answer would be 400.
      requireHostHeader: false,
    },
    handler,
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(STALLED_MS);
  // Before Node's own listener, which begins to read HTTP.
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    if (isExpected(socket.getPeerX509Certificate(), clientNames)) return;
    onRefusal?.(`expected a client that is called ${clientNames.join(' or ')}, saw another`);
    socket.destroy();
  });
  server.prependListener('tlsClientError', (error, socket) => {
    onRefusal?.(`expected a TLS client with a certificate: ${error.message}`);
    socket.destroy();
  });
  // What Node would answer with 400, 408, 417 or 431: who may connect does not send it.
  server.on('clientError', (_error, socket) => socket.destroy());
  server.on('checkExpectation', (request: IncomingMessage) => request.destroy());
  return server;
}

function contextOptions(tls: AuthorityServerOptions['tls'], clientNames: readonly string[]) {
  return {
    cert: tls.certificatePem,
    key: tls.privateKeyPem,
    ca: tls.clientCaPem,
    minVersion: 'TLSv1.2' as const,
    ciphers: SUITES.join(':'),
    ecdhCurve: 'P-256:X25519:P-384',
    // A session is worth what its first handshake checked: it counts for this root and these names alone.
    sessionIdContext: sessionContext(tls.clientCaPem, clientNames),
  };
}

/** Wildcards and common names do not count: the name is one that was written down. */
function isExpected(certificate: X509Certificate | undefined, names: readonly string[]): boolean {
  return names.some((name) =>
    isIP(name) === 0
      ? certificate?.checkHost(name, { subject: 'never', wildcards: false }) !== undefined
      : certificate?.checkIP(name) !== undefined,
  );
}

/** At most 32 characters. */
function sessionContext(clientCaPem: string, names: readonly string[]): string {
  const text = JSON.stringify([clientCaPem, names]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** One request: look up, read, hand on, answer. */
async function serve(
  options: AuthorityServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  state: { readonly isClosing: boolean },
): Promise<void> {
  // A peer that is gone needs no answer: what the port has done, it has recorded.
  response.on('error', () => {});
  const found = find(options.services, request);
  const problem = found === undefined ? 'no such service' : sizeProblem(request, found.service);
  if (found === undefined || problem !== undefined) {
    options.onRefusal?.(`expected a request of a service: ${problem}`);
    response.shouldKeepAlive = false;
    end(response, 500);
    return;
  }
  const body = await readBody(request).catch(() => undefined);
  // Cut off on the way.
  if (body === undefined) return;
  try {
    const answer = await found.answer(body, options);
    if (state.isClosing) response.shouldKeepAlive = false;
    response.setHeader('content-type', OCTET_STREAM);
    end(response, 200, answer);
  } catch (error) {
    if (error instanceof MalformedBody) options.onRefusal?.(error.message);
    else options.onFault?.(error);
    end(response, error instanceof AuthorityUnavailableError ? 503 : 500);
  }
}

function find(services: AuthorityServices, { method, url }: IncomingMessage) {
  for (const [name, service] of Object.entries(AUTHORITY_SERVICES)) {
    const handle = services[name as AuthorityServiceName];
    if (!handle || method !== 'POST' || url !== service.path) continue;
    const isForMany = service === AUTHORITY_SERVICES.requestCertificate;
    return { service, answer: isForMany ? answerEach(handle) : handle };
  }
  return undefined;
}

type Handle = NonNullable<AuthorityServices[AuthorityServiceName]>;

/** What the RA sent is not what the service takes. */
class MalformedBody extends Error {}

/**
 * Asks the port for each of {@link CertificateRequests}, all at once, so that a PCA stores many answers with one sync. What
 * becomes of one says nothing of the others.
 */
function answerEach(handle: Handle) {
  return async (
    body: Uint8Array,
    { onFault }: Pick<AuthorityServerOptions, 'onFault'>,
  ): Promise<Uint8Array> => {
    const answerOne = async (request: Uint8Array): Promise<CertificateAnswer> => {
      try {
        return { type: 'answer', value: expectShort(await handle(request)) };
      } catch (error) {
        onFault?.(error);
        return { type: 'unavailable', value: null };
      }
    };
    return encode(CertificateAnswers, await Promise.all(decodeRequests(body).map(answerOne)));
  };
}

function decodeRequests(body: Uint8Array): readonly Uint8Array[] {
  try {
    return decode(CertificateRequests, body);
  } catch (cause) {
    if (!(cause instanceof CoerError)) throw cause;
    throw new MalformedBody(`expected requests for certificates: ${cause.message}`, { cause });
  }
}

function expectShort(answer: Uint8Array): Uint8Array {
  if (answer.length <= MAX_CERTIFICATE_OCTETS) return answer;
  const { length } = answer;
  throw new TypeError(
    `expected an answer of up to ${MAX_CERTIFICATE_OCTETS} octets, saw ${length}`,
  );
}

/** The length is known before the first octet is read; Node reads no more than it. */
function sizeProblem({ headers }: IncomingMessage, service: AuthorityService): string | undefined {
  const { 'content-type': type, 'content-length': length } = headers;
  if (type !== OCTET_STREAM) return `expected ${OCTET_STREAM}`;
  if (length === undefined) return 'expected a content-length';
  if (Number(length) <= service.maxRequest) return undefined;
  return `expected up to ${service.maxRequest} octets, saw ${length}`;
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  return new Uint8Array(Buffer.concat(chunks));
}

function end(response: ServerResponse, status: number, body: Uint8Array = new Uint8Array(0)): void {
  response.statusCode = status;
  response.setHeader('content-length', body.length);
  response.end(body);
}

/** Node forgets connections whose handshake is not over, and closes only those that are idle at that moment. */
function trackConnections(server: Server): ReadonlySet<Duplex> {
  const open = new Set<Duplex>();
  server.on('connection', (socket: Duplex) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return open;
}
