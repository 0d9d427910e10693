/**
 * What has to be different in every certificate of a fleet, shortened: j in one octet, then the first 8 octets of
 * each of {@link DISTINCT}. Two of a million and a half that are different look the same once in ten million fleets.
 */
export const FINGERPRINT_OCTETS = 1 + 5 * 8;

/** In the order of the fingerprint. Of keys and certificates, the SHA-256 is shortened; a linkage value has 9 octets. */
export const DISTINCT = [
  'certificate',
  'certificate key',
  'cocoon key for signing',
  'cocoon key for encryption',
  'linkage value',
] as const;
export type DistinctThing = (typeof DISTINCT)[number];

export interface Place {
  readonly device: number;
  readonly i: number;
  readonly j: number;
}

export interface Duplicate {
  readonly what: DistinctThing;
  /** Two or more. */
  readonly places: readonly Place[];
}

/** The fingerprints of a whole fleet: 50 octets a certificate, and 8 more while duplicates are looked for. */
export class Fingerprints {
  #capacity = 1024;
  #size = 0;
  #values = DISTINCT.map(() => new BigUint64Array(this.#capacity));
  #devices = new Uint32Array(this.#capacity);
  #is = new Uint32Array(this.#capacity);
  #js = new Uint8Array(this.#capacity);

  get size(): number {
    return this.#size;
  }

  /** @param octets fingerprints one after the other, all of the batch of one device and period */
  add(device: number, i: number, octets: Uint8Array): void {
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
    for (let offset = 0; offset < octets.length; offset += FINGERPRINT_OCTETS) {
      if (this.#size === this.#capacity) this.#grow();
      const n = this.#size;
      this.#devices[n] = device;
      this.#is[n] = i;
      this.#js[n] = view.getUint8(offset);
      for (const [kind, values] of this.#values.entries()) {
        values[n] = view.getBigUint64(offset + 1 + 8 * kind);
      }
      this.#size += 1;
    }
  }

  /** What is there more than once. */
  duplicates(): Duplicate[] {
    return DISTINCT.flatMap((what, kind) => {
      const values = this.#values[kind]!.subarray(0, this.#size);
      const places = new Map<bigint, Place[]>();
      const sorted = values.slice().sort();
      for (let n = 1; n < sorted.length; n += 1) {
        if (sorted[n] === sorted[n - 1]) places.set(sorted[n]!, []);
      }
      if (places.size === 0) return [];
      for (const [n, value] of values.entries()) {
        const place = { device: this.#devices[n]!, i: this.#is[n]!, j: this.#js[n]! };
        places.get(value)?.push(place);
      }
      return [...places.values()].map((found) => ({ what, places: found }));
    });
  }

  #grow(): void {
    this.#capacity *= 2;
    this.#values = this.#values.map((values) => extend(values, new BigUint64Array(this.#capacity)));
    this.#devices = extend(this.#devices, new Uint32Array(this.#capacity));
    this.#is = extend(this.#is, new Uint32Array(this.#capacity));
    this.#js = extend(this.#js, new Uint8Array(this.#capacity));
  }
}

function extend<A extends BigUint64Array | Uint32Array | Uint8Array>(from: A, to: A): A {
  to.set(from as never);
  return to;
}
