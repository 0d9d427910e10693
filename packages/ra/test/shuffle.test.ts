/** The order and the times in which requests reach the PCA tell it nothing of devices (section 6.1, step 4). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Random } from '@chrysalis/crypto';
import { systemRandom } from '@chrysalis/crypto';
import { AuthorityUnavailableError, timeOf } from '@chrysalis/scms';
import { createDevice } from '../../../test/support/device.ts';
import { type Place, statisticsOf, worst } from './position-statistics.ts';
import {
  cocoonKeyOf,
  cocoonKeysOf,
  createStage,
  hexOf,
  messageOf,
  type Stage,
  seededRandom,
} from './stage.ts';

const DEVICES = 50;
const PER_PERIOD = 20;
/** Beyond it an order is no accident: see "flags none of 1,000 random orders". */
const ALARM = 6;
/** For orders that are known to be bad. */
const BAD_ORDERS: Record<string, (places: readonly Place[], random: Random) => Place[]> = {
  'one device after the other': (places) => [...places],
  'the last device first': (places) => [...places].reverse(),
  'one device after the other, whichever comes first': (places, random) =>
    sortedBy(places, new Map(shuffled(range(DEVICES), random).entries()), ({ device }) => device),
  'each device in turn': (places) => places.toSorted((a, b) => a.j - b.j),
  'each device in turn, whichever comes first': (places, random) => {
    const turns = new Map(shuffled(range(DEVICES), random).entries());
    return sortedBy(places, turns, ({ device }) => device).sort((a, b) => a.j - b.j);
  },
  'a shuffle of each device alone': (places, random) =>
    range(DEVICES).flatMap((n) =>
      shuffled(
        places.filter(({ device }) => device === n),
        random,
      ),
    ),
  'a shuffle of each window of 128': (places, random) =>
    range(Math.ceil(places.length / 128)).flatMap((n) =>
      shuffled(places.slice(128 * n, 128 * (n + 1)), random),
    ),
  'devices at random, but each with its j in order': (places, random) => {
    const order = shuffled(places, random);
    const next = new Map<number, number>();
    return order.map(({ device }) => {
      const j = next.get(device) ?? 0;
      next.set(device, j + 1);
      return { device, j };
    });
  },
  'a shuffle that leaves two of a device together': (places, random) =>
    shuffled(range(places.length / 2), random).flatMap((n) => places.slice(2 * n, 2 * n + 2)),
};

describe('the statistics of positions', () => {
  it('flag none of 1,000 random orders: a false alarm has a probability below 1 in 300', () => {
    const random = seededRandom('random orders');
    const alarms = range(1000).filter(
      () => worst(statisticsOf(shuffled(inOrder(), random))) >= ALARM,
    );
    assert.deepEqual(alarms, []);
  });

  for (const [name, make] of Object.entries(BAD_ORDERS)) {
    it(`flag ${name}`, () => {
      const order = make(inOrder(), seededRandom(name));
      assert.equal(order.length, DEVICES * PER_PERIOD);
      const statistics = statisticsOf(order);
      assert(worst(statistics) >= ALARM, JSON.stringify(statistics));
    });
  }
});

describe('the shuffle', () => {
  it(`of ${DEVICES} devices, who registered one after the other, mixes their requests`, async (t) => {
    const stage = await createStage(t, {
      policy: { ...POOLED, certificatesPerPeriod: PER_PERIOD, shuffleThreshold: 1000 },
      linkageCache: DEVICES,
      random: seededRandom('a fleet'),
    });
    const owners = new Map<string, Place>();
    for (const device of range(DEVICES)) {
      assert.equal(stage.atPca.length, 0, 'nothing leaves before the threshold');
      const { device: keys } = await stage.register(stage.ra);
      const expected = cocoonKeysOf(keys, stage.currentI(), PER_PERIOD);
      for (const [j, key] of expected.entries()) owners.set(key, { device, j });
      await stage.settle();
    }
    assert.equal(stage.atPca.length, DEVICES * PER_PERIOD, 'all leave when it opens');
    const order = stage.atPca.map((request) => owners.get(cocoonKeyOf(request)));
    assert(order.every((place) => place !== undefined));
    assert.equal(new Set(order).size, DEVICES * PER_PERIOD, 'each request once');
    const statistics = statisticsOf(order);
    assert(worst(statistics) < ALARM, JSON.stringify(statistics));
  });

  it('writes neither the device nor j nor the time into a request', async (t) => {
    const stage = await createStage(t, { policy: { ...POOLED, shuffleThreshold: 6 } });
    const [one, two] = [await stage.register(stage.ra), await stage.register(stage.ra)];
    await stage.settle();
    const keys = [one, two].map(({ device }) => new Set(cocoonKeysOf(device, stage.currentI(), 3)));
    const [ofOne, ofTwo] = keys.map((own) =>
      stage.atPca.filter((request) => own.has(cocoonKeyOf(request))),
    );
    assert(ofOne?.length === 3 && ofTwo?.length === 3);
    /** Fields of a request by path, as text. */
    const shared = (a: Uint8Array, b: Uint8Array) => {
      const [left, right] = [fieldsOf(messageOf(a)), fieldsOf(messageOf(b))];
      assert.deepEqual([...left.keys()], [...right.keys()], 'the same fields');
      return [...left].filter(([path, value]) => right.get(path) === value).map(([path]) => path);
    };
    const constants = shared(ofOne[0]!, ofTwo[0]!).filter((path) => !/Key[BH]\/type$/.test(path));
    for (const a of ofOne) {
      for (const b of ofOne) {
        if (a === b) continue;
        // Whether a compressed point has an odd y is one bit of a random key.
        const same = shared(a, b).filter((path) => !/Key[BH]\/type$/.test(path));
        assert.deepEqual(same, constants, 'two of a device share what two devices share');
      }
    }
    const changing = [...fieldsOf(messageOf(ofOne[0]!)).keys()].filter(
      (path) => !constants.includes(path) && !path.endsWith('/type'),
    );
    const info = 'content/value/value/certRequestInfo/value';
    assert.deepEqual(changing, [
      `${info}/sigButterflyKeyB/value`,
      ...['encPlv1', 'encPlv2'].flatMap((plv) =>
        ['recipients/0/value/encKey', 'ciphertext'].flatMap((part) => [
          `${info}/${plv}/encPlv/${part}/value/nonce`,
          `${info}/${plv}/encPlv/${part}/value/ccmCiphertext`,
        ]),
      ),
      `${info}/encButterflyKeyH/value`,
    ]);
    for (const { device, hash } of [one, two]) {
      for (const request of stage.atPca) {
        const octets = hexOf(request);
        assert(!octets.includes(hash));
        assert(!octets.includes(hexOf(device.certificate.hash)));
        assert(!octets.includes(hexOf(device.certificate.id)));
      }
    }
  });
});

describe('an epoch of the shuffle', () => {
  it('opens when one of its requests has waited long enough, and not before', async (t) => {
    const stage = await createStage(t, { policy: { ...POOLED, shuffleMaxAgeSec: 3600 } });
    await stage.register(stage.ra);
    await stage.settle();
    stage.clock.advance(3599);
    await stage.register(stage.ra);
    await stage.settle();
    assert.equal(stage.atPca.length, 0);
    stage.clock.advance(1);
    await stage.settle();
    assert.equal(stage.atPca.length, 6, 'with all that is in it');
  });

  it('takes in nothing more once it is open', async (t) => {
    let isDown = true;
    const stage = await createStage(t, {
      policy: { ...POOLED, shuffleThreshold: 6 },
      wrapPca: (pca) => ({
        async requestCertificate(request) {
          if (isDown) throw new AuthorityUnavailableError('down');
          return pca.requestCertificate(request);
        },
      }),
    });
    const first = [await stage.register(stage.ra), await stage.register(stage.ra)];
    await stage.settle();
    assert(stage.atPca.length > 0, 'it is open, and nothing is through');
    const late = await stage.register(stage.ra);
    await stage.settle();
    isDown = false;
    stage.clock.advance(120);
    await stage.settle();
    for (const device of first) assert(await stage.download(stage.ra, device));
    assert.equal(await stage.download(stage.ra, late), undefined);
    const ofLate = new Set(cocoonKeysOf(late.device, stage.currentI(), 3));
    assert(!stage.atPca.some((request) => ofLate.has(cocoonKeyOf(request))));
    await stage.register(stage.ra);
    await stage.settle();
    assert(await stage.download(stage.ra, late), 'the next epoch has six as well');
  });

  it('is not opened by requests that are gone', async (t) => {
    const stage = await createStage(t, { policy: { ...POOLED, shuffleThreshold: 9 } });
    const { device } = await stage.register(stage.ra);
    await stage.settle();
    // The device asks anew twice: of nine requests that were put in, three are left.
    for (let n = 0; n < 2; n++) {
      stage.clock.advance(1);
      await stage.register(stage.ra, withNewKeys(stage, device));
      await stage.settle();
    }
    assert.equal(stage.atPca.length, 0);
    for (let n = 0; n < 2; n++) await stage.register(stage.ra);
    await stage.settle();
    assert.equal(stage.atPca.length, 9);
  });

  it('lets those pass that need not wait in it', async (t) => {
    const stage = await createStage(t, { policy: { weeksAhead: 2, shuffleInitial: 'immediate' } });
    const device = await stage.register(stage.ra);
    await stage.settle();
    assert.equal(stage.atPca.length, 6, 'the first supply');
    stage.toPeriod(1);
    await stage.settle();
    assert.equal(stage.atPca.length, 6, 'what is added each week is pooled');
    const other = await stage.register(stage.ra);
    await stage.settle();
    assert.equal(stage.atPca.length, 12);
    assert(await stage.download(stage.ra, other));
    assert.equal(await stage.download(stage.ra, device, stage.currentI() + 1), undefined);
    stage.clock.advance(48 * 3600);
    await stage.settle();
    assert(await stage.download(stage.ra, device, stage.currentI() + 1));
  });

  it('that need not wait is sent in the order of time: none is overtaken for good', async (t) => {
    let isDown = true;
    const stage = await createStage(t, {
      policy: { certificatesPerPeriod: 20 },
      wrapPca: (pca) => ({
        async requestCertificate(request) {
          if (isDown) throw new AuthorityUnavailableError('down');
          return pca.requestCertificate(request);
        },
      }),
      random: seededRandom('by time'),
    });
    // The first window fails: what it had comes again when its time has come.
    await stage.register(stage.ra);
    await stage.settle();
    const devices = [];
    for (let n = 0; n < 5; n++) {
      devices.push(await stage.register(stage.ra));
      await stage.settle();
      stage.clock.advance(10);
    }
    isDown = false;
    stage.atPca.length = 0;
    stage.clock.advance(100);
    await stage.settle();
    const last = devices.map(({ device }) => {
      const own = new Set(cocoonKeysOf(device, stage.currentI(), 20));
      return stage.atPca.findLastIndex((request) => own.has(cocoonKeyOf(request)));
    });
    assert.deepEqual(
      last,
      last.toSorted((a, b) => a - b),
    );
  });
});

const POOLED = { weeksAhead: 1, shuffleInitial: 'pooled' } as const;

function withNewKeys({ scms, clock }: Stage, device: ReturnType<typeof createDevice>) {
  const { certificate, key } = device;
  return { ...createDevice(scms, systemRandom, timeOf(clock)), certificate, key };
}

/** One device after the other, each with its j in order. */
function inOrder(): Place[] {
  return range(DEVICES).flatMap((device) => range(PER_PERIOD).map((j) => ({ device, j })));
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  const draws = new DataView(random(4 * result.length).buffer);
  for (let n = result.length - 1; n > 0; n--) {
    const other = Math.floor((draws.getUint32(4 * n) / 2 ** 32) * (n + 1));
    [result[n], result[other]] = [result[other] as T, result[n] as T];
  }
  return result;
}

function sortedBy<T>(
  items: readonly T[],
  rank: ReadonlyMap<number, number>,
  key: (item: T) => number,
): T[] {
  return items.toSorted((a, b) => (rank.get(key(a)) ?? 0) - (rank.get(key(b)) ?? 0));
}

/** The fields of a message by path: octets in hex. */
function fieldsOf(value: unknown, path = ''): Map<string, string> {
  if (value instanceof Uint8Array) return new Map([[path, hexOf(value)]]);
  if (typeof value !== 'object' || value === null) return new Map([[path, String(value)]]);
  const fields = Object.entries(value).flatMap(([name, field]) => [
    ...fieldsOf(field, path === '' ? name : `${path}/${name}`),
  ]);
  return new Map(fields);
}
