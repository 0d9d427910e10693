import type { PcaRaError, ScmsError } from '@chrysalis/scms';

/** The codes of PcaRaRequestErrorCode that a PCA gives; `unknownError` of the base codes is for all the rest. */
export type PcaRefusalCode =
  | 'unknownError'
  | 'invalidCertificateRequestType'
  | 'invalidType'
  | 'invalidPsidSsp'
  | 'invalidRegion'
  | 'invalidValidity'
  | 'invalidEncryptionPublicKey'
  | 'invalidSignaturePublicKey'
  | 'invalidEncryptedPreLinkageValue'
  | 'invalidEncryptedGroupPreLinkageValue';

/** The PCA does not certify: the code goes into its answer, the message into its log. */
export class PcaRefusal extends Error {
  override readonly name = 'PcaRefusal';
  readonly code: PcaRefusalCode;

  constructor(code: PcaRefusalCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** As PcaRaCertResponseMsg carries it. */
  toScmsError(): ScmsError {
    const error: PcaRaError =
      this.code === 'unknownError'
        ? { type: 'pcaRaBaseError', value: this.code }
        : { type: 'pcaRaRequestError', value: this.code };
    return { type: 'pcaRa', value: error };
  }
}
