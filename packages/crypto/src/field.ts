/*
 * The field of P-256 in BigInt, for sums of points. BigInt takes a time that depends on its values:
 * public data only. Private scalars belong to scalar.ts, multiplications to libcrypto.
 */

/** p, the prime of P-256 (SP 800-186 §3.2.1.3). */
export const FIELD_PRIME = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
/** The coefficient b of y^2 = x^3 - 3x + b (SP 800-186 §3.2.1.3). */
export const CURVE_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;

/** The residue of any integer in 0..p-1; `%` alone keeps the sign of its left operand. */
export function modP(value: bigint): bigint {
  const remainder = value % FIELD_PRIME;
  return remainder < 0n ? remainder + FIELD_PRIME : remainder;
}

/** The 32 big-endian octets at `offset`. Four 64-bit reads: twice as fast as through hexadecimal. */
export function readFieldElement(octets: Uint8Array, offset: number): bigint {
  const view = new DataView(octets.buffer, octets.byteOffset + offset, 32);
  return (
    (view.getBigUint64(0) << 192n) |
    (view.getBigUint64(8) << 128n) |
    (view.getBigUint64(16) << 64n) |
    view.getBigUint64(24)
  );
}

/** Writes a value in 0..p-1 as 32 big-endian octets at `offset`. */
export function writeFieldElement(value: bigint, octets: Uint8Array, offset: number): void {
  const view = new DataView(octets.buffer, octets.byteOffset + offset, 32);
  view.setBigUint64(0, value >> 192n);
  view.setBigUint64(8, BigInt.asUintN(64, value >> 128n));
  view.setBigUint64(16, BigInt.asUintN(64, value >> 64n));
  view.setBigUint64(24, BigInt.asUintN(64, value));
}

/**
 * Few enough for exact doubles: Euclid's steps keep |d|·x + |b|·y and |c|·x + |a|·y at the numbers
 * that they began with, so that neither a cofactor nor a product below ever reaches 2^53.
 */
const LEADING_BITS = 52;

/** The exponent of a double of 2^-1 or more, less this, is how many bits its integer part has (IEEE 754). */
const EXPONENT_BIAS = 1022;

/** A double and its octets. All functions are synchronous, so one serves all calls of a thread. */
const double = new Float64Array(1);
const doubleWords = new Uint32Array(double.buffer);
const HIGH_WORD = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 1 : 0;

/**
 * The matrix a, b, c, d of Euclid's steps that `takeLeadingSteps` took: with it
 * larger' = a·larger + b·smaller and smaller' = c·larger + d·smaller.
 */
const steps = new Float64Array(4);

/**
 * The inverse of `value` modulo p, for a value in 1..p-1.
 *
 * Lehmer's form of Euclid's algorithm (Knuth, TAOCP vol. 2, §4.5.2, algorithm L): while the leading
 * 52 bits of both numbers determine the quotient, it works on them in doubles, then applies the
 * collected steps to the BigInts at once, because BigInt operations cost their allocation. For the
 * same reason nothing else in here allocates.
 */
export function invert(value: bigint): bigint {
  // Invariant: larger = u·value and smaller = v·value modulo p.
  let larger = FIELD_PRIME;
  let smaller = value;
  let u = 0n;
  let v = 1n;
  while (smaller !== 0n) {
    const last = larger;
    const lastU = u;
    if (takeLeadingSteps(larger, smaller)) {
      const a = BigInt(steps[0]!);
      const b = BigInt(steps[1]!);
      const c = BigInt(steps[2]!);
      const d = BigInt(steps[3]!);
      larger = a * last + b * smaller;
      smaller = c * last + d * smaller;
      u = a * lastU + b * v;
      v = c * lastU + d * v;
    } else {
      const quotient = larger / smaller;
      larger = smaller;
      smaller = last - quotient * smaller;
      u = v;
      v = lastU - quotient * v;
    }
  }
  return u < 0n ? u + FIELD_PRIME : u;
}

/** Takes the Euclidean steps that the leading bits determine, into `steps`; false if they do not determine even one. */
function takeLeadingSteps(larger: bigint, smaller: bigint): boolean {
  const shift = BigInt(Math.max(0, bitsOf(larger) - LEADING_BITS));
  let x = Number(larger >> shift);
  let y = Number(smaller >> shift);
  let a = 1;
  let b = 0;
  let c = 0;
  let d = 1;
  while (y + c !== 0 && y + d !== 0) {
    // The true quotient lies between these two: both numbers were cut off by less than one unit.
    const quotient = Math.floor((x + a) / (y + c));
    if (quotient !== Math.floor((x + b) / (y + d))) {
      break;
    }
    const nextC = a - quotient * c;
    const nextD = b - quotient * d;
    const nextY = x - quotient * y;
    a = c;
    b = d;
    x = y;
    c = nextC;
    d = nextD;
    y = nextY;
  }
  steps[0] = a;
  steps[1] = b;
  steps[2] = c;
  steps[3] = d;
  return b !== 0;
}

/** How many bits a positive number has; one too many where all of the leading 53 are ones. */
function bitsOf(value: bigint): number {
  double[0] = Number(value);
  return (doubleWords[HIGH_WORD]! >>> 20) - EXPONENT_BIAS;
}

/**
 * The inverse of every value, each in 1..p-1, with one inversion and three products a value
 * (Montgomery's trick: the inverse of a product gives the inverse of each factor).
 */
export function invertAll(values: readonly bigint[]): bigint[] {
  const productsBefore: bigint[] = [];
  let product = 1n;
  for (const value of values) {
    productsBefore.push(product);
    product = (product * value) % FIELD_PRIME;
  }
  const inverses = new Array<bigint>(values.length);
  let inverse = invert(product);
  for (let i = values.length - 1; i >= 0; i -= 1) {
    inverses[i] = (inverse * productsBefore[i]!) % FIELD_PRIME;
    inverse = (inverse * values[i]!) % FIELD_PRIME;
  }
  return inverses;
}
