/** IEEE 1609.2-2016 clause 6.4: certificates. */
import {
  bitString,
  type Captured,
  type Codec,
  captured,
  choice,
  constrained,
  type Extensible,
  enumerated,
  integer,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
  withDefault,
} from '@chrysalis/coer';
import {
  CrlSeries,
  EccP256CurvePoint,
  GeographicRegion,
  GroupLinkageValue,
  HashAlgorithm,
  HashedId3,
  HashedId8,
  Hostname,
  IValue,
  LinkageValue,
  type PsidSsp,
  PsidSspRange,
  PublicEncryptionKey,
  PublicVerificationKey,
  SequenceOfPsidSsp,
  Signature,
  SubjectAssurance,
  Uint8,
  ValidityPeriod,
} from './base-types.ts';

/** `Uint8 (3)`: the version of every 1609.2 structure. */
export const VersionThree = constrained(Uint8, 'Uint8 (3)', (version) => version === 3);

/** 1609.2 §6.4.4. */
export type CertificateType = 'explicit' | 'implicit' | number;
export const CertificateType: Codec<CertificateType> = enumerated(
  'CertificateType',
  ['explicit', 'implicit'],
  { extensible: true },
);

/** 1609.2 §6.4.7. */
export type IssuerIdentifier =
  | { readonly type: 'sha256AndDigest'; readonly value: HashedId8 }
  | { readonly type: 'self'; readonly value: HashAlgorithm }
  | UnknownAlternative;
export const IssuerIdentifier = choice<IssuerIdentifier>(
  'IssuerIdentifier',
  { sha256AndDigest: HashedId8, self: HashAlgorithm },
  { extensible: true },
);

/** 1609.2 §6.4.10: the linkage value lets a CRL name all certificates of a device from one seed. */
export interface LinkageData {
  readonly iCert: number;
  readonly linkageValue: Uint8Array;
  readonly groupLinkageValue?: GroupLinkageValue;
}
export const LinkageData = sequence<LinkageData>('LinkageData', {
  iCert: IValue,
  linkageValue: LinkageValue,
  groupLinkageValue: optional(GroupLinkageValue),
});

/** 1609.2 §6.4.9. */
export type CertificateId =
  | { readonly type: 'linkageData'; readonly value: LinkageData }
  | { readonly type: 'name'; readonly value: string }
  | { readonly type: 'binaryId'; readonly value: Uint8Array }
  | { readonly type: 'none'; readonly value: null }
  | UnknownAlternative;
export const CertificateId = choice<CertificateId>(
  'CertificateId',
  {
    linkageData: LinkageData,
    name: Hostname,
    binaryId: octetString({ min: 1, max: 64 }),
    none: nullValue,
  },
  { extensible: true },
);

/** The bits of EndEntityType, 1609.2 §6.4.28, as the one octet of its BIT STRING. */
export const EE_TYPE_APP = 0x80;
export const EE_TYPE_ENROL = 0x40;

export type SubjectPermissions =
  | { readonly type: 'explicit'; readonly value: readonly PsidSspRange[] }
  | { readonly type: 'all'; readonly value: null }
  | UnknownAlternative;
export const SubjectPermissions = choice<SubjectPermissions>(
  'SubjectPermissions',
  { explicit: sequenceOf(PsidSspRange), all: nullValue },
  { extensible: true },
);

/** 1609.2 §6.4.28. A `chainDepthRange` of -1 sets no upper end. */
export interface PsidGroupPermissions {
  readonly subjectPermissions: SubjectPermissions;
  readonly minChainDepth: number;
  readonly chainDepthRange: number;
  /** One octet: {@link EE_TYPE_APP}, {@link EE_TYPE_ENROL}. */
  readonly eeType: Uint8Array;
}
export const PsidGroupPermissions = sequence<PsidGroupPermissions>('PsidGroupPermissions', {
  subjectPermissions: SubjectPermissions,
  minChainDepth: withDefault(integer(), 1),
  chainDepthRange: withDefault(integer(), 0),
  eeType: withDefault(bitString(8), Uint8Array.of(EE_TYPE_APP)),
});
export const SequenceOfPsidGroupPermissions = sequenceOf(PsidGroupPermissions);

/** 1609.2 §6.4.36. */
export type VerificationKeyIndicator =
  | { readonly type: 'verificationKey'; readonly value: PublicVerificationKey }
  | { readonly type: 'reconstructionValue'; readonly value: EccP256CurvePoint }
  | UnknownAlternative;
export const VerificationKeyIndicator = choice<VerificationKeyIndicator>(
  'VerificationKeyIndicator',
  { verificationKey: PublicVerificationKey, reconstructionValue: EccP256CurvePoint },
  { extensible: true },
);

/** 1609.2 §6.4.8. */
export interface ToBeSignedCertificate extends Extensible {
  readonly id: CertificateId;
  readonly cracaId: HashedId3;
  readonly crlSeries: number;
  readonly validityPeriod: ValidityPeriod;
  readonly region?: GeographicRegion;
  readonly assuranceLevel?: Uint8Array;
  readonly appPermissions?: readonly PsidSsp[];
  readonly certIssuePermissions?: readonly PsidGroupPermissions[];
  readonly certRequestPermissions?: readonly PsidGroupPermissions[];
  readonly canRequestRollover?: null;
  readonly encryptionKey?: PublicEncryptionKey;
  readonly verifyKeyIndicator: VerificationKeyIndicator;
}
export const ToBeSignedCertificate: Codec<ToBeSignedCertificate> = constrained(
  sequence<ToBeSignedCertificate>(
    'ToBeSignedCertificate',
    {
      id: CertificateId,
      cracaId: HashedId3,
      crlSeries: CrlSeries,
      validityPeriod: ValidityPeriod,
      region: optional(GeographicRegion),
      assuranceLevel: optional(SubjectAssurance),
      appPermissions: optional(SequenceOfPsidSsp),
      certIssuePermissions: optional(SequenceOfPsidGroupPermissions),
      certRequestPermissions: optional(SequenceOfPsidGroupPermissions),
      canRequestRollover: optional(nullValue),
      encryptionKey: optional(PublicEncryptionKey),
      verifyKeyIndicator: VerificationKeyIndicator,
    },
    { extensible: true },
  ),
  'ToBeSignedCertificate with some permissions',
  (tbs) =>
    tbs.appPermissions !== undefined ||
    tbs.certIssuePermissions !== undefined ||
    tbs.certRequestPermissions !== undefined,
);

/** 1609.2 §6.4.3. */
export interface CertificateBase {
  readonly version: number;
  readonly type: CertificateType;
  readonly issuer: IssuerIdentifier;
  readonly toBeSigned: ToBeSignedCertificate;
  readonly signature?: Signature;
}
export const CertificateBase: Codec<CertificateBase> = constrained(
  sequence<CertificateBase>('CertificateBase', {
    version: VersionThree,
    type: CertificateType,
    issuer: IssuerIdentifier,
    toBeSigned: ToBeSignedCertificate,
    signature: optional(Signature),
  }),
  'ExplicitCertificate or ImplicitCertificate',
  isExplicitOrImplicit,
);

/** The two forms of 1609.2 §6.4.5 and §6.4.6: a key and a signature, or a reconstruction value and no signature. */
function isExplicitOrImplicit(certificate: CertificateBase): boolean {
  const indicator = certificate.toBeSigned.verifyKeyIndicator.type;
  return certificate.type === 'explicit'
    ? indicator === 'verificationKey' && certificate.signature !== undefined
    : certificate.type === 'implicit' &&
        indicator === 'reconstructionValue' &&
        certificate.signature === undefined;
}

/** A certificate and the octets that it arrived in. */
export type Certificate = Captured<CertificateBase>;
export const Certificate: Codec<Certificate> = captured(CertificateBase);

/** 1609.2 §6.4.5. */
export const ImplicitCertificate: Codec<Certificate> = constrained(
  Certificate,
  'ImplicitCertificate',
  ({ value }) => value.type === 'implicit',
);

/** 1609.2 §6.4.6. */
export const ExplicitCertificate: Codec<Certificate> = constrained(
  Certificate,
  'ExplicitCertificate',
  ({ value }) => value.type === 'explicit',
);
