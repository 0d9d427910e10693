import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import { CoerError, decode } from '@chrysalis/coer';
import { Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import { ScmsPdu122 } from '@chrysalis/scms';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { isHeld } from './conditional.ts';
import type { Connections } from './connections.ts';
import type { Door } from './door.ts';
import type { Download, Downloads } from './download.ts';
import { DownloadRoute } from './download-route.ts';
import { answerWithFile } from './file-answer.ts';
import type { Guards } from './guards.ts';
import type { LocalFiles } from './local-files.ts';
import type { MisbehaviorReports } from './misbehavior-reports.ts';
import type { OcspStaples } from './ocsp-staples.ts';
import type { Log, RaOptions } from './options.ts';
import type { Provisioning } from './provision.ts';
import { Refusal } from './refusal.ts';
import type { Arrival } from './refusal-tick.ts';
import type { CertificateKind } from './schema.ts';
import { tlsOptions } from './tls-options.ts';
import { WayOut } from './way-out.ts';

/** Largest POST body. A provisioning request is 400 to 1,500 octets. */
const MAX_BODY = 16 * 1024;
/** Largest misbehavior report: it carries the messages of others, and what the sensors saw. */
const MAX_REPORT = 64 * 1024;
/** Largest head of a request: Download-Req and a few short headers. */
const MAX_HEAD = 16 * 1024;
/** A device sends one short request: it has this long for its head, and for the whole. */
const HEAD_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** How often Node looks for requests that take too long: by so much the two may be exceeded. */
const TIMEOUT_CHECK_MS = 5000;
/** The same for times that are shorter than those. */
const TIMEOUT_CHECK_SHARE = 0.5;
const KEEP_ALIVE_MS = 60_000;
/** A connection on which nothing moves for so long is dropped: a peer that does not read its answer holds no memory. */
const STALLED_MS = 60_000;
/** How often connections that have become idle are closed meanwhile. */
const CLOSE_SWEEP_MS = 50;

const OCTET_STREAM = 'application/octet-stream';

/** Where each kind of certificate is asked for (section 1.1). */
const PROVISIONING_PATHS: Readonly<Record<string, CertificateKind>> = {
  '/provision-pseudonym-certificate-batch': 'pseudonym',
  '/provision-identity-certificate': 'identification',
  '/provision-application-certificate': 'application',
};

/** What is octets has no JSON schema: without these, Fastify loads two compilers of them, a tenth of all code there is. */
const WITHOUT_SCHEMAS = { buildValidator: noSchema, buildSerializer: noSchema };

function noSchema(): never {
  throw new Error('expected octets, saw a route with a JSON schema');
}

export interface Services {
  readonly provisioning: Provisioning;
  readonly downloads: Downloads;
  readonly files: LocalFiles;
  /** Undefined when there is no MA. */
  readonly reports: MisbehaviorReports | undefined;
  /** COER of the RA's present certificate. */
  readonly raCertificate: () => Uint8Array;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Undefined when the framework refused it before it became a request. */
    arrival: Arrival | undefined;
    /** Of a clock that nobody sets. */
    arrivedMs: number;
  }
}

/** Where a server finds the OCSP response for its certificate; without one it staples none. */
type Staple = Pick<OcspStaples, 'current'>;

/**
 * The RA's HTTPS server (section 1.1). Whatever is not an answer of one of its services leaves through the door: a device
 * knows the statuses 200, 206, 304, 416 and 500 and no other.
 */
export function createHttpServer(
  options: RaOptions,
  services: Services,
  door: Door,
  guards: Guards,
  staple?: Staple,
): FastifyInstance {
  const wayOut = new WayOut(door, guards);
  const downloads = new DownloadRoute(services.downloads, guards, wayOut, options.log);
  const app = createDeviceServer(options.tls, wayOut, guards, staple, downloads);
  addServices(app, services, guards, options.log);
  return app;
}

/**
 * A server for devices that has no services yet: TLS, limits, and the door for all that is no answer.
 *
 * @param downloads asked first: what it takes, the framework never sees
 */
export function createDeviceServer(
  tls: RaOptions['tls'],
  wayOut: WayOut,
  guards: Guards,
  staple?: Staple,
  downloads?: DownloadRoute,
): FastifyInstance {
  const refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
    leave(reply, request, wayOut, error);
  const app = Fastify({
    serverFactory: (handler) => {
      const listener: RequestListener = (request, response) => {
        if (!downloads?.take(request, response)) handler(request, response);
      };
      return createTlsServer(tls, listener, wayOut, guards, staple);
    },
    bodyLimit: MAX_BODY,
    exposeHeadRoutes: false,
    schemaController: { compilersFactory: WITHOUT_SCHEMAS },
    // What Node itself would answer with 400, 408, 413 or 431. Fastify's own handler would answer at once, and by name.
    clientErrorHandler: (error, socket) => {
      wayOut.refuseOnSocket(socket, error.code ?? 'an error');
    },
    // A request that arrives while we stop is answered like any other: 503 is no status of ours.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      refuse(asRefusal(error), request, reply as unknown as FastifyReply);
    },
  });
  addGuards(app, guards);

  // Devices send application/octet-stream or no type at all: the body is octets whatever the header says.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
  app.setNotFoundHandler((request, reply) => {
    const seen = `${request.method} ${request.url.slice(0, 100)}`;
    const expected = `expected one of our services, saw ${seen}`;
    refuse(new Refusal('raInvalidURL', expected), request, reply);
  });
  app.setErrorHandler((error, request, reply) => refuse(asRefusal(error), request, reply));
  app.addHook('preClose', async () => {
    downloads?.close();
    closeConnections(app.server, guards.connections);
  });
  app.addHook('onListen', async () => guards.load.start());
  app.addHook('onClose', async () => guards.load.stop());
  return app;
}

/** Tells the guards where each request is. */
function addGuards(app: FastifyInstance, { tick, connections, metrics }: Guards): void {
  app.decorateRequest('arrival', undefined);
  app.decorateRequest('arrivedMs', 0);
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request;
    // Never answered: its connection is about to be closed.
    if (!connections.begin(socket)) return void reply.hijack();
    reply.raw.once('close', () => connections.end(socket));
    request.arrival = tick.arrive();
    request.arrivedMs = performance.now();
    done();
  });
  app.addHook('preValidation', (request, _reply, done) => {
    // A body had to come first.
    if (request.body !== undefined) request.arrival?.complete();
    connections.work(request.socket);
    done();
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    connections.answer(request.socket);
    const { statusCode } = reply;
    if (statusCode < 500) {
      metrics?.served(request.routeOptions.url, statusCode, secondsSinceArrival(request));
    }
    done(null, payload);
  });
}

function secondsSinceArrival({ arrival, arrivedMs }: FastifyRequest): number {
  return arrival === undefined ? 0 : (performance.now() - arrivedMs) / 1000;
}

function addServices(app: FastifyInstance, services: Services, { load }: Guards, log: Log): void {
  const { provisioning, files, reports, raCertificate } = services;
  for (const [path, kind] of Object.entries(PROVISIONING_PATHS)) {
    app.post(path, async (request, reply) => {
      const ack = await load.run('provisioning', () =>
        provisioning.provision(kind, bodyOf(request)),
      );
      return reply.type(OCTET_STREAM).send(Buffer.from(ack));
    });
  }
  app.post('/retrieve-ra-certificate', async (request, reply) => {
    await load.run('anonymous', () => expectRaCertRequest(bodyOf(request)));
    return reply.type(OCTET_STREAM).send(Buffer.from(raCertificate()));
  });
  // The stub of the services that others wrote has GET without a body here (Q5).
  app.get('/retrieve-ra-certificate', async (_request, reply) => {
    const octets = await load.run('anonymous', raCertificate);
    return reply.type(OCTET_STREAM).send(Buffer.from(octets));
  });
  if (reports) {
    app.post('/process-misbehavior-report', { bodyLimit: MAX_REPORT }, async (request, reply) => {
      // Given up with provisioning: a device keeps its reports.
      await load.run('provisioning', () => reports.accept(bodyOf(request)));
      return reply.send();
    });
  }
  app.get('/download/local-certificate-chain', async (request, reply) => {
    const file = await load.run('anonymous', () => files.localCertificateChain());
    return sendUnlessHeld(request, reply, file, log);
  });
  app.get('/download/policy/local', async (request, reply) => {
    const file = await load.run('anonymous', () => files.localPolicy());
    return sendUnlessHeld(request, reply, file, log);
  });
}

function createTlsServer(
  tls: RaOptions['tls'],
  listener: RequestListener,
  wayOut: WayOut,
  guards: Guards,
  staple: Staple | undefined,
): Server {
  const {
    headTimeoutMs = HEAD_TIMEOUT_MS,
    requestTimeoutMs = REQUEST_TIMEOUT_MS,
    stalledMs = STALLED_MS,
  } = guards.limits;
  const server = createServer(
    {
      ...tlsOptions(tls),
      maxHeaderSize: MAX_HEAD,
      headersTimeout: headTimeoutMs,
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, headTimeoutMs * TIMEOUT_CHECK_SHARE),
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Node's own answer would be 400: ours is the door's.
      requireHostHeader: false,
    },
    listener,
  );
  server.setTimeout(stalledMs);
  guards.connections.watch(server);
  // What is open goes on as it is; what comes from now on is shown the next certificate.
  tls.follow?.((next) => () => server.setSecureContext(tlsOptions(next)));
  // Asked in each handshake whose client asks (RFC 6066 §8).
  if (staple) server.on('OCSPRequest', (cert, _issuer, done) => done(null, staple.current(cert)));
  // Without TLS nothing can be said. Node would hand the socket on as a client's error all the same.
  server.prependListener('tlsClientError', (_error, socket) => socket.destroy());
  const refuse = (socket: Duplex, seen: string) => wayOut.refuseOnSocket(socket, seen);
  // Of these Node has let go altogether: the timer runs, and nobody hears it. What else comes is not looked at, but its end is.
  const refuseDetached = (socket: Duplex, seen: string) => {
    socket.on('timeout', () => socket.destroy()).resume();
    refuse(socket, seen);
  };
  // What Node itself would answer with 417, or hand over without an answer.
  server.on('checkExpectation', (request) => refuse(request.socket, 'an expectation'));
  server.on('connect', (_request, socket) => refuseDetached(socket, 'CONNECT'));
  server.on('upgrade', (_request, socket) => refuseDetached(socket, 'an upgrade'));
  return server;
}

/**
 * Closes the connections of a server that stops: idle ones as they become idle, the others after a grace. Node
 * closes those alone that are idle at that moment, and knows none whose handshake is not over.
 */
function closeConnections(server: FastifyInstance['server'], connections: Connections): void {
  const sweep = setInterval(() => server.closeIdleConnections(), CLOSE_SWEEP_MS);
  const grace = setTimeout(() => connections.closeAll(), connections.graceMs);
  server.once('close', () => {
    clearInterval(sweep);
    clearTimeout(grace);
  });
}

function bodyOf(request: FastifyRequest): Uint8Array {
  if (request.body instanceof Uint8Array) return request.body;
  throw new Refusal('raWrongParameters', 'expected a body');
}

/** As {@link sendFile}, or 304 to a device that has this version already: asked first, before any range (RFC 9110 §13.2.2). */
export function sendUnlessHeld(
  request: FastifyRequest,
  reply: FastifyReply,
  file: Download,
  log: Log,
): FastifyReply {
  const { name, etag } = file;
  if (!isHeld(request.headers['if-none-match'], name)) return sendFile(request, reply, file, log);
  log.debug({ file: name, status: 304 }, 'held already');
  return reply.code(304).header('etag', etag).send();
}

function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: Download,
  log: Log,
): FastifyReply {
  const { status, headers, body } = answerWithFile(file, request.headers, log);
  return reply.code(status).headers(headers).send(body);
}

/** The body of `POST /retrieve-ra-certificate`: SecuredRACertRequest, which is not encrypted in spite of its name. */
function expectRaCertRequest(body: Uint8Array): void {
  try {
    const { content } = decode(Ieee1609Dot2Data, body);
    if (content.type === 'unsecuredData') {
      const pdu = decode(ScmsPdu122, content.value).content;
      if (pdu.type === 'eeRa' && pdu.value.type === 'eeRaCertRequest') return;
    }
  } catch (cause) {
    if (!(cause instanceof CoerError)) throw cause;
    throw new Refusal('raWrongParameters', cause.message, { cause });
  }
  throw new Refusal('raWrongParameters', 'expected a SecuredRACertRequest');
}

/** What the framework finds wrong with a request is the peer's fault; anything else is not. */
function asRefusal(error: unknown): unknown {
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  if (error instanceof Refusal || typeof status !== 'number' || status >= 500) return error;
  const { message } = error as Error;
  return new Refusal('raWrongParameters', `expected a request within our limits: ${message}`, {
    cause: error,
  });
}

function leave(reply: FastifyReply, request: FastifyRequest, wayOut: WayOut, error: unknown): void {
  const { socket, method, url, arrival } = request;
  const route = request.routeOptions.url;
  const departing = { socket, method, url, route, arrival };
  wayOut.refuse(
    error,
    { ...departing, secondsSinceArrival: secondsSinceArrival(request) },
    ({ status, headers }) => void reply.code(status).headers(headers).send(),
  );
}
