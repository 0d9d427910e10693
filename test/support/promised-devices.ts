/** Devices of a test that an RA has acknowledged, and what they have to get for it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readTestScms, type TestScms } from '@chrysalis/authorities';
import { systemRandom as random } from '@chrysalis/crypto';
import { time32FromUnix } from '@chrysalis/ieee1609dot2';
import { IPeriodClock } from '@chrysalis/scms';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './device.ts';
import { send } from './https-client.ts';

export interface Promised {
  readonly device: TestDevice;
  /** By which it asks for its files, hex. */
  readonly hash: string;
  readonly firstI: number;
}

export class PromisedDevices {
  readonly #url: string;
  readonly #scms: TestScms;
  readonly #ca: string;

  private constructor(url: string, scms: TestScms, ca: string) {
    this.#url = url;
    this.#scms = scms;
    this.#ca = ca;
  }

  static async of(state: string, url: string): Promise<PromisedDevices> {
    const ca = await readFile(join(state, 'authorities/x509-root/certificate.pem'), 'utf8');
    return new PromisedDevices(url, await readTestScms(state), ca);
  }

  /** One try of a new device; undefined when it is refused, or nobody answers. */
  async tryToRegister(): Promise<Promised | undefined> {
    const now = time32FromUnix(Date.now());
    const device = createDevice(this.#scms, random, now);
    const request = pseudonymRequest(device, now);
    const body = securedBy(device, request, this.#scms.ra.certificate, random);
    const path = `${this.#url}/provision-pseudonym-certificate-batch`;
    const answer = await send(path, this.#ca, { method: 'POST', body }).catch(() => undefined);
    if (answer?.status !== 200) return undefined;
    const hash = Buffer.from(answer.body.subarray(12, 20)).toString('hex').toUpperCase();
    return { device, hash, firstI: new IPeriodClock().at(now) };
  }

  register(): Promise<Promised> {
    return eventually(() => this.tryToRegister());
  }

  /** The zip of a week; undefined when there is none, or nobody answers. */
  async download({ device, hash }: Promised, i: number): Promise<Uint8Array | undefined> {
    const name = `${hash}_${i.toString(16).toUpperCase()}.zip`;
    const now = time32FromUnix(Date.now());
    const headers = downloadReq(device, name, now, this.#scms.ra.certificate, random);
    const path = `${this.#url}/download/batch`;
    const answer = await send(path, this.#ca, { headers }).catch(() => undefined);
    return answer?.status === 200 ? answer.body : undefined;
  }
}

const PATIENCE_MS = 120_000;
const LOOK_MS = 50;

export async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new Error('expected it within two minutes');
}
