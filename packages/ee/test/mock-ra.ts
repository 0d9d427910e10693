import type { Clock } from '@chrysalis/scms';
import {
  formatHex,
  type PseudonymRequest,
  parseFileName,
  requestHash,
  timeOf,
} from '@chrysalis/scms';
import { EeError, type RaRequest, type RaResponse, type RaTransport } from '../src/index.ts';
import {
  acknowledge,
  batchEntries,
  CURRENT_I,
  type MockScms,
  NOW,
  openAsRa,
  zipOf,
} from './mock-scms.ts';

/** How far a request's time may be off, as the seed page has it. */
const TOLERANCE_SEC = 5;

export interface MockAnswer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array;
}

export interface MockRaOptions {
  readonly certDLTime?: number;
  readonly certDLURL?: string;
  /** How many periods from the current one there are batches for. */
  readonly periods?: number;
  readonly perPeriod?: number;
}

/** An RA as a device sees it: requests in, answers out, everything in memory. */
export class MockRa {
  /** Every request as it came. */
  readonly requests: RaRequest[] = [];
  /** The bodies that were accepted, by request hash. */
  readonly accepted = new Map<string, { readonly ack: Uint8Array; request: PseudonymRequest }>();
  /** Answers to give instead, each once. */
  readonly script: (MockAnswer | undefined)[] = [];
  periods: number;
  certDLURL: string;
  info: Uint8Array = Uint8Array.of(0x2b, 0x17, 0xdf, 0xae);
  readonly #scms: MockScms;
  readonly #clock: Clock;
  readonly #options: MockRaOptions;
  readonly #zips = new Map<string, Uint8Array>();

  constructor(scms: MockScms, clock: Clock, options: MockRaOptions = {}) {
    this.#scms = scms;
    this.#clock = clock;
    this.#options = options;
    this.periods = options.periods ?? 2;
    this.certDLURL = options.certDLURL ?? 'https://localhost:8892/download/batch';
  }

  handle(request: RaRequest): MockAnswer {
    this.requests.push(request);
    const scripted = this.script.shift();
    if (scripted !== undefined) return scripted;
    const { pathname } = request.url;
    if (request.method === 'POST' && pathname === '/provision-pseudonym-certificate-batch') {
      return this.#provision(request.body ?? new Uint8Array(0));
    }
    if (request.method === 'GET' && pathname === '/download/batch') return this.#batch(request);
    if (request.method === 'GET' && pathname === '/download/info') {
      this.#authenticate(request);
      return { status: 200, body: this.info };
    }
    return { status: 500 };
  }

  /** The distinct sets of keys that the RA was shown. */
  get keySets(): number {
    const seen = this.requests.flatMap(({ method, body }) => {
      if (method !== 'POST' || body === undefined) return [];
      const request = openAsRa(this.#scms, body);
      return request.type === 'pseudonym' ? [JSON.stringify(request.verifyKeyInfo)] : [];
    });
    return new Set(seen).size;
  }

  #provision(body: Uint8Array): MockAnswer {
    const hash = formatHex(requestHash(body));
    const known = this.accepted.get(hash);
    if (known !== undefined) return { status: 200, body: known.ack };
    const request = openAsRa(this.#scms, body);
    if (request.type !== 'pseudonym' || !this.#isTimely(request.currentTime))
      return { status: 500 };
    // One request in a device's life: code 5057.
    if (this.accepted.size > 0) return { status: 500 };
    const { certDLURL } = this;
    const ack = acknowledge(this.#scms, body, { ...this.#options, certDLURL });
    this.accepted.set(hash, { ack, request });
    return { status: 200, body: ack };
  }

  #batch(request: RaRequest): MockAnswer {
    const file = this.#authenticate(request);
    if (file?.type !== 'batch') return { status: 500 };
    const device = this.accepted.get(formatHex(file.requestHash));
    if (device === undefined || file.i < CURRENT_I || file.i >= CURRENT_I + this.periods) {
      return { status: 500 };
    }
    const name = `${formatHex(file.requestHash)}_${file.i}`;
    const zip =
      this.#zips.get(name) ??
      zipOf(batchEntries(this.#scms, device.request, file.i, this.#options.perPeriod ?? 3));
    this.#zips.set(name, zip);
    return rangeOf(zip, `"${name}"`, request.headers);
  }

  #authenticate(request: RaRequest) {
    const value = request.headers['Download-Req'] ?? request.headers['download-req'] ?? '';
    const opened = openAsRa(this.#scms, new Uint8Array(Buffer.from(value, 'base64')));
    if (opened.type !== 'download' || !this.#isTimely(opened.timestamp)) return undefined;
    return parseFileName(opened.filename);
  }

  #isTimely(time: number): boolean {
    return Math.abs(time - timeOf(this.#clock)) <= TOLERANCE_SEC;
  }
}

/** RFC 9110 §14: one range, honoured when If-Range names the file. */
function rangeOf(
  zip: Uint8Array,
  etag: string,
  headers: Readonly<Record<string, string>>,
): MockAnswer {
  const whole = { 'content-length': String(zip.length), etag };
  const range = headers.Range ?? headers.range;
  const isSame = (headers['If-Range'] ?? headers['if-range']) === etag;
  const [, first] = /^bytes=(\d+)-$/.exec(range ?? '') ?? [];
  if (first === undefined || !isSame) return { status: 200, headers: whole, body: zip };
  const start = Number(first);
  if (start >= zip.length) return { status: 416 };
  const body = zip.subarray(start);
  return {
    status: 206,
    headers: {
      etag,
      'content-length': String(body.length),
      'content-range': `bytes ${start}-${zip.length - 1}/${zip.length}`,
    },
    body,
  };
}

/** What may happen to an exchange on its way. */
export type Fault =
  /** Nothing arrives at the RA. */
  | 'unreachable'
  /** The RA gets the request, and the answer is lost. */
  | 'lost-answer'
  /** The body of the answer ends in the middle. */
  | 'cut-body';

/** The RA without a network, with faults on order. */
export class MockTransport implements RaTransport {
  readonly ra: MockRa;
  /** What happens to the next exchanges, one each. */
  readonly faults: (Fault | undefined)[] = [];

  constructor(ra: MockRa) {
    this.ra = ra;
  }

  async exchange(request: RaRequest): Promise<RaResponse> {
    const fault = this.faults.shift();
    if (fault === 'unreachable') throw new EeError('unreachable', 'expected a connection');
    const { status, headers = {}, body = new Uint8Array(0) } = this.ra.handle(request);
    if (fault === 'lost-answer') throw new EeError('interrupted', 'expected an answer');
    return { status, headers, body: parts(body, fault === 'cut-body'), discard: () => {} };
  }

  async close(): Promise<void> {}
}

async function* parts(body: Uint8Array, isCut: boolean): AsyncGenerator<Uint8Array> {
  const middle = body.length >> 1;
  yield body.subarray(0, middle);
  if (isCut) throw new EeError('interrupted', 'expected a whole answer');
  yield body.subarray(middle);
}

/** A clock that stands still until somebody moves it. */
export class TestClock implements Clock {
  unixMs: number;

  constructor(unixMs: number) {
    this.unixMs = unixMs;
  }

  now(): number {
    return this.unixMs;
  }

  /** Passes the time at once, and tells what was slept. */
  readonly slept: number[] = [];
  readonly sleep = async (ms: number): Promise<void> => {
    this.slept.push(ms);
    this.unixMs += ms;
  };
}

export { NOW };
