/** What an attacker has: the address of an RA, its certificate, and devices of its own that were enrolled like any other. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTestScms, type TestScms } from '@chrysalis/authorities';
import { systemRandom } from '@chrysalis/crypto';
import type { HashedCertificate, Time32 } from '@chrysalis/ieee1609dot2';
import { IPeriodClock, systemClock, timeOf } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from '../test/support/device.ts';
import { getOf, type LineAnswer, LineFactory, postOf } from '../test/support/device-line.ts';
import type { LiveRa } from '../test/support/live-ra.ts';
import { Sockets } from './sockets.ts';

export const PROVISION = '/provision-pseudonym-certificate-batch';
const random = systemRandom;
const YEAR_SEC = 31_557_600;
const PAUSE_MS = 100;

/** A device of the attacker that the RA has acknowledged, and whose files are there. */
export interface Acknowledged {
  readonly device: TestDevice;
  /** As it was sent. */
  readonly body: Uint8Array;
  readonly ack: Uint8Array;
  readonly hash: string;
}

/** A Download-Req that was signed once. */
export interface Captured {
  readonly octets: Uint8Array;
  readonly atMs: number;
}

export interface Arena {
  readonly ra: LiveRa;
  readonly sockets: Sockets;
  /** How long a slow attack holds what it holds. */
  readonly holdMs: number;
  readonly certificate: HashedCertificate;
  readonly me: Acknowledged;
  readonly other: Acknowledged;
  /** These two and more: many failures of one device would be refused before they are looked at. */
  readonly crowd: readonly Acknowledged[];
  /** Enrolled, and on the blacklist since. */
  readonly blacklisted: TestDevice;
  readonly expired: TestDevice;
  /** Enrolled by an ECA under a root that the RA does not know. */
  readonly stranger: TestDevice;
  /** Devices that are there to be refused: each uses up its own tries. */
  readonly annoying: Readonly<Record<'keys' | 'same' | 'early' | 'tries', TestDevice>>;
  /** An SCMS that is not this one. */
  readonly elsewhere: TestScms;
  /** A ClientHello as it stands on the wire. */
  readonly hello: Uint8Array;
  /** An acknowledged device's request for its batch, signed when the attack began. */
  readonly captured: Captured;
  now(): Time32;
  /** The name of this week's batch. */
  batchOf(of: Acknowledged): string;
}

/** Enrolls and registers the attacker's devices, and waits for their files. */
export async function openArena(
  ra: LiveRa,
  { holdMs, devices }: { readonly holdMs: number; readonly devices: number },
): Promise<Arena> {
  const now = () => timeOf(systemClock);
  const { certificate } = ra.scms.ra;
  const device = (changes = {}) => createDevice(ra.scms, random, now(), changes);
  const lines = new LineFactory(ra.port, ra.ca);
  const i = () => new IPeriodClock().at(now()).toString(16).toUpperCase();
  const batchOf = ({ hash }: Acknowledged) => `${hash}_${i()}.zip`;
  const batchRequest = (of: Acknowledged) =>
    getOf('/download/batch', downloadReq(of.device, batchOf(of), now(), certificate, random));
  const crowd: Acknowledged[] = [];
  while (crowd.length < Math.max(2, devices)) crowd.push(await register(lines, device(), ra));
  const [me, other] = crowd as [Acknowledged, Acknowledged];
  for (const one of crowd) {
    while ((await ask(lines, batchRequest(one))).status !== 200) await sleep(PAUSE_MS);
  }
  const blacklisted = (await register(lines, device(), ra)).device;
  const file = join(ra.directory, 'hostile-enrollment.oer');
  await writeFile(file, blacklisted.certificate.octets);
  await ra.command('blacklist', 'add', '--certificate', file, '--reason', 'it attacks');
  const elsewhere = createTestScms({ now: now(), random, raHostname: 'localhost' });
  return {
    ra,
    sockets: new Sockets(ra.port, ra.ca),
    holdMs,
    certificate,
    me,
    other,
    crowd,
    blacklisted,
    expired: device({
      validityPeriod: { start: now() - YEAR_SEC, duration: { type: 'hours', value: 24 } },
    }),
    stranger: createDevice(elsewhere, random, now()),
    annoying: { keys: device(), same: device(), early: device(), tries: device() },
    elsewhere,
    hello: await Sockets.clientHello(),
    captured: { octets: batchRequest(other), atMs: performance.now() },
    now,
    batchOf,
  };
}

async function register(lines: LineFactory, device: TestDevice, ra: LiveRa): Promise<Acknowledged> {
  const request = pseudonymRequest(device, timeOf(systemClock));
  const body = securedBy(device, request, ra.scms.ra.certificate, random);
  const answer = await ask(lines, postOf(PROVISION, body));
  if (answer.status !== 200) throw new Error(`expected 200 at first, saw ${answer.status}`);
  const hash = Buffer.from(answer.body.subarray(12, 20)).toString('hex').toUpperCase();
  return { device, body, ack: answer.body, hash };
}

async function ask(lines: LineFactory, octets: Uint8Array): Promise<LineAnswer> {
  const line = await lines.open();
  try {
    return await line.ask(octets);
  } finally {
    line.close();
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
