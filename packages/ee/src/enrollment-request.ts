import { encode } from '@chrysalis/coer';
import type { PrivateKey } from '@chrysalis/crypto';
import { EE_TYPE_APP, fromPoint, type Time32 } from '@chrysalis/ieee1609dot2';
import { ScmsPdu122, signRequest } from '@chrysalis/scms';

/** CRL series of enrollment certificates (CAMP profile ObeEnrollmentCertificate). */
const ENROLLMENT_CRL_SERIES = 4;

/** The applications of pseudonym certificates: basic safety message, misbehavior report (sheet 3.4). */
export const DEFAULT_PSIDS: readonly number[] = [0x20, 0x26];
/** Of the applications that CAMP's PKIs serve, two of a roadside unit: traveler information, service advertisement. */
export const RSE_PSIDS: readonly number[] = [0x83, 0x87];
/** The USA in UN M49, the region of CAMP's profiles. */
export const DEFAULT_COUNTRIES: readonly number[] = [840];
export const DEFAULT_YEARS = 3;

/** What the device asks to have in its enrollment certificate. */
export interface EnrollmentWishes {
  /** Applications that it will ask certificates for. */
  readonly psids?: readonly number[];
  /** Countries by their number in UN M49. */
  readonly countries?: readonly number[];
  readonly years?: number;
}

/**
 * A SignedEeEnrollmentCertRequest (eca-ee.asn, scms-protocol.asn), signed by the key that it asks
 * a certificate for. Pure.
 *
 * @param key the request key kU of the implicit certificate to come (SEC 4 §2.3): keep it first
 * @param time goes into the request as its current time and as the start of validity
 * @returns COER of Ieee1609Dot2Data
 *
 * @example
 * const key = PrivateKey.generate(systemRandom);
 * const request = makeEnrollmentRequest(key, timeOf(systemClock), { psids: [0x20] });
 */
export function makeEnrollmentRequest(
  key: PrivateKey,
  time: Time32,
  wishes: EnrollmentWishes = {},
): Uint8Array {
  const { psids = DEFAULT_PSIDS, countries = DEFAULT_COUNTRIES, years = DEFAULT_YEARS } = wishes;
  const scoped = encode(ScmsPdu122, {
    version: 1,
    content: {
      type: 'ecaEe',
      value: {
        type: 'eeEcaCertRequest',
        value: {
          version: 1,
          currentTime: time,
          tbsData: {
            id: { type: 'name', value: '' },
            // Both are set by the ECA; a request has placeholders.
            cracaId: new Uint8Array(3),
            crlSeries: ENROLLMENT_CRL_SERIES,
            validityPeriod: { start: time, duration: { type: 'years', value: years } },
            region: {
              type: 'identifiedRegion',
              value: countries.map((value) => ({ type: 'countryOnly' as const, value })),
            },
            certRequestPermissions: [
              {
                subjectPermissions: {
                  type: 'explicit',
                  value: psids.map((psid) => ({
                    psid,
                    // The one SSP of length zero: no rights beyond the application's default ones.
                    sspRange: { type: 'opaque' as const, value: [new Uint8Array(0)] },
                  })),
                },
                minChainDepth: 0,
                chainDepthRange: 0,
                eeType: Uint8Array.of(EE_TYPE_APP),
              },
            ],
            verifyKeyIndicator: {
              type: 'verificationKey',
              value: { type: 'ecdsaNistP256', value: fromPoint(key.publicPoint) },
            },
          },
        },
      },
    },
  });
  return signRequest(scoped, 'self', key);
}
