import { CryptoError } from './errors.ts';
import { FIELD_PRIME, invertAll, modP, readFieldElement, writeFieldElement } from './field.ts';
import { type Point, trustPoint } from './point.ts';

/**
 * a + b, in variable time: for public points.
 *
 * @throws CryptoError `point-at-infinity` when a = -b
 */
export function addPoints(a: Point, b: Point): Point {
  return addToPoint(a, [b])[0]!;
}

/**
 * base + addend for every addend, in variable time: for public points.
 *
 * An affine addition needs one field inversion, by far its dearest part; a batch shares one between
 * all its lanes (`invertAll`), which leaves about 4 microseconds a lane.
 *
 * @returns one sum for each addend, in order
 * @throws CryptoError `point-at-infinity`, naming the lane, when an addend is -base
 */
export function addToPoint(base: Point, addends: readonly Point[]): Point[] {
  const baseX = readX(base);
  const baseY = readY(base);
  const xs = addends.map(readX);
  const ys = addends.map(readY);

  // SEC 1 §2.2.1: the slope of the chord, or of the tangent where both points are the same.
  const numerators: bigint[] = [];
  const denominators: bigint[] = [];
  for (const [lane, x] of xs.entries()) {
    const y = ys[lane]!;
    if (x !== baseX) {
      numerators.push(y - baseY);
      denominators.push(modP(x - baseX));
    } else if (y === baseY) {
      numerators.push(3n * (baseX * baseX - 1n));
      // Never zero: the order of P-256 is odd, so no point has y = 0.
      denominators.push(modP(2n * baseY));
    } else {
      throw new CryptoError(
        'point-at-infinity',
        `sum ${lane}: expected an addend other than the negative of the base`,
      );
    }
  }
  const inverses = invertAll(denominators);

  return xs.map((x, lane) => {
    const slope = modP(numerators[lane]! * inverses[lane]!);
    const sumX = modP(slope * slope - baseX - x);
    return pointFromCoordinates(sumX, modP(slope * (baseX - sumX) - baseY));
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
