/** A live RA under octets that no client sends: TLS records, HTTP heads, headers and bodies, on raw sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { systemRandom } from '@chrysalis/crypto';
import { timeOf } from '@chrysalis/scms';
import { createDevice, downloadReq, pseudonymRequest, securedBy } from '../test/support/device.ts';
import { generator } from '../test/support/mutate.ts';
import { type RaFixture, startRaFixture } from '../test/support/ra-fixture.ts';
import { INTEROP_DIR, readRecordedRequest, SKIP_INTEROP } from '../test/support/recorded-scms.ts';
import { type Finding, mutant } from './fuzzer.ts';

/** Connections at a time. */
const AT_ONCE = 8;
/** A peer that says nothing more: the RA closes it later, and we do not wait. */
const PATIENCE_MS = 1000;
const REQUEST_FILE = '.request.json';
const PROVISION = '/provision-pseudonym-certificate-batch';
const random = systemRandom;

const HTTP = 'HTTP of a live RA';
const TLS = 'TLS records of a live RA';
export const LIVE_TARGETS: readonly string[] = [HTTP, TLS];

export interface Octets {
  /** One of {@link LIVE_TARGETS}. */
  readonly target: string;
  readonly octets: Uint8Array;
}

interface Attacked {
  readonly fixture: RaFixture;
  /** @throws what is a finding: an answer other than 200, 206, 304 and the bare 500, or a fault that the RA logs */
  strike(octets: Octets): Promise<void>;
  /** @throws what is a finding: an exception that nobody caught, or an honest device that is not answered */
  expectSound(): Promise<void>;
}

/** An RA of its own that is attacked, and closed afterwards. */
async function attacked<T>(use: (ra: Attacked) => Promise<T>): Promise<T> {
  const fixture = await startRaFixture({ errorDetail: 'production', policy: { weeksAhead: 1 } });
  const faults: unknown[] = [];
  const onFault = (error: unknown) => faults.push(error);
  process.on('uncaughtExceptionMonitor', onFault);
  try {
    return await use({
      fixture,
      async strike({ target, octets }) {
        const ca = target === TLS ? undefined : fixture.ca;
        const answer = await talk(fixture.ra.port, ca, octets);
        if (target !== TLS) expectPlain(answer);
        const fault = fixture.logged.find(({ level }) => level === 'error');
        assert(fault === undefined, `expected no fault of ours, saw ${fault?.message}`);
      },
      async expectSound() {
        const now = timeOf(fixture.clock);
        const honest = createDevice(fixture.scms, random, now);
        const request = pseudonymRequest(honest, now);
        const body = securedBy(honest, request, fixture.scms.ra.certificate, random);
        const { status } = await fixture.send(PROVISION, { method: 'POST', body });
        assert.equal(status, 200, 'expected 200 for an honest device');
        if (faults.length > 0) throw faults[0];
      },
    });
  } finally {
    process.off('uncaughtExceptionMonitor', onFault);
    await fixture.close();
  }
}

/** Attacks until a limit, or until something is found. */
export async function fuzzServer({
  seed,
  isOver,
}: {
  readonly seed: string;
  readonly isOver: (connections: number) => boolean;
}): Promise<{ readonly inputs: number; readonly finding: Finding | undefined }> {
  return attacked(async ({ fixture, strike, expectSound }) => {
    const now = timeOf(fixture.clock);
    const ra = fixture.scms.ra.certificate;
    const device = createDevice(fixture.scms, random, now);
    const body = securedBy(device, pseudonymRequest(device, now), ra, random);
    const own = corpusOf(body, downloadReq(device, 'AB09281C9867DE53.info', now, ra, random));
    const http = [...own, ...recordedRequests()];
    const hello = await clientHello();
    const draw = generator(seed);
    let inputs = 0;
    let finding: Finding | undefined;
    const attack = async () => {
      while (finding === undefined && !isOver(inputs)) {
        const target = draw(4) === 0 ? TLS : HTTP;
        const octets = mutant(target === TLS ? [hello] : http, draw);
        inputs += 1;
        try {
          await strike({ target, octets });
        } catch (error) {
          finding ??= { target, seed, octets, error };
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, attack));
    try {
      if (finding === undefined) await expectSound();
    } catch (error) {
      finding = { target: 'a live RA', seed, octets: new Uint8Array(0), error };
    }
    return { inputs, finding };
  });
}

/** Hands octets to a live RA again, one after another. @throws Error of the first that is still a finding */
export async function replayOnServer(all: readonly Octets[]): Promise<void> {
  await attacked(async ({ strike, expectSound }) => {
    for (const one of all) await strike(one);
    await expectSound();
  });
}

/** Requests of all paths, as they stand on the wire. */
function corpusOf(body: Uint8Array, headers: Readonly<Record<string, string>>): Uint8Array[] {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const get = (path: string, more = '') =>
    Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`);
  const post = (path: string, framing: string, octets: Uint8Array) =>
    Buffer.concat([
      Buffer.from(`POST ${path} HTTP/1.1\r\nHost: localhost\r\n${framing}\r\n\r\n`),
      octets,
    ]);
  const chunked = Buffer.concat([
    Buffer.from(`${body.length.toString(16)}\r\n`),
    body,
    Buffer.from('\r\n0\r\n\r\n'),
  ]);
  return [
    post(PROVISION, `Content-Length: ${body.length}`, body),
    post(PROVISION, 'Transfer-Encoding: chunked', chunked),
    post(PROVISION, `Content-Length: ${body.length}\r\nExpect: 100-continue`, body),
    post('/process-misbehavior-report', `Content-Length: ${body.length}`, body),
    post('/retrieve-ra-certificate', 'Content-Length: 6', Uint8Array.of(1, 0x83, 0x80, 0, 1, 0)),
    get('/retrieve-ra-certificate'),
    get('/download/info', lines.join('')),
    get('/download/batch', `${lines.join('')}Range: bytes=0-100\r\nIf-Range: "x"\r\n`),
    get('/download/policy/local', 'Range: bytes=5-\r\nIf-None-Match: "LPF"\r\n'),
    get('/download/local-certificate-chain', 'Connection: keep-alive\r\n'),
    get('http://localhost/download/info', lines.join('')),
  ];
}

/** Those of the recorded device, as it sent them, where they are. */
export function recordedRequests(): Uint8Array[] {
  if (SKIP_INTEROP !== false) return [];
  return readdirSync(join(INTEROP_DIR, 'http'))
    .filter((file) => file.endsWith(REQUEST_FILE))
    .toSorted()
    .map((file) => {
      const { method, path, headers, body } = readRecordedRequest(
        file.slice(0, -REQUEST_FILE.length),
      );
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      const head = `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
      return new Uint8Array(Buffer.concat([Buffer.from(head), body ?? new Uint8Array(0)]));
    });
}

/** The first flight of a TLS client, as it stands on the wire. */
async function clientHello(): Promise<Uint8Array> {
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

/** Sends octets, over TLS when there is a trust anchor; what comes back until the end, or within a second. */
function talk(port: number, ca: string | undefined, octets: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const options = { host: '127.0.0.1', port, servername: 'localhost' };
    const socket: Socket =
      ca === undefined
        ? connectTcp(options, () => socket.end(octets))
        : connectTls({ ...options, ca }, () => socket.end(octets));
    const end = () => {
      socket.destroy();
      resolve(Buffer.concat(chunks).toString('latin1'));
    };
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => {});
    socket.setTimeout(PATIENCE_MS, end);
    socket.on('close', end);
  });
}

/** No answer, or answers one after another that a device may get. */
function expectPlain(answer: string): void {
  if (answer === '') return;
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? '';
  const isKnown = ['100', '200', '206', '304', '500'].includes(status);
  assert(isKnown, `expected 200, 206, 304 or 500, saw ${JSON.stringify(answer.slice(0, 100))}`);
  if (status !== '500') return;
  const [head = '', rest] = answer.split('\r\n\r\n');
  assert.equal(rest, '', 'expected a bare 500');
  for (const line of head.split('\r\n').slice(1)) {
    assert.match(line, /^(connection: close|content-length: 0|date: [^\r]+)$/i);
  }
}
