import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import { CoerError, decode } from '@chrysalis/coer';
import { Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import { ScmsPdu122 } from '@chrysalis/scms';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { isRangeApplicable, parseRange } from './byte-range.ts';
import { isHeld } from './conditional.ts';
import type { Door } from './door.ts';
import type { Download, Downloads } from './download.ts';
import type { LocalFiles } from './local-files.ts';
import type { MisbehaviorReports } from './misbehavior-reports.ts';
import type { OcspStaple } from './ocsp-staple.ts';
import type { Log, RaOptions } from './options.ts';
import type { Provisioning } from './provision.ts';
import { Refusal } from './refusal.ts';
import type { CertificateKind } from './schema.ts';
import { tlsOptions } from './tls-options.ts';

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
const KEEP_ALIVE_MS = 60_000;
/** A connection on which nothing moves for so long is dropped: a peer that does not read its answer holds no memory. */
const STALLED_MS = 60_000;
/** What requests under way get when the RA stops. Each takes milliseconds once it is here. */
const CLOSE_GRACE_MS = 2000;
/** How often connections that have become idle are closed meanwhile. */
const CLOSE_SWEEP_MS = 50;

const OCTET_STREAM = 'application/octet-stream';

/** Where each kind of certificate is asked for (section 1.1). */
const PROVISIONING_PATHS: Readonly<Record<string, CertificateKind>> = {
  '/provision-pseudonym-certificate-batch': 'pseudonym',
  '/provision-identity-certificate': 'identification',
  '/provision-application-certificate': 'application',
};

export interface Services {
  readonly provisioning: Provisioning;
  readonly downloads: Downloads;
  readonly files: LocalFiles;
  /** Undefined when there is no MA. */
  readonly reports: MisbehaviorReports | undefined;
  /** COER of the RA's certificate. */
  readonly raCertificate: Uint8Array;
}

/** Where a server finds the OCSP response for its certificate; without one it staples none. */
type Staple = Pick<OcspStaple, 'current'>;

/**
 * The RA's HTTPS server (section 1.1). Whatever is not an answer of one of its services leaves through the door: a device
 * knows the statuses 200, 206, 304, 416 and 500 and no other.
 */
export function createHttpServer(
  options: RaOptions,
  services: Services,
  door: Door,
  staple?: Staple,
): FastifyInstance {
  const app = createDeviceServer(options.tls, door, staple);
  addServices(app, services, options.log);
  return app;
}

/**
 * A server for devices that has no services yet: TLS, limits, and the door for all that is no answer.
 */
export function createDeviceServer(
  tls: RaOptions['tls'],
  door: Door,
  staple?: Staple,
): FastifyInstance {
  const app = Fastify({
    serverFactory: (handler) => createTlsServer(tls, handler, door, staple),
    bodyLimit: MAX_BODY,
    exposeHeadRoutes: false,
    // A request that arrives while we stop is answered like any other: 503 is no status of ours.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      leave(reply as unknown as FastifyReply, request, door, asRefusal(error));
    },
  });

  // Devices send application/octet-stream or no type at all: the body is octets whatever the header says.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
  app.setNotFoundHandler((request, reply) => {
    const seen = `${request.method} ${request.url.slice(0, 100)}`;
    return leave(
      reply,
      request,
      door,
      new Refusal('raInvalidURL', `expected one of our services, saw ${seen}`),
    );
  });
  app.setErrorHandler((error, request, reply) => leave(reply, request, door, asRefusal(error)));
  const { closeConnections } = trackConnections(app.server);
  app.addHook('preClose', async () => closeConnections());
  return app;
}

function addServices(app: FastifyInstance, services: Services, log: Log): void {
  for (const [path, kind] of Object.entries(PROVISIONING_PATHS)) {
    app.post(path, async (request, reply) => {
      const ack = await services.provisioning.provision(kind, bodyOf(request));
      return reply.type(OCTET_STREAM).send(Buffer.from(ack));
    });
  }
  app.post('/retrieve-ra-certificate', async (request, reply) => {
    expectRaCertRequest(bodyOf(request));
    return reply.type(OCTET_STREAM).send(Buffer.from(services.raCertificate));
  });
  // The stub of the services that others wrote has GET without a body here (Q5).
  app.get('/retrieve-ra-certificate', async (_request, reply) =>
    reply.type(OCTET_STREAM).send(Buffer.from(services.raCertificate)),
  );
  app.get('/download/batch', async (request, reply) =>
    sendFile(request, reply, await services.downloads.batch(downloadReqOf(request)), log),
  );
  app.get('/download/identity-certificate', async (request, reply) => {
    const file = await services.downloads.identityCertificate(downloadReqOf(request));
    return sendFile(request, reply, file, log);
  });
  app.get('/download/application-certificate', async (request, reply) => {
    const file = await services.downloads.applicationCertificate(downloadReqOf(request));
    return sendFile(request, reply, file, log);
  });
  app.get('/download/info', async (request, reply) =>
    sendFile(request, reply, await services.downloads.info(downloadReqOf(request)), log),
  );
  const { reports } = services;
  if (reports) {
    app.post('/process-misbehavior-report', { bodyLimit: MAX_REPORT }, async (request, reply) => {
      await reports.accept(bodyOf(request));
      return reply.send();
    });
  }
  app.get('/download/local-certificate-chain', async (request, reply) =>
    sendUnlessHeld(request, reply, services.files.localCertificateChain(), log),
  );
  app.get('/download/policy/local', async (request, reply) =>
    sendUnlessHeld(request, reply, services.files.localPolicy(), log),
  );
}

function createTlsServer(
  tls: RaOptions['tls'],
  handler: Parameters<typeof createServer>[1] & object,
  door: Door,
  staple: Staple | undefined,
): Server {
  const server = createServer(
    {
      ...tlsOptions(tls),
      maxHeaderSize: MAX_HEAD,
      headersTimeout: HEAD_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Node's own answer would be 400: ours is the door's.
      requireHostHeader: false,
    },
    handler,
  );
  server.setTimeout(STALLED_MS);
  // Asked in each handshake whose client asks (RFC 6066 §8). The certificate is always the one of `tls`.
  if (staple) server.on('OCSPRequest', (_cert, _issuer, done) => done(null, staple.current()));
  // Without TLS nothing can be said. Node would hand the socket on as a client's error all the same.
  server.prependListener('tlsClientError', (_error, socket) => socket.destroy());
  const refuse = (socket: Duplex, seen: string) => {
    refuseOnSocket(
      socket,
      door,
      new Refusal('raWrongParameters', `expected a request, saw ${seen}`),
    );
  };
  // What Node itself would answer with 400, 408, 413, 417 or 431.
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    refuse(socket, error.code ?? 'an error');
  });
  server.on('checkExpectation', (request) => refuse(request.socket, 'an expectation'));
  server.on('connect', (_request, socket) => refuse(socket, 'CONNECT'));
  server.on('upgrade', (_request, socket) => refuse(socket, 'an upgrade'));
  return server;
}

/**
 * Closes the connections of a server that stops: idle ones as they become idle, the others after a grace. Node
 * closes those alone that are idle at that moment, and knows none whose handshake is not over.
 */
function trackConnections(server: FastifyInstance['server']): { closeConnections(): void } {
  const open = new Set<Duplex>();
  server.on('connection', (socket: Duplex) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return {
    closeConnections() {
      const sweep = setInterval(() => server.closeIdleConnections(), CLOSE_SWEEP_MS);
      const grace = setTimeout(() => {
        for (const socket of open) socket.destroy();
      }, CLOSE_GRACE_MS);
      server.once('close', () => {
        clearInterval(sweep);
        clearTimeout(grace);
      });
    },
  };
}

function bodyOf(request: FastifyRequest): Uint8Array {
  if (request.body instanceof Uint8Array) return request.body;
  throw new Refusal('raWrongParameters', 'expected a body');
}

function downloadReqOf(request: FastifyRequest): string | undefined {
  const value = request.headers['download-req'];
  return Array.isArray(value) ? value.join() : value;
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

/**
 * Answers with a file or the range of it that was asked for (Q18). The log is told the name, in which the request hash
 * stands, and nothing of where the device is.
 */
function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: Download,
  log: Log,
): FastifyReply {
  const { octets, name, etag } = file;
  reply.type(OCTET_STREAM).header('content-disposition', `attachment; filename="${name}"`);
  // What changes under its name has no parts that would fit together.
  if (etag !== undefined) reply.header('accept-ranges', 'bytes').header('etag', etag);
  const ifRange = request.headers['if-range'] as string | undefined;
  const range =
    etag !== undefined && isRangeApplicable(ifRange, etag)
      ? parseRange(request.headers.range, octets.length)
      : 'whole';
  if (range === 'unsatisfiable') {
    log.debug({ file: name, status: 416 }, 'no such range');
    return reply.code(416).header('content-range', `bytes */${octets.length}`).send();
  }
  if (range === 'whole') {
    log.debug({ file: name, status: 200, octets: octets.length }, 'file served');
    return reply.send(Buffer.from(octets));
  }
  const { first, last } = range;
  log.debug({ file: name, status: 206, first, octets: last - first + 1 }, 'file served');
  return reply
    .code(206)
    .header('content-range', `bytes ${first}-${last}/${octets.length}`)
    .send(Buffer.from(octets.subarray(first, last + 1)));
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

function leave(
  reply: FastifyReply,
  request: FastifyRequest,
  door: Door,
  error: unknown,
): FastifyReply {
  const path = request.url.slice(0, 100);
  const { status, headers } = door.refuse(error, { method: request.method, path });
  return reply.code(status).headers(headers).send();
}

/** For connections that never became a request: the same answer, written by hand. */
function refuseOnSocket(socket: Duplex, door: Door, error: Refusal): void {
  if (!socket.writable || socket.destroyed) return;
  const { headers } = door.refuse(error, { method: '', path: '' });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const date = `date: ${new Date().toUTCString()}\r\n`;
  const head = `HTTP/1.1 500 Internal Server Error\r\n${lines.join('')}content-length: 0\r\n`;
  const answer = `${head}${date}\r\n`;
  // Node has let go of these sockets: nobody else would close one whose peer keeps its half open.
  socket.end(answer, () => socket.destroy());
}
