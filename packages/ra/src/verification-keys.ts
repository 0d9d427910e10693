import { PublicKey, pointOfOurs } from '@chrysalis/crypto';

/**
 * Devices that are remembered: as many as come in some seconds, for a device asks for its files one after another. An entry whose key
 * has verified twice takes 3 kB, most of it libcrypto's.
 */
const MOST = 4096;

/**
 * Keys by which requests are verified, as libcrypto has imported them: a device that asks again saves the import. They are
 * found by the point itself, which comes out of the database with each request: nothing here can be out of date.
 */
export class VerificationKeys {
  readonly #most: number;
  /** In the order of last use: a Map keeps insertion order, and a key that is used is put in anew. */
  readonly #keys = new Map<string, PublicKey>();

  constructor(most = MOST) {
    this.#most = most;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** @param point uncompressed, as a device's row has it: it was reconstructed when the device registered */
  of(point: Uint8Array): PublicKey {
    const name = Buffer.from(point.buffer, point.byteOffset, point.length).toString('latin1');
    const known = this.#keys.get(name);
    if (known !== undefined) this.#keys.delete(name);
    const key = known ?? PublicKey.fromPoint(pointOfOurs(point));
    this.#keys.set(name, key);
    if (this.#keys.size > this.#most) this.#forgetOldest();
    return key;
  }

  #forgetOldest(): void {
    const [oldest] = this.#keys.keys();
    if (oldest !== undefined) this.#keys.delete(oldest);
  }
}
