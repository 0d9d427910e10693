/**
 * What went wrong, for programs. A code once published keeps its meaning.
 *
 * - `invalid-point`: octets that are not an affine point of P-256
 * - `point-at-infinity`: a sum or multiple that has no affine form
 * - `invalid-scalar`: a scalar outside 1..n-1, or not 32 octets
 * - `invalid-length`: an argument whose octet length the algorithm does not allow
 * - `out-of-range`: an integer argument outside its field
 * - `invalid-random`: a `Random` that gave the wrong number of octets, or no scalar in many draws
 * - `decryption-failed`: a ciphertext that does not authenticate; never says why
 */
export type CryptoErrorCode =
  | 'invalid-point'
  | 'point-at-infinity'
  | 'invalid-scalar'
  | 'invalid-length'
  | 'out-of-range'
  | 'invalid-random'
  | 'decryption-failed';

/** The one error this package throws; `cause` holds libcrypto's own error where there is one. */
export class CryptoError extends Error {
  readonly code: CryptoErrorCode;

  constructor(code: CryptoErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CryptoError';
    this.code = code;
  }
}

/** Throws `invalid-length` unless `octets` holds exactly `length` octets. */
export function expectLength(what: string, octets: Uint8Array, length: number): void {
  if (octets.length !== length) {
    throw new CryptoError(
      'invalid-length',
      `${what}: expected ${length} octets, saw ${octets.length}`,
    );
  }
}

/** Throws `out-of-range` unless `value` is an integer in 0..maximum. */
export function expectInteger(what: string, value: number, maximum: number): void {
  if (!Number.isInteger(value) || value < 0 || value > maximum) {
    throw new CryptoError(
      'out-of-range',
      `${what}: expected an integer in 0..${maximum}, saw ${value}`,
    );
  }
}

/** The largest value of a 32-bit field, such as the i and j of a butterfly expansion. */
export const UINT32_MAX = 0xffff_ffff;
