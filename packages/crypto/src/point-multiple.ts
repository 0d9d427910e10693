import { createECDH, type ECDH } from 'node:crypto';
import { CryptoError } from './errors.ts';
import { CURVE_B, invert, modP, readFieldElement } from './field.ts';
import { ownOctets } from './octets.ts';
import { CURVE, type Point, trustPoint } from './point.ts';
import { negatePoint, pointFromCoordinates, readX, readY } from './point-sum.ts';
import { isScalar, scalarAdd } from './scalar.ts';

/**
 * One ECDH object for all multiplications: making one costs a third of what it then does. It keeps
 * the last scalar until the next call; private keys therefore have an object of their own (keys.ts).
 */
const calculator: ECDH = createECDH(CURVE);

const ONE = new Uint8Array(32);
ONE[31] = 1;

/**
 * scalar·G by libcrypto, in constant time. About 15 microseconds.
 *
 * @param scalar 32 octets, big-endian, in 1..n-1
 * @throws CryptoError `invalid-scalar`
 */
export function multiplyGenerator(scalar: Uint8Array): Point {
  expectScalar(scalar);
  calculator.setPrivateKey(scalar);
  return trustPoint(ownOctets(calculator.getPublicKey()));
}

/**
 * scalar·p, for PUBLIC scalars and points only: parts of it take a variable time.
 *
 * Node offers no multiplication of a point, only ECDH, which gives the x of scalar·p. Two of them
 * give y as well: the x of (scalar + 1)·p = scalar·p + p fixes it, since with (x, y) = p,
 * x1 = x(scalar·p), x2 = x(scalar·p + p) and a = -3, the addition law of SEC 1 §2.2.1 solves to
 *
 *     2·y·y1 = (x + x1)·(x·x1 + a) + 2b - x2·(x - x1)^2
 *
 * (Brier and Joye, PKC 2002, proposition 3). That inversion costs a third of finding y by
 * decompression, which would still leave its sign open. About 220 microseconds.
 *
 * @param scalar 32 octets, big-endian, in 1..n-1
 * @throws CryptoError `invalid-scalar`
 */
export function multiplyPoint(scalar: Uint8Array, p: Point): Point {
  expectScalar(scalar);
  const x = readX(p);
  const x1 = multipleX(scalar, p);
  if (x1 === x) {
    // 1 and n-1, the only scalars that keep x: the formula needs two different points.
    return isOne(scalar) ? p : negatePoint(p);
  }
  const x2 = multipleX(scalarAdd(scalar, ONE), p);
  const difference = x - x1;
  const numerator = (x + x1) * (x * x1 - 3n) + 2n * CURVE_B - x2 * difference * difference;
  return pointFromCoordinates(x1, modP(numerator * invert(modP(2n * readY(p)))));
}

function multipleX(scalar: Uint8Array, p: Point): bigint {
  calculator.setPrivateKey(scalar);
  return readFieldElement(calculator.computeSecret(p), 0);
}

function isOne(scalar: Uint8Array): boolean {
  return scalar.every((octet, index) => octet === ONE[index]);
}

function expectScalar(scalar: Uint8Array): void {
  if (!isScalar(scalar)) {
    throw new CryptoError(
      'invalid-scalar',
      `scalar: expected 32 octets in 1..n-1, saw ${scalar.length} octets outside it`,
    );
  }
}
