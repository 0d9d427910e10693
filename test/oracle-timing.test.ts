/**
 * What the time until a refusal tells: nothing. Pairs of requests that are refused for different reasons are sent in random
 * order over real TLS, and timed from another thread. The RA's checks are made slow, so that without the tick each pair is
 * told apart for sure: the known-bad control, which the statistics have to catch in every pair. docs/trust.md section 5 has
 * the method. CHRYSALIS_TIMING_ROUNDS makes it finer; CHRYSALIS_TIMING_SLOW_MS=0 measures the checks as they are.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import type { RaSettings } from '@chrysalis/ra';
import { type IPeriodClock, timeOf } from '@chrysalis/scms';
import type { ObjectStore } from '@chrysalis/store';
import {
  createDevice,
  downloadReq,
  pseudonymRequest,
  securedBy,
  type TestDevice,
} from './support/device.ts';
import { type RaFixture, startRaFixture } from './support/ra-fixture.ts';
import { timeAnswers } from './support/stopwatch.ts';
import { kolmogorovSmirnov, mannWhitneyZ, median } from './support/two-samples.ts';

const ROUNDS = Number(process.env.CHRYSALIS_TIMING_ROUNDS ?? 30);
/** Shorter than in production, for there are many rounds; longer than any refusal takes. */
const TICK_MS = 50;
/** What a test of one pair exceeds by chance once in some two million runs. Thirty that are all slower give 6.7 and 3.9. */
const MOST_Z = 5;
const MOST_KS = 2.7;
/**
 * What each check takes beside what it takes, as with a token for keys or a store on a network: the reconstruction of a key that
 * the RA does not know, the verification of a signature, the look into the object store. Two of them are less than a tick.
 */
const SLOW_MS = Number(process.env.CHRYSALIS_TIMING_SLOW_MS ?? 12);
const PROVISION = '/provision-pseudonym-certificate-batch';

const random = systemRandom;
const below = (n: number) => Buffer.from(random(4)).readUInt32BE() % n;

interface Refused {
  readonly name: string;
  make(): Uint8Array;
}

let fixture: RaFixture;
let iPeriod: IPeriodClock;
let known: TestDevice;
let knownHash: string;
let otherHash: string;
let blacklisted: TestDevice;

const now = () => timeOf(fixture.clock);
const ra = () => fixture.scms.ra.certificate;

async function register(device: TestDevice): Promise<string> {
  const body = securedBy(device, pseudonymRequest(device, now()), ra(), random);
  const ack = await fixture.send(PROVISION, { method: 'POST', body });
  assert.equal(ack.status, 200);
  return Buffer.from(ack.body.subarray(12, 20)).toString('hex').toUpperCase();
}

before(async () => {
  fixture = await startRaFixture({ errorDetail: 'production', policy: { weeksAhead: 1 } });
  ({ iPeriod } = fixture.raOptions);
  const devices = Array.from({ length: 3 }, () => createDevice(fixture.scms, random, now()));
  const [, , other] = devices as [TestDevice, TestDevice, TestDevice];
  [known, blacklisted] = devices as [TestDevice, TestDevice];
  knownHash = await register(known);
  otherHash = await register(other);
  await register(blacklisted);
  await fixture.ra.blacklist.add(blacklisted.certificate.hash, 'stolen', now());
  // Somebody else's file is there.
  await fixture.eventually(async () => {
    const headers = downloadReq(other, file(otherHash), now(), ra(), random);
    const { status } = await fixture.send('/download/batch', { headers });
    return status === 200 ? true : undefined;
  });
});
after(() => fixture.close());

const file = (hash: string, i = iPeriod.at(now())) => `${hash}_${i.toString(16).toUpperCase()}.zip`;
const get = (header: string) =>
  Buffer.from(`GET /download/batch HTTP/1.1\r\nHost: x\r\nDownload-Req: ${header}\r\n\r\n`);
const ask = (device: Pick<TestDevice, 'certificate' | 'key'>, name: string, time = now()) =>
  get(downloadReq(device, name, time, ra(), random)['Download-Req'] ?? '');
const post = (device: Pick<TestDevice, 'certificate' | 'key'>) => {
  const body = securedBy(device, pseudonymRequest(known, now()), ra(), random);
  const head = `POST ${PROVISION} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
};
const unknown = () => createDevice(fixture.scms, random, now());
/** A stranger with a copy of the certificate. */
const copyOf = ({ certificate }: TestDevice) => ({ certificate, key: known.verifySeed });

const undecodable: Refused = { name: 'no envelope', make: () => get('AAAA') };
const badSignature: Refused = {
  name: 'bad signature, known device',
  make: () => ask(copyOf(known), file(knownHash)),
};
const missing: Refused = {
  name: 'missing file',
  make: () => ask(known, file(knownHash, iPeriod.at(now()) + 99)),
};
const badPost: Refused = {
  name: 'provisioning: bad signature, known device',
  make: () => post(copyOf(known)),
};
const PAIRS: readonly (readonly [Refused, Refused])[] = [
  [
    {
      name: 'bad signature, unknown device',
      make: () => ask(copyOf(unknown()), file(knownHash)),
    },
    badSignature,
  ],
  [
    {
      name: 'bad signature, blacklisted',
      make: () => ask(copyOf(blacklisted), file(knownHash)),
    },
    badSignature,
  ],
  [{ name: 'stale time', make: () => ask(known, file(knownHash), now() - 60) }, badSignature],
  [missing, { name: "somebody else's file", make: () => ask(known, file(otherHash)) }],
  [undecodable, missing],
  [
    {
      name: 'provisioning: bad signature, unknown device',
      make: () => post(copyOf(unknown())),
    },
    badPost,
  ],
  [
    {
      name: 'provisioning: bad signature, blacklisted',
      make: () => post(copyOf(blacklisted)),
    },
    badPost,
  ],
];

/** Milliseconds by pair and by side of it. */
async function measure(): Promise<readonly (readonly [readonly number[], readonly number[]])[]> {
  const sides = PAIRS.flatMap((pair) => [...pair]);
  const order = Array.from({ length: ROUNDS * sides.length }, (_, n) => n % sides.length);
  for (let n = order.length - 1; n > 0; n--) {
    const m = below(n + 1);
    [order[n], order[m]] = [order[m]!, order[n]!];
  }
  // The first are not counted: code that runs for the first time is slow.
  const warm = order.slice(0, 2 * sides.length);
  const all = [...warm, ...order];
  const times = await timeAnswers({
    port: fixture.ra.port,
    ca: fixture.ca,
    requests: all.map((side) => sides[side]!.make()),
    pausesMs: all.map(() => below(1000) / 1000),
  });
  const counted = times.slice(warm.length);
  const of = (side: number) => counted.filter((_, n) => order[n] === side);
  return PAIRS.map((_, pair) => [of(2 * pair), of(2 * pair + 1)]);
}

interface Verdict {
  readonly pair: string;
  readonly z: number;
  readonly ks: number;
}

function judge(
  samples: Awaited<ReturnType<typeof measure>>,
  say: (line: string) => void,
): readonly Verdict[] {
  return samples.map(([a, b], n) => {
    const [first, second] = PAIRS[n]!;
    const [z, ks] = [mannWhitneyZ(a, b), kolmogorovSmirnov(a, b)];
    const pair = `${first.name} / ${second.name}`;
    const medians = `${median(a).toFixed(2)} / ${median(b).toFixed(2)} ms`;
    say(`${pair}: medians ${medians}, z ${z.toFixed(2)}, KS ${ks.toFixed(2)}`);
    return { pair, z, ks };
  });
}

const isTold = ({ z, ks }: Verdict) => Math.abs(z) > MOST_Z || ks > MOST_KS;

function busy(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

/** Each check takes its time: what an RA does on the slowest machine that it may meet, or with the slowest parts. */
function withSlowChecks(): Partial<RaSettings> {
  const { objects, trust } = fixture.raOptions;
  // A key that no row has is reconstructed here.
  const slowTrust = new Proxy(trust, {
    get(target, name) {
      if (name === 'verify') busy(SLOW_MS);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const get: ObjectStore['get'] = async (key) => {
    await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    return objects.get(key);
  };
  return {
    trust: slowTrust,
    onStep: (step) => busy(step === 'signature' ? SLOW_MS : 0),
    objects: {
      get,
      put: (key, octets) => objects.put(key, octets),
      delete: (key) => objects.delete(key),
      deleteAll: (prefix) => objects.deleteAll(prefix),
      list: (prefix) => objects.list(prefix),
      removeAbandoned: () => objects.removeAbandoned(),
    },
  };
}

describe('the time until a refusal', () => {
  it('tells why, in each pair, when there is no tick: the control', async (t) => {
    await fixture.restart({ ...withSlowChecks(), refusalTickMs: 0 });
    const verdicts = judge(await measure(), (line) => t.diagnostic(`no tick: ${line}`));
    // Without slow checks it is a measurement.
    if (SLOW_MS > 0)
      assert.deepEqual(
        verdicts.filter((verdict) => !isTold(verdict)),
        [],
      );
  });

  it(`tells nothing with a tick (|z| ≤ ${MOST_Z}, KS ≤ ${MOST_KS})`, async (t) => {
    await fixture.restart({ ...withSlowChecks(), refusalTickMs: TICK_MS });
    const verdicts = judge(await measure(), (line) => t.diagnostic(`tick ${TICK_MS} ms: ${line}`));
    assert.deepEqual(verdicts.filter(isTold), []);
  });
});
