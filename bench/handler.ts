/**
 * An authenticated `.info` by itself, from the header to the octets of the answer, in this process and without a network: what the RA's
 * own code adds to libcrypto. Each device in turn, so that no key is kept, and one device over and over, whose key is.
 */
import { systemRandom } from '@chrysalis/crypto';
import { timeOf } from '@chrysalis/scms';
import { Authenticator } from '../packages/ra/src/authenticate.ts';
import { KnownBacklog } from '../packages/ra/src/backlog.ts';
import { Contacts } from '../packages/ra/src/contacts.ts';
import { DeviceRegistry } from '../packages/ra/src/device-registry.ts';
import { type Download, Downloads } from '../packages/ra/src/download.ts';
import type { Log, RaOptions } from '../packages/ra/src/options.ts';
import { Tries } from '../packages/ra/src/tries.ts';
import { createDevice, downloadReq } from '../test/support/device.ts';
import { type RaFixture, startRaFixture } from '../test/support/ra-fixture.ts';
import { DOWNLOAD_NATIVE, downloadBareUs } from './download-native.ts';
import { type Measurement, measurementOf, print, printHead } from './measurement.ts';
import { median } from './native.ts';
import { deviceRows } from './registered-device.ts';

/** More than the RA keeps keys of, and one. */
const FLEETS = [5000, 1];
/** Requests before any counts: the compiler has seen them all then. */
const WARM_UP = 2000;
/** Requests of a round, and calls of each native operation: some milliseconds, so that a disturbance hits both. */
const IN_ROUND = 50;
const DEFAULT_ROUNDS = 100;
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

export async function run(options: { readonly json: boolean }): Promise<void> {
  printHead(options.json);
  for (const devices of FLEETS) print(await measureHandler(devices), options.json);
}

/** The median of rounds, each with the native costs of the same moment. */
export async function measureHandler(
  devices: number,
  roundCount = DEFAULT_ROUNDS,
): Promise<Measurement> {
  await using scene = await HandlerScene.open(devices);
  await scene.costUs(WARM_UP);
  downloadBareUs(WARM_UP / 4);
  const rounds: { readonly us: number; readonly nativeUs: number }[] = [];
  for (let round = 0; round < roundCount; round += 1) {
    rounds.push({ us: await scene.costUs(IN_ROUND), nativeUs: downloadBareUs(IN_ROUND) });
  }
  const us = median(rounds.map((round) => round.us));
  const nativeUs = median(rounds.map((round) => round.nativeUs));
  return measurementOf({
    name: 'handler',
    variant: devices === 1 ? 'one device' : `${devices} devices in turn`,
    opsPerSec: 1e6 / us,
    cpuUsPerOp: us,
    ratioToNative: median(rounds.map((round) => round.nativeUs / round.us)),
    note: `node:crypto: ${DOWNLOAD_NATIVE} ${nativeUs.toFixed(0)} us`,
  });
}

/** The services of an RA, and a request of each device. */
export class HandlerScene {
  readonly fixture: RaFixture;
  readonly #downloads: Downloads;
  readonly #headers: readonly (string | undefined)[];
  #asked = 0;

  private constructor(
    fixture: RaFixture,
    downloads: Downloads,
    headers: readonly (string | undefined)[],
  ) {
    this.fixture = fixture;
    this.#downloads = downloads;
    this.#headers = headers;
  }

  static async open(devices: number): Promise<HandlerScene> {
    const fixture = await startRaFixture();
    const { clock, scms, raOptions } = fixture;
    const now = timeOf(clock);
    const registry = new DeviceRegistry(raOptions.database);
    const rowOf = deviceRows(scms, now);
    const headers: (string | undefined)[] = [];
    const registering: Promise<boolean>[] = [];
    for (let n = 0; n < devices; n += 1) {
      const device = createDevice(scms, systemRandom, now);
      const row = rowOf(device);
      registering.push(registry.register(row, now));
      const file = `${Buffer.from(row.request_hash).toString('hex')}.info`;
      const request = downloadReq(device, file, now, scms.ra.certificate, systemRandom);
      headers.push(request['Download-Req']);
    }
    await Promise.all(registering);
    const { onStep: _, ...settings } = raOptions;
    const options: RaOptions = { ...settings, log: SILENT, policy: POLICY };
    const downloads = new Downloads(
      options,
      new Authenticator(options, registry),
      new Tries({}, clock),
      new Contacts(options, () => {}),
      new KnownBacklog(options.database),
    );
    return new HandlerScene(fixture, downloads, headers);
  }

  /** The next device asks. */
  ask(): Promise<Download> {
    return this.#downloads.info(this.#headers[this.#asked++ % this.#headers.length]);
  }

  /** Microseconds of CPU of a request, of so many. */
  async costUs(count: number): Promise<number> {
    const before = process.cpuUsage();
    for (let n = 0; n < count; n += 1) {
      const { octets } = await this.ask();
      if (octets.length !== 4) throw new RangeError(`expected 4 octets, saw ${octets.length}`);
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fixture.close();
  }
}

const POLICY: RaOptions['policy'] = {
  certificatesPerPeriod: 20,
  weeksAhead: 2,
  shuffleThreshold: 1000,
  shuffleMaxAgeSec: 3600,
  shuffleInitial: 'immediate',
  applicationPeriodSec: 168 * 3600,
  applicationOverlapSec: 3600,
};
