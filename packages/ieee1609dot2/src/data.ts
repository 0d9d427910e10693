/** IEEE 1609.2-2016 clause 6.3: secured protocol data units. */
import {
  type Captured,
  type Codec,
  captured,
  choice,
  constrained,
  type Extensible,
  lazy,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
} from '@chrysalis/coer';
import {
  CrlSeries,
  EciesP256EncryptedKey,
  EncryptionKey,
  HashAlgorithm,
  HashedId3,
  HashedId8,
  Opaque,
  Psid,
  Signature,
  ThreeDLocation,
  Time64,
} from './base-types.ts';
import { Certificate, VersionThree } from './certificate.ts';

/** 1609.2 §6.3.11. */
export interface MissingCrlIdentifier extends Extensible {
  readonly cracaId: HashedId3;
  readonly crlSeries: number;
}
export const MissingCrlIdentifier = sequence<MissingCrlIdentifier>(
  'MissingCrlIdentifier',
  { cracaId: HashedId3, crlSeries: CrlSeries },
  { extensible: true },
);

/** 1609.2 §6.3.9. */
export interface HeaderInfo extends Extensible {
  readonly psid: number;
  readonly generationTime?: Time64;
  readonly expiryTime?: Time64;
  readonly generationLocation?: ThreeDLocation;
  readonly p2pcdLearningRequest?: HashedId3;
  readonly missingCrlIdentifier?: MissingCrlIdentifier;
  readonly encryptionKey?: EncryptionKey;
}
export const HeaderInfo = sequence<HeaderInfo>(
  'HeaderInfo',
  {
    psid: Psid,
    generationTime: optional(Time64),
    expiryTime: optional(Time64),
    generationLocation: optional(ThreeDLocation),
    p2pcdLearningRequest: optional(HashedId3),
    missingCrlIdentifier: optional(MissingCrlIdentifier),
    encryptionKey: optional(EncryptionKey),
  },
  { extensible: true },
);

export type HashedData =
  | { readonly type: 'sha256HashedData'; readonly value: Uint8Array }
  | UnknownAlternative;
export const HashedData = choice<HashedData>(
  'HashedData',
  { sha256HashedData: octetString(32) },
  { extensible: true },
);

/** 1609.2 §6.3.7. */
export interface SignedDataPayload extends Extensible {
  readonly data?: Ieee1609Dot2Data;
  readonly extDataHash?: HashedData;
}
export const SignedDataPayload: Codec<SignedDataPayload> = constrained(
  sequence<SignedDataPayload>(
    'SignedDataPayload',
    {
      data: optional(lazy('Ieee1609Dot2Data', () => Ieee1609Dot2Data)),
      extDataHash: optional(HashedData),
    },
    { extensible: true },
  ),
  'SignedDataPayload with data or extDataHash',
  (payload) => payload.data !== undefined || payload.extDataHash !== undefined,
);

/** 1609.2 §6.3.6. */
export interface ToBeSignedData {
  readonly payload: SignedDataPayload;
  readonly headerInfo: HeaderInfo;
}
export const ToBeSignedData = sequence<ToBeSignedData>('ToBeSignedData', {
  payload: SignedDataPayload,
  headerInfo: HeaderInfo,
});

/** 1609.2 §6.3.24. */
export type SignerIdentifier =
  | { readonly type: 'digest'; readonly value: HashedId8 }
  | { readonly type: 'certificate'; readonly value: readonly Certificate[] }
  | { readonly type: 'self'; readonly value: null }
  | UnknownAlternative;
export const SignerIdentifier = choice<SignerIdentifier>(
  'SignerIdentifier',
  { digest: HashedId8, certificate: sequenceOf(Certificate), self: nullValue },
  { extensible: true },
);

/** 1609.2 §6.3.4. The octets of what was signed are kept as they arrived. */
export interface SignedData {
  readonly hashId: HashAlgorithm;
  readonly tbsData: Captured<ToBeSignedData>;
  readonly signer: SignerIdentifier;
  readonly signature: Signature;
}
export const SignedData = sequence<SignedData>('SignedData', {
  hashId: HashAlgorithm,
  tbsData: captured(ToBeSignedData),
  signer: SignerIdentifier,
  signature: Signature,
});

export interface AesCcmCiphertext {
  readonly nonce: Uint8Array;
  /** Ciphertext and, at its end, the 16-octet tag. */
  readonly ccmCiphertext: Uint8Array;
}
export const AesCcmCiphertext = sequence<AesCcmCiphertext>('AesCcmCiphertext', {
  nonce: octetString(12),
  ccmCiphertext: Opaque,
});

export type SymmetricCiphertext =
  | { readonly type: 'aes128ccm'; readonly value: AesCcmCiphertext }
  | UnknownAlternative;
export const SymmetricCiphertext = choice<SymmetricCiphertext>(
  'SymmetricCiphertext',
  { aes128ccm: AesCcmCiphertext },
  { extensible: true },
);

export type EncryptedDataEncryptionKey =
  | { readonly type: 'eciesNistP256'; readonly value: EciesP256EncryptedKey }
  | { readonly type: 'eciesBrainpoolP256r1'; readonly value: EciesP256EncryptedKey }
  | UnknownAlternative;
export const EncryptedDataEncryptionKey = choice<EncryptedDataEncryptionKey>(
  'EncryptedDataEncryptionKey',
  { eciesNistP256: EciesP256EncryptedKey, eciesBrainpoolP256r1: EciesP256EncryptedKey },
  { extensible: true },
);

/** 1609.2 §6.3.34. */
export interface PkRecipientInfo {
  readonly recipientId: HashedId8;
  readonly encKey: EncryptedDataEncryptionKey;
}
export const PkRecipientInfo = sequence<PkRecipientInfo>('PKRecipientInfo', {
  recipientId: HashedId8,
  encKey: EncryptedDataEncryptionKey,
});

export interface SymmRecipientInfo {
  readonly recipientId: HashedId8;
  readonly encKey: SymmetricCiphertext;
}
export const SymmRecipientInfo = sequence<SymmRecipientInfo>('SymmRecipientInfo', {
  recipientId: HashedId8,
  encKey: SymmetricCiphertext,
});

/** 1609.2 §6.3.31. */
export type RecipientInfo =
  | { readonly type: 'pskRecipInfo'; readonly value: HashedId8 }
  | { readonly type: 'symmRecipInfo'; readonly value: SymmRecipientInfo }
  | { readonly type: 'certRecipInfo'; readonly value: PkRecipientInfo }
  | { readonly type: 'signedDataRecipInfo'; readonly value: PkRecipientInfo }
  | { readonly type: 'rekRecipInfo'; readonly value: PkRecipientInfo };
export const RecipientInfo = choice<RecipientInfo>('RecipientInfo', {
  pskRecipInfo: HashedId8,
  symmRecipInfo: SymmRecipientInfo,
  certRecipInfo: PkRecipientInfo,
  signedDataRecipInfo: PkRecipientInfo,
  rekRecipInfo: PkRecipientInfo,
});

/** 1609.2 §6.3.30. */
export interface EncryptedData {
  readonly recipients: readonly RecipientInfo[];
  readonly ciphertext: SymmetricCiphertext;
}
export const EncryptedData = sequence<EncryptedData>('EncryptedData', {
  recipients: sequenceOf(RecipientInfo),
  ciphertext: SymmetricCiphertext,
});

/** 1609.2 §6.3.3. */
export type Ieee1609Dot2Content =
  | { readonly type: 'unsecuredData'; readonly value: Uint8Array }
  | { readonly type: 'signedData'; readonly value: SignedData }
  | { readonly type: 'encryptedData'; readonly value: EncryptedData }
  | { readonly type: 'signedCertificateRequest'; readonly value: Uint8Array }
  | UnknownAlternative;
export const Ieee1609Dot2Content = choice<Ieee1609Dot2Content>(
  'Ieee1609Dot2Content',
  {
    unsecuredData: Opaque,
    signedData: SignedData,
    encryptedData: EncryptedData,
    signedCertificateRequest: Opaque,
  },
  { extensible: true },
);

/** 1609.2 §6.3.2. */
export interface Ieee1609Dot2Data {
  readonly protocolVersion: number;
  readonly content: Ieee1609Dot2Content;
}
export const Ieee1609Dot2Data: Codec<Ieee1609Dot2Data> = sequence<Ieee1609Dot2Data>(
  'Ieee1609Dot2Data',
  { protocolVersion: VersionThree, content: Ieee1609Dot2Content },
);
