import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';

/** An answer as it came: nothing is added, joined or interpreted but the length of the body. */
export interface WireAnswer {
  /** `HTTP/1.1 200 OK` */
  readonly statusLine: string;
  /** Values by name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** One TLS connection, with only `ca` as trust anchor, on which each octet of a request is the test's. */
export class WireClient {
  readonly #socket: TLSSocket;
  readonly #octets: AsyncIterator<Buffer>;
  #unread: Buffer = Buffer.alloc(0);

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.#octets = socket[Symbol.asyncIterator]();
  }

  static async connect(port: number, ca: string): Promise<WireClient> {
    const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca });
    await once(socket, 'secureConnect');
    return new WireClient(socket);
  }

  /**
   * Sends a request and reads its answer.
   *
   * @param lines the request line and the headers; Host and, with a body, Content-Length are added
   */
  async exchange(lines: readonly string[], body?: Uint8Array): Promise<WireAnswer> {
    this.#send(lines, body);
    const head = await this.#head();
    const isBare = lines[0]?.startsWith('HEAD ') || head.statusLine.startsWith('HTTP/1.1 304');
    const count = isBare ? 0 : Number(head.headers['content-length']);
    return { ...head, body: await this.#take(count) };
  }

  /** Sends a request, and hangs up after so many octets of the answer's body, which it returns. */
  async breakOff(lines: readonly string[], octets: number): Promise<Uint8Array> {
    this.#send(lines);
    await this.#head();
    const body = await this.#take(octets);
    this.hangUp();
    return body;
  }

  /** Resolves when the peer has closed the connection. @throws Error when it says anything more */
  async closed(): Promise<void> {
    const { done } = await this.#octets.next();
    if (!done || this.#unread.length > 0) throw new Error('expected the end of the connection');
  }

  /** As a device that drives into a tunnel. */
  hangUp(): void {
    this.#socket.destroy();
  }

  #send(lines: readonly string[], body?: Uint8Array): void {
    const length = body === undefined ? [] : [`Content-Length: ${body.length}`];
    const head = [...lines, 'Host: localhost', ...length, '', ''].join('\r\n');
    this.#socket.write(Buffer.concat([Buffer.from(head), body ?? Buffer.alloc(0)]));
  }

  async #head(): Promise<Omit<WireAnswer, 'body'>> {
    let end = this.#unread.indexOf(HEAD_END);
    while (end < 0) {
      await this.#read();
      end = this.#unread.indexOf(HEAD_END);
    }
    const [statusLine = '', ...lines] = this.#unread
      .subarray(0, end)
      .toString('latin1')
      .split('\r\n');
    this.#unread = this.#unread.subarray(end + HEAD_END.length);
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const [, name = '', value = ''] = /^([^:]+): (.*)$/.exec(line) ?? [];
      if (name === '' || name.toLowerCase() in headers) {
        throw new Error(`expected headers, each once, saw ${JSON.stringify(lines)}`);
      }
      headers[name.toLowerCase()] = value;
    }
    return { statusLine, headers };
  }

  async #take(count: number): Promise<Uint8Array> {
    while (this.#unread.length < count) await this.#read();
    const taken = this.#unread.subarray(0, count);
    this.#unread = this.#unread.subarray(count);
    return new Uint8Array(taken);
  }

  async #read(): Promise<void> {
    const { value, done } = await this.#octets.next();
    if (done)
      throw new Error(`expected an answer, saw the end after ${this.#unread.length} octets`);
    this.#unread = Buffer.concat([this.#unread, value]);
  }
}
