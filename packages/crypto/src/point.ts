import { ECDH } from 'node:crypto';
import { CryptoError } from './errors.ts';
import { ownOctets } from './octets.ts';

/** OpenSSL's name of NIST P-256 (SP 800-186 §3.2.1.3, secp256r1 of SEC 2). */
export const CURVE = 'prime256v1';

/** The leading octet of the forms of SEC 1 §2.3.3. */
const COMPRESSED_EVEN = 0x02;
const COMPRESSED_ODD = 0x03;
const UNCOMPRESSED = 0x04;

const COORDINATE_OCTETS = 32;
const COMPRESSED_OCTETS = 33;
const UNCOMPRESSED_OCTETS = 65;

/**
 * An affine point of P-256 as 65 octets, uncompressed (SEC 1 §2.3.3: 04 || x || y). Whoever holds a
 * Point holds a proof that it lies on the curve: only the functions of this package make one, and
 * nobody writes to it. P-256 has cofactor 1, so on the curve also means in the right group.
 */
export type Point = Uint8Array & { readonly __brand: 'Point' };

/**
 * Checks an uncompressed point; the result is a copy.
 *
 * @param octets 65 octets, 04 || x || y
 * @throws CryptoError `invalid-point`: another form or length, a coordinate of p or above, a point
 *   off the curve (SEC 1 §2.3.4)
 */
export function pointFromUncompressed(octets: Uint8Array): Point {
  expectUncompressed(octets);
  return decodePoint(octets);
}

function expectUncompressed(octets: Uint8Array): void {
  if (octets.length === UNCOMPRESSED_OCTETS && octets[0] === UNCOMPRESSED) return;
  throw new CryptoError(
    'invalid-point',
    `uncompressed point: expected 65 octets from 04, saw ${describe(octets)}`,
  );
}

/**
 * Finds y from x and the parity of y (SEC 1 §2.3.4; compressed-y-0 and compressed-y-1 of the
 * EccP256CurvePoint of 1609.2). About 26 microseconds of libcrypto.
 *
 * @param x 32 octets, big-endian
 * @throws CryptoError `invalid-point`: another length, x of p or above, no y for this x
 */
export function pointFromCompressed(x: Uint8Array, yIsOdd: boolean): Point {
  if (x.length !== COORDINATE_OCTETS) {
    throw new CryptoError(
      'invalid-point',
      `x of a compressed point: expected 32 octets, saw ${x.length}`,
    );
  }
  const octets = new Uint8Array(COMPRESSED_OCTETS);
  octets[0] = yIsOdd ? COMPRESSED_ODD : COMPRESSED_EVEN;
  octets.set(x, 1);
  return decodePoint(octets);
}

/** The compressed form: x as 32 octets, big-endian, and the parity of y (SEC 1 §2.3.3). */
export function compressPoint(p: Point): { x: Uint8Array; yIsOdd: boolean } {
  return { x: p.slice(1, 1 + COORDINATE_OCTETS), yIsOdd: (p[UNCOMPRESSED_OCTETS - 1]! & 1) === 1 };
}

/** Whether two points are the same. Points are public: stops at the first difference. */
export function equalPoints(a: Point, b: Point): boolean {
  return a.every((octet, index) => octet === b[index]);
}

/** Declares octets a Point without a check: for results of libcrypto and of our own formulas. */
export function trustPoint(octets: Uint8Array): Point {
  return octets as Point;
}

/**
 * A point that this package has made, out of the place where it was kept: 65 octets, uncompressed. Its form is checked and
 * not the curve; libcrypto refuses to import what is not on it, so that nothing is computed with such a point.
 *
 * @throws CryptoError `invalid-point`: another form or length
 */
export function pointOfOurs(octets: Uint8Array): Point {
  expectUncompressed(octets);
  return trustPoint(octets);
}

/** libcrypto checks the range of the coordinates and the curve equation in both forms. */
function decodePoint(octets: Uint8Array): Point {
  try {
    const decoded = ECDH.convertKey(octets, CURVE, undefined, undefined, 'uncompressed');
    return trustPoint(ownOctets(decoded as Buffer));
  } catch (cause) {
    throw new CryptoError('invalid-point', `expected a point of P-256, saw ${describe(octets)}`, {
      cause,
    });
  }
}

function describe(octets: Uint8Array): string {
  const head = Buffer.from(octets.subarray(0, 4)).toString('hex');
  return `${octets.length} octets from ${head === '' ? 'nothing' : head}`;
}
