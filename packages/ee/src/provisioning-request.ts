import { PrivateKey, type Random, Secret } from '@chrysalis/crypto';
import {
  effectiveRegion,
  fromPoint,
  type PublicEncryptionKey,
  type Time32,
} from '@chrysalis/ieee1609dot2';
import {
  type Dialect,
  type EeRaRequest,
  encodeScopedRequest,
  secureRequest,
  signRequest,
} from '@chrysalis/scms';
import type { Enrollment } from './enrollment.ts';

/** AES-128, sheet 4.10. */
const EXPANSION_OCTETS = 16;

/** A caterpillar key pair and the key of its expansion function. */
export interface CaterpillarKey {
  readonly seed: PrivateKey;
  /** 16 octets. */
  readonly expansion: Secret;
}

/** From these all certificates of one request come, for as long as the RA makes them. */
export interface CaterpillarKeys {
  /** For the keys of the certificates. */
  readonly verify: CaterpillarKey;
  /** For the keys that the responses are encrypted to. */
  readonly respEnc: CaterpillarKey;
  /** For encryption keys in the certificates; identification only, and only if they were wished for. */
  readonly certEnc?: CaterpillarKey;
}

/** The keys of one certificate, which are asked for as they are. */
export interface PlainKeys {
  /** For the key of the certificate. */
  readonly verify: PrivateKey;
  /** The response is encrypted to it. */
  readonly respEnc: PrivateKey;
  /** For the encryption key in the certificate, if one was wished for. */
  readonly certEnc?: PrivateKey;
}

export interface KeyWishes {
  /** Whether the certificates are to have an encryption key. */
  readonly certEncryption?: boolean;
}

export interface RequestWishes extends KeyWishes {
  /** New keys and a new request, though one was acknowledged: for an RA that has lost what it knew, or made nothing of it. */
  readonly anew?: boolean;
}

/** What a device asks for. */
export type ProvisioningWish =
  | { readonly type: 'pseudonym' | 'identification'; readonly keys: CaterpillarKeys }
  | {
      readonly type: 'application';
      readonly keys: PlainKeys;
      /** When the certificate is to begin; with the request if it is missing or past. */
      readonly start?: Time32;
    };

export function generateCaterpillarKeys(random: Random, wishes: KeyWishes = {}): CaterpillarKeys {
  const generate = (): CaterpillarKey => ({
    seed: PrivateKey.generate(random),
    expansion: new Secret(random(EXPANSION_OCTETS)),
  });
  const keys = { verify: generate(), respEnc: generate() };
  return wishes.certEncryption === true ? { ...keys, certEnc: generate() } : keys;
}

export function generatePlainKeys(random: Random, wishes: KeyWishes = {}): PlainKeys {
  const keys = { verify: PrivateKey.generate(random), respEnc: PrivateKey.generate(random) };
  return wishes.certEncryption === true ? { ...keys, certEnc: PrivateKey.generate(random) } : keys;
}

/**
 * The body of a POST to one of the provisioning services: SecuredXxxCertProvisioningRequest, encrypted
 * to the RA (sheet 4.2 to 4.4). Pure. Its hash is the name of everything that follows: keep the
 * octets, and keep the keys before them.
 *
 * @param time goes into the request; the RA allows it to be off by seconds
 * @param dialect the release of ee-ra.asn that the RA reads. In 1.2.4 a request for identification or
 *   application certificates names a region: that of the enrollment certificate
 * @throws ScmsDataError `dialect` for 1.2.4 when no certificate of the enrollment's chain has a region
 */
export function makeProvisioningBody(
  wish: ProvisioningWish,
  enrollment: Enrollment,
  time: Time32,
  random: Random,
  dialect: Dialect = '1.2.2',
): Uint8Array {
  const scoped = encodeScopedRequest(scopedRequest(wish, enrollment, time), dialect);
  return secureRequest(
    signRequest(scoped, enrollment.certificate, enrollment.key),
    enrollment.ra,
    random,
  );
}

function scopedRequest(wish: ProvisioningWish, enrollment: Enrollment, time: Time32): EeRaRequest {
  if (wish.type === 'application') {
    const { verify, respEnc, certEnc } = wish.keys;
    return {
      type: 'application',
      verifyKey: { type: 'ecdsaNistP256', value: fromPoint(verify.publicPoint) },
      ...(certEnc && { certEncryptionKey: encryptionKey(certEnc) }),
      responseEncryptionKey: encryptionKey(respEnc),
      currentTime: time,
      requestedStartTime: Math.max(wish.start ?? time, time),
      ...regionOf(enrollment),
    };
  }
  const { verify, respEnc, certEnc } = wish.keys;
  const common = {
    verifyKeyInfo: butterflyParams(verify),
    respEncKeyInfo: butterflyParams(respEnc),
    currentTime: time,
    requestedStartTime: time,
  };
  if (wish.type === 'pseudonym') return { type: 'pseudonym', ...common };
  return {
    type: 'identification',
    ...common,
    ...(certEnc && { certEncKeyInfo: butterflyParams(certEnc) }),
    ...regionOf(enrollment),
  };
}

function butterflyParams({ seed, expansion }: CaterpillarKey) {
  return { seedKey: fromPoint(seed.publicPoint), expansion: expansion.reveal() };
}

function encryptionKey(key: PrivateKey): PublicEncryptionKey {
  return {
    supportedSymmAlg: 'aes128Ccm',
    publicKey: { type: 'eciesNistP256', value: fromPoint(key.publicPoint) },
  };
}

/** Encoded in 1.2.4 alone. */
function regionOf({ certificate }: Enrollment) {
  const region = effectiveRegion(certificate);
  return region === undefined ? {} : { region };
}

/**
 * The value of the header Download-Req for a file: SecuredAuthenticatedDownloadRequest in Base64 on
 * one line (sheet 1.0). Good for seconds: make a fresh one for each attempt. Pure.
 *
 * @param filename as the RA is to see it; see `formatFileName` of scms
 *
 * @example
 * const value = makeDownloadHeader('AB09281C9867DE53_F.zip', enrollment, timeOf(clock), systemRandom);
 * headers['Download-Req'] = value;
 */
export function makeDownloadHeader(
  filename: string,
  enrollment: Enrollment,
  time: Time32,
  random: Random,
): string {
  // The same in both dialects.
  const scoped = encodeScopedRequest({ type: 'download', timestamp: time, filename }, '1.2.2');
  const signed = signRequest(scoped, enrollment.certificate, enrollment.key);
  return Buffer.from(secureRequest(signed, enrollment.ra, random)).toString('base64');
}
