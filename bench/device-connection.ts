/** A device's TLS connection, as lean as it can be: on a machine of two cores the driver is what saturates first. */
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';

/** Where a device connects to. */
export interface Target {
  readonly port: number;
  readonly tls: SecureContext;
}

export interface DeviceAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** What every vehicle speaks (seed page two); `TLSv1.3` for those to come. */
export function targetOf(
  port: number,
  ca: string,
  version: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.2',
): Target {
  const tls = createSecureContext({
    ca,
    minVersion: version,
    maxVersion: version,
    ...(version === 'TLSv1.2' && { ciphers: 'ECDHE-ECDSA-AES128-SHA256' }),
    ecdhCurve: 'P-256',
  });
  return { port, tls };
}

/** The head of a GET, and nothing that no device sends. */
export function getRequest(path: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${lines.join('')}\r\n`;
}

/** A connection that asks one thing at a time. */
export class DeviceConnection {
  readonly #socket: TLSSocket;
  #received: Buffer[] = [];
  #size = 0;
  #expected = Number.POSITIVE_INFINITY;
  #bodyAt = 0;
  #status = 0;
  #answer: ((answer: DeviceAnswer) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (octets: Buffer) => this.#take(octets));
    socket.on('error', (error) => this.#fail?.(error));
    socket.on('close', () => this.#fail?.(new Error('expected an answer, saw the end')));
  }

  /** @param onSession is given what resumes the session later */
  static open(
    { port, tls }: Target,
    session?: Buffer,
    onSession?: (session: Buffer) => void,
  ): Promise<DeviceConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port,
        servername: 'localhost',
        secureContext: tls,
        ...(session && { session }),
      });
      if (onSession) socket.on('session', onSession);
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        socket.off('error', reject);
        socket.setNoDelay(true);
        resolve(new DeviceConnection(socket));
      });
    });
  }

  get isResumed(): boolean {
    return this.#socket.isSessionReused();
  }

  /** Sends a request and resolves with its whole answer. @param octets head, and body if it has one */
  ask(octets: string | Buffer): Promise<DeviceAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) reject(new Error('expected a connection that is open'));
      this.#answer = resolve;
      this.#fail = reject;
      this.#socket.write(octets, 'latin1');
    });
  }

  close(): void {
    this.#fail = undefined;
    this.#socket.destroy();
  }

  #take(octets: Buffer): void {
    this.#received.push(octets);
    this.#size += octets.length;
    if (this.#expected === Number.POSITIVE_INFINITY) this.#readHead();
    if (this.#size < this.#expected) return;
    const body = Buffer.concat(this.#received).subarray(this.#bodyAt);
    const answer = this.#answer;
    this.#received = [];
    this.#size = 0;
    this.#expected = Number.POSITIVE_INFINITY;
    this.#answer = undefined;
    this.#fail = undefined;
    answer?.({ status: this.#status, body });
  }

  #readHead(): void {
    const text = Buffer.concat(this.#received).toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const [, length = '0'] = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end)) ?? [];
    this.#status = Number(text.slice(9, 12));
    this.#bodyAt = end + 4;
    this.#expected = this.#bodyAt + Number(length);
  }
}
