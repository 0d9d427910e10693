/** The connection of a device as cheap as it can be made: thousands of them come from one process. */
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';

export interface LineAnswer {
  readonly status: number;
  readonly body: Uint8Array;
  /** From the request until all of the answer was here. */
  readonly ms: number;
}

const HEAD_END = '\r\n\r\n';

/** Where devices find an RA, and the TLS session that they resume, as devices that come back within the hour do. */
export class LineFactory {
  readonly #port: number;
  readonly #context: SecureContext;
  readonly #resumes: boolean;
  #session: Buffer | undefined;

  constructor(port: number, ca: string, { resumes = true } = {}) {
    this.#port = port;
    // What fielded devices speak.
    this.#context = createSecureContext({ ca, maxVersion: 'TLSv1.2' });
    this.#resumes = resumes;
  }

  /** Resolves when the handshake is over. @throws Error when there is none */
  open(signal?: AbortSignal): Promise<DeviceLine> {
    const { promise, resolve, reject } = Promise.withResolvers<DeviceLine>();
    const socket = connect({
      host: '127.0.0.1',
      port: this.#port,
      servername: 'localhost',
      secureContext: this.#context,
      ...(this.#resumes && this.#session && { session: this.#session }),
    });
    const abort = () => socket.destroy(new Error('gave up'));
    signal?.addEventListener('abort', abort, { once: true });
    socket.once('session', (session) => {
      this.#session = session;
    });
    socket.once('error', reject);
    socket.once('close', () => {
      signal?.removeEventListener('abort', abort);
      reject(new Error('expected a handshake, saw the end'));
    });
    socket.once('secureConnect', () => resolve(new DeviceLine(socket)));
    return promise;
  }
}

/** One TLS connection: a request, its answer, the next request. */
export class DeviceLine {
  readonly #socket: TLSSocket;
  #unread: Buffer = Buffer.alloc(0);
  #waiting: { resolve(answer: LineAnswer): void; reject(error: Error): void } | undefined;
  #sentAt = 0;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
      this.#look();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('expected an answer, saw the end')));
  }

  /** @throws Error when the connection ends before the answer does */
  ask(octets: Uint8Array): Promise<LineAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (this.#socket.destroyed) return this.#fail(new Error('expected a connection, saw none'));
      this.#sentAt = performance.now();
      this.#socket.write(octets);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #look(): void {
    const end = this.#unread.indexOf(HEAD_END);
    if (end < 0) return;
    const head = this.#unread.toString('latin1', 0, end);
    const status = Number(head.slice(9, 12));
    const length = status === 304 ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const from = end + HEAD_END.length;
    if (this.#unread.length < from + length) return;
    const body = new Uint8Array(this.#unread.subarray(from, from + length));
    this.#unread = this.#unread.subarray(from + length);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ status, body, ms: performance.now() - this.#sentAt });
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }
}

/** A GET as it stands on the wire. */
export function getOf(path: string, headers: Readonly<Record<string, string>> = {}): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lines.join('')}\r\n`, 'latin1');
}

/** A POST as it stands on the wire. */
export function postOf(
  path: string,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = { 'Content-Type': 'application/octet-stream' },
): Buffer {
  const lines = Object.entries({ ...headers, 'Content-Length': `${body.length}` });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.concat([
    Buffer.from(`POST ${path} HTTP/1.1\r\nHost: localhost\r\n${head}\r\n`, 'latin1'),
    body,
  ]);
}
