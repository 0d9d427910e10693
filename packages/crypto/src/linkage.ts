import { AesBlocks, BLOCK_OCTETS } from './aes-blocks.ts';
import { expectInteger, expectLength, UINT32_MAX } from './errors.ts';
import { sha256Secret } from './hash.ts';
import { xorOctets } from './octets.ts';

/*
 * Linkage values (CAMP SCP1, "Modifications to Crypto Primitives"; 1609.2 §5.1.3). Two linkage
 * authorities each keep a chain of seeds for a device; only both seeds of a period together tell
 * which certificates of the period, and of those after it, are the device's.
 */

const LA_ID_OCTETS = 2;
const SEED_OCTETS = 16;
const LINKAGE_VALUE_OCTETS = 9;

/** SHA-256 hashes la_id || seed filled with 112 zero bits to 32 octets. */
const SEED_PADDING = new Uint8Array(14);

/** The i of a certificate is an IValue, a Uint16 (LinkageData iCert): no chain is longer. */
const MAXIMUM_STEPS = 0xffff;

/** Values in one call: see butterfly.ts, whose j this is. */
const MAXIMUM_LANES = 4096;

/**
 * The seed of the next period: the first 16 octets of SHA-256(la_id || seed || 0^112).
 *
 * @param laId 2 octets
 * @param seed 16 octets
 * @returns 16 octets
 * @throws CryptoError `invalid-length`
 */
export function nextLinkageSeed(laId: Uint8Array, seed: Uint8Array): Uint8Array {
  expectLength('la_id', laId, LA_ID_OCTETS);
  expectLength('linkage seed', seed, SEED_OCTETS);
  return sha256Secret(laId, seed, SEED_PADDING).slice(0, SEED_OCTETS);
}

/**
 * The seed `steps` periods after that of `seed0`; about a microsecond a step.
 *
 * @throws CryptoError `invalid-length`; `out-of-range`: steps outside 0..65535
 */
export function linkageSeedAt(laId: Uint8Array, seed0: Uint8Array, steps: number): Uint8Array {
  expectInteger('steps', steps, MAXIMUM_STEPS);
  expectLength('la_id', laId, LA_ID_OCTETS);
  expectLength('linkage seed', seed0, SEED_OCTETS);
  let seed: Uint8Array = Uint8Array.from(seed0);
  for (let step = 0; step < steps; step += 1) {
    seed = nextLinkageSeed(laId, seed);
  }
  return seed;
}

/**
 * plv(i, j): the first 9 octets of AES_seed(x) XOR x, where x = la_id || j || 0^80.
 *
 * @param laId 2 octets
 * @param seedI the seed of period i, 16 octets
 * @param j 0..2^32-1
 * @throws CryptoError `invalid-length`, `out-of-range`
 */
export function preLinkageValue(laId: Uint8Array, seedI: Uint8Array, j: number): Uint8Array {
  expectInteger('j', j, UINT32_MAX);
  return preLinkageValuesFrom(laId, seedI, j, 1)[0]!;
}

/**
 * plv(i, j) for j = 0..jCount-1 with one AES key set-up: a batch of 20 costs what one value costs.
 *
 * @throws CryptoError `invalid-length`; `out-of-range`: more than 4096 values
 */
export function preLinkageValues(
  laId: Uint8Array,
  seedI: Uint8Array,
  jCount: number,
): Uint8Array[] {
  expectInteger('jCount', jCount, MAXIMUM_LANES);
  return preLinkageValuesFrom(laId, seedI, 0, jCount);
}

function preLinkageValuesFrom(
  laId: Uint8Array,
  seedI: Uint8Array,
  jFirst: number,
  count: number,
): Uint8Array[] {
  expectLength('la_id', laId, LA_ID_OCTETS);
  const inputs = new Uint8Array(count * BLOCK_OCTETS);
  const view = new DataView(inputs.buffer);
  for (let lane = 0; lane < count; lane += 1) {
    inputs.set(laId, lane * BLOCK_OCTETS);
    view.setUint32(lane * BLOCK_OCTETS + LA_ID_OCTETS, jFirst + lane);
  }
  const outputs = new AesBlocks('linkage seed', seedI).encryptAndXor(inputs);
  return Array.from({ length: count }, (_, lane) => {
    const offset = lane * BLOCK_OCTETS;
    return outputs.slice(offset, offset + LINKAGE_VALUE_OCTETS);
  });
}

/**
 * lv(i, j) = plv1(i, j) XOR plv2(i, j), which goes into the certificate.
 *
 * @param plv1 9 octets, from the first linkage authority
 * @param plv2 9 octets, from the second
 * @throws CryptoError `invalid-length`
 */
export function linkageValue(plv1: Uint8Array, plv2: Uint8Array): Uint8Array {
  expectLength('first pre-linkage value', plv1, LINKAGE_VALUE_OCTETS);
  expectLength('second pre-linkage value', plv2, LINKAGE_VALUE_OCTETS);
  return xorOctets(plv1, plv2);
}
