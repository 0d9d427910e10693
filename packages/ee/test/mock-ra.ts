import { Ieee1609Dot2Error } from '@chrysalis/ieee1609dot2';
import type { Clock } from '@chrysalis/scms';
import {
  type ApplicationRequest,
  type DownloadFile,
  type EeRaRequest,
  formatHex,
  type IdentificationRequest,
  type PseudonymRequest,
  parseFileName,
  requestHash,
  timeOf,
} from '@chrysalis/scms';
import {
  type CertificateKind,
  EeError,
  PATHS,
  type RaFile,
  type RaRequest,
  type RaResponse,
  type RaTransport,
  SECURED_RA_CERT_REQUEST,
} from '../src/index.ts';
import {
  acknowledge,
  applicationResponse,
  batchEntries,
  CURRENT_I,
  identificationResponse,
  type Linkage,
  type MockScms,
  NOW,
  openAsRa,
  zipOf,
} from './mock-scms.ts';

/** How far a request's time may be off, as the seed page has it. */
const TOLERANCE_SEC = 5;

/** A request as it arrives at the RA. */
export interface ArrivedRequest {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

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
  readonly linkage?: Linkage;
  /** How many identification files there are, from 0 on. */
  readonly identificationFiles?: number;
}

type ProvisioningRequest = PseudonymRequest | IdentificationRequest | ApplicationRequest;

interface Accepted {
  readonly ack: Uint8Array;
  readonly request: ProvisioningRequest;
  readonly time: number;
}

/** An RA as a device sees it: requests in, answers out, everything in memory. */
export class MockRa {
  /** Every request as it came. */
  readonly requests: ArrivedRequest[] = [];
  /** The bodies that were accepted, by request hash. */
  readonly accepted = new Map<string, Accepted>();
  /** Answers to give instead, each once. */
  readonly script: (MockAnswer | undefined)[] = [];
  /** Identification files that are not there any more, below this number. */
  purgedBelow = 0;
  periods: number;
  identificationFiles: number;
  certDLURL: string;
  info: Uint8Array = Uint8Array.of(0x2b, 0x17, 0xdf, 0xae);
  /** What POST /retrieve-ra-certificate answers; 500 without. */
  raCertificate: Uint8Array | undefined;
  /** The misbehavior reports that were taken. */
  readonly reports: Uint8Array[] = [];
  readonly files: { policy?: RaFile; chains?: RaFile; crl?: RaFile } = {};
  readonly #scms: MockScms;
  readonly #clock: Clock;
  readonly #options: MockRaOptions;
  readonly #zips = new Map<string, Uint8Array>();

  constructor(scms: MockScms, clock: Clock, options: MockRaOptions = {}) {
    this.#scms = scms;
    this.#clock = clock;
    this.#options = options;
    this.periods = options.periods ?? 2;
    this.identificationFiles = options.identificationFiles ?? 2;
    this.certDLURL = options.certDLURL ?? 'https://localhost:8892';
  }

  handle(request: ArrivedRequest): MockAnswer {
    this.requests.push(request);
    const scripted = this.script.shift();
    if (scripted !== undefined) return scripted;
    const { method, url, body = new Uint8Array(0) } = request;
    const provisioned = kindOf(PATHS.provision, url.pathname);
    if (method === 'POST' && provisioned) return this.#provision(provisioned, body);
    if (method === 'POST' && url.pathname === PATHS.raCertificate) {
      const isAsked = Buffer.compare(body, SECURED_RA_CERT_REQUEST) === 0;
      return this.raCertificate && isAsked
        ? { status: 200, body: this.raCertificate }
        : { status: 500 };
    }
    if (method === 'POST' && url.pathname === PATHS.report) {
      this.reports.push(body);
      return { status: 200 };
    }
    if (method !== 'GET') return { status: 500 };
    const downloaded = kindOf(PATHS.download, url.pathname);
    if (downloaded) return this.#download(downloaded, request);
    if (url.pathname === PATHS.policy) return this.#file('policy', request);
    if (url.pathname === PATHS.chains) return this.#file('chains', request);
    if (url.pathname === PATHS.crl) return this.#file('crl', request);
    if (url.pathname !== PATHS.info) return { status: 500 };
    this.#authenticate(request);
    return { status: 200, body: this.info };
  }

  /** The requests that came by POST, opened. */
  get asked(): EeRaRequest[] {
    return this.requests.flatMap(({ method, url, body }) =>
      method === 'POST' && body !== undefined && kindOf(PATHS.provision, url.pathname)
        ? (this.#open(body) ?? [])
        : [],
    );
  }

  /** The distinct sets of keys that the RA was shown. */
  get keySets(): number {
    const keys = this.asked.map((request) => {
      if (request.type === 'download') return '';
      return JSON.stringify(
        request.type === 'application' ? request.verifyKey : request.verifyKeyInfo,
      );
    });
    return new Set(keys).size;
  }

  /** The files that devices asked for, by name. */
  get filesAsked(): string[] {
    return this.requests.flatMap(({ method, headers }) => {
      const value = headers['Download-Req'] ?? headers['download-req'];
      if (method !== 'GET' || value === undefined) return [];
      const request = openAsRa(this.#scms, new Uint8Array(Buffer.from(value, 'base64')));
      return request.type === 'download' ? [request.filename] : [];
    });
  }

  #provision(kind: CertificateKind, body: Uint8Array): MockAnswer {
    const hash = formatHex(requestHash(body));
    const known = this.accepted.get(hash);
    if (known !== undefined) return { status: 200, body: known.ack };
    const request = this.#open(body);
    if (request === undefined || request.type === 'download' || request.type !== kind) {
      return { status: 500 };
    }
    if (!this.#isTimely(request.currentTime)) return { status: 500 };
    // One request in a device's life: code 5057. An RSE may ask in the last hour: else 5056.
    const now = timeOf(this.#clock);
    const hasOpen = [...this.accepted.values()].some(
      (other) =>
        other.request.type === kind &&
        (kind !== 'application' || now < applicationEnd(other) - 3_600),
    );
    if (hasOpen) return { status: 500 };
    const { certDLURL } = this;
    const ack = acknowledge(this.#scms, body, { ...this.#options, certDLURL, kind });
    this.accepted.set(hash, { ack, request, time: now });
    return { status: 200, body: ack };
  }

  #download(kind: CertificateKind, request: ArrivedRequest): MockAnswer {
    const file = this.#authenticate(request);
    const device = file && this.accepted.get(formatHex(file.requestHash));
    if (file === undefined || device?.request.type !== kind) return { status: 500 };
    const name = 'i' in file ? `${formatHex(file.requestHash)}_${file.i}` : 'application';
    const zip = this.#zips.get(name + device.time) ?? this.#makeZip(file, device);
    if (zip === undefined) return { status: 500 };
    this.#zips.set(name + device.time, zip);
    return rangeOf(zip, `"${name}"`, request.headers);
  }

  #makeZip(file: DownloadFile, { request, time }: Accepted): Uint8Array | undefined {
    const scms = this.#scms;
    const i = file.type === 'batch' ? file.i : 0;
    const hash = formatHex(file.requestHash);
    switch (request.type) {
      case 'pseudonym':
        if (i < CURRENT_I || i >= CURRENT_I + this.periods) return undefined;
        return zipOf(
          batchEntries(scms, request, i, this.#options.perPeriod ?? 3, this.#options.linkage),
        );
      case 'identification':
        if (i < this.purgedBelow || i >= this.identificationFiles) return undefined;
        return zipOf({ [`${hash}_${i}`]: identificationResponse(scms, request, i, time) });
      case 'application':
        return zipOf({ [hash]: applicationResponse(scms, request) });
    }
  }

  /** A file that anybody may have, under CAMP's conditional GET. */
  #file(which: 'policy' | 'chains' | 'crl', { headers }: ArrivedRequest): MockAnswer {
    const file = this.files[which];
    if (file === undefined) return { status: 500 };
    const held = headers['If-None-Match'] ?? headers['if-none-match'];
    if (held === `"${file.name}"`) return { status: 304 };
    const disposition = `attachment; filename="${file.name}"`;
    return { status: 200, headers: { 'content-disposition': disposition }, body: file.octets };
  }

  #authenticate({ headers }: ArrivedRequest): DownloadFile | undefined {
    const value = headers['Download-Req'] ?? headers['download-req'] ?? '';
    const opened = this.#open(new Uint8Array(Buffer.from(value, 'base64')));
    if (opened?.type !== 'download' || !this.#isTimely(opened.timestamp)) return undefined;
    return parseFileName(opened.filename);
  }

  /** Undefined when it is sealed to another certificate. */
  #open(octets: Uint8Array): EeRaRequest | undefined {
    try {
      return openAsRa(this.#scms, octets);
    } catch (error) {
      if (error instanceof Ieee1609Dot2Error && error.code === 'wrong-recipient') return undefined;
      throw error;
    }
  }

  #isTimely(time: number): boolean {
    return Math.abs(time - timeOf(this.#clock)) <= TOLERANCE_SEC;
  }
}

function kindOf(
  paths: Readonly<Record<CertificateKind, string>>,
  pathname: string,
): CertificateKind | undefined {
  const kinds = ['pseudonym', 'identification', 'application'] as const;
  return kinds.find((kind) => paths[kind] === pathname);
}

function applicationEnd({ request }: Accepted): number {
  return request.type === 'application' ? request.requestedStartTime + 169 * 3_600 : 0;
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
  /** There is no connection. */
  | 'unreachable'
  /** The request is made, and nothing arrives at the RA. */
  | 'lost-request'
  /** The RA gets the request, and the answer is lost. */
  | 'lost-answer'
  /** The body of the answer ends in the middle. */
  | 'cut-body';

/** The RA without a network, with faults on order. */
export class MockTransport implements RaTransport {
  readonly ra: MockRa;
  /** What happens to the next exchanges, one each. */
  readonly faults: (Fault | undefined)[] = [];
  connections = 0;

  constructor(ra: MockRa) {
    this.ra = ra;
  }

  async exchange(request: RaRequest): Promise<RaResponse> {
    const fault = this.faults.shift();
    if (fault === 'unreachable') throw new EeError('unreachable', 'expected a connection');
    this.connections += 1;
    const message = await request.message();
    if (fault === 'lost-request') throw new EeError('interrupted', 'expected an answer');
    const { method, url } = request;
    const answer = this.ra.handle({ method, url, ...message });
    const { status, headers = {}, body = new Uint8Array(0) } = answer;
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
