/** Attacks of a device that was enrolled like any other: files of others, replays, repetition, reports. */
import { PrivateKey, systemRandom as random } from '@chrysalis/crypto';
import { encryptForCertificate, fromPoint } from '@chrysalis/ieee1609dot2';
import type { EeRaRequest } from '@chrysalis/scms';
import {
  downloadReq,
  pseudonymRequest,
  securedBy,
  signedBy,
  type TestDevice,
} from '../test/support/device.ts';
import { getOf, postOf } from '../test/support/device-line.ts';
import { type Acknowledged, type Arena, PROVISION } from './arena.ts';
import { below, octets, pick } from './chance.ts';
import type { Kind } from './kind.ts';

const REPORT = '/process-misbehavior-report';
const APPLICATION = '/provision-application-certificate';
/** The tolerance of five seconds on either side of the RA's clock, and as much again for a busy machine. */
const WINDOW_MS = 10_000;
/** An i-period of 2024: no device of today has files of those before it. */
const LONG_AGO = 0x1e0;

/** A correct request for a file, whosever it is. */
function asksFor(arena: Arena, device: TestDevice, path: string, name: string): Promise<string> {
  const headers = downloadReq(device, name, arena.now(), arena.certificate, random);
  return arena.sockets.talk(getOf(path, headers));
}

function provisions(
  arena: Arena,
  device: TestDevice,
  request: EeRaRequest,
  path = PROVISION,
): Promise<string> {
  const body = securedBy(device, request, arena.certificate, random);
  return arena.sockets.talk(postOf(path, body));
}

/** New keys under the same enrollment certificate. */
function anew(device: TestDevice): TestDevice {
  return {
    ...device,
    verifySeed: PrivateKey.generate(random),
    encryptionSeed: PrivateKey.generate(random),
  };
}

function applicationRequest(now: number): EeRaRequest {
  const point = () => fromPoint(PrivateKey.generate(random).publicPoint);
  const encryption = () => ({
    supportedSymmAlg: 0,
    publicKey: { type: 'eciesNistP256', value: point() } as const,
  });
  return {
    type: 'application',
    verifyKey: { type: 'ecdsaNistP256', value: point() },
    certEncryptionKey: encryption(),
    responseEncryptionKey: encryption(),
    currentTime: now,
    requestedStartTime: now,
  };
}

const isServed = (answer: string) => answer.startsWith('HTTP/1.1 2');

export const OF_DEVICES: readonly Kind[] = [
  {
    name: 'file of another',
    does: 'asks correctly for a batch and an .info that another device has',
    attack(arena) {
      const me = pick(arena.crowd);
      const other = pick(arena.crowd.filter((one) => one !== me));
      const [path, name] = pick<[string, string]>([
        ['/download/batch', arena.batchOf(other)],
        ['/download/info', `${other.hash}.info`],
        ['/download/batch', arena.batchOf(other).toLowerCase().replace('.ZIP', '.zip')],
      ]);
      return asksFor(arena, me.device, path, name);
    },
  },
  {
    name: 'file that is not there',
    does: 'asks for random hashes and weeks, and for its own in a service that has them not',
    attack(arena) {
      const me = pick(arena.crowd);
      const hash = Buffer.from(random(8)).toString('hex').toUpperCase();
      const [path, name] = pick<[string, string]>([
        ['/download/batch', `${hash}_1A9.zip`],
        ['/download/info', `${hash}.info`],
        ['/download/batch', `${me.hash}_${below(LONG_AGO).toString(16)}.zip`],
        ['/download/info', arena.batchOf(me)],
        ['/download/identity-certificate', `${me.hash}_0.zip`],
        ['/download/application-certificate', `${me.hash}.zip`],
      ]);
      return asksFor(arena, me.device, path, name);
    },
  },
  {
    name: 'strange file name',
    does: 'asks for paths, headers, zeros and kilobytes as file names',
    attack(arena) {
      const me = pick(arena.crowd);
      const name = pick([
        '../'.repeat(20),
        '/etc/passwd',
        `${me.hash}.info\r\nX: y`,
        `${me.hash}.info\u0000`,
        `"${me.hash}.info"`,
        `${me.hash}_.zip`,
        `${me.hash}_FFFFFFFFF.zip`,
        'x'.repeat(200),
        Buffer.from(octets(40)).toString('latin1'),
        '',
      ]);
      return asksFor(arena, me.device, pick(['/download/batch', '/download/info']), name);
    },
  },
  {
    name: 'replayed registration',
    does: 'sends the very octets of a request that was acknowledged, again and again',
    mayGet: [200, 500],
    async attack(arena) {
      const of: Acknowledged = pick([arena.me, arena.other]);
      const answer = await arena.sockets.talk(postOf(PROVISION, of.body));
      const ack = Buffer.from(of.ack).toString('latin1');
      if (isServed(answer) && !answer.endsWith(ack)) {
        throw new Error('expected the same acknowledgement, saw another');
      }
      return answer;
    },
  },
  {
    name: 'replayed download',
    does: 'sends a Download-Req that it has seen, within its five seconds and long after',
    mayGet: [200, 500],
    async attack(arena) {
      const { octets: captured, atMs } = arena.captured;
      const isOver = performance.now() - atMs > WINDOW_MS;
      const answer = await arena.sockets.talk(captured);
      if (isOver && isServed(answer)) throw new Error('expected a refusal after the window');
      return answer;
    },
  },
  {
    name: 'same request anew',
    does: 'seals the same signed request in one envelope after the other (5057)',
    mayGet: [200, 500],
    async attack(arena) {
      const { same } = arena.annoying;
      const signed = signedBy(same, pseudonymRequest(same, arena.now()));
      const send = () =>
        arena.sockets.talk(
          postOf(PROVISION, encryptForCertificate(signed, arena.certificate, random)),
        );
      await send();
      // Served if another attack has renamed the registration between the two: docs/decisions/0005-repeated-requests.md.
      const answer = await send();
      return answer;
    },
  },
  {
    name: 'keys over and over',
    does: 'asks under one enrollment certificate with other keys each time (5057, 5071)',
    mayGet: [200, 500],
    attack(arena) {
      const device = anew(arena.annoying.keys);
      return provisions(arena, device, pseudonymRequest(device, arena.now()));
    },
  },
  {
    name: 'application certificates too early',
    does: 'asks for application certificates before the one before is near its end (5056)',
    mayGet: [200, 500],
    attack(arena) {
      const request = applicationRequest(arena.now());
      return provisions(arena, arena.annoying.early, request, APPLICATION);
    },
  },
  {
    name: 'more tries than allowed',
    does: 'fails at provisioning without end: weeks ago, of another kind, at the wrong service (5071)',
    mayGet: [500],
    attack(arena) {
      const { tries } = arena.annoying;
      const wrong = { ...pseudonymRequest(tries, arena.now()), requestedStartTime: 0xffff_ffff };
      const path = pick([PROVISION, APPLICATION]);
      return provisions(arena, tries, wrong, path);
    },
  },
  {
    name: 'blacklisted device',
    does: 'goes on as if it were not on the blacklist',
    attack(arena) {
      const { blacklisted } = arena;
      if (below(2) === 0) {
        return provisions(arena, blacklisted, pseudonymRequest(blacklisted, arena.now()));
      }
      return asksFor(arena, blacklisted, '/download/batch', arena.batchOf(arena.me));
    },
  },
  {
    name: 'flood of reports',
    does: 'encrypts nonsense of up to 60 kB to the MA, more than the RA takes in a minute',
    mayGet: [200, 500],
    attack(arena) {
      const size = pick([10, 1000, 60_000]);
      const report = encryptForCertificate(octets(size), arena.ra.scms.ma.certificate, random);
      return arena.sockets.talk(postOf(REPORT, report));
    },
  },
  {
    name: 'broken reports',
    does: 'posts what is no report, or one to somebody else, of up to 70 kB',
    attack(arena) {
      const elsewhere = arena.elsewhere.ma.certificate;
      const body = pick([
        () => octets(1000),
        () => random(70_000),
        () => encryptForCertificate(octets(100), elsewhere, random),
        () => encryptForCertificate(octets(100), elsewhere, random).subarray(0, 80),
      ])();
      return arena.sockets.talk(postOf(REPORT, body));
    },
  },
];
