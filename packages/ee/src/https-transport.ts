import { Agent, errors, request as undiciRequest } from 'undici';
import { EeError, messageOf } from './error.ts';
import type { RaRequest, RaResponse, RaTransport } from './ra-transport.ts';

/** How long a device waits, in milliseconds. A radio link is slow, but not this slow. */
export interface HttpsTimeouts {
  /** TCP and TLS. */
  readonly connectMs: number;
  /** Until the response's headers. */
  readonly headersMs: number;
  /** Between two parts of the body. */
  readonly bodyMs: number;
  /** The exchange as a whole: a body that drips in for ever ends here. */
  readonly exchangeMs: number;
}

const DEFAULT_TIMEOUTS: HttpsTimeouts = {
  connectMs: 10_000,
  headersMs: 30_000,
  bodyMs: 15_000,
  exchangeMs: 120_000,
};

/** An RA's headers are a handful; 16 KiB is node's own limit for servers. */
const MAX_HEADER_OCTETS = 16_384;

/** One exchange at a time, and room for one whose connection is being closed. */
const MAX_CONNECTIONS = 2;

export interface HttpsTransportOptions {
  /** PEM; the only root that is trusted. */
  readonly x509Root: string;
  readonly timeouts?: Partial<HttpsTimeouts>;
}

/**
 * The way to the RA over TLS 1.2 or later. The chain, the dates and the name are checked by node
 * during the handshake, so before the request is written. The dates are checked against the clock of
 * the machine.
 */
export function httpsTransport(options: HttpsTransportOptions): RaTransport {
  const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
  const agent = new Agent({
    connections: MAX_CONNECTIONS,
    // CAMP speaks HTTP/1.1.
    allowH2: false,
    headersTimeout: timeouts.headersMs,
    bodyTimeout: timeouts.bodyMs,
    maxHeaderSize: MAX_HEADER_OCTETS,
    // A resumed TLS session would not check the certificate's dates again.
    maxCachedSessions: 0,
    connect: {
      // Replaces the roots that node brings, and those of NODE_EXTRA_CA_CERTS.
      ca: options.x509Root,
      minVersion: 'TLSv1.2',
      // Said, because NODE_TLS_REJECT_UNAUTHORIZED=0 would otherwise decide.
      rejectUnauthorized: true,
      timeout: timeouts.connectMs,
    },
  });
  return {
    exchange: (request, signal) => exchange(agent, request, timeouts.exchangeMs, signal),
    close: () => agent.destroy(),
  };
}

async function exchange(
  agent: Agent,
  request: RaRequest,
  exchangeMs: number,
  signal: AbortSignal | undefined,
): Promise<RaResponse> {
  const deadline = AbortSignal.timeout(exchangeMs);
  try {
    const { statusCode, headers, body } = await undiciRequest(request.url, {
      dispatcher: agent,
      method: request.method,
      headers: request.headers,
      body: request.body ?? null,
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    });
    // Without a listener, a connection that breaks while nobody reads would end the process.
    body.on('error', () => {});
    return {
      status: statusCode,
      headers: joinHeaders(headers),
      body: translated(body, signal),
      discard: () => void body.destroy(),
    };
  } catch (error) {
    throw translate(error, signal);
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
