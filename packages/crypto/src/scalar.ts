import { CryptoError, expectLength } from './errors.ts';

/*
 * Arithmetic modulo n, the order of P-256, on private scalars. This is the one file of the project
 * that computes with a private scalar in JavaScript; everything else hands scalars to libcrypto.
 *
 * What is constant time here, as far as source code can say it:
 *
 * - Every loop runs a number of times, and every array is read at indices, that depend on lengths
 *   only. There is no branch, no table look-up, no comparison and no division on the value of a
 *   scalar, and no BigInt (V8 drops a BigInt's leading zero digits, so its time follows its value).
 * - A scalar is held as 22 limbs of 12 bits in an Int32Array. Every sum and product stays below
 *   2^30, so it is a small integer in every V8 build: no tier of the engine boxes it on the heap,
 *   turns it into a double, or leaves optimised code because of its value.
 * - Nothing is allocated but the result, so scalars do not set the times of garbage collection. The
 *   limbs live in arrays of this module, which every function wipes before it returns.
 * - What remains are additions, Math.imul, shifts and masks of 32-bit integers, which take the same
 *   time for all operands on the processors that Node supports.
 *
 * What is not promised: ECMAScript defines no timing, and a future engine could specialise on
 * values. Compilation, garbage collection and page faults come at times set by call counts and
 * allocation, not by values; they add noise. Wiping reaches the arrays, not the registers and stack
 * slots that held a limb, nor the arguments and results, which belong to the caller. `isScalar`
 * gives its answer away, and so does an exception that follows from it; the answer is "no" for a
 * random scalar once in 2^32.
 */

const LIMB_BITS = 12;
const LIMB_MASK = 0xfff;
/** 22 x 12 = 264 bits hold a 256-bit scalar. Montgomery's R is therefore 2^264. */
const LIMBS = 22;
const WIDE_LIMBS = 2 * LIMBS;
const SCALAR_OCTETS = 32;
const WIDE_OCTETS = 64;
/** The 44 limbs of 12 bits as octets. */
const PADDED_OCTETS = 66;

/** n, the order of P-256 (SP 800-186 §3.2.1.3). Public, so BigInt may prepare the constants. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const ORDER_LIMBS = constantLimbs(ORDER);
/** R^2 mod n: a Montgomery product with it takes away the 1/R that an earlier reduction left. */
const R_SQUARED_LIMBS = constantLimbs((1n << 528n) % ORDER);
/** -1/n mod 2^12: times the lowest limb of t, it is the multiple of n that makes the limb zero. */
const MINUS_ORDER_INVERSE = 0xc4f;

// The registers. All functions are synchronous, so one set serves all calls of a thread.
const wide = new Int32Array(WIDE_LIMBS);
const first = new Int32Array(WIDE_LIMBS);
const second = new Int32Array(WIDE_LIMBS);
const padded = new Uint8Array(PADDED_OCTETS);

/**
 * a + b mod n.
 *
 * @param a 32 octets, big-endian; need not be below n
 * @param b likewise
 * @returns 32 octets, big-endian, in 0..n-1
 * @throws CryptoError `invalid-length`
 */
export function scalarAdd(a: Uint8Array, b: Uint8Array): Uint8Array {
  expectLength('first summand', a, SCALAR_OCTETS);
  expectLength('second summand', b, SCALAR_OCTETS);
  splitIntoLimbs(a, wide);
  splitIntoLimbs(b, first);
  addFirstToWide();
  return reduceWide();
}

/**
 * e·k + r mod n: the reconstruction value of SEC 4 §3.4 and the private key of SEC 4 §3.6.
 *
 * @param e 32 octets, big-endian; need not be below n
 * @param k likewise
 * @param r likewise
 * @returns 32 octets, big-endian, in 0..n-1
 * @throws CryptoError `invalid-length`
 */
export function scalarMultiplyAdd(e: Uint8Array, k: Uint8Array, r: Uint8Array): Uint8Array {
  expectLength('factor e', e, SCALAR_OCTETS);
  expectLength('factor k', k, SCALAR_OCTETS);
  expectLength('addend r', r, SCALAR_OCTETS);
  splitIntoLimbs(e, first);
  splitIntoLimbs(k, second);
  multiplyIntoWide(first, second);
  splitIntoLimbs(r, first);
  addFirstToWide();
  return reduceWide();
}

/**
 * An integer of up to 512 bits, mod n: the last step of the butterfly expansion function.
 *
 * @param octets 0 to 64 octets, big-endian
 * @returns 32 octets, big-endian, in 0..n-1
 * @throws CryptoError `invalid-length`
 */
export function scalarReduce(octets: Uint8Array): Uint8Array {
  if (octets.length > WIDE_OCTETS) {
    throw new CryptoError(
      'invalid-length',
      `integer to reduce: expected at most ${WIDE_OCTETS} octets, saw ${octets.length}`,
    );
  }
  splitIntoLimbs(octets, wide);
  return reduceWide();
}

/**
 * Whether these octets are a private key of P-256: 32 octets with a value in 1..n-1
 * (FIPS 186-5 A.2.2).
 */
export function isScalar(octets: Uint8Array): boolean {
  if (octets.length !== SCALAR_OCTETS) {
    return false;
  }
  splitIntoLimbs(octets, first);
  let anyBit = 0;
  let borrow = 0;
  for (let i = 0; i < LIMBS; i += 1) {
    anyBit |= first[i]!;
    borrow = ((first[i]! - ORDER_LIMBS[i]! - borrow) >> LIMB_BITS) & 1;
  }
  wipe();
  const isNotZero = ((anyBit + LIMB_MASK) >> LIMB_BITS) & 1;
  return (isNotZero & borrow) === 1;
}

/**
 * The content t of `wide` modulo n, as octets; then wipes every register.
 *
 * The first reduction gives t/R, the product with R^2 gives t·R, the second reduction gives t again.
 * Both results are below 2n, since a reduction of t gives less than t/R + n: the first time t is
 * below 2^513, the second time below 2n·n, and R = 2^264.
 */
function reduceWide(): Uint8Array {
  montgomeryReduceIntoFirst();
  multiplyIntoWide(first, R_SQUARED_LIMBS);
  montgomeryReduceIntoFirst();
  subtractOrderOnce();
  const octets = joinFirst();
  wipe();
  return octets;
}

/**
 * `wide` divided by R modulo n, up to one n too large, into `first`. A limb of `wide` may be as
 * large as 22 products and a summand; with 22 products of n added, and a carry, it stays below
 * 44·4095^2 + 2^19 < 2^30.
 */
function montgomeryReduceIntoFirst(): void {
  for (let i = 0; i < LIMBS; i += 1) {
    const multiple = Math.imul(wide[i]! & LIMB_MASK, MINUS_ORDER_INVERSE) & LIMB_MASK;
    for (let j = 0; j < LIMBS; j += 1) {
      wide[i + j] = (wide[i + j]! + Math.imul(multiple, ORDER_LIMBS[j]!)) | 0;
    }
    wide[i + 1] = (wide[i + 1]! + (wide[i]! >> LIMB_BITS)) | 0;
  }
  let carry = 0;
  for (let i = 0; i < LIMBS; i += 1) {
    carry = (carry + wide[LIMBS + i]!) | 0;
    first[i] = carry & LIMB_MASK;
    carry >>= LIMB_BITS;
  }
}

/** `first` from 0..2n-1 to 0..n-1: always subtracts, into `second`, then chooses with a mask. */
function subtractOrderOnce(): void {
  let borrow = 0;
  for (let i = 0; i < LIMBS; i += 1) {
    const limb = (first[i]! - ORDER_LIMBS[i]! - borrow) | 0;
    second[i] = limb & LIMB_MASK;
    borrow = (limb >> LIMB_BITS) & 1;
  }
  const keep = -borrow;
  for (let i = 0; i < LIMBS; i += 1) {
    first[i] = (first[i]! & keep) | (second[i]! & ~keep);
  }
}

/** The product of two numbers of 22 limbs: 44 limbs of up to 22·4095^2 < 2^29, carries not taken. */
function multiplyIntoWide(a: Int32Array, b: Int32Array): void {
  wide.fill(0);
  for (let i = 0; i < LIMBS; i += 1) {
    const factor = a[i]!;
    for (let j = 0; j < LIMBS; j += 1) {
      wide[i + j] = (wide[i + j]! + Math.imul(factor, b[j]!)) | 0;
    }
  }
}

/** Adds the low 22 limbs, carries not taken. */
function addFirstToWide(): void {
  for (let i = 0; i < LIMBS; i += 1) {
    wide[i] = (wide[i]! + first[i]!) | 0;
  }
}

/** Up to 66 big-endian octets as 44 little-endian limbs: every three octets are two limbs. */
function splitIntoLimbs(octets: Uint8Array, limbs: Int32Array): void {
  padded.fill(0);
  padded.set(octets, PADDED_OCTETS - octets.length);
  for (let limb = 0, last = PADDED_OCTETS - 1; limb < WIDE_LIMBS; limb += 2, last -= 3) {
    const middle = padded[last - 1]!;
    limbs[limb] = padded[last]! | ((middle & 0x0f) << 8);
    limbs[limb + 1] = (middle >> 4) | (padded[last - 2]! << 4);
  }
}

/** `first`, a number below 2^256, as 32 big-endian octets. */
function joinFirst(): Uint8Array {
  for (let limb = 0, last = PADDED_OCTETS - 1; limb < LIMBS; limb += 2, last -= 3) {
    const high = first[limb + 1]!;
    padded[last] = first[limb]!;
    padded[last - 1] = (first[limb]! >> 8) | (high << 4);
    padded[last - 2] = high >> 4;
  }
  return padded.slice(PADDED_OCTETS - SCALAR_OCTETS);
}

function wipe(): void {
  wide.fill(0);
  first.fill(0);
  second.fill(0);
  padded.fill(0);
}

function constantLimbs(value: bigint): Int32Array {
  const limbs = new Int32Array(LIMBS);
  for (let i = 0; i < LIMBS; i += 1) {
    limbs[i] = Number((value >> BigInt(i * LIMB_BITS)) & BigInt(LIMB_MASK));
  }
  return limbs;
}
