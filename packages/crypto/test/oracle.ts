import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import {
  CryptoError,
  type CryptoErrorCode,
  type Point,
  pointFromUncompressed,
  type Random,
} from '../src/index.ts';

/*
 * The second implementations that the tests compare with (noble-curves, BigInt), and the values they
 * draw. One seed for all properties: a run repeats the one before.
 */

fc.configureGlobal({ seed: 16092, numRuns: 200 });

/** Runs of properties that need noble's multiplications, about a millisecond each. */
export const FEW = { numRuns: 100 };
/** Runs of properties that cost microseconds. */
export const MANY = { numRuns: 3000 };

export const ORDER = p256.Point.Fn.ORDER;
export const PRIME = p256.Point.Fp.ORDER;

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

export function toHex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

export function toInteger(octets: Uint8Array): bigint {
  return octets.length === 0 ? 0n : BigInt(`0x${toHex(octets)}`);
}

export function fromInteger(value: bigint, length = 32): Uint8Array {
  return fromHex(value.toString(16).padStart(2 * length, '0'));
}

/** A point from coordinates in hexadecimal, as vectors print them. */
export function pointFromHex(x: string, y: string): Point {
  return pointFromUncompressed(fromHex(`04${x}${y}`));
}

/** scalar·G by noble. */
export function nobleMultiple(scalar: bigint): Point {
  return p256.Point.BASE.multiply(scalar).toBytes(false) as Point;
}

export function nobleSum(a: Point, b: Point): Point {
  return p256.Point.fromBytes(a).add(p256.Point.fromBytes(b)).toBytes(false) as Point;
}

export function nobleProduct(scalar: bigint, p: Point): Point {
  return p256.Point.fromBytes(p).multiply(scalar).toBytes(false) as Point;
}

/** For assert.throws: a CryptoError with this code. */
export function cryptoError(code: CryptoErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof CryptoError && error.code === code;
}

export function octets(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

/** Integers of 256 bits with every edge of arithmetic modulo n and of its limbs among them. */
export const anyInteger256: fc.Arbitrary<bigint> = fc.oneof(
  { weight: 4, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      0n,
      1n,
      2n,
      ORDER - 2n,
      ORDER - 1n,
      ORDER,
      ORDER + 1n,
      (ORDER - 1n) / 2n,
      (ORDER + 1n) / 2n,
      2n ** 255n,
      2n ** 256n - 1n,
      2n ** 256n - 2n,
    ),
  },
  // Single bits and runs of ones cross the limbs at every place.
  { weight: 1, arbitrary: fc.nat(255).map((bit) => 2n ** BigInt(bit)) },
  { weight: 1, arbitrary: fc.nat(256).map((bits) => 2n ** BigInt(bits) - 1n) },
);

/** Scalars of a private key, 1..n-1, with the edges. */
export const anyScalar: fc.Arbitrary<bigint> = anyInteger256.filter(
  (value) => value > 0n && value < ORDER,
);

/** A `Random` that gives these octets, in turn, and then fails the test. */
export function scriptedRandom(...draws: Uint8Array[]): Random {
  return () => {
    const draw = draws.shift();
    if (draw === undefined) {
      throw new Error('the script has no draw left');
    }
    return draw;
  };
}
