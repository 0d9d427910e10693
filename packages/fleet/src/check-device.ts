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
import { type CheckBatchOptions, checkBatch } from './check-batch.ts';
import { currentPeriod, type Fleet, type WantedBatch } from './fleet.ts';
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

export interface SeenBatch {
  readonly i: number;
  /** Of the certificates that opened. */
  readonly fingerprints: Uint8Array;
  /** Downloaded now; else the RA has dropped it and the fingerprints are those of an earlier check. */
  readonly isFresh: boolean;
  readonly isSound: boolean;
}

export interface CheckedDevice {
  readonly device: number;
  /** Batches that it is to have; undefined when it was never acknowledged. */
  readonly promised: number | undefined;
  readonly batches: readonly SeenBatch[];
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
 * @throws EeError `unreachable`, `tls`, `storage`, `aborted`, which say nothing of the device; `invalid-bundle`, `key-mismatch`
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
  const promised = await fleet.batches(device);
  const batches: SeenBatch[] = [];
  const gone: number[] = [];
  for (const batch of promised) {
    const zip = await download(ee, batch.i);
    if (zip instanceof Uint8Array) {
      const problems = await checkZip(zip, batch, { keys, enrollment }, options);
      batches.push(problems.seen);
      for (const problem of problems.found) findings.push({ device, i: batch.i, problem });
    } else if (batch.i >= currentPeriod(enrollment, clock)) {
      findings.push({ device, i: batch.i, problem: `expected a batch: ${zip.message}` });
    } else {
      const fingerprints = await fleet.verified(device, batch.i);
      if (fingerprints === undefined) gone.push(batch.i);
      else batches.push({ i: batch.i, fingerprints, isFresh: false, isSound: true });
    }
  }
  return { device, promised: promised.length, batches, gone, findings };
}

/** What did not come, as the error that says why. Without an RA there is nothing to check, and with an abort neither. */
async function download(ee: EndEntity, i: number): Promise<Uint8Array | EeError> {
  try {
    return await ee.fetch('pseudonym', i);
  } catch (error) {
    if (!(error instanceof EeError)) throw error;
    if (['aborted', 'unreachable', 'tls', 'storage'].includes(error.code)) throw error;
    return error;
  }
}

async function checkZip(
  zip: Uint8Array,
  { device, i, digest }: WantedBatch,
  { keys, enrollment }: Pick<CheckBatchOptions, 'keys' | 'enrollment'>,
  { fleet, perPeriod, clock }: CheckOptions,
): Promise<{ readonly seen: SeenBatch; readonly found: readonly string[] }> {
  const time = timeOf(clock);
  const checked = checkBatch(zip, { i, keys, enrollment, perPeriod, time });
  const found = shorten(checked.problems);
  const seen = sha256(zip);
  if (digest !== null && Buffer.compare(seen, digest) !== 0) {
    found.push('expected the octets that were downloaded before, saw others');
  }
  if (found.length > 0) found.push(...(await whoseElse(fleet, device, seen)));
  const { fingerprints } = checked;
  return { seen: { i, fingerprints, isFresh: true, isSound: found.length === 0 }, found };
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
