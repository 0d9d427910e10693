import {
  equalConstantTime,
  linkageSeedAt,
  linkageValue,
  preLinkageValue,
  preLinkageValues,
} from '@chrysalis/crypto';
import type { GroupLinkageValue, LinkageData } from '@chrysalis/ieee1609dot2';
import type { GroupCrlEntry, ToBeSignedLinkageValueCrl } from './pdu/crl.ts';

/** What of a linked CRL belongs to one device. */
interface LinkedEntry {
  readonly la1Id: Uint8Array;
  readonly la2Id: Uint8Array;
  readonly linkageSeed1: Uint8Array;
  readonly linkageSeed2: Uint8Array;
  readonly iMax: number;
  readonly jMax: number;
}

/** The seeds of all devices in one period. */
interface PeriodSeeds {
  readonly i: number;
  readonly pairs: readonly (readonly [Uint8Array, Uint8Array])[];
}

/** Now, the one before (an hour of overlap) and the one to come: whoever asks about others is not in a hurry. */
const MAX_INDEXED_PERIODS = 3;

/**
 * The devices on a linked CRL, 1609.2 §5.1.3.4. All linkage values of a period are computed when it is first asked
 * about, which costs 80 microseconds for a device with 20 certificates (measured); a look-up then costs one.
 */
export class LinkedRevocations {
  readonly #iRev: number;
  readonly #entries: readonly LinkedEntry[];
  readonly #groups: readonly GroupCrlEntry[];
  #latest: PeriodSeeds;
  /** For each period the first eight octets of all values, in order: a fleet's fit into memory that way. */
  readonly #indexes = new Map<number, BigUint64Array>();

  constructor(crl: ToBeSignedLinkageValueCrl) {
    this.#iRev = crl.iRev;
    this.#entries = entriesOf(crl);
    this.#groups = crl.groups ?? [];
    this.#latest = this.#seedsOfRevocation();
  }

  /** Whether a certificate with this id is revoked: never when it is of a period before iRev, or after the device's iMax. */
  has({ iCert, linkageValue: value, groupLinkageValue }: LinkageData): boolean {
    if (iCert < this.#iRev) return false;
    const isIndexed = includes(this.#indexOf(iCert), firstEight(value));
    if (isIndexed && this.#hasExactly(iCert, value)) return true;
    return groupLinkageValue !== undefined && this.#hasGroup(iCert, groupLinkageValue);
  }

  #indexOf(i: number): BigUint64Array {
    const known = this.#indexes.get(i);
    if (known) return known;
    const index = BigUint64Array.from(this.#valuesOf(i), firstEight).sort();
    const [oldest] = this.#indexes.keys();
    if (oldest !== undefined && this.#indexes.size >= MAX_INDEXED_PERIODS) {
      this.#indexes.delete(oldest);
    }
    this.#indexes.set(i, index);
    return index;
  }

  /** The index holds 64 bits of 72: a hit is looked at again in full. */
  #hasExactly(i: number, value: Uint8Array): boolean {
    for (const listed of this.#valuesOf(i)) if (equalConstantTime(listed, value)) return true;
    return false;
  }

  *#valuesOf(i: number): Generator<Uint8Array, void> {
    const { pairs } = this.#seedsAt(i);
    for (const [n, entry] of this.#entries.entries()) {
      const pair = pairs[n];
      if (pair === undefined || i > entry.iMax) continue;
      // CAMP counts j from 0 to jMax - 1; 1609.2 can be read to include jMax. One value more does no harm.
      const count = entry.jMax + 1;
      const first = preLinkageValues(entry.la1Id, pair[0], count);
      const second = preLinkageValues(entry.la2Id, pair[1], count);
      for (const [j, plv] of first.entries()) yield linkageValue(plv, second[j] as Uint8Array);
    }
  }

  /** A period follows from the latest that was computed, or from the start when it lies before that. */
  #seedsAt(i: number): PeriodSeeds {
    const from = i >= this.#latest.i ? this.#latest : this.#seedsOfRevocation();
    const steps = i - from.i;
    if (steps === 0) return from;
    const pairs = this.#entries.map(({ la1Id, la2Id }, n) => {
      const [seed1, seed2] = from.pairs[n] as readonly [Uint8Array, Uint8Array];
      return [linkageSeedAt(la1Id, seed1, steps), linkageSeedAt(la2Id, seed2, steps)] as const;
    });
    this.#latest = { i, pairs };
    return this.#latest;
  }

  #seedsOfRevocation(): PeriodSeeds {
    const pairs = this.#entries.map((e) => [e.linkageSeed1, e.linkageSeed2] as const);
    return { i: this.#iRev, pairs };
  }

  /** The j of a group stands in the certificate: members of a group are too many to try. */
  #hasGroup(i: number, { jValue, value }: GroupLinkageValue): boolean {
    const j = new DataView(jValue.buffer, jValue.byteOffset, jValue.length).getUint32(0);
    const steps = i - this.#iRev;
    return this.#groups.some((group) => {
      if (i > group.iMax) return false;
      const seed1 = linkageSeedAt(group.la1Id, group.linkageSeed1, steps);
      const seed2 = linkageSeedAt(group.la2Id, group.linkageSeed2, steps);
      const plv1 = preLinkageValue(group.la1Id, seed1, j);
      const plv2 = preLinkageValue(group.la2Id, seed2, j);
      return equalConstantTime(linkageValue(plv1, plv2), value);
    });
  }
}

function entriesOf({ individual = [] }: ToBeSignedLinkageValueCrl): LinkedEntry[] {
  return individual.flatMap(({ jmax, contents: laGroups }) =>
    laGroups.flatMap(({ la1Id, la2Id, contents: iMaxGroups }) =>
      iMaxGroups.flatMap(({ iMax, contents }) =>
        contents.map(({ linkageSeed1, linkageSeed2 }) => ({
          la1Id,
          la2Id,
          linkageSeed1,
          linkageSeed2,
          iMax,
          jMax: jmax,
        })),
      ),
    ),
  );
}

function firstEight(value: Uint8Array): bigint {
  return new DataView(value.buffer, value.byteOffset, value.length).getBigUint64(0);
}

/** Binary search. */
function includes(sorted: BigUint64Array, wanted: bigint): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as bigint) < wanted) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === wanted;
}
