/** What comes to the RA in a soak: devices for their files, new devices, and whoever wants the policy. */
import { systemRandom } from '@chrysalis/crypto';
import type { HashedCertificate } from '@chrysalis/ieee1609dot2';
import { IPeriodClock, systemClock, timeOf } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from '../test/support/device.ts';
import { getOf, type LineAnswer, type LineFactory, postOf } from '../test/support/device-line.ts';
import type { LiveRa } from '../test/support/live-ra.ts';

const PROVISION = '/provision-pseudonym-certificate-batch';
/** A signed request is good for five seconds: the same one serves for less, and the generator signs little. */
const RESIGN_MS = 3000;
/** Before what was not there is asked for again. */
const PAUSE_MS = 100;
const random = systemRandom;

/** As the RA sheds them (`packages/ra/src/load.ts`). */
export type VisitKind = 'download' | 'provisioning' | 'anonymous';

export interface Step {
  readonly service: 'info' | 'batch' | 'provision' | 'other';
  /** Signed when it is sent: the connection may have been waited for. */
  octets(): Uint8Array;
}

/** A visit on a connection of its own: the steps one after the other, until one is refused. */
export interface Visit {
  readonly kind: VisitKind;
  readonly steps: readonly Step[];
  /** Told every answer. */
  answered?(answer: LineAnswer): void;
}

/** A device that has its certificates, and the requests that it signed last. */
class Registered {
  readonly #device: TestDevice;
  readonly #hash: string;
  readonly #ra: HashedCertificate;
  #signed: Readonly<Record<'info' | 'batch', Uint8Array>> | undefined;
  #signedAtMs = 0;
  readonly steps: readonly Step[] = [
    { service: 'info', octets: () => this.#requests().info },
    { service: 'batch', octets: () => this.#requests().batch },
    { service: 'batch', octets: () => this.#requests().batch },
  ];

  constructor(device: TestDevice, hash: string, ra: HashedCertificate) {
    this.#device = device;
    this.#hash = hash;
    this.#ra = ra;
  }

  #requests(): Readonly<Record<'info' | 'batch', Uint8Array>> {
    const at = performance.now();
    if (this.#signed !== undefined && at - this.#signedAtMs < RESIGN_MS) return this.#signed;
    const now = timeOf(systemClock);
    const get = (path: string, name: string) =>
      getOf(path, downloadReq(this.#device, name, now, this.#ra, random));
    const i = new IPeriodClock().at(now).toString(16).toUpperCase();
    this.#signedAtMs = at;
    this.#signed = {
      info: get('/download/info', `${this.#hash}.info`),
      batch: get('/download/batch', `${this.#hash}_${i}.zip`),
    };
    return this.#signed;
  }
}

export class Visitors {
  readonly #ra: LiveRa;
  readonly #registered: Registered[] = [];
  /** New devices: those that were refused come again. */
  readonly #fresh: TestDevice[] = [];
  #next = 0;
  #acknowledged = 0;

  constructor(ra: LiveRa) {
    this.#ra = ra;
  }

  /** Devices that were registered since {@link prepare}. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Registers devices, and waits until their first batches are there. */
  async prepare(devices: number, lines: LineFactory): Promise<void> {
    while (this.#registered.length < devices) {
      const visit = this.#provisioning();
      const answer = await askOnce(lines, visit.steps[0]!);
      visit.answered?.(answer);
      if (answer.status === 200) this.#keep(visit.device, answer.body);
      // Late before anybody has come: somebody else uses the machine.
      else await pause();
    }
    for (const one of this.#registered) await this.#untilServed(one, lines);
    this.#acknowledged = 0;
  }

  /** Of a hundred visits, eighty-five are downloads, five are new devices. */
  next(): Visit {
    const n = this.#next++;
    if (n % 20 === 7) return this.#provisioning();
    if (n % 10 === 3) return ANONYMOUS;
    const one = this.#registered[n % this.#registered.length]!;
    return { kind: 'download', steps: one.steps };
  }

  #provisioning(): Visit & { readonly device: TestDevice } {
    const now = () => timeOf(systemClock);
    const device = this.#fresh.pop() ?? createDevice(this.#ra.scms, random, now());
    const { certificate } = this.#ra.scms.ra;
    const octets = () =>
      postOf(PROVISION, securedBy(device, pseudonymRequest(device, now()), certificate, random));
    return {
      kind: 'provisioning',
      device,
      steps: [{ service: 'provision', octets }],
      answered: ({ status }) => {
        if (status === 200) this.#acknowledged += 1;
        else this.#fresh.push(device);
      },
    };
  }

  #keep(device: TestDevice, ack: Uint8Array): void {
    const hash = Buffer.from(ack.subarray(12, 20)).toString('hex').toUpperCase();
    this.#registered.push(new Registered(device, hash, this.#ra.scms.ra.certificate));
  }

  async #untilServed(one: Registered, lines: LineFactory): Promise<void> {
    while ((await askOnce(lines, one.steps[1]!)).status !== 200) await pause();
  }
}

async function askOnce(lines: LineFactory, step: Step): Promise<LineAnswer> {
  const line = await lines.open();
  const answer = await line.ask(step.octets());
  line.close();
  return answer;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

const POLICY = getOf('/download/policy/local');
const CHAIN = getOf('/download/local-certificate-chain');
const ANONYMOUS: Visit = {
  kind: 'anonymous',
  steps: [
    { service: 'other', octets: () => POLICY },
    { service: 'other', octets: () => CHAIN },
  ],
};
