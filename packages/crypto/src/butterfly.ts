import { inspect } from 'node:util';
import { AesBlocks, BLOCK_OCTETS } from './aes-blocks.ts';
import { expectInteger, UINT32_MAX } from './errors.ts';
import { PrivateKey } from './keys.ts';
import type { Point } from './point.ts';
import { multiplyGenerator } from './point-multiple.ts';
import { addToPoint } from './point-sum.ts';
import { scalarAdd, scalarReduce } from './scalar.ts';
import { SECRET_TEXT, Secret } from './secret.ts';

/*
 * Butterfly key expansion (CAMP SCP1, "Modifications to Crypto Primitives"). A device sends two
 * seed points and two expansion keys once; from them the RA makes as many unlinkable public keys as
 * it likes, to which only the device knows the private keys.
 */

/** Which of a device's two chains: the keys of certificates, or those their responses go to. */
export type ExpansionUse = 'signing' | 'encryption';

/** The first 32 bits of x. The encryption chain has all ones (bfkeyexp vectors). */
const PREFIXES: Record<ExpansionUse, number> = { signing: 0, encryption: 0xffff_ffff };

/** f_int is three blocks of AES: 384 bits, so that reducing it modulo n leaves no bias to speak of. */
const BLOCKS_PER_VALUE = 3;
const VALUE_OCTETS = BLOCKS_PER_VALUE * BLOCK_OCTETS;

/** Lanes in one call. CAMP batches hold 20 to 40 certificates a week; more than this is a mistake. */
const MAXIMUM_LANES = 4096;

/**
 * The expansion function f of one expansion key. It links all certificates of a device: an expansion
 * key is a secret between the device and the RA. Prints as `[secret]`.
 */
export class Expansion {
  readonly #prefix: number;
  readonly #blocks: AesBlocks;

  /**
   * @param key16 16 octets
   * @throws CryptoError `invalid-length`
   */
  constructor(key16: Secret | Uint8Array, use: ExpansionUse) {
    this.#prefix = PREFIXES[use];
    this.#blocks = new AesBlocks('expansion key', key16 instanceof Secret ? key16.reveal() : key16);
  }

  /**
   * f(i, j) mod n, 32 octets, big-endian.
   *
   * @param i the time period, 0..2^32-1
   * @param j the certificate in the period, 0..2^32-1
   * @throws CryptoError `out-of-range`
   */
  value(i: number, j: number): Uint8Array {
    expectInteger('j', j, UINT32_MAX);
    return this.#valuesFrom(i, j, 1)[0]!;
  }

  /**
   * f(i, j) mod n for j = 0..jCount-1, all blocks in one call of AES.
   *
   * @throws CryptoError `out-of-range`: i, or more than 4096 values
   */
  values(i: number, jCount: number): Uint8Array[] {
    expectInteger('jCount', jCount, MAXIMUM_LANES);
    return this.#valuesFrom(i, 0, jCount);
  }

  toString(): string {
    return SECRET_TEXT;
  }

  toJSON(): string {
    return SECRET_TEXT;
  }

  [inspect.custom](): string {
    return SECRET_TEXT;
  }

  #valuesFrom(i: number, jFirst: number, count: number): Uint8Array[] {
    expectInteger('i', i, UINT32_MAX);
    const inputs = new Uint8Array(count * VALUE_OCTETS);
    const view = new DataView(inputs.buffer);
    for (let block = 0; block < count * BLOCKS_PER_VALUE; block += 1) {
      const offset = block * BLOCK_OCTETS;
      const lane = Math.floor(block / BLOCKS_PER_VALUE);
      // x + 1, x + 2 and x + 3, where x = prefix || i || j || 0^32: the sum never carries.
      view.setUint32(offset, this.#prefix);
      view.setUint32(offset + 4, i);
      view.setUint32(offset + 8, jFirst + lane);
      view.setUint32(offset + 12, 1 + (block % BLOCKS_PER_VALUE));
    }
    const outputs = this.#blocks.encryptAndXor(inputs);
    return Array.from({ length: count }, (_, lane) =>
      scalarReduce(outputs.subarray(lane * VALUE_OCTETS, (lane + 1) * VALUE_OCTETS)),
    );
  }
}

/**
 * The cocoon public keys seed + f(i, j)·G for j = 0..jCount-1: the RA's side. Batched: about 20
 * microseconds a key.
 *
 * @throws CryptoError `point-at-infinity`: a device that knows its own expansion key can choose a
 *   seed that meets -f(i, j)·G in one lane, so this is the device's fault, and costs it the batch;
 *   `out-of-range`: i, or more than 4096 lanes
 */
export function cocoonPoints(
  seed: Point,
  expansion: Expansion,
  i: number,
  jCount: number,
): Point[] {
  const multiples = expansion.values(i, jCount).map(multiplyGenerator);
  return addToPoint(seed, multiples);
}

/**
 * The cocoon private key seed + f(i, j) mod n: the device's side.
 *
 * @throws CryptoError `out-of-range`: i or j; `invalid-scalar`: the sum is zero
 */
export function cocoonPrivateKey(
  seed: PrivateKey,
  expansion: Expansion,
  i: number,
  j: number,
): PrivateKey {
  return PrivateKey.fromScalar(scalarAdd(seed.scalar().reveal(), expansion.value(i, j)));
}
