import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics.ts';
import type { Log } from './options.ts';
import type { Readiness } from './readiness.ts';

/** Whoever is on this machine may look, and nobody else: there is no authentication. */
const LOOPBACK = '127.0.0.1';
/** A scraper and a few probes. */
const MAX_CONNECTIONS = 64;
const MAX_HEAD = 4096;
/** An event loop that is late reads a question long after it has come: Node would answer 408, and the health check would have failed. */
const TIMEOUT_MS = 30_000;

export interface OpsOptions {
  /** 0 takes one that is free. */
  readonly port: number;
  readonly readiness: Pick<Readiness, 'missing'>;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
  readonly log: Log;
}

/** The operators' port that is listened on. */
export interface OpsServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

type Service = () => Answer | Promise<Answer>;

/**
 * What operators and their machines ask: `/healthz`, `/readyz`, `/metrics`, by plain HTTP on the loopback interface.
 *
 * @throws Error of Node when the port is taken
 */
export async function startOpsServer(options: OpsOptions): Promise<OpsServer> {
  const { port, readiness, metrics, log } = options;
  const services: Readonly<Record<string, Service>> = {
    // That an answer comes is the answer: the event loop turns.
    '/healthz': () => text(200, 'ok\n'),
    '/readyz': async () => {
      const missing = await readiness.missing();
      const body = JSON.stringify({ ready: missing.length === 0, missing });
      const status = missing.length === 0 ? 200 : 503;
      return { status, type: 'application/json', body: `${body}\n` };
    },
    '/metrics': async () => ({
      status: 200,
      type: metrics.contentType,
      body: await metrics.text(),
    }),
  };
  const server = createServer(
    { maxHeaderSize: MAX_HEAD, headersTimeout: TIMEOUT_MS, requestTimeout: TIMEOUT_MS },
    (request, response) => {
      answerTo(request, services)
        .catch((error: unknown) => {
          log.error({ err: error, path: request.url?.slice(0, 100) }, 'operations port failed');
          return text(500, 'failed\n');
        })
        .then((answer) => send(response, answer));
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, LOOPBACK, resolve);
  });
  const { port: listened } = server.address() as AddressInfo;
  return {
    url: `http://${LOOPBACK}:${listened}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answerTo(
  { method, url = '' }: IncomingMessage,
  services: Readonly<Record<string, Service>>,
): Promise<Answer> {
  const [path = ''] = url.split('?', 1);
  const service = Object.hasOwn(services, path) ? services[path] : undefined;
  if (service === undefined) return text(404, 'expected /healthz, /readyz or /metrics\n');
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'expected GET\n');
  return service();
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, 'cache-control': 'no-store' }).end(body);
}
