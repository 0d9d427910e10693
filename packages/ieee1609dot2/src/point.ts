import {
  CryptoError,
  compressPoint,
  type EcdsaSignature,
  type Point,
  pointFromCompressed,
  pointFromUncompressed,
} from '@chrysalis/crypto';
import type { EccP256CurvePoint, Signature } from './base-types.ts';
import { Ieee1609Dot2Error } from './error.ts';

const UNCOMPRESSED = 0x04;

/**
 * The point of a key or a reconstruction value.
 *
 * @throws Ieee1609Dot2Error `unsupported` for x-only and fill, which name no single point, and for coordinates that
 *   are not on the curve.
 */
export function toPoint(point: EccP256CurvePoint): Point {
  try {
    switch (point.type) {
      case 'compressedY0':
      case 'compressedY1':
        return pointFromCompressed(point.value, point.type === 'compressedY1');
      case 'uncompressed':
        return pointFromUncompressed(
          Uint8Array.of(UNCOMPRESSED, ...point.value.x, ...point.value.y),
        );
      default:
        throw new Ieee1609Dot2Error('unsupported', `expected a whole point, saw ${point.type}`);
    }
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new Ieee1609Dot2Error('unsupported', 'expected a point on P-256', { cause });
  }
}

/** The compressed form, which is the canonical one (1609.2 §6.4.3). */
export function fromPoint(point: Point): EccP256CurvePoint {
  const { x, yIsOdd } = compressPoint(point);
  return { type: yIsOdd ? 'compressedY1' : 'compressedY0', value: x };
}

/**
 * The ECDSA pair of a signature. r is the x-coordinate of a point and may come x-only or compressed: only x counts.
 *
 * @throws Ieee1609Dot2Error `unsupported` for another curve or another form of r.
 */
export function toEcdsaSignature(signature: Signature): EcdsaSignature {
  if (signature.type !== 'ecdsaNistP256Signature') {
    throw new Ieee1609Dot2Error('unsupported', `expected ECDSA on P-256, saw ${signature.type}`);
  }
  const { r, s } = signature.value;
  if (r.type !== 'xOnly' && r.type !== 'compressedY0' && r.type !== 'compressedY1') {
    throw new Ieee1609Dot2Error('unsupported', `expected r x-only or compressed, saw ${r.type}`);
  }
  return { r: r.value, s };
}

/** A signature with r x-only, the canonical form. */
export function fromEcdsaSignature(signature: EcdsaSignature): Signature {
  return {
    type: 'ecdsaNistP256Signature',
    value: { r: { type: 'xOnly', value: signature.r }, s: signature.s },
  };
}
