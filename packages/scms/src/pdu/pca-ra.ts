/** CAMP module Ieee1609Dot2PcaRaInterface (pca-ra.asn), release 1.2.2: the one that can report a failure. */
import {
  type Captured,
  captured,
  choice,
  type Extensible,
  octetString,
  optional,
  sequence,
  type UnknownAlternative,
} from '@chrysalis/coer';
import {
  Certificate,
  CertificateType,
  Duration,
  EccP256CurvePoint,
  ExplicitCertificate,
  GeographicRegion,
  HashedId8,
  Hostname,
  Ieee1609Dot2Data,
  ImplicitCertificate,
  IValue,
  type PsidSsp,
  SequenceOfPsidSsp,
  SubjectAssurance,
  Time32,
  ToBeSignedCertificate,
} from '@chrysalis/ieee1609dot2';
import { EncryptedGroupPlv, EncryptedIndividualPlv } from './linkage.ts';
import { ScmsError } from './scms-error.ts';
import { VersionOne } from './version.ts';

export interface GroupLinkageInfo {
  readonly gla1Id: string;
  readonly gla2Id: string;
  readonly encGplv1: EncryptedGroupPlv;
  readonly encGplv2: EncryptedGroupPlv;
}
export const GroupLinkageInfo = sequence<GroupLinkageInfo>('GroupLinkageInfo', {
  gla1Id: Hostname,
  gla2Id: Hostname,
  encGplv1: EncryptedGroupPlv,
  encGplv2: EncryptedGroupPlv,
});

/** One pseudonym certificate, as the RA asks for it: nothing in it names the device or j. */
export interface PseudonymCertRequestInfo {
  readonly psidSsp: readonly PsidSsp[];
  readonly performanceAssuranceLevel?: Uint8Array;
  readonly region?: GeographicRegion;
  readonly iValue: number;
  readonly pcaId: string;
  readonly sigButterflyKeyB: EccP256CurvePoint;
  readonly la1Id: string;
  readonly la2Id: string;
  readonly encPlv1: EncryptedIndividualPlv;
  readonly encPlv2: EncryptedIndividualPlv;
  readonly groupLinkageInfo?: GroupLinkageInfo;
  readonly encButterflyKeyH: EccP256CurvePoint;
}
export const PseudonymCertRequestInfo = sequence<PseudonymCertRequestInfo>(
  'PseudonymCertRequestInfo',
  {
    psidSsp: SequenceOfPsidSsp,
    performanceAssuranceLevel: optional(SubjectAssurance),
    region: optional(GeographicRegion),
    iValue: IValue,
    pcaId: Hostname,
    sigButterflyKeyB: EccP256CurvePoint,
    la1Id: Hostname,
    la2Id: Hostname,
    encPlv1: EncryptedIndividualPlv,
    encPlv2: EncryptedIndividualPlv,
    groupLinkageInfo: optional(GroupLinkageInfo),
    encButterflyKeyH: EccP256CurvePoint,
  },
);

/** One identification or application certificate. */
export interface IdCertRequestInfo {
  readonly pcaId: string;
  readonly type: CertificateType;
  readonly toBeSignedCert: ToBeSignedCertificate;
  readonly responseEncryptionKey: EccP256CurvePoint;
}
export const IdCertRequestInfo = sequence<IdCertRequestInfo>('IdCertRequestInfo', {
  pcaId: Hostname,
  type: CertificateType,
  toBeSignedCert: ToBeSignedCertificate,
  responseEncryptionKey: EccP256CurvePoint,
});

export type CertRequestInfo =
  | { readonly type: 'pseudonymCertReq'; readonly value: PseudonymCertRequestInfo }
  | { readonly type: 'authCertReq'; readonly value: IdCertRequestInfo }
  | UnknownAlternative;

export interface RaPcaCertRequestMsg {
  readonly version: number;
  readonly raId: string;
  readonly certRequestInfo: CertRequestInfo;
}
export const RaPcaCertRequestMsg = sequence<RaPcaCertRequestMsg>('RaPcaCertRequestMsg', {
  version: VersionOne,
  raId: Hostname,
  certRequestInfo: choice<CertRequestInfo>(
    'CertRequestInfo',
    { pseudonymCertReq: PseudonymCertRequestInfo, authCertReq: IdCertRequestInfo },
    { extensible: true },
  ),
});

export interface ImplicitCertResponse {
  readonly certificate: Certificate;
  readonly privKeyReconstructionS: Uint8Array;
}
export const ImplicitCertResponse = sequence<ImplicitCertResponse>('ImplicitCertResponse', {
  certificate: ImplicitCertificate,
  privKeyReconstructionS: octetString(32),
});

export interface ButterflyExplicitCertResponse {
  readonly certificate: Certificate;
  readonly privKeyReconstructionC: Uint8Array;
}
export const ButterflyExplicitCertResponse = sequence<ButterflyExplicitCertResponse>(
  'ButterflyExplicitCertResponse',
  { certificate: ExplicitCertificate, privKeyReconstructionC: octetString(32) },
);

/** What the device finds when it has decrypted a response. */
export type PlaintextCertificateResponse =
  | { readonly type: 'implicitButterfly'; readonly value: ImplicitCertResponse }
  | { readonly type: 'implicit'; readonly value: ImplicitCertResponse }
  | { readonly type: 'explicitButterfly'; readonly value: ButterflyExplicitCertResponse }
  | { readonly type: 'explicit'; readonly value: Certificate };
export const PlaintextCertificateResponse = choice<PlaintextCertificateResponse>(
  'PlaintextCertificateResponse',
  {
    implicitButterfly: ImplicitCertResponse,
    implicit: ImplicitCertResponse,
    explicitButterfly: ButterflyExplicitCertResponse,
    explicit: Certificate,
  },
);

/** The part of a response that the RA can read, and the sealed part that it cannot. */
export interface ToBeSignedEncryptedCertificateResponse {
  readonly psidSsp: readonly PsidSsp[];
  readonly expiration: Time32;
  readonly lifetime: Duration;
  readonly encryptedCert: Captured<Ieee1609Dot2Data>;
}
export const ToBeSignedEncryptedCertificateResponse =
  sequence<ToBeSignedEncryptedCertificateResponse>('ToBeSignedEncryptedCertificateResponse', {
    psidSsp: SequenceOfPsidSsp,
    expiration: Time32,
    lifetime: Duration,
    encryptedCert: captured(Ieee1609Dot2Data),
  });

export type PcaRaSuccess =
  | { readonly type: 'signedEncrypted'; readonly value: Captured<Ieee1609Dot2Data> }
  | { readonly type: 'raw'; readonly value: PlaintextCertificateResponse };

export type PcaRaReply =
  | { readonly type: 'success'; readonly value: PcaRaSuccess }
  | { readonly type: 'failure'; readonly value: ScmsError };

export interface PcaRaCertResponseMsg extends Extensible {
  readonly version: number;
  readonly requestHash: HashedId8;
  readonly pcaId: string;
  readonly reply: PcaRaReply;
}
export const PcaRaCertResponseMsg = sequence<PcaRaCertResponseMsg>(
  'PcaRaCertResponseMsg',
  {
    version: VersionOne,
    requestHash: HashedId8,
    pcaId: Hostname,
    reply: choice<PcaRaReply>('PcaRaReply', {
      success: choice<PcaRaSuccess>('PcaRaSuccess', {
        signedEncrypted: captured(Ieee1609Dot2Data),
        raw: PlaintextCertificateResponse,
      }),
      failure: ScmsError,
    }),
  },
  { extensible: true },
);

export type PcaRaInterfacePdu =
  | { readonly type: 'raPcaCertRequest'; readonly value: RaPcaCertRequestMsg }
  | { readonly type: 'pcaRaCertResponse'; readonly value: PcaRaCertResponseMsg }
  | UnknownAlternative;
export const PcaRaInterfacePdu = choice<PcaRaInterfacePdu>(
  'PcaRaInterfacePDU',
  { raPcaCertRequest: RaPcaCertRequestMsg, pcaRaCertResponse: PcaRaCertResponseMsg },
  { extensible: true },
);
