/**
 * The codes with which an RA names a refusal to an EE, CAMP wiki "Used Error Codes". In production none of them leaves
 * the RA: a device sees status 500 and nothing else. Codes below 5900 are CAMP's. Those from 5900 on are ours, for refusals
 * whose official number stands in no public copy of the table (5060 to 5064, 5066; Q8); they are no CAMP names.
 */
export const RA_EE_ERRORS = {
  raBlacklisted: 5055,
  raRequestForMultipleCerts: 5056,
  raDuplicateRequestReceived: 5057,
  raInvalidSignature: 5058,
  raRequestNotEncrypted: 5059,
  raNoCertFileAvailable: 5065,
  raAuthenticationFailed: 5067,
  raNoPcaCertificateChainFileAvailable: 5068,
  raNoInfoFileAvailable: 5069,
  raWrongParameters: 5070,
  raMoreThanAllowedTries: 5071,
  raInvalidURL: 5072,
  chrysalisTimeOutsideTolerance: 5900,
  chrysalisDecryptionFailed: 5901,
  chrysalisEnrollmentCertificateRefused: 5902,
  chrysalisOverloaded: 5903,
  chrysalisInternalError: 5999,
} as const;

export type RaEeErrorName = keyof typeof RA_EE_ERRORS;

/**
 * When a device of ours sends a refused request again by itself: in the same contact after a pause, in a later contact, or
 * not before somebody has changed something.
 */
export type RaEeErrorRetry = 'again' | 'later' | 'never';

export interface RaEeErrorExplanation {
  /** When the RA refuses so. */
  readonly when: string;
  /** What a device, or whoever builds it, does next. */
  readonly next: string;
  readonly retry: RaEeErrorRetry;
}

const BACK_OFF = 'keep all state and try again later, each time after a longer pause';

/** What each code means, in words: `docs/reference/errors.md` is made from it. */
export const RA_EE_ERROR_EXPLANATIONS: Readonly<Record<RaEeErrorName, RaEeErrorExplanation>> = {
  raBlacklisted: {
    when: 'the enrollment certificate is on the internal blacklist; any signed request',
    next: 'stop; the operator of the device has to have it enrolled anew',
    retry: 'never',
  },
  raRequestForMultipleCerts: {
    when: 'an application certificate is asked for while the one before has not reached its overlap',
    next: 'wait until the overlap of the certificate that is held has begun',
    retry: 'later',
  },
  raDuplicateRequestReceived: {
    when: 'the same inner request was acknowledged in another envelope, or the enrollment certificate has a set of keys already',
    next: 'send the very octets of the first body again to get its acknowledgement, or go on downloading',
    retry: 'later',
  },
  raInvalidSignature: {
    when: 'a provisioning request is not signed, or not by the enrollment certificate in it',
    next: 'check key, hash input and which octets are signed',
    retry: 'never',
  },
  raRequestNotEncrypted: {
    when: 'a provisioning request came without its encrypted envelope',
    next: 'encrypt it to the certificate of the RA',
    retry: 'never',
  },
  raNoCertFileAvailable: {
    when: 'the file is not there yet, is there no more, or belongs to another device; also when there is no policy file',
    next: `${BACK_OFF}; .info says when`,
    retry: 'again',
  },
  raAuthenticationFailed: {
    when: 'a download request is missing, not encrypted to this RA, not of a trusted enrollment certificate, or wrongly signed',
    next: 'check recipient, certificate and signature; refresh the RA certificate',
    retry: 'later',
  },
  raNoPcaCertificateChainFileAvailable: {
    when: 'the RA has no local certificate chain file',
    next: 'go on with the one that is held',
    retry: 'later',
  },
  raNoInfoFileAvailable: {
    when: 'no request with this hash is known for this enrollment certificate',
    next: 'ask for the .info of a request that was acknowledged; if it was one of an RA that has lost its data, make a new request with new keys (`chrysalis ee request --anew`)',
    retry: 'later',
  },
  raWrongParameters: {
    when: 'octets that are no message, a value out of range, a message of another kind, a body or header too long',
    next: 'correct the message: repeating it changes nothing',
    retry: 'never',
  },
  raMoreThanAllowedTries: {
    when: 'an enrollment certificate failed too often at this service within the hour, as configured; or more misbehavior reports arrive, or wait for the MA, than the RA takes',
    next: BACK_OFF,
    retry: 'later',
  },
  raInvalidURL: {
    when: 'no service of the RA has this path and method, or the file name is none of this service',
    next: 'correct path, method or file name',
    retry: 'never',
  },
  chrysalisTimeOutsideTolerance: {
    when: 'the time in the request is further from that of the RA than the tolerance',
    next: 'set the clock, and sign each request when it is sent',
    retry: 'again',
  },
  chrysalisDecryptionFailed: {
    when: 'a provisioning request is encrypted to another certificate, or was changed',
    next: 'refresh the certificate of the RA and encrypt to it',
    retry: 'later',
  },
  chrysalisEnrollmentCertificateRefused: {
    when: 'the enrollment certificate of a provisioning request is not of an ECA that the RA serves, not valid now, or no enrollment certificate',
    next: 'check which RA the device belongs to, and whether its certificate has expired',
    retry: 'later',
  },
  chrysalisOverloaded: {
    when: 'the RA has too much to do; it gives up provisioning requests and reports first, then what anybody may ask for, then everything',
    next: BACK_OFF,
    retry: 'again',
  },
  chrysalisInternalError: {
    when: 'a fault of the RA, logged under the id that the message names',
    next: BACK_OFF,
    retry: 'again',
  },
};
