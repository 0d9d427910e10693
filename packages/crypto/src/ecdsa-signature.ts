/*
 * Node gives and takes ECDSA signatures either as r || s ("ieee-p1363") or as the DER of RFC 3279
 * §2.2.3. On Node 24 the first needs an options object that costs 27 microseconds in every signature
 * and every verification, because the key in it is prepared anew each time; so we speak DER, which a
 * bare KeyObject takes.
 */

/** An ECDSA signature over P-256: two big-endian integers in 1..n-1, 32 octets each. */
export interface EcdsaSignature {
  /** The x-coordinate of the ephemeral point modulo n: x-only in an EcdsaP256Signature of 1609.2. */
  readonly r: Uint8Array;
  readonly s: Uint8Array;
}

const INTEGER_OCTETS = 32;
const TAG_SEQUENCE = 0x30;
const TAG_INTEGER = 0x02;

/** SEQUENCE { r INTEGER, s INTEGER } in DER, for r and s of 32 octets. At most 72 octets. */
export function signatureToDer(signature: EcdsaSignature): Uint8Array {
  const rOctets = integerOctets(signature.r);
  const sOctets = integerOctets(signature.s);
  const der = new Uint8Array(6 + rOctets + sOctets);
  der[0] = TAG_SEQUENCE;
  der[1] = 4 + rOctets + sOctets;
  writeInteger(der, 2, signature.r, rOctets);
  writeInteger(der, 4 + rOctets, signature.s, sOctets);
  return der;
}

/** The inverse, for DER that libcrypto has just made. */
export function signatureFromDer(der: Uint8Array): EcdsaSignature {
  const rOctets = der[3]!;
  const sOctets = der[5 + rOctets]!;
  return { r: readInteger(der, 4, rOctets), s: readInteger(der, 6 + rOctets, sOctets) };
}

/** How many octets X.690 §8.3 gives a non-negative integer: no leading zero, a clear sign bit. */
function integerOctets(integer: Uint8Array): number {
  let zeros = 0;
  while (zeros < INTEGER_OCTETS - 1 && integer[zeros] === 0) {
    zeros += 1;
  }
  return INTEGER_OCTETS - zeros + (integer[zeros]! >> 7);
}

function writeInteger(der: Uint8Array, offset: number, integer: Uint8Array, octets: number): void {
  der[offset] = TAG_INTEGER;
  der[offset + 1] = octets;
  const kept = Math.min(octets, INTEGER_OCTETS);
  der.set(integer.subarray(INTEGER_OCTETS - kept), offset + 2 + octets - kept);
}

function readInteger(der: Uint8Array, offset: number, octets: number): Uint8Array {
  const integer = new Uint8Array(INTEGER_OCTETS);
  const kept = Math.min(octets, INTEGER_OCTETS);
  integer.set(der.subarray(offset + octets - kept, offset + octets), INTEGER_OCTETS - kept);
  return integer;
}
