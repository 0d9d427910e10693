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
  chrysalisInternalError: 5999,
} as const;

export type RaEeErrorName = keyof typeof RA_EE_ERRORS;
