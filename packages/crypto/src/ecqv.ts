import { CryptoError, expectLength } from './errors.ts';
import { PrivateKey } from './keys.ts';
import type { Point } from './point.ts';
import { multiplyPoint } from './point-multiple.ts';
import { addPairs, addPoints } from './point-sum.ts';
import { isScalar, scalarMultiplyAdd, scalarReduce } from './scalar.ts';

/*
 * Elliptic curve Qu-Vanstone implicit certificates (SEC 4 §2 and §3, 1609.2 §5.3.2).
 *
 * Everywhere, e is the whole SHA-256 of 32 octets, taken as an integer modulo n. SEC 4 would
 * take the leftmost floor(log2 n) = 255 bits only; certificates in the field take them all.
 *
 * e = 0 modulo n is refused with `invalid-scalar`: the reconstruction value would be the issuer's
 * private key itself. No hash is expected to hit it, once in 2^256.
 */

/**
 * The issuer's first step: PU = RU + k·G, which goes into the certificate (SEC 4 §3.4).
 *
 * @param requestPoint RU; the cocoon key where the certificate answers a butterfly request
 * @param k a fresh key for this certificate alone: two certificates with one k give away d_CA
 * @throws CryptoError `point-at-infinity`: take another k
 */
export function ecqvReconstructionPoint(requestPoint: Point, k: PrivateKey): Point {
  return addPoints(requestPoint, k.publicPoint);
}

/**
 * The first step for many certificates, which share a field inversion: a quarter of the cost of one.
 *
 * @param requestPoints the RU of each
 * @param ks the k of each, in the same order
 * @throws CryptoError `point-at-infinity`: take other ks
 */
export function ecqvReconstructionPoints(
  requestPoints: readonly Point[],
  ks: readonly PrivateKey[],
): Point[] {
  return addPairs(
    requestPoints,
    ks.map((k) => k.publicPoint),
  );
}

/**
 * The issuer's second step: r = e·k + d_CA mod n (SEC 4 §3.4).
 *
 * @param e 32 octets: SHA-256(SHA-256(toBeSigned) || SHA-256(issuer certificate))
 * @returns 32 octets, big-endian
 * @throws CryptoError `invalid-length` or `invalid-scalar`: e
 */
export function ecqvReconstructionValue(
  e: Uint8Array,
  k: PrivateKey,
  issuer: PrivateKey,
): Uint8Array {
  return scalarMultiplyAdd(reduceHash(e), k.scalar().reveal(), issuer.scalar().reveal());
}

/**
 * The subject's private key: d = e·kU + r mod n (SEC 4 §3.6). The caller compares its public point
 * with `ecqvPublicKey`, as SEC 4 §3.6 asks: that is what tells a right r from a wrong one.
 *
 * @param e as for `ecqvReconstructionValue`
 * @param requestKey kU; the cocoon private key where the request was a butterfly one
 * @param r 32 octets, big-endian
 * @throws CryptoError `invalid-length`: e or r; `invalid-scalar`: e, or a private key of zero
 */
export function ecqvPrivateKey(e: Uint8Array, requestKey: PrivateKey, r: Uint8Array): PrivateKey {
  return PrivateKey.fromScalar(scalarMultiplyAdd(reduceHash(e), requestKey.scalar().reveal(), r));
}

/**
 * The subject's public key, for anyone: Q = e·PU + Q_CA (SEC 4 §3.5). About 240 microseconds: keep
 * the result.
 *
 * @param e as for `ecqvReconstructionValue`
 * @throws CryptoError `invalid-length` or `invalid-scalar`: e; `point-at-infinity`: a certificate
 *   that nobody holds a key for
 */
export function ecqvPublicKey(e: Uint8Array, reconstructionPoint: Point, issuer: Point): Point {
  return addPoints(issuer, multiplyPoint(reduceHash(e), reconstructionPoint));
}

function reduceHash(e: Uint8Array): Uint8Array {
  expectLength('hash e', e, 32);
  const reduced = scalarReduce(e);
  if (!isScalar(reduced)) {
    throw new CryptoError('invalid-scalar', 'hash e: expected not to be a multiple of n');
  }
  return reduced;
}
