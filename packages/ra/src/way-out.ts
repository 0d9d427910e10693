import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Door, WireRefusal } from './door.ts';
import type { Guards } from './guards.ts';
import { Refusal } from './refusal.ts';
import type { Arrival } from './refusal-tick.ts';

/** A request that is to be refused. */
export interface Departing {
  readonly socket: Socket;
  readonly method: string;
  readonly url: string;
  /** Undefined when no service of ours was asked for. */
  readonly route: string | undefined;
  /** Undefined when it was refused before it became a request. */
  readonly arrival: Arrival | undefined;
  readonly secondsSinceArrival: number;
}

/** Longest part of a URL that is looked at: whoever asks for more asks for nothing of ours. */
const MAX_PATH = 100;

/** The only way out for what is no answer: what it says is the door's, and when the tick's. */
export class WayOut {
  readonly #door: Door;
  readonly #guards: Guards;

  constructor(door: Door, guards: Guards) {
    this.#door = door;
    this.#guards = guards;
  }

  /** @param answer sends the refusal; called on the tick, or never */
  refuse(
    error: unknown,
    { socket, method, url, route, arrival, secondsSinceArrival }: Departing,
    answer: (refusal: WireRefusal) => void,
  ): void {
    const { tick, connections, metrics } = this.#guards;
    connections.refuse(socket);
    metrics?.refused(route, error, secondsSinceArrival);
    const refusal = this.#door.refuse(error, { method, path: url.slice(0, MAX_PATH) });
    (arrival ?? tick.arrive()).refuse(
      () => {
        connections.sayLast(socket);
        answer(refusal);
      },
      () => void socket.destroy(),
    );
  }

  /** For connections that never became a request: the same answer, written by hand. */
  refuseOnSocket(duplex: Duplex, seen: string): void {
    const { tick, connections, metrics } = this.#guards;
    const error = new Refusal('raWrongParameters', `expected a request, saw ${seen}`);
    const socket = duplex as Socket;
    // More of what was refused already comes until the tick.
    if (socket.destroyed || !connections.refuse(socket)) return;
    // Our half is closed: when its last octets are taken the whole is, for Node has let go of it.
    if (!socket.writable) return void socket.destroySoon();
    metrics?.refused(undefined, error, 0);
    const { headers } = this.#door.refuse(error, { method: '', path: '' });
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `HTTP/1.1 500 Internal Server Error\r\n${lines.join('')}content-length: 0\r\n`;
    const answer = () => {
      if (socket.destroyed) return;
      // A request of before was refused meanwhile: its answer closes the connection.
      if (!socket.writable || !connections.sayLast(socket)) return void socket.destroySoon();
      const date = `date: ${new Date().toUTCString()}\r\n`;
      // Node has let go of these sockets: nobody else would close one whose peer keeps its half open.
      socket.end(`${head}${date}\r\n`, () => socket.destroy());
    };
    tick.arrive().refuse(answer, () => void socket.destroy());
  }
}
