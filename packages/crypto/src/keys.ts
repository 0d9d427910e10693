import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type ECDH,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { inspect } from 'node:util';
import { type EcdsaSignature, signatureFromDer, signatureToDer } from './ecdsa-signature.ts';
import { CryptoError } from './errors.ts';
import { concatOctets, ownOctets } from './octets.ts';
import { CURVE, type Point, trustPoint } from './point.ts';
import type { Random } from './random.ts';
import { isScalar } from './scalar.ts';
import { SECRET_TEXT, Secret } from './secret.ts';

const SCALAR_OCTETS = 32;
/** A draw misses 1..n-1 once in 2^32; eight misses in a row mean that the source is broken. */
const MAXIMUM_DRAWS = 8;

/** PKCS #8 (RFC 5208) around the ECPrivateKey of RFC 5915 for P-256, without the public key. */
const PKCS8_HEAD = Buffer.from(
  '3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420',
  'hex',
);
/** SubjectPublicKeyInfo of RFC 5480 for an uncompressed point of P-256. */
const SPKI_HEAD = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
const SPKI_OCTETS = SPKI_HEAD.length + 65;

/**
 * A private key of P-256. It prints as `[secret]`.
 *
 * The objects of libcrypto behind it are made when first needed: an ephemeral key is never imported
 * for signing, which costs 60 microseconds, and a signing key never computes its point.
 */
export class PrivateKey {
  readonly #scalar: Secret;
  #agreement: ECDH | undefined;
  #hasAgreed = false;
  #imported: KeyObject | undefined;
  #publicPoint: Point | undefined;

  private constructor(scalar: Uint8Array) {
    this.#scalar = new Secret(scalar);
  }

  /**
   * A fresh key by rejection sampling (FIPS 186-5 A.2.2).
   *
   * @throws CryptoError `invalid-random`: eight draws outside 1..n-1, or of a wrong length
   */
  static generate(random: Random): PrivateKey {
    for (let draw = 0; draw < MAXIMUM_DRAWS; draw += 1) {
      const scalar = random(SCALAR_OCTETS);
      if (isScalar(scalar)) {
        return new PrivateKey(scalar);
      }
    }
    throw new CryptoError(
      'invalid-random',
      `private key: expected a scalar in ${MAXIMUM_DRAWS} draws of 32 octets, saw none`,
    );
  }

  /**
   * @param scalar 32 octets, big-endian; copied
   * @throws CryptoError `invalid-scalar`: another length, or a value outside 1..n-1
   */
  static fromScalar(scalar: Uint8Array): PrivateKey {
    if (!isScalar(scalar)) {
      throw new CryptoError(
        'invalid-scalar',
        `private key: expected 32 octets in 1..n-1, saw ${scalar.length} octets outside it`,
      );
    }
    return new PrivateKey(scalar);
  }

  /** scalar·G. */
  get publicPoint(): Point {
    this.#publicPoint ??= trustPoint(ownOctets(this.#ecdh().getPublicKey()));
    return this.#publicPoint;
  }

  /** The scalar, 32 octets, big-endian. */
  scalar(): Secret {
    return this.#scalar;
  }

  /**
   * ECDSA over SHA-256(message) (FIPS 186-5 §6.4). For 1609.2 §5.3.1 the message is the 64 octets
   * SHA-256(to be signed) || SHA-256(signer certificate). libcrypto draws the nonce itself, from its
   * own generator and the key and message, which is safer than any source passed in.
   */
  sign(message: Uint8Array): EcdsaSignature {
    return signatureFromDer(sign('sha256', message, this.#import()));
  }

  /**
   * The shared secret with `peer`: the x of scalar·peer, 32 octets (SEC 1 §3.3.1, with the primitive
   * of SP 800-56A §5.7.1.2). In constant time.
   *
   * Node's ECDH object checks its own key anew in each agreement, which doubles the cost. A key that agrees
   * once, as an ephemeral one, is not worth an import; one that agrees again is.
   */
  ecdh(peer: Point): Uint8Array {
    if (this.#hasAgreed) {
      const publicKey = createPublicKey(spkiPem(peer));
      return ownOctets(diffieHellman({ privateKey: this.#import(), publicKey }));
    }
    this.#hasAgreed = true;
    return ownOctets(this.#ecdh().computeSecret(peer));
  }

  toString(): string {
    return SECRET_TEXT;
  }

  toJSON(): string {
    return SECRET_TEXT;
  }

  [inspect.custom](): string {
    return SECRET_TEXT;
  }

  #import(): KeyObject {
    this.#imported ??= importPrivateKey(this.#scalar);
    return this.#imported;
  }

  /** An own ECDH object, so that libcrypto wipes the scalar when this key is collected. */
  #ecdh(): ECDH {
    if (this.#agreement === undefined) {
      this.#agreement = createECDH(CURVE);
      this.#agreement.setPrivateKey(this.#scalar.reveal());
    }
    return this.#agreement;
  }
}

/**
 * A public key of P-256 for verification. Keep it where it verifies more than once: from the second time on, the import
 * is saved, a third of a verification. In a data base keep the point.
 */
export class PublicKey {
  readonly point: Point;
  #hasVerified = false;
  #keyObject: KeyObject | undefined;

  private constructor(point: Point) {
    this.point = point;
  }

  static fromPoint(point: Point): PublicKey {
    return new PublicKey(point);
  }

  /**
   * Whether `signature` is one over SHA-256(message) by this key (FIPS 186-5 §6.4.2). For 1609.2 see
   * `PrivateKey.sign`. A malformed signature (r or s of another length, zero, n or above) is a wrong
   * one: never throws.
   */
  verify(message: Uint8Array, signature: EcdsaSignature): boolean {
    if (!isScalar(signature.r) || !isScalar(signature.s)) {
      return false;
    }
    return verify('sha256', message, this.#key(), signatureToDer(signature));
  }

  /** To import and verify in one call costs less than to make a KeyObject that verifies once. */
  #key(): KeyObject | string {
    if (this.#hasVerified) this.#keyObject ??= createPublicKey(spkiPem(this.point));
    this.#hasVerified = true;
    return this.#keyObject ?? spkiPem(this.point);
  }
}

/** DER into a KeyObject; as fast as JWK (37 microseconds), and no secret becomes a string. */
function importPrivateKey(scalar: Secret): KeyObject {
  const der = Buffer.from(concatOctets(PKCS8_HEAD, scalar.reveal()).buffer);
  const keyObject = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  return keyObject;
}

/**
 * A point as node:crypto imports it soonest. Whatever is an object, Node 24 takes for a KeyObject until two exceptions
 * have shown that it is none, which costs 20 microseconds; text it takes for PEM (RFC 7468) at once.
 */
function spkiPem(point: Point): string {
  const der = Buffer.allocUnsafe(SPKI_OCTETS);
  der.set(SPKI_HEAD);
  der.set(point, SPKI_HEAD.length);
  return `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`;
}
