import { encode } from '@chrysalis/coer';
import {
  CryptoError,
  ecqvPublicKey,
  equalConstantTime,
  type Point,
  PublicKey,
  SHA256_EMPTY,
  sha256,
} from '@chrysalis/crypto';
import type { GeographicRegion, HashedId8, Time32 } from './base-types.ts';
import { type HashedCertificate, hashCertificate } from './canonical.ts';
import { type Certificate, type CertificateBase, ToBeSignedCertificate } from './certificate.ts';
import { Ieee1609Dot2Error } from './error.ts';
import { mayIssue } from './permissions.ts';
import { toEcdsaSignature, toPoint } from './point.ts';
import { isWithinRegion } from './region.ts';
import { endOfValidity, formatTime32 } from './time.ts';

/** A certificate whose chain up to a trusted root has been checked, apart from the time. */
export interface VerifiedCertificate extends HashedCertificate {
  readonly publicKey: PublicKey;
  /** Undefined for a root. */
  readonly issuer: VerifiedCertificate | undefined;
}

/** The first instant at which a certificate, or one above it, is over. */
export function endOfChain(certificate: VerifiedCertificate): number {
  let end = Number.POSITIVE_INFINITY;
  for (let c: VerifiedCertificate | undefined = certificate; c; c = c.issuer) {
    end = Math.min(end, endOfValidity(c.certificate.toBeSigned.validityPeriod));
  }
  return end;
}

/** Root, intermediate, authority, end entity and two more in between: no SCMS chain is longer. */
const MAX_CHAIN = 6;

/**
 * The certificates that are trusted: roots given from outside, and others once their chain is verified.
 *
 * @example
 * const trust = new TrustStore([root]);
 * trust.add(ica);
 * trust.add(eca);
 * const enrollment = trust.verify(certificate);
 * checkValidAt(enrollment, now);
 */
export class TrustStore {
  readonly #byId = new Map<string, VerifiedCertificate>();

  /** @throws Ieee1609Dot2Error when a root is not self-signed, or its signature is wrong. */
  constructor(roots: Iterable<Certificate>) {
    for (const root of roots) {
      const verified = verifyRoot(root);
      this.#byId.set(key(verified.id), verified);
    }
  }

  /** Verifies a certificate against those that are trusted and trusts it as an issuer or signer from now on. */
  add(certificate: Certificate): VerifiedCertificate {
    const verified = this.verify(certificate);
    this.#byId.set(key(verified.id), verified);
    return verified;
  }

  /**
   * Trusts a certificate because it was configured: its issuer has to be trusted and its signature right, but not its
   * region, permissions and assurance. Fielded PKIs give RAs permissions that no issuer could (section 4 of
   * `docs/divergences.md`); whoever names such a certificate by hand vouches for it.
   */
  pin(certificate: Certificate): VerifiedCertificate {
    const { issuer } = certificate.value;
    const verifiedIssuer = issuer.type === 'sha256AndDigest' ? this.get(issuer.value) : undefined;
    if (verifiedIssuer === undefined) {
      throw new Ieee1609Dot2Error('unknown-issuer', 'expected a trusted issuer');
    }
    const hashed = hashCertificate(certificate);
    const publicKey = publicKeyOf(hashed.certificate, verifiedIssuer);
    const verified = { ...hashed, publicKey, issuer: verifiedIssuer };
    this.#byId.set(key(verified.id), verified);
    return verified;
  }

  /** The same certificate, when it is trusted already: by its whole hash, since an id has only 64 bits. */
  #find(certificate: Certificate): VerifiedCertificate | undefined {
    const { id, hash } = hashCertificate(certificate);
    const known = this.get(id);
    return known && equalConstantTime(known.hash, hash) ? known : undefined;
  }

  get(id: HashedId8): VerifiedCertificate | undefined {
    return this.#byId.get(key(id));
  }

  /**
   * Verifies that a trusted certificate issued this one: signature or reconstruction, region inside the issuer's,
   * permissions within its certIssuePermissions, assurance not above its own. The time is left to
   * {@link checkValidAt}.
   *
   * @throws Ieee1609Dot2Error with the check that failed.
   */
  verify(certificate: Certificate): VerifiedCertificate {
    const known = this.#find(certificate);
    if (known !== undefined) return known;
    const { issuer } = certificate.value;
    if (issuer.type !== 'sha256AndDigest') {
      throw new Ieee1609Dot2Error('unknown-issuer', 'expected an issuer by digest');
    }
    const verifiedIssuer = this.get(issuer.value);
    if (verifiedIssuer === undefined) {
      throw new Ieee1609Dot2Error(
        'unknown-issuer',
        `expected a trusted issuer, saw ${key(issuer.value)}`,
      );
    }
    return verifyIssued(certificate, verifiedIssuer);
  }
}

/** Verifies a certificate against the one that issued it, as {@link TrustStore.verify} does. */
export function verifyIssued(
  certificate: Certificate,
  issuer: VerifiedCertificate,
): VerifiedCertificate {
  if (chainLength(issuer) >= MAX_CHAIN) {
    throw new Ieee1609Dot2Error('chain-too-long', `expected at most ${MAX_CHAIN} certificates`);
  }
  const hashed = hashCertificate(certificate);
  const subject = hashed.certificate.toBeSigned;
  const outer = effectiveRegion(issuer);
  if (subject.region && outer && !isWithinRegion(subject.region, outer)) {
    throw new Ieee1609Dot2Error('outside-issuer-region', "expected a region inside the issuer's");
  }
  if (!mayIssue(issuer.certificate.toBeSigned.certIssuePermissions ?? [], subject)) {
    throw new Ieee1609Dot2Error(
      'outside-issuer-permissions',
      "expected permissions within the issuer's certIssuePermissions",
    );
  }
  // Absent means the lowest assurance (1609.2 §6.4.27).
  const assurance = subject.assuranceLevel?.[0] ?? 0;
  if (assurance >> 5 > (issuer.certificate.toBeSigned.assuranceLevel?.[0] ?? 0) >> 5) {
    throw new Ieee1609Dot2Error(
      'outside-issuer-assurance',
      "expected at most the issuer's assurance",
    );
  }
  return { ...hashed, publicKey: publicKeyOf(hashed.certificate, issuer), issuer };
}

/**
 * Checks that a certificate and all above it are valid at a time.
 *
 * @throws Ieee1609Dot2Error `not-yet-valid` or `expired`.
 */
export function checkValidAt(certificate: VerifiedCertificate, time: Time32): void {
  for (let c: VerifiedCertificate | undefined = certificate; c !== undefined; c = c.issuer) {
    const period = c.certificate.toBeSigned.validityPeriod;
    if (time < period.start) {
      throw new Ieee1609Dot2Error(
        'not-yet-valid',
        `expected a certificate valid at ${formatTime32(time)}, saw one from ${formatTime32(period.start)}`,
      );
    }
    if (time >= endOfValidity(period)) {
      throw new Ieee1609Dot2Error(
        'expired',
        `expected a certificate valid at ${formatTime32(time)}, saw one until ${formatTime32(endOfValidity(period))}`,
      );
    }
  }
}

/** The region of a certificate: its own or, when it names none, that of its issuer (1609.2 §6.4.8). */
export function effectiveRegion(certificate: VerifiedCertificate): GeographicRegion | undefined {
  for (let c: VerifiedCertificate | undefined = certificate; c !== undefined; c = c.issuer) {
    if (c.certificate.toBeSigned.region) return c.certificate.toBeSigned.region;
  }
  return undefined;
}

/**
 * The 64 octets whose SHA-256 is signed (1609.2 §5.3.1) and from which e of an implicit certificate is
 * computed (§5.3.2): SHA-256 of what is signed, then SHA-256 of the signer's certificate, or of nothing for `self`.
 */
export function signatureInput(
  toBeSigned: Uint8Array,
  signer: HashedCertificate | 'self',
): Uint8Array {
  const input = new Uint8Array(64);
  input.set(sha256(toBeSigned), 0);
  input.set(signer === 'self' ? SHA256_EMPTY : signer.hash, 32);
  return input;
}

function verifyRoot(root: Certificate): VerifiedCertificate {
  const hashed = hashCertificate(root);
  const { issuer } = hashed.certificate;
  if (issuer.type !== 'self') {
    throw new Ieee1609Dot2Error('unknown-issuer', 'expected a self-signed root');
  }
  if (issuer.value !== 'sha256') {
    throw new Ieee1609Dot2Error('unsupported', `expected sha256, saw hash ${issuer.value}`);
  }
  return { ...hashed, publicKey: publicKeyOf(hashed.certificate, undefined), issuer: undefined };
}

/** The public key of a certificate, having verified its signature or reconstructed it (1609.2 §5.3.2, SEC 4). */
function publicKeyOf(
  certificate: CertificateBase,
  issuer: VerifiedCertificate | undefined,
): PublicKey {
  const input = signatureInput(
    encode(ToBeSignedCertificate, certificate.toBeSigned),
    issuer ?? 'self',
  );
  const indicator = certificate.toBeSigned.verifyKeyIndicator;
  if (indicator.type === 'reconstructionValue' && issuer !== undefined) {
    return PublicKey.fromPoint(
      reconstruct(input, toPoint(indicator.value), issuer.publicKey.point),
    );
  }
  if (indicator.type !== 'verificationKey' || indicator.value.type !== 'ecdsaNistP256') {
    throw new Ieee1609Dot2Error('unsupported', 'expected a key on P-256');
  }
  const publicKey = PublicKey.fromPoint(toPoint(indicator.value.value));
  const signer = issuer?.publicKey ?? publicKey;
  if (!certificate.signature || !signer.verify(input, toEcdsaSignature(certificate.signature))) {
    throw new Ieee1609Dot2Error('invalid-signature', "expected the issuer's signature");
  }
  return publicKey;
}

function reconstruct(input: Uint8Array, point: Point, issuer: Point): Point {
  try {
    return ecqvPublicKey(sha256(input), point, issuer);
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new Ieee1609Dot2Error('unsupported', 'expected a public key other than infinity', {
      cause,
    });
  }
}

function chainLength(certificate: VerifiedCertificate): number {
  let length = 0;
  for (let c: VerifiedCertificate | undefined = certificate; c !== undefined; c = c.issuer)
    length++;
  return length;
}

function key(id: HashedId8): string {
  return Buffer.from(id).toString('hex');
}
