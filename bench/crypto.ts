/**
 * Every primitive of the crypto room, in CPU time, beside its native cost measured in the same run:
 * `openssl speed` where the openssl command measures that operation (ECDSA, ECDH), otherwise the bare
 * calls of node:crypto underneath. A ratio of 1 means that our layer costs nothing.
 */

import {
  addToPoint,
  ccmOpen,
  ccmSeal,
  cocoonPoints,
  compressPoint,
  Expansion,
  eciesUnwrap,
  eciesWrap,
  ecqvPublicKey,
  ecqvReconstructionPoint,
  ecqvReconstructionValue,
  multiplyGenerator,
  multiplyPoint,
  PrivateKey,
  PublicKey,
  pointFromCompressed,
  preLinkageValues,
  SHA256_EMPTY,
  systemRandom,
} from '@chrysalis/crypto';
import { type Measurement, measurementOf, print, printHead } from './measurement.ts';
import {
  bareOperations,
  type Cost,
  median,
  type NativeName,
  opensslCosts,
  type Timed,
  time,
} from './native.ts';

interface Operation extends Timed {
  readonly name: string;
  readonly variant: string;
  /** The native costs that this operation cannot do without, and how many times each. */
  readonly native: readonly (readonly [NativeName, number])[];
}

interface NativeCost {
  readonly cpuUs: number;
  readonly source: 'openssl' | 'node:crypto';
}

/** Interleaved, so that a disturbance hits every operation alike; the median round counts. */
const ROUNDS = 5;
const DEFAULT_SECONDS = 20;
/** openssl speed takes at least a second for each of its three measurements. */
const OPENSSL_SECONDS = 3;
/** Pseudonym certificates of one device and week in the CAMP demonstrations. */
const BATCH = 20;
/** Different inputs to go through, so that nothing is measured on one value. */
const INPUTS = 64;

/**
 * Measures and prints: a table, or with `json` one Measurement a line.
 *
 * @param options.seconds how long to take in all, about; default 20
 */
export async function run(options: { json: boolean; seconds?: number }): Promise<void> {
  const openssl = opensslCosts();
  const bare = bareOperations();
  const ours = ourOperations();
  const left = (options.seconds ?? DEFAULT_SECONDS) - (openssl.size > 0 ? OPENSSL_SECONDS : 0);
  const costs = measure([...bare.values(), ...ours], Math.max(left, 1));

  const native = new Map<NativeName, NativeCost>(
    [...bare.keys()].map((name, i) => [name, { cpuUs: costs[i]!.cpuUs, source: 'node:crypto' }]),
  );
  for (const [name, cpuUs] of openssl) {
    native.set(name, { cpuUs, source: 'openssl' });
  }

  printHead(options.json);
  for (const [i, operation] of ours.entries()) {
    print(toMeasurement(operation, costs[bare.size + i]!, native), options.json);
  }
}

function ourOperations(): Operation[] {
  const { keys, scalars, points, message, text, key, nonce } = makeInputs();
  const [first, second] = [keys[0]!, keys[1]!];
  const verifier = PublicKey.fromPoint(first.publicPoint);
  const signature = first.sign(message);
  const wrapped = eciesWrap(first.publicPoint, key, SHA256_EMPTY, systemRandom);
  const sealed = ccmSeal(key, nonce, text);
  const compressed = points.map(compressPoint);
  const signing = new Expansion(key, 'signing');
  const encryption = new Expansion(systemRandom(16), 'encryption');
  const laId = systemRandom(2);
  const at = (i: number) => points[i % INPUTS]!;
  const scalarAt = (i: number) => scalars[i % INPUTS]!;

  const row = (
    name: string,
    variant: string,
    native: Operation['native'],
    run: (index: number) => unknown,
    lanes = 1,
  ): Operation => ({ name, variant, native, run, lanes });
  return [
    row('k·G', 'one', [['k·G', 1]], (i) => multiplyGenerator(scalarAt(i))),
    row(
      'A + f·G',
      `batch of ${BATCH}`,
      [['k·G', 1]],
      () => addToPoint(at(0), scalars.slice(1, BATCH + 1).map(multiplyGenerator)),
      BATCH,
    ),
    row('k·Q', 'public', [['ECDH', 1]], (i) => multiplyPoint(scalarAt(i), at(i + 1))),
    row('decompress', 'one', [['decompress', 1]], (i) => {
      const { x, yIsOdd } = compressed[i % INPUTS]!;
      return pointFromCompressed(x, yIsOdd);
    }),
    row('ECQV e·P + Q', 'public', [['ECDH', 1]], (i) =>
      ecqvPublicKey(scalarAt(i), at(i + 1), at(0)),
    ),
    row('sign', 'cached key', [['sign', 1]], () => first.sign(message)),
    row('verify', 'cached key', [['verify', 1]], () => verifier.verify(message, signature)),
    row(
      'import point and verify',
      'fresh key',
      [
        ['import', 1],
        ['verify', 1],
      ],
      (i) => PublicKey.fromPoint(at(i)).verify(message, signature),
    ),
    row('ECDH', 'cached key', [['ECDH', 1]], (i) => first.ecdh(at(i))),
    row(
      'ECIES wrap',
      '16 octets',
      [
        ['k·G', 1],
        ['ECDH', 1],
      ],
      (i) => eciesWrap(at(i), key, SHA256_EMPTY, systemRandom),
    ),
    row('ECIES unwrap', '16 octets', [['ECDH', 1]], () =>
      eciesUnwrap(first, wrapped, SHA256_EMPTY),
    ),
    row('CCM seal', '300 octets', [['CCM', 1]], () => ccmSeal(key, nonce, text)),
    row('CCM open', '300 octets', [['CCM', 1]], () => ccmOpen(key, nonce, sealed)),
    row(
      'expansion per certificate',
      `2 cocoon keys, batch of ${BATCH}`,
      [['k·G', 2]],
      (i) => [cocoonPoints(at(0), signing, i, BATCH), cocoonPoints(at(1), encryption, i, BATCH)],
      BATCH,
    ),
    row('ECQV issue', 'fresh k', [['k·G', 1]], (i) => {
      const k = PrivateKey.generate(systemRandom);
      return [
        ecqvReconstructionPoint(at(i), k),
        ecqvReconstructionValue(message.subarray(32), k, second),
      ];
    }),
    row(
      'pre-linkage value',
      `batch of ${BATCH}`,
      [['AES key', 1 / BATCH]],
      () => preLinkageValues(laId, key, BATCH),
      BATCH,
    ),
  ];
}

function makeInputs() {
  const keys = Array.from({ length: INPUTS }, () => PrivateKey.generate(systemRandom));
  return {
    keys,
    scalars: keys.map((key) => key.scalar().reveal()),
    points: keys.map((key) => key.publicPoint),
    /** 64 octets, as 1609.2 signs: two hashes. */
    message: systemRandom(64),
    /** About a certificate response. */
    text: systemRandom(300),
    key: systemRandom(16),
    nonce: systemRandom(12),
  };
}

/** The median cost of each, in the order given. */
function measure(all: readonly Timed[], seconds: number): Cost[] {
  const sliceUs = (seconds * 1e6) / (all.length * (ROUNDS + 1));
  // The first round warms the code up and finds how many calls fill a slice.
  const counts = all.map((timed) => {
    const { wallUs } = time(timed, 20);
    return Math.max(1, Math.round(sliceUs / time(timed, Math.ceil(sliceUs / 2 / wallUs)).wallUs));
  });
  const rounds = Array.from({ length: ROUNDS }, () =>
    all.map((timed, i) => time(timed, counts[i]!)),
  );
  return all.map((timed, i) => {
    const lanes = timed.lanes ?? 1;
    const samples = rounds.map((round) => round[i]!);
    return {
      cpuUs: median(samples.map((cost) => cost.cpuUs)) / lanes,
      wallUs: median(samples.map((cost) => cost.wallUs)) / lanes,
    };
  });
}

function toMeasurement(
  operation: Operation,
  cost: Cost,
  native: ReadonlyMap<NativeName, NativeCost>,
): Measurement {
  const parts = operation.native.map(([name, times]) => ({ name, times, ...native.get(name)! }));
  const nativeUs = parts.reduce((sum, part) => sum + part.times * part.cpuUs, 0);
  return measurementOf({
    name: 'crypto',
    variant: `${operation.name} (${operation.variant})`,
    opsPerSec: 1e6 / cost.wallUs,
    cpuUsPerOp: cost.cpuUs,
    ratioToNative: nativeUs / cost.cpuUs,
    note: parts
      .map(({ times, source, name, cpuUs }) => {
        const factor = times === 1 ? '' : `${times} x `;
        return `${factor}${source} ${name} ${cpuUs.toFixed(1)} us`;
      })
      .join(' + '),
  });
}
