import type { Server } from 'node:https';
import type { Socket } from 'node:net';

/** How many connections an RA bears, from all together: never by address, for a fleet comes through one proxy. */
export interface ConnectionLimits {
  /** Open at once. */
  readonly connections: number;
  /** Of these, with a TLS handshake that is not over. */
  readonly handshakes: number;
}

/** Some 50 kB each, so 250 MB at the most. A handshake takes a round trip or two of the network. */
const DEFAULTS: ConnectionLimits = { connections: 5000, handshakes: 500 };
/** Requests of one connection that are under way. Devices send one after the other; browsers of old sent some at once. */
const MAX_PIPELINED = 16;
/** What requests under way get when the RA stops. Each takes milliseconds once it is here. */
const CLOSE_GRACE_MS = 2000;
/** An answer that nobody has taken after so long is given up. Policy and chain files take a minute at 10 kbit/s. */
const TAKE_ANSWER_MS = 300_000;

/** The socket of a connection, and where its peer is. */
type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

interface Connection {
  readonly socket: Socket;
  /** Where its peer is. */
  readonly name: string;
  /** Requests whose answers have not been handed over. */
  underWay: number;
  /** Of these, requests that are complete, and whose answers are being made. */
  working: number;
  /** It was refused something: the answer closes it. */
  isRefused: boolean;
  /** A refusal has gone out, and nothing comes after it. */
  isOver: boolean;
  slowReader: NodeJS.Timeout | undefined;
}

/**
 * The connections of a server. When there are too many, the one goes that has waited longest for its peer, be it in a
 * handshake, a request, the taking of an answer or between requests: a flood of such connections pushes itself out, and a
 * device that does what it came for stays. What is sent bit by bit does not make a connection younger.
 */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #open = new Set<Connection>();
  /** By their peers' names, in the order in which they began. */
  readonly #handshakes = new Map<string, Connection>();
  /** By the sockets that requests come on, for those whose handshake is over. */
  readonly #secured = new WeakMap<Peer, Connection>();
  /** Those that wait for their peers, the one that has waited longest first. */
  readonly #waiting = new Set<Connection>();
  readonly #closed = { connections: 0, handshakes: 0 };
  #isLeaving = false;
  #graceMs = CLOSE_GRACE_MS;

  constructor(limits: Partial<ConnectionLimits> = {}) {
    this.#limits = { ...DEFAULTS, ...limits };
  }

  get open(): number {
    return this.#open.size;
  }

  /** TLS handshakes that are not over. */
  get handshakes(): number {
    return this.#handshakes.size;
  }

  /** Connections that were closed because there were too many, by the limit that they would have exceeded. */
  get closed(): Readonly<Record<keyof ConnectionLimits, number>> {
    return this.#closed;
  }

  /** From here on each answer closes its connection: the next request of the device comes to another process. */
  leave(graceMs: number): void {
    this.#isLeaving = true;
    this.#graceMs = graceMs;
  }

  /** What requests under way get when the server closes. */
  get graceMs(): number {
    return this.#graceMs;
  }

  /** Watches a server that does not listen yet. */
  watch(server: Server): void {
    // TLS begins in a listener of the server itself: it must not see a socket that is closed already.
    const accept = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      if (!this.#admit(socket)) return;
      for (const listener of accept) listener.call(server, socket);
    });
    server.prependListener('request', (_request, response) => {
      if (this.#isLeaving) response.shouldKeepAlive = false;
    });
    server.on('secureConnection', (socket) => this.#secure(socket));
  }

  /**
   * The head of a request is here.
   *
   * @returns false when nothing is to be done: the connection was refused something before, and is about to be closed, or
   *   sends more requests at once than any device, and is closed
   */
  begin(peer: Peer): boolean {
    const connection = this.#secured.get(peer);
    if (connection === undefined || connection.isRefused) return false;
    connection.underWay++;
    if (connection.underWay <= MAX_PIPELINED) return true;
    connection.socket.destroy();
    return false;
  }

  /** All of a request is here: until it is answered, the connection waits for us. */
  work(peer: Peer): void {
    const connection = this.#secured.get(peer);
    if (connection === undefined) return;
    connection.working++;
    this.#waiting.delete(connection);
  }

  /** The answer is made: from here on we wait for the peer to take it. */
  answer(peer: Peer): void {
    const connection = this.#secured.get(peer);
    // A peer that has gone meanwhile is not waited for: nothing would end that.
    if (connection === undefined || !this.#open.has(connection)) return;
    connection.working = Math.max(0, connection.working - 1);
    if (connection.working === 0) this.#waitForPeer(connection);
    clearTimeout(connection.slowReader);
    connection.slowReader = setTimeout(() => connection.socket.destroy(), TAKE_ANSWER_MS).unref();
  }

  /** The answer is handed over. */
  end(peer: Peer): void {
    const connection = this.#secured.get(peer);
    if (connection === undefined) return;
    connection.underWay--;
    if (connection.underWay === 0) clearTimeout(connection.slowReader);
  }

  /**
   * What comes on this connection from now on is not looked at: it is closed with the refusal.
   *
   * @returns false when it is so already, or closed
   */
  refuse(peer: Peer): boolean {
    const connection = this.#secured.get(peer);
    if (connection === undefined || connection.isRefused) return false;
    connection.isRefused = true;
    return true;
  }

  /**
   * A refusal goes out now, and closes the connection.
   *
   * @returns false when one has gone out before: a peer is told once
   */
  sayLast(peer: Peer): boolean {
    const connection = this.#secured.get(peer);
    if (connection === undefined || connection.isOver) return false;
    connection.isOver = true;
    return true;
  }

  closeAll(): void {
    for (const { socket } of this.#open) socket.destroy();
  }

  #admit(socket: Socket): boolean {
    const { remotePort } = socket;
    // Reset before it was accepted.
    if (remotePort === undefined || !this.#makeRoom()) {
      socket.destroy();
      return false;
    }
    const name = nameOf(socket);
    // Its peer has taken the port again: what went before is over, though we have not read that yet.
    this.#handshakes.get(name)?.socket.destroy();
    this.#handshakes.delete(name);
    const connection: Connection = {
      socket,
      name,
      underWay: 0,
      working: 0,
      isRefused: false,
      isOver: false,
      slowReader: undefined,
    };
    this.#open.add(connection);
    this.#handshakes.set(name, connection);
    this.#waiting.add(connection);
    socket.once('close', () => {
      clearTimeout(connection.slowReader);
      this.#forget(connection);
    });
    return true;
  }

  /**
   * Node tells no relation between a TLSSocket and the Socket below it, but that both have one peer. A name is good for that
   * while the handshake lasts; later another connection may have it, before we have read that this one has ended.
   */
  #secure(socket: Socket): void {
    const name = nameOf(socket);
    const connection = this.#handshakes.get(name);
    // Reset in its handshake: it has no peer any more.
    if (connection === undefined) return void socket.destroy();
    this.#handshakes.delete(name);
    this.#secured.set(socket, connection);
    this.#waitForPeer(connection);
  }

  /** False when all connections wait for us. */
  #makeRoom(): boolean {
    const [slowest] = this.#handshakes.values();
    if (slowest && this.#handshakes.size >= this.#limits.handshakes) {
      this.#close(slowest, 'handshakes');
    }
    if (this.#open.size < this.#limits.connections) return true;
    const [longest] = this.#waiting;
    if (longest) this.#close(longest, 'connections');
    else this.#closed.connections++;
    return longest !== undefined;
  }

  #close(connection: Connection, limit: keyof ConnectionLimits): void {
    this.#closed[limit]++;
    // Counted as gone at once: `close` comes later.
    this.#forget(connection);
    connection.socket.destroy();
  }

  #forget(connection: Connection): void {
    this.#open.delete(connection);
    this.#waiting.delete(connection);
    const { name } = connection;
    if (this.#handshakes.get(name) === connection) this.#handshakes.delete(name);
  }

  #waitForPeer(connection: Connection): void {
    this.#waiting.delete(connection);
    this.#waiting.add(connection);
  }
}

function nameOf({ remoteAddress, remotePort }: Peer): string {
  return `${remoteAddress} ${remotePort}`;
}
