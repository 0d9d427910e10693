import { type Captured, encode } from '@chrysalis/coer';
import { sha256 } from '@chrysalis/crypto';
import type {
  EccP256CurvePoint,
  HashedId3,
  HashedId8,
  HashedId10,
  Signature,
} from './base-types.ts';
import { type Certificate, CertificateBase, type ToBeSignedCertificate } from './certificate.ts';
import { fromPoint, toPoint } from './point.ts';

/** A certificate and what is computed from its canonical octets once. */
export interface HashedCertificate {
  readonly certificate: CertificateBase;
  /** Canonical octets: the ones that are hashed. */
  readonly octets: Uint8Array;
  /** SHA-256 of the canonical octets. */
  readonly hash: Uint8Array;
  /** HashedId8: how others refer to the certificate. */
  readonly id: HashedId8;
}

/**
 * Hashes a certificate in its canonical form, 1609.2 §6.4.3: every curve point in toBeSigned compressed, r x-only.
 * One that arrives in another form has the same id as its canonical twin.
 *
 * @throws Ieee1609Dot2Error `unsupported` when a point that has to be compressed is not on the curve.
 */
export function hashCertificate(given: Certificate): HashedCertificate {
  const certificate = canonicalCertificate(given.value);
  const octets = certificate === given.value ? given.octets : encode(CertificateBase, certificate);
  const hash = sha256(octets);
  return { certificate, octets, hash, id: hashedId8(hash) };
}

/** The certificate with its octets, as messages carry it. */
export function asCertificate(hashed: HashedCertificate): Captured<CertificateBase> {
  return { value: hashed.certificate, octets: hashed.octets };
}

export function hashedId3(hash: Uint8Array): HashedId3 {
  return hash.slice(-3);
}

/** The low-order eight octets of a SHA-256, 1609.2 §6.3.25. */
export function hashedId8(hash: Uint8Array): HashedId8 {
  return hash.slice(-8);
}

export function hashedId10(hash: Uint8Array): HashedId10 {
  return hash.slice(-10);
}

/** Returns the same object when it is canonical already, as nearly every certificate is. */
export function canonicalCertificate(certificate: CertificateBase): CertificateBase {
  const toBeSigned = canonicalToBeSigned(certificate.toBeSigned);
  const signature = certificate.signature && canonicalSignature(certificate.signature);
  if (toBeSigned === certificate.toBeSigned && signature === certificate.signature) {
    return certificate;
  }
  return { ...certificate, toBeSigned, ...(signature && { signature }) };
}

/** The part that is signed, with its points compressed: what a signature or a reconstruction is computed over (§6.4.8). */
export function canonicalToBeSigned(tbs: ToBeSignedCertificate): ToBeSignedCertificate {
  let result = tbs;
  const indicator = tbs.verifyKeyIndicator;
  if (indicator.type === 'reconstructionValue' && isUncompressed(indicator.value)) {
    const value = compress(indicator.value);
    result = { ...result, verifyKeyIndicator: { type: 'reconstructionValue', value } };
  }
  if (indicator.type === 'verificationKey' && indicator.value.type !== 'unknown') {
    const { type, value } = indicator.value;
    if (isUncompressed(value)) {
      const verificationKey = { type, value: compress(value) };
      result = {
        ...result,
        verifyKeyIndicator: { type: 'verificationKey', value: verificationKey },
      };
    }
  }
  const encryption = tbs.encryptionKey?.publicKey;
  if (tbs.encryptionKey && encryption && encryption.type !== 'unknown') {
    if (isUncompressed(encryption.value)) {
      const publicKey = { type: encryption.type, value: compress(encryption.value) };
      result = { ...result, encryptionKey: { ...tbs.encryptionKey, publicKey } };
    }
  }
  return result;
}

function canonicalSignature(signature: Signature): Signature {
  if (signature.type === 'unknown' || signature.value.r.type === 'xOnly') return signature;
  const { r, s } = signature.value;
  if (r.type === 'fill') return signature;
  const x = r.type === 'uncompressed' ? r.value.x : r.value;
  return { type: signature.type, value: { r: { type: 'xOnly', value: x }, s } };
}

function isUncompressed(point: EccP256CurvePoint): boolean {
  return point.type === 'uncompressed';
}

function compress(point: EccP256CurvePoint): EccP256CurvePoint {
  return fromPoint(toPoint(point));
}
