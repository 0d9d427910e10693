import { PrivateKey, type Random, Secret } from '@chrysalis/crypto';
import { fromPoint, type Time32 } from '@chrysalis/ieee1609dot2';
import { type Dialect, encodeScopedRequest, secureRequest, signRequest } from '@chrysalis/scms';
import type { Enrollment } from './enrollment.ts';

/** AES-128, sheet 4.10. */
const EXPANSION_OCTETS = 16;

/** A caterpillar key pair and the key of its expansion function. */
export interface CaterpillarKey {
  readonly seed: PrivateKey;
  /** 16 octets. */
  readonly expansion: Secret;
}

/** From these all pseudonym certificates of the device come, for as long as the RA makes them. */
export interface CaterpillarKeys {
  /** For the keys of the certificates. */
  readonly verify: CaterpillarKey;
  /** For the keys that the responses are encrypted to. */
  readonly respEnc: CaterpillarKey;
}

export function generateCaterpillarKeys(random: Random): CaterpillarKeys {
  const generate = (): CaterpillarKey => ({
    seed: PrivateKey.generate(random),
    expansion: new Secret(random(EXPANSION_OCTETS)),
  });
  return { verify: generate(), respEnc: generate() };
}

/**
 * The body of a POST to /provision-pseudonym-certificate-batch: SecuredPseudonymCertProvisioningRequest,
 * encrypted to the RA (sheet 4.2 to 4.4). Pure. Its hash is the name of everything that follows: keep
 * the octets, and keep the keys before them.
 *
 * @param time goes into the request; the RA allows it to be off by seconds
 */
export function makeProvisioningBody(
  keys: CaterpillarKeys,
  enrollment: Enrollment,
  time: Time32,
  random: Random,
  dialect: Dialect = '1.2.2',
): Uint8Array {
  const params = ({ seed, expansion }: CaterpillarKey) => ({
    seedKey: fromPoint(seed.publicPoint),
    expansion: expansion.reveal(),
  });
  const scoped = encodeScopedRequest(
    {
      type: 'pseudonym',
      verifyKeyInfo: params(keys.verify),
      respEncKeyInfo: params(keys.respEnc),
      currentTime: time,
      requestedStartTime: time,
    },
    dialect,
  );
  return secureRequest(
    signRequest(scoped, enrollment.certificate, enrollment.key),
    enrollment.ra,
    random,
  );
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
