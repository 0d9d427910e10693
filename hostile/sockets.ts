/** Connections on which each octet is the attacker's. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';

/** Beyond, an attacker has heard nothing: on a machine that is busy an answer may be long in coming. */
const PATIENCE_MS = 60_000;
/** An attacker keeps no more than this of what it is told. */
const KEPT_OCTETS = 1_000_000;

/** After the last octet of an answer, and when none comes: what was sent may be half of a request. */
const SETTLED_MS = 50;
const SILENT_MS = 3000;

export interface Talk {
  /** Closes the connection after so many octets were sent, without a word. */
  readonly cutAfter?: number;
  /** Closes its half at once: what it sent is no whole request, and nothing more will come. */
  readonly ends?: boolean;
  readonly port?: number;
}

/** Which kind of attack runs: connections are opened on its behalf. */
export const attacking = new AsyncLocalStorage<string>();

export class Sockets {
  readonly #port: number;
  /** By local ports, the kind that had each last. */
  readonly #kinds = new Map<number, string>();
  readonly #context: SecureContext;
  #session: Buffer | undefined;

  constructor(port: number, ca: string) {
    this.#port = port;
    this.#context = createSecureContext({ ca, maxVersion: 'TLSv1.2' });
  }

  /** The kind of attack that a port of ours was used by last. */
  kindOf(localPort: number): string | undefined {
    return this.#kinds.get(localPort);
  }

  tcp(port = this.#port): Socket {
    const socket = connectTcp({ host: '127.0.0.1', port });
    socket.on('error', () => {});
    this.#note(socket);
    return socket;
  }

  /** Resumes the session before: an attacker does not pay for signatures that it need not have. */
  tls(port = this.#port, below?: Socket) {
    const session = port === this.#port ? this.#session : undefined;
    const socket = connectTls({
      ...(below === undefined ? { host: '127.0.0.1', port } : { socket: below }),
      servername: 'localhost',
      secureContext: this.#context,
      ...(session && { session }),
    });
    socket.on('error', () => {});
    if (below === undefined) this.#note(socket);
    if (port === this.#port) {
      socket.once('session', (fresh) => {
        this.#session = fresh;
      });
    }
    return socket;
  }

  /** Sends octets over TLS; what comes until the end. */
  async talk(octets: Uint8Array, how: Talk = {}): Promise<string> {
    const socket = this.tls(how.port);
    const answer = allOf(socket);
    socket.once('secureConnect', () => send(socket, octets, how));
    return answer;
  }

  /** The same without TLS. */
  async talkPlain(octets: Uint8Array, how: Talk = {}): Promise<string> {
    const socket = this.tcp(how.port);
    const answer = allOf(socket);
    socket.once('connect', () => send(socket, octets, how));
    return answer;
  }

  #note(socket: Socket): void {
    const kind = attacking.getStore() ?? 'an attacker before the attack';
    socket.once('connect', () => this.#kinds.set(socket.localPort ?? 0, kind));
  }

  /** The first flight of a TLS client. */
  static async clientHello(): Promise<Uint8Array> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connectTls({ host: '127.0.0.1', port, servername: 'localhost' });
    client.on('error', () => {});
    const [socket] = await accepted;
    const [octets] = (await once(socket, 'data')) as [Buffer];
    client.destroy();
    socket.destroy();
    server.close();
    return new Uint8Array(octets);
  }
}

function send(socket: Socket, octets: Uint8Array, { cutAfter, ends = false }: Talk): void {
  if (cutAfter !== undefined) {
    socket.write(octets.subarray(0, cutAfter), () => socket.destroy());
    return;
  }
  if (ends) {
    socket.end(octets);
    return;
  }
  socket.write(octets);
  // A refusal closes the connection; after any other answer it is ours to close.
  let timer = setTimeout(() => socket.end(), SILENT_MS);
  socket.on('data', () => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.end(), SETTLED_MS);
  });
  socket.once('close', () => clearTimeout(timer));
}

/** What the peer says until the connection ends. Says so when it does not. */
export function allOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let seen = '';
    socket.on('data', (chunk: Buffer) => {
      if (seen.length < KEPT_OCTETS) seen += chunk.toString('latin1');
    });
    const timer = setTimeout(() => {
      socket.destroy();
      resolve(`no end within ${PATIENCE_MS} ms: ${seen}`);
    }, PATIENCE_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(seen);
    });
  });
}
