import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { type buildConnector, Client } from 'undici';
import { EeError } from './error.ts';
import { verifyOcspResponse } from './ocsp.ts';

/** An https port of 443 is not written in a URL. */
const HTTPS_PORT = 443;

/** An RA's headers are a handful; 16 KiB is node's own limit for servers. */
const MAX_HEADER_OCTETS = 16_384;

/** A trusted root, parsed once for as many connections as there will be. */
export type TlsContext = tls.SecureContext;

/**
 * @param x509Root PEM; the only root that is trusted
 * @param maxVersion TLS 1.3 unless it is named
 */
export function tlsContext(x509Root: string, maxVersion?: 'TLSv1.2' | 'TLSv1.3'): TlsContext {
  return tls.createSecureContext({
    // Replaces the roots that node brings, and those of NODE_EXTRA_CA_CERTS.
    ca: x509Root,
    minVersion: 'TLSv1.2',
    ...(maxVersion && { maxVersion }),
  });
}

export interface TlsOptions {
  /** PEM; the only root that is trusted. */
  readonly x509Root: string;
  /** Of that root. */
  readonly context: TlsContext;
  /** Whether the RA has to staple an OCSP response that says that its certificate is good. */
  readonly ocsp: boolean;
  /** TCP. */
  readonly connectMs: number;
  /** TLS. */
  readonly handshakeMs: number;
  readonly headersMs: number;
  readonly bodyMs: number;
}

/** A connection whose handshake is over: the RA has shown the certificate that it should, nothing has been sent. */
export interface TlsConnection {
  /** The one connection as an HTTP client; it never makes a second one. */
  readonly client: Client;
  /** Whether another request may go over it. */
  isUsable(): boolean;
  close(): void;
}

/**
 * Connects, and finishes the handshake: chain, dates and name are checked by node while it lasts, the
 * dates against the clock of the machine.
 *
 * @throws what node throws, the reason of the signal, EeError `unreachable` after `connectMs` or `handshakeMs`
 */
export async function connectTls(
  origin: URL,
  options: TlsOptions,
  signal: AbortSignal,
): Promise<TlsConnection> {
  const socket = await handshake(origin, options, signal);
  let isOpen = true;
  socket.once('close', () => {
    isOpen = false;
  });
  let isTaken = false;
  const hand = (callback: buildConnector.Callback) => {
    // A second connection would be made after the request was signed, by whose time it may be too old.
    if (isTaken || !isOpen) {
      callback(new EeError('interrupted', 'expected an open connection, saw it closed'), null);
      return;
    }
    isTaken = true;
    callback(null, socket);
  };
  const client = new Client(origin, {
    // CAMP speaks HTTP/1.1.
    allowH2: false,
    headersTimeout: options.headersMs,
    bodyTimeout: options.bodyMs,
    maxHeaderSize: MAX_HEADER_OCTETS,
    // Not at once: the client does not expect to be connected while it asks for it.
    connect: (_, callback) => queueMicrotask(() => hand(callback)),
  });
  return {
    client,
    isUsable: () => isOpen && !socket.destroyed && !client.destroyed,
    close() {
      socket.destroy();
      void client.destroy().catch(() => {});
    },
  };
}

async function handshake(
  { hostname, port }: URL,
  { x509Root, context, ocsp, connectMs, handshakeMs }: TlsOptions,
  signal: AbortSignal,
): Promise<tls.TLSSocket> {
  signal.throwIfAborted();
  const host = hostname.replace(/^\[|\]$/g, '');
  const { promise, resolve, reject } = Promise.withResolvers<tls.TLSSocket>();
  // Without a session of an earlier connection, which would not have the certificate's dates checked again.
  const socket = tls.connect({
    host,
    port: port === '' ? HTTPS_PORT : Number(port),
    // A name that is sent, and compared; addresses are compared but not sent (RFC 6066 §3).
    ...(isIP(host) === 0 && { servername: host }),
    secureContext: context,
    ALPNProtocols: ['http/1.1'],
    // Said, because NODE_TLS_REJECT_UNAUTHORIZED=0 would otherwise decide.
    rejectUnauthorized: true,
    requestOCSP: ocsp,
  });
  let stapled: Buffer | null = null;
  socket.on('OCSPResponse', (response: Buffer | null) => {
    stapled = response;
  });
  const fail = (error: unknown) => {
    socket.destroy();
    reject(error);
  };
  const stop = () => fail(signal.reason);
  const giveUpAfter = (ms: number, what: string) =>
    setTimeout(() => fail(new EeError('unreachable', `expected ${what} in ${ms} ms`)), ms);
  let timer = giveUpAfter(connectMs, 'a connection to the RA');
  socket.once('connect', () => {
    clearTimeout(timer);
    timer = giveUpAfter(handshakeMs, 'a TLS handshake of the RA');
  });
  signal.addEventListener('abort', stop, { once: true });
  socket.once('error', fail);
  socket.once('close', () => reject(new Error('the connection was closed in the handshake')));
  socket.once('secureConnect', () => {
    try {
      if (ocsp) checkStapled(socket, stapled, new X509Certificate(x509Root));
      resolve(socket);
    } catch (error) {
      fail(error);
    }
  });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    socket.off('error', fail);
    // Until the HTTP client listens, a connection that breaks is seen by its being closed.
    socket.on('error', () => {});
  });
}

/** Without a response the check would be none: whoever stole the RA's key would not staple one. */
function checkStapled(
  socket: tls.TLSSocket,
  response: Uint8Array | null,
  root: X509Certificate,
): void {
  const certificate = socket.getPeerX509Certificate();
  if (response === null || certificate === undefined) {
    throw new EeError('tls', 'expected a stapled OCSP response, saw none');
  }
  const issuer = certificate.issuerCertificate ?? root;
  verifyOcspResponse(response, certificate, issuer, Date.now());
}
