/** What the PCA of a fleet sees of the shuffle: its own log, read with the devices' seeds, which it does not have. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { cocoonPoints, Expansion } from '@chrysalis/crypto';
import { caterpillarKeysOf, Fleet } from '@chrysalis/fleet';

/** CAMP's threshold: of so many requests in a row it is said how many devices they are of. */
const STRETCH = 1000;
/** The head of a point's x tells apart the keys of any fleet. */
const KEY_OCTETS = 12;

/** How requests of several devices lie among each other, in the order in which the PCA answered them. */
export interface Mixing {
  readonly requests: number;
  /** Times that the shuffle has opened since the RA's first start. */
  readonly epochs: number;
  /** Whole stretches of a thousand requests: the devices in the one that has fewest, and in the one between. */
  readonly fewestDevicesInThousand: number | undefined;
  readonly medianDevicesInThousand: number | undefined;
  /** Of all requests, those that stand behind one of the same device. Without a shuffle, nearly all. */
  readonly sameDeviceNext: number;
}

export interface MixingOptions {
  /** The state directory of the RA and of its authorities; nothing may write to it. */
  readonly state: string;
  readonly fleet: string;
  /** From this period on, and one more than `weeks`: another may begin meanwhile. */
  readonly firstI: number;
  readonly weeks: number;
  readonly perPeriod: number;
}

/** Of the requests for these periods, in the PCA's log. */
export async function mixingOf(options: MixingOptions): Promise<Mixing> {
  const owners = await ownersOf(options);
  const order: number[] = [];
  const log = new DatabaseSync(join(options.state, 'authorities/pca/pca.db'), { readOnly: true });
  try {
    // The order in which answers were written down, 128 at most under way at a time.
    for (const row of log.prepare('select cocoon_key from pca_answer order by rowid').iterate()) {
      const owner = owners.get(nameOf(row.cocoon_key as Uint8Array));
      if (owner !== undefined) order.push(owner);
    }
  } finally {
    log.close();
  }
  return { requests: order.length, epochs: epochsOf(options.state), ...statisticsOf(order) };
}

/** Pure. */
export function statisticsOf(order: readonly number[]): Omit<Mixing, 'requests' | 'epochs'> {
  const stretches = Array.from({ length: Math.floor(order.length / STRETCH) }, (_, n) =>
    order.slice(n * STRETCH, (n + 1) * STRETCH),
  );
  const devices = stretches.map((stretch) => new Set(stretch).size).sort((a, b) => a - b);
  const same = order.filter((device, n) => n > 0 && device === order[n - 1]).length;
  return {
    fewestDevicesInThousand: devices[0],
    medianDevicesInThousand: devices[devices.length >> 1],
    sameDeviceNext: Math.round((1000 * same) / Math.max(1, order.length - 1)) / 1000,
  };
}

/** Whose cocoon key each is, by the fleet's seed. */
async function ownersOf({ fleet: path, firstI, weeks, perPeriod }: MixingOptions) {
  await using fleet = await Fleet.open(path, { lock: false });
  const owners = new Map<string, number>();
  for (const device of (await fleet.provisioned()).keys()) {
    const { verify } = caterpillarKeysOf(fleet.seed, device);
    const expansion = new Expansion(verify.expansion, 'signing');
    for (let i = firstI; i <= firstI + weeks; i++) {
      for (const point of cocoonPoints(verify.seed.publicPoint, expansion, i, perPeriod)) {
        owners.set(nameOf(point), device);
      }
    }
  }
  return owners;
}

/** `point`: 65 octets uncompressed, the first of which says so. */
function nameOf(point: Uint8Array): string {
  return Buffer.from(point.buffer, point.byteOffset + 1, KEY_OCTETS).toString('latin1');
}

function epochsOf(state: string): number {
  const database = new DatabaseSync(join(state, 'ra/chrysalis.db'), { readOnly: true });
  try {
    const row = database.prepare('select epoch from shuffle').get();
    // The first is 1, and the one that fills up has not opened.
    return row === undefined ? 0 : Number(row.epoch) - 1;
  } finally {
    database.close();
  }
}
