import { sha256 } from '@chrysalis/crypto';
import {
  EeError,
  EndEntity,
  httpsTransport,
  Profile,
  type ProfileStorage,
  type RaTransport,
  type TlsContext,
  tlsContext,
} from '@chrysalis/ee';
import { type Clock, timeOf } from '@chrysalis/scms';
import { checkBatch } from './check-batch.ts';
import { currentPeriod, type Fleet } from './fleet.ts';
import { caterpillarKeysOf } from './key-stream.ts';

/** Of one batch. What is wrong with it as a whole is wrong with each of its certificates. */
const MAX_PROBLEMS = 4;

/** Something that is not as it should be. */
export interface Finding {
  readonly device: number;
  /** Of a batch; absent for what is wrong with the device as a whole. */
  readonly i?: number;
  readonly problem: string;
}

export interface CheckOptions {
  readonly fleet: Fleet;
  /** Certificates in a period. */
  readonly perPeriod: number;
  /** Instead of the RA of the bundles. */
  readonly raUrl?: URL;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

export interface CheckedDevice {
  readonly device: number;
  /** Batches that it is to have; undefined when it was never acknowledged. */
  readonly promised: number | undefined;
  readonly batches: readonly {
    readonly i: number;
    readonly fingerprints: Uint8Array;
    /** Downloaded now; else the RA has dropped it and the fingerprints are those of an earlier check. */
    readonly isFresh: boolean;
    readonly isSound: boolean;
  }[];
  /** Periods that are over, that the RA has dropped, and that no check has ever seen. */
  readonly gone: readonly number[];
  readonly findings: readonly Finding[];
}

/** Where a device talks to its RA: connections that several devices share, one after the other. */
export interface Lane {
  transport(x509Root: string): RaTransport;
  close(): Promise<void>;
}

export function openLane(): Lane {
  let held: { root: string; context: TlsContext; transport: RaTransport } | undefined;
  return {
    transport(x509Root) {
      if (held?.root !== x509Root) {
        void held?.transport.close();
        const context = tlsContext(x509Root);
        held = { root: x509Root, context, transport: httpsTransport({ x509Root, context }) };
      }
      // The device closes what it is given; the connection outlives it.
      return { exchange: held.transport.exchange.bind(held.transport), close: async () => {} };
    },
    close: async () => held?.transport.close(),
  };
}

/**
 * Downloads every batch that a device is to have, once more, and checks it against the fleet's seed alone.
 *
 * @throws EeError `unreachable` and others that say nothing of the device, `aborted`
 */
export async function checkDevice(
  device: number,
  lane: Lane,
  options: CheckOptions,
): Promise<CheckedDevice> {
  const { fleet, clock, raUrl, signal } = options;
  const findings: Finding[] = [];
  const storage = await fleet.storage(device);
  const held = new Profile(storage);
  const enrollment = await fleet.enrollment(held, timeOf(clock));
  const state = await held.provisioning('pseudonym');
  if (state?.acknowledged === undefined) {
    findings.push({ device, problem: 'expected an acknowledged request, saw none' });
    return { device, promised: undefined, batches: [], gone: [], findings };
  }
  // From the seed, not from what the load test wrote.
  const keys = caterpillarKeysOf(fleet.seed, device);
  await using ee = await EndEntity.open(new Profile(withoutBatches(storage)), {
    enrollment,
    clock,
    transport: lane.transport(enrollment.x509Root),
    ...(raUrl && { settings: { raUrl } }),
    ...(signal && { signal }),
  });
  const current = currentPeriod(enrollment, clock);
  const batches: CheckedDevice['batches'][number][] = [];
  const gone: number[] = [];
  const promised = await fleet.batches(device);
  for (const { i, digest } of promised) {
    const zip = await download(ee, i);
    if (zip === undefined) {
      const earlier = await fleet.verified(device, i);
      if (i >= current) {
        findings.push({ device, i, problem: 'expected a batch, the RA refused it' });
      } else if (earlier === undefined) {
        gone.push(i);
      } else {
        batches.push({ i, fingerprints: earlier, isFresh: false, isSound: true });
      }
      continue;
    }
    const { perPeriod } = options;
    const checked = checkBatch(zip, { i, keys, enrollment, perPeriod, time: timeOf(clock) });
    const problems = shorten(checked.problems);
    const seen = sha256(zip);
    if (digest !== null && Buffer.compare(seen, digest) !== 0) {
      problems.push('expected the octets that were downloaded before, saw others');
    }
    if (problems.length > 0) problems.push(...(await whoseElse(fleet, device, seen)));
    findings.push(...problems.map((problem) => ({ device, i, problem })));
    const { fingerprints } = checked;
    batches.push({ i, fingerprints, isFresh: true, isSound: problems.length === 0 });
  }
  return { device, promised: promised.length, batches, gone, findings };
}

async function download(ee: EndEntity, i: number): Promise<Uint8Array | undefined> {
  try {
    return await ee.fetch('pseudonym', i);
  } catch (error) {
    if (error instanceof EeError && error.code === 'refused') return undefined;
    throw error;
  }
}

/** Whose batch it is, when it is not this device's. */
async function whoseElse(fleet: Fleet, device: number, digest: Uint8Array): Promise<string[]> {
  const others = (await fleet.devicesWith(digest)).filter((other) => other !== device);
  return others.map((other) => `device ${other} was given the same octets`);
}

function shorten(problems: readonly string[]): string[] {
  const more = problems.length - MAX_PROBLEMS;
  if (more <= 0) return [...problems];
  return [...problems.slice(0, MAX_PROBLEMS), `and ${more} more like these`];
}

/** The profile of a device with no batch in it, which takes in none: all of them are downloaded, and none is kept. */
function withoutBatches(storage: ProfileStorage): ProfileStorage {
  const isBatch = (name: string) => name.startsWith('batches');
  return {
    read: async (name) => (isBatch(name) ? undefined : storage.read(name)),
    write: async (name, octets) => (isBatch(name) ? undefined : storage.write(name, octets)),
    append: async (name, octets) => (isBatch(name) ? undefined : storage.append(name, octets)),
    remove: async (name) => (isBatch(name) ? undefined : storage.remove(name)),
    list: async (folder) => (isBatch(folder) ? [] : storage.list(folder)),
  };
}
