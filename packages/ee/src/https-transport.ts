import { errors } from 'undici';
import { EeError, messageOf } from './error.ts';
import type { RaRequest, RaResponse, RaTransport } from './ra-transport.ts';
import {
  connectTls,
  type TlsConnection,
  type TlsContext,
  type TlsOptions,
  tlsContext,
} from './tls-connection.ts';

/** How long a device waits, in milliseconds. A radio link is slow, but not this slow. */
export interface HttpsTimeouts {
  /** TCP: until the RA's system has taken the connection. */
  readonly connectMs: number;
  /** TLS. A busy RA leaves a connection in its system's queue: who gives up and comes again is the last there. */
  readonly handshakeMs: number;
  /** Until the response's headers. */
  readonly headersMs: number;
  /** Between two parts of the body. */
  readonly bodyMs: number;
  /** The exchange as a whole: a body that drips in for ever ends here. */
  readonly exchangeMs: number;
}

const DEFAULT_TIMEOUTS: HttpsTimeouts = {
  connectMs: 10_000,
  handshakeMs: 30_000,
  headersMs: 30_000,
  bodyMs: 15_000,
  exchangeMs: 120_000,
};

export interface HttpsTransportOptions {
  /** PEM; the only root that is trusted. */
  readonly x509Root: string;
  /** Whether the RA has to staple an OCSP response (RFC 6066 §8). */
  readonly ocsp?: boolean;
  /** Of the same root, where many transports share it; see {@link tlsContext}. */
  readonly context?: TlsContext;
  /** Told how long TCP and TLS took, whenever a connection was made. */
  readonly onConnect?: (ms: number) => void;
  readonly timeouts?: Partial<HttpsTimeouts>;
}

/**
 * The way to the RA over TLS 1.2 or later: connects, then has the request made, then sends it. A
 * connection whose answer was read to its end serves the next exchange with the same host, as long as
 * both sides keep it.
 */
export function httpsTransport(options: HttpsTransportOptions): RaTransport {
  const { x509Root, ocsp = false, context = tlsContext(x509Root), timeouts } = options;
  const { onConnect = () => {} } = options;
  const tls = { x509Root, ocsp, context, ...DEFAULT_TIMEOUTS, ...timeouts };
  return new HttpsTransport(tls, onConnect);
}

class HttpsTransport implements RaTransport {
  readonly #options: TlsOptions & HttpsTimeouts;
  /** Connections that wait for their next exchange, by origin: one is all that a device needs. */
  readonly #idle = new Map<string, TlsConnection>();
  readonly #all = new Set<TlsConnection>();
  readonly #closing = new AbortController();
  readonly #onConnect: (ms: number) => void;

  constructor(options: TlsOptions & HttpsTimeouts, onConnect: (ms: number) => void) {
    this.#options = options;
    this.#onConnect = onConnect;
  }

  async exchange(request: RaRequest, signal?: AbortSignal): Promise<RaResponse> {
    const deadline = AbortSignal.timeout(this.#options.exchangeMs);
    const either = AbortSignal.any([deadline, this.#closing.signal, ...(signal ? [signal] : [])]);
    const connection = await this.#connection(request.url, either, signal);
    try {
      const { headers, body = null } = await request.message();
      return await this.#send(connection, { ...request, headers, body }, either, signal);
    } catch (error) {
      this.#drop(connection);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new EeError('aborted', 'stopped'));
    for (const connection of this.#all) this.#drop(connection);
  }

  async #connection(
    url: URL,
    either: AbortSignal,
    signal: AbortSignal | undefined,
  ): Promise<TlsConnection> {
    const idle = this.#idle.get(url.origin);
    this.#idle.delete(url.origin);
    if (idle?.isUsable()) return idle;
    if (idle !== undefined) this.#drop(idle);
    try {
      const start = performance.now();
      const connection = await connectTls(new URL(url.origin), this.#options, either);
      this.#onConnect(performance.now() - start);
      this.#all.add(connection);
      return connection;
    } catch (error) {
      throw translate(error, signal);
    }
  }

  async #send(
    connection: TlsConnection,
    request: { method: 'GET' | 'POST'; url: URL } & {
      headers: Readonly<Record<string, string>>;
      body: Uint8Array | null;
    },
    either: AbortSignal,
    signal: AbortSignal | undefined,
  ): Promise<RaResponse> {
    try {
      const { statusCode, headers, body } = await connection.client.request({
        method: request.method,
        path: request.url.pathname,
        headers: request.headers,
        body: request.body,
        signal: either,
      });
      // Without a listener, a connection that breaks while nobody reads would end the process.
      body.on('error', () => this.#drop(connection));
      body.on('end', () => this.#release(request.url, connection));
      return {
        status: statusCode,
        headers: joinHeaders(headers),
        body: translated(body, signal),
        discard: () => {
          body.destroy();
          this.#drop(connection);
        },
      };
    } catch (error) {
      throw translate(error, signal);
    }
  }

  #release({ origin }: URL, connection: TlsConnection): void {
    const other = this.#idle.get(origin);
    if (other !== undefined) this.#drop(other);
    this.#idle.set(origin, connection);
  }

  #drop(connection: TlsConnection): void {
    this.#all.delete(connection);
    connection.close();
  }
}

async function* translated(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw translate(error, signal);
  }
}

function joinHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) joined[name.toLowerCase()] = [value].flat().join(', ');
  }
  return joined;
}

/** What OpenSSL and node call a certificate, or a handshake, that they refuse. */
const TLS_CODE =
  /^(CERT_|ERR_TLS_|ERR_SSL_|ERR_OSSL|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_|HOSTNAME_|EPROTO$)/;
/** Failures that come before a connection is there. */
const CONNECT_CODE =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT)$/;

function translate(cause: unknown, signal: AbortSignal | undefined): EeError {
  if (cause instanceof EeError) return cause;
  if (signal?.aborted === true) return new EeError('aborted', 'stopped', { cause });
  const code = codeOf(cause);
  const message = messageOf(cause);
  if (TLS_CODE.test(code)) {
    // Node goes on after a semicolon with advice that does not fit here: other roots are not wanted.
    const reason = message.split(';', 1)[0];
    return new EeError('tls', `expected the RA's X.509 certificate to verify: ${reason}`, {
      cause,
    });
  }
  if (CONNECT_CODE.test(code)) {
    return new EeError('unreachable', `expected a connection to the RA: ${message || code}`, {
      cause,
    });
  }
  if (isTimeout(cause)) return new EeError('timeout', 'expected an answer in time', { cause });
  return new EeError('interrupted', `expected a whole answer: ${message || code}`, { cause });
}

function isTimeout(error: unknown): boolean {
  return (
    error instanceof errors.HeadersTimeoutError ||
    error instanceof errors.BodyTimeoutError ||
    (error instanceof Error && error.name === 'TimeoutError')
  );
}

/** Of several addresses that were tried, the first tells why. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
