/**
 * Hostile requests over real TLS: truncated, mutated, random, cut off. Each gets the bare 500 or nothing; none is a fault
 * of ours, and none costs a device its answer. CHRYSALIS_HOSTILE_ROUNDS makes it longer.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { encode } from '@chrysalis/coer';
import { systemRandom } from '@chrysalis/crypto';
import { encryptForCertificate, Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import { timeOf } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  signedBy,
  type TestDevice,
} from './support/device.ts';
import { type RaFixture, startRaFixture } from './support/ra-fixture.ts';

const ROUNDS = Number(process.env.CHRYSALIS_HOSTILE_ROUNDS ?? 400);
const AT_ONCE = 8;
const PROVISION = '/provision-pseudonym-certificate-batch';
const random = systemRandom;

let fixture: RaFixture;
let device: TestDevice;
let name: string;

before(async () => {
  fixture = await startRaFixture({ errorDetail: 'production', policy: { weeksAhead: 1 } });
  const now = timeOf(fixture.clock);
  device = createDevice(fixture.scms, random, now);
  const body = securedBy(device, pseudonymRequest(device, now), ra(), random);
  const ack = await fixture.send(PROVISION, { method: 'POST', body });
  name = `${Buffer.from(ack.body.subarray(12, 20)).toString('hex')}.info`;
});
after(() => fixture.close());

const ra = () => fixture.scms.ra.certificate;
const now = () => timeOf(fixture.clock);
const below = (n: number) => Buffer.from(random(4)).readUInt32BE() % n;
const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;

/** Flips, cuts, repeats or inserts, a few times. */
function mutate(octets: Uint8Array): Uint8Array {
  let mutated = [...octets];
  for (let n = below(3); n >= 0; n--) {
    const at = below(mutated.length || 1);
    const change = pick(['flip', 'set', 'cut', 'drop', 'insert', 'repeat'] as const);
    if (change === 'flip') mutated[at] = (mutated[at] ?? 0) ^ (1 << below(8));
    if (change === 'set') mutated[at] = pick([0, 1, 0x7f, 0x80, 0xff]);
    if (change === 'cut') mutated = mutated.slice(0, at);
    if (change === 'drop') mutated.splice(at, 1 + below(8));
    if (change === 'insert') mutated.splice(at, 0, ...random(1 + below(8)));
    if (change === 'repeat') mutated.splice(at, 0, ...mutated.slice(at, at + below(64)));
  }
  return Uint8Array.from(mutated);
}

const post = (body: Uint8Array, path = PROVISION) =>
  Buffer.concat([
    Buffer.from(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`),
    body,
  ]);
const get = (header: string, path = '/download/info') =>
  Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\nDownload-Req: ${header}\r\n\r\n`);
const base64 = (octets: Uint8Array) => Buffer.from(octets).toString('base64');
const request = () =>
  pick([
    pseudonymRequest(device, now()),
    { type: 'download', timestamp: now(), filename: name } as const,
  ]);
/** A correct envelope around something that is not. */
const sealed = (octets: Uint8Array) => encryptForCertificate(octets, ra(), random);

const KINDS: Record<string, () => Buffer> = {
  'random octets': () => Buffer.from(random(below(300))),
  'a random body': () => post(random(below(2000))),
  'a random header': () => get(Buffer.from(random(below(600))).toString('latin1')),
  'random base64': () => get(base64(random(below(600)))),
  'a mutated envelope in a body': () => post(mutate(securedBy(device, request(), ra(), random))),
  'a mutated envelope in a header': () =>
    get(base64(mutate(securedBy(device, request(), ra(), random)))),
  'a mutated request in a correct envelope': () => {
    const octets = sealed(mutate(signedBy(device, request())));
    return pick([() => post(octets), () => get(base64(octets))])();
  },
  'a mutated SignedCertificateRequest in correct envelopes': () => {
    const inner = signedBy(device, request()).subarray(4);
    const value = mutate(inner);
    const data = { protocolVersion: 3, content: { type: 'signedCertificateRequest', value } };
    const octets = sealed(encode(Ieee1609Dot2Data, data as never));
    return pick([() => post(octets), () => get(base64(octets))])();
  },
  'an envelope in an envelope': () => post(sealed(sealed(signedBy(device, request())))),
  'a strange file name': () => {
    const filename = Buffer.from(random(below(40))).toString('latin1');
    const strange = pick([
      filename,
      `${name}\r\nX: y`,
      `"${name}"`,
      `${name}\u0000`,
      '../'.repeat(20),
    ]);
    return get(downloadReq(device, strange, now(), ra(), random)['Download-Req'] ?? '');
  },
  'a strange time': () => {
    const time = pick([0, 1, now() - 6, now() + 6, 0xffff_ffff]);
    const ask = { ...pseudonymRequest(device, time), requestedStartTime: pick([0, 0xffff_ffff]) };
    return post(securedBy(createDevice(fixture.scms, random, now()), ask, ra(), random));
  },
  'a mutated head': () => {
    const { 'Download-Req': header = '' } = downloadReq(device, name, now(), ra(), random);
    const head = get(header, pick(['/download/info', '/download/batch', '/download/info/', '//']));
    return Buffer.from(mutate(head));
  },
  'a mutated request for the RA certificate': () =>
    post(mutate(Uint8Array.of(3, 0x80, 5, 1, 0x83, 0x80, 0, 1)), '/retrieve-ra-certificate'),
};

/** What comes back; the client ends its half, or cuts the connection in the middle. */
function talk(octets: Buffer, cutAfter?: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(
      { port: fixture.ra.port, servername: 'localhost', ca: fixture.ca },
      () => {
        if (cutAfter === undefined) return socket.end(octets);
        socket.write(octets.subarray(0, cutAfter), () => socket.destroy());
      },
    );
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => {});
    socket.setTimeout(5000, () => resolve('expected an answer or an end within five seconds'));
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}

const HEAD_500 = /^HTTP\/1\.1 500 Internal Server Error\r\n/;
const SAID_IN_500 = /^(connection: close|content-length: 0|date: [^\r]+)$/i;

function checkAnswer(answer: string, kind: string): void {
  if (answer === '') return;
  const status = /^HTTP\/1\.1 (\d+) /.exec(answer)?.[1];
  assert(status === '200' || status === '500', `${kind}: ${answer.slice(0, 200)}`);
  if (status === '200') return;
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  assert.match(answer, HEAD_500);
  assert.deepEqual(rest, [''], kind);
  for (const line of head.split('\r\n').slice(1)) assert.match(line, SAID_IN_500, kind);
}

describe('hostile requests', () => {
  it(`${ROUNDS} of them: the bare 500 or nothing, and no fault of ours`, async () => {
    const kinds = Object.entries(KINDS);
    let round = 0;
    const attack = async () => {
      while (round < ROUNDS) {
        const [kind, make] = kinds[round++ % kinds.length]!;
        const octets = make();
        const cutAfter = below(4) === 0 ? below(octets.length + 1) : undefined;
        checkAnswer(await talk(octets, cutAfter), kind);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, attack));
    const faults = fixture.logged.filter(({ level }) => level === 'error');
    assert.deepEqual(faults, []);
    const answer = await fixture.send('/download/info', {
      headers: downloadReq(device, name, now(), ra(), random),
    });
    assert.equal(answer.status, 200);
  });
});
