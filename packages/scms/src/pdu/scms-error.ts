/** CAMP modules of errors between authorities (scms-error.asn, pca-ra-errors.asn, la-ra-errors.asn, ma-ra-errors.asn). */
import { choice, enumerated, type UnknownAlternative, type Value } from '@chrysalis/coer';
import { notReceived } from './version.ts';

export const PcaRaBaseErrorCode = enumerated('PcaRaBaseErrorCode', ['unknownError'], {
  extensible: true,
});

export const PcaRaRequestErrorCode = enumerated(
  'PcaRaRequestErrorCode',
  [
    'invalidCertificateRequestType',
    'invalidType',
    'invalidPsidSsp',
    'invalidRegion',
    'invalidValidity',
    'invalidEncryptionPublicKey',
    'invalidSignaturePublicKey',
    'invalidEncryptedPreLinkageValue',
    'invalidEncryptedGroupPreLinkageValue',
  ],
  { extensible: true },
);

export type PcaRaError =
  | { readonly type: 'pcaRaBaseError'; readonly value: Value<typeof PcaRaBaseErrorCode> }
  | {
      readonly type: 'pcaRaRequestError';
      readonly value: Value<typeof PcaRaRequestErrorCode>;
    }
  | UnknownAlternative;
export const PcaRaError = choice<PcaRaError>(
  'PcaRaError',
  { pcaRaBaseError: PcaRaBaseErrorCode, pcaRaRequestError: PcaRaRequestErrorCode },
  { extensible: true },
);

export const LaRaErrorCode = enumerated(
  'LaRaErrorCode',
  [
    'invalidPcaKey',
    'invalidIMin',
    'invalidIMax',
    'invalidContinueChain',
    'invalidLinkagechainId',
    'invalidJMax',
  ],
  { extensible: true },
);

export type LaRaError =
  | { readonly type: 'laRa'; readonly value: Value<typeof LaRaErrorCode> }
  | UnknownAlternative;
export const LaRaError = choice<LaRaError>(
  'LaRaError',
  { laRa: LaRaErrorCode },
  { extensible: true },
);

export const MaRaBaseErrorCode = enumerated(
  'MaRaBaseErrorCode',
  [
    'raInternalTimeout',
    'maRequestTimeout',
    'raNoMaAuthorizationSignature',
    'raInvalidMaAuthorizationSignature',
    'raInvalidInputValueFormat',
    'raInvalidHashRequest',
    'raInvalidRIFValue',
    'raInvalidLinkageValue',
    'raNumberOfRequestsExceeded',
    'noSecureConnectionToRequestor',
    'hpcrIsUnknownToRA',
  ],
  { extensible: true },
);

export const MaRaBlacklistErrorCode = enumerated('MaRaBlacklistErrorCode', ['alreadyBlacklisted'], {
  extensible: true,
});

export const MaRaLciErrorCode = enumerated(
  'MaRaLCIErrorCode',
  ['noLinkageChainIdentifiersKnownForHPCR'],
  { extensible: true },
);

export const MaRaCdvErrorCode = enumerated(
  'MaRaCDVErrorCode',
  ['noCertificateDigestValuesKnownForRIF'],
  { extensible: true },
);

export type MaRaError =
  | { readonly type: 'maRaBaseError'; readonly value: Value<typeof MaRaBaseErrorCode> }
  | { readonly type: 'maRaBlacklistError'; readonly value: Value<typeof MaRaBlacklistErrorCode> }
  | { readonly type: 'maRaLciError'; readonly value: Value<typeof MaRaLciErrorCode> }
  | { readonly type: 'maRaCdvError'; readonly value: Value<typeof MaRaCdvErrorCode> }
  | UnknownAlternative;
export const MaRaError = choice<MaRaError>(
  'MaRaError',
  {
    maRaBaseError: MaRaBaseErrorCode,
    maRaBlacklistError: MaRaBlacklistErrorCode,
    maRaLciError: MaRaLciErrorCode,
    maRaCdvError: MaRaCdvErrorCode,
  },
  { extensible: true },
);

/** `baseline(1)` is its only value: it counts from 1, so it stays a number here. */
const BaselineError = enumerated('ScmsCommonError', [], { extensible: true });

export type ScmsError =
  | { readonly type: 'common'; readonly value: number }
  | { readonly type: 'ccm'; readonly value: number }
  | { readonly type: 'ecaEe'; readonly value: never }
  | { readonly type: 'laMa'; readonly value: never }
  | { readonly type: 'laPca'; readonly value: never }
  | { readonly type: 'laRa'; readonly value: LaRaError }
  | { readonly type: 'maPca'; readonly value: never }
  | { readonly type: 'maRa'; readonly value: MaRaError }
  | { readonly type: 'pcaRa'; readonly value: PcaRaError }
  | UnknownAlternative;
export const ScmsError = choice<ScmsError>(
  'ScmsError',
  {
    common: BaselineError,
    ccm: BaselineError,
    ecaEe: notReceived('EcaEndEntityError'),
    laMa: notReceived('LaMaError'),
    laPca: notReceived('LaPcaError'),
    laRa: LaRaError,
    maPca: notReceived('MaPcaError'),
    maRa: MaRaError,
    pcaRa: PcaRaError,
  },
  { extensible: true },
);

/** The error in words, for logs. */
export function formatScmsError(error: ScmsError): string {
  if (error.type === 'unknown') return `error of unknown kind ${error.tag}`;
  const inner: unknown = error.value;
  if (typeof inner !== 'object' || inner === null) return `${error.type} ${String(inner)}`;
  const { type, value } = inner as { type: string; value: unknown };
  return `${error.type} ${type} ${value instanceof Uint8Array ? 'unknown' : String(value)}`;
}
