import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Download, Downloads } from './download.ts';
import { answerWithFile, type FileAnswer } from './file-answer.ts';
import type { Guards } from './guards.ts';
import type { Log } from './options.ts';
import type { Arrival } from './refusal-tick.ts';
import type { WayOut } from './way-out.ts';

/** An answer up to this size goes out with its head as one string, in one write; what is longer is not copied for it. */
const MAX_IN_HEAD = 256;

type Service = (header: string | undefined) => Promise<Download>;

/** A request for a file, from its head to its answer. */
interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: string;
  readonly arrival: Arrival;
  readonly arrivedMs: number;
}

/**
 * The authenticated downloads on node:http itself: they are nearly all of what devices ask for, and the framework before the
 * other services costs each of them more than a signature (docs/decisions/0046-downloads-without-a-framework.md). The guards and the
 * way out are those of all services.
 */
export class DownloadRoute {
  readonly #services: ReadonlyMap<string, Service>;
  readonly #guards: Guards;
  readonly #wayOut: WayOut;
  readonly #log: Log;
  #isClosing = false;

  constructor(downloads: Downloads, guards: Guards, wayOut: WayOut, log: Log) {
    this.#services = new Map<string, Service>([
      ['/download/batch', (header) => downloads.batch(header)],
      ['/download/identity-certificate', (header) => downloads.identityCertificate(header)],
      ['/download/application-certificate', (header) => downloads.applicationCertificate(header)],
      ['/download/info', (header) => downloads.info(header)],
    ]);
    this.#guards = guards;
    this.#wayOut = wayOut;
    this.#log = log;
  }

  /** Answers a request for one of these files, or leaves it alone and returns false. */
  take(request: IncomingMessage, response: ServerResponse): boolean {
    const route = pathOf(request.url);
    const service = request.method === 'GET' ? this.#services.get(route) : undefined;
    if (service === undefined) return false;
    // Never answered: its connection is about to be closed.
    if (!this.#guards.connections.begin(request.socket)) return true;
    const arrival = this.#guards.tick.arrive();
    void this.#serve({ request, response, route, arrival, arrivedMs: performance.now() }, service);
    return true;
  }

  /** From now on each answer is the last on its connection. */
  close(): void {
    this.#isClosing = true;
  }

  async #serve(asked: Asked, service: Service): Promise<void> {
    const { request, response } = asked;
    const { connections, load } = this.#guards;
    const { socket } = request;
    response.once('close', () => connections.end(socket));
    connections.work(socket);
    try {
      const file = await load.run('download', () => service(downloadReqOf(request)));
      this.#send(asked, answerWithFile(file, request.headers, this.#log));
    } catch (error) {
      this.#refuse(asked, error);
    }
  }

  #send({ request, response, route, arrivedMs }: Asked, answer: FileAnswer): void {
    const { connections, metrics } = this.#guards;
    const { status, headers, body } = answer;
    connections.answer(request.socket);
    metrics?.served(route, status, secondsSince(arrivedMs));
    response.writeHead(status, {
      ...headers,
      'content-length': body.length,
      ...(this.#isClosing && { connection: 'close' }),
    });
    if (body.length > MAX_IN_HEAD) response.end(body);
    else response.end(body.toString('latin1'), 'latin1');
  }

  #refuse({ request, response, route, arrival, arrivedMs }: Asked, error: unknown): void {
    const { connections } = this.#guards;
    const { socket, method = '', url = '' } = request;
    const departing = { socket, method, url, route, arrival };
    const secondsSinceArrival = secondsSince(arrivedMs);
    this.#wayOut.refuse(error, { ...departing, secondsSinceArrival }, ({ status, headers }) => {
      connections.answer(socket);
      response.writeHead(status, { ...headers, 'content-length': 0 }).end();
    });
  }
}

function pathOf(url = ''): string {
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

function downloadReqOf({ headers }: IncomingMessage): string | undefined {
  const value = headers['download-req'];
  return Array.isArray(value) ? value.join() : value;
}

function secondsSince(ms: number): number {
  return (performance.now() - ms) / 1000;
}
