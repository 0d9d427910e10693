import { CryptoError } from './errors.ts';
import { FIELD_PRIME, invertAll, modP, readFieldElement, writeFieldElement } from './field.ts';
import { type Point, trustPoint } from './point.ts';

/**
 * a + b, in variable time: for public points.
 *
 * @throws CryptoError `point-at-infinity` when a = -b
 */
export function addPoints(a: Point, b: Point): Point {
  return addPairs([a], [b])[0]!;
}

/**
 * base + addend for every addend, in variable time: for public points. As `addPairs`.
 *
 * @returns one sum for each addend, in order
 * @throws CryptoError `point-at-infinity`, naming the lane, when an addend is -base
 */
export function addToPoint(base: Point, addends: readonly Point[]): Point[] {
  return addPairs(new Array<Point>(addends.length).fill(base), addends);
}

/**
 * a + b for each a of the first and the b in its place, in variable time: for public points.
 *
 * An affine addition needs one field inversion, by far its dearest part; a batch shares one between
 * all its lanes (`invertAll`), which leaves about 4 microseconds a lane.
 *
 * @returns one sum for each pair, in order
 * @throws CryptoError `point-at-infinity`, naming the lane, when a = -b
 */
export function addPairs(first: readonly Point[], second: readonly Point[]): Point[] {
  const firstXs = first.map(readX);
  const firstYs = first.map(readY);
  const xs = second.map(readX);
  const ys = second.map(readY);

  // SEC 1 §2.2.1: the slope of the chord, or of the tangent where both points are the same.
  const numerators: bigint[] = [];
  const denominators: bigint[] = [];
  for (const [lane, x] of xs.entries()) {
    const y = ys[lane]!;
    const firstX = firstXs[lane]!;
    const firstY = firstYs[lane]!;
    if (x !== firstX) {
      numerators.push(y - firstY);
      denominators.push(modP(x - firstX));
    } else if (y === firstY) {
      numerators.push(3n * (firstX * firstX - 1n));
      // Never zero: the order of P-256 is odd, so no point has y = 0.
      denominators.push(modP(2n * firstY));
    } else {
      throw new CryptoError(
        'point-at-infinity',
        `sum ${lane}: expected two points other than each other's negative`,
      );
    }
  }
  const inverses = invertAll(denominators);

  return xs.map((x, lane) => {
    const firstX = firstXs[lane]!;
    const slope = modP(numerators[lane]! * inverses[lane]!);
    const sumX = modP(slope * slope - firstX - x);
    return pointFromCoordinates(sumX, modP(slope * (firstX - sumX) - firstYs[lane]!));
  });
}

/** The point with these coordinates, which the caller knows to lie on the curve. */
export function pointFromCoordinates(x: bigint, y: bigint): Point {
  const octets = new Uint8Array(65);
  octets[0] = 0x04;
  writeFieldElement(x, octets, 1);
  writeFieldElement(y, octets, 33);
  return trustPoint(octets);
}

/** -p: the same x, and p - y, which is never p because y is never zero. */
export function negatePoint(p: Point): Point {
  return pointFromCoordinates(readX(p), FIELD_PRIME - readY(p));
}

export function readX(p: Point): bigint {
  return readFieldElement(p, 1);
}

export function readY(p: Point): bigint {
  return readFieldElement(p, 33);
}
