/**
 * CAMP module Ieee1609Dot2EndEntityRaInterface (ee-ra.asn) in both dialects: releases 1.2.1 and 1.2.2, which agree octet
 * for octet, and release 1.2.4, which moved the times and added a region. Interfaces that differ carry the release.
 */
import {
  type Codec,
  choice,
  type Extensible,
  octetString,
  optional,
  sequence,
  type UnknownAlternative,
  utf8String,
} from '@chrysalis/coer';
import {
  EccP256CurvePoint,
  GeographicRegion,
  HashedId8,
  Hostname,
  PublicEncryptionKey,
  PublicVerificationKey,
  Time32,
} from '@chrysalis/ieee1609dot2';
import { notReceived, VersionOne } from './version.ts';

/** A caterpillar public key and the AES-128 key of its expansion function. */
export interface UnsignedButterflyParams {
  readonly seedKey: EccP256CurvePoint;
  readonly expansion: Uint8Array;
}
export const UnsignedButterflyParams = sequence<UnsignedButterflyParams>(
  'UnsignedButterflyParams',
  { seedKey: EccP256CurvePoint, expansion: octetString(16) },
);

/** Only in 1.2.1 and 1.2.2. */
export interface CommonProvisioningRequestFields extends Extensible {
  readonly currentTime: Time32;
  readonly requestedStartTime: Time32;
}
export const CommonProvisioningRequestFields = sequence<CommonProvisioningRequestFields>(
  'CommonProvisioningRequestFields',
  { currentTime: Time32, requestedStartTime: Time32 },
  { extensible: true },
);

export interface EeRaCertRequestMsg extends Extensible {
  readonly version: number;
}
export const EeRaCertRequestMsg = sequence<EeRaCertRequestMsg>(
  'EeRaCertRequestMsg',
  { version: VersionOne },
  { extensible: true },
);

/** Pseudonym certificates, releases 1.2.1 and 1.2.2. */
export interface EeRaPseudonymCertProvisioningRequest122 extends Extensible {
  readonly version: number;
  readonly verifyKeyInfo: UnsignedButterflyParams;
  readonly respEncKeyInfo: UnsignedButterflyParams;
  readonly common: CommonProvisioningRequestFields;
}
export const EeRaPseudonymCertProvisioningRequest122 =
  sequence<EeRaPseudonymCertProvisioningRequest122>(
    'EeRaPseudonymCertProvisioningRequest',
    {
      version: VersionOne,
      verifyKeyInfo: UnsignedButterflyParams,
      respEncKeyInfo: UnsignedButterflyParams,
      common: CommonProvisioningRequestFields,
    },
    { extensible: true },
  );

/** Pseudonym certificates, release 1.2.4. */
export interface EeRaPseudonymCertProvisioningRequest124 extends Extensible {
  readonly version: number;
  readonly verifyKeyInfo: UnsignedButterflyParams;
  readonly respEncKeyInfo: UnsignedButterflyParams;
  readonly currentTime: Time32;
}
export const EeRaPseudonymCertProvisioningRequest124 =
  sequence<EeRaPseudonymCertProvisioningRequest124>(
    'EeRaPseudonymCertProvisioningRequest',
    {
      version: VersionOne,
      verifyKeyInfo: UnsignedButterflyParams,
      respEncKeyInfo: UnsignedButterflyParams,
      currentTime: Time32,
    },
    { extensible: true },
  );

/** Identification certificates, releases 1.2.1 and 1.2.2. */
export interface EeRaIdCertProvisioningRequest122 extends Extensible {
  readonly version: number;
  readonly verifyKeyInfo: UnsignedButterflyParams;
  readonly certEncKeyInfo?: UnsignedButterflyParams;
  readonly respEncKeyInfo: UnsignedButterflyParams;
  readonly common: CommonProvisioningRequestFields;
}
export const EeRaIdCertProvisioningRequest122 = sequence<EeRaIdCertProvisioningRequest122>(
  'EeRaIdCertProvisioningRequest',
  {
    version: VersionOne,
    verifyKeyInfo: UnsignedButterflyParams,
    certEncKeyInfo: optional(UnsignedButterflyParams),
    respEncKeyInfo: UnsignedButterflyParams,
    common: CommonProvisioningRequestFields,
  },
  { extensible: true },
);

/** Identification certificates, release 1.2.4. */
export interface EeRaIdCertProvisioningRequest124 extends Extensible {
  readonly version: number;
  readonly verifyKeyInfo: UnsignedButterflyParams;
  readonly certEncKeyInfo?: UnsignedButterflyParams;
  readonly respEncKeyInfo: UnsignedButterflyParams;
  readonly region: GeographicRegion;
  readonly currentTime: Time32;
}
export const EeRaIdCertProvisioningRequest124 = sequence<EeRaIdCertProvisioningRequest124>(
  'EeRaIdCertProvisioningRequest',
  {
    version: VersionOne,
    verifyKeyInfo: UnsignedButterflyParams,
    certEncKeyInfo: optional(UnsignedButterflyParams),
    respEncKeyInfo: UnsignedButterflyParams,
    region: GeographicRegion,
    currentTime: Time32,
  },
  { extensible: true },
);

/** Application certificates of an RSE, releases 1.2.1 and 1.2.2. */
export interface EeRaAppCertProvisioningRequest122 extends Extensible {
  readonly version: number;
  readonly verifyKey: PublicVerificationKey;
  readonly certEncryptionKey?: PublicEncryptionKey;
  readonly responseEncryptionKey: PublicEncryptionKey;
  readonly common: CommonProvisioningRequestFields;
}
export const EeRaAppCertProvisioningRequest122 = sequence<EeRaAppCertProvisioningRequest122>(
  'EeRaAppCertProvisioningRequest',
  {
    version: VersionOne,
    verifyKey: PublicVerificationKey,
    certEncryptionKey: optional(PublicEncryptionKey),
    responseEncryptionKey: PublicEncryptionKey,
    common: CommonProvisioningRequestFields,
  },
  { extensible: true },
);

/** Application certificates of an RSE, release 1.2.4. */
export interface EeRaAppCertProvisioningRequest124 extends Extensible {
  readonly version: number;
  readonly verifyKey: PublicVerificationKey;
  readonly certEncryptionKey?: PublicEncryptionKey;
  readonly responseEncryptionKey: PublicEncryptionKey;
  readonly region: GeographicRegion;
  readonly currentTime: Time32;
  readonly requestedStartTime: Time32;
}
export const EeRaAppCertProvisioningRequest124 = sequence<EeRaAppCertProvisioningRequest124>(
  'EeRaAppCertProvisioningRequest',
  {
    version: VersionOne,
    verifyKey: PublicVerificationKey,
    certEncryptionKey: optional(PublicEncryptionKey),
    responseEncryptionKey: PublicEncryptionKey,
    region: GeographicRegion,
    currentTime: Time32,
    requestedStartTime: Time32,
  },
  { extensible: true },
);

/** When the first file is expected to be ready, and where. */
export interface PseudonymCertProvisioningAck extends Extensible {
  readonly certDLTime: Time32;
  readonly certDLURL: string;
}
export const PseudonymCertProvisioningAck = sequence<PseudonymCertProvisioningAck>(
  'PseudonymCertProvisioningAck',
  { certDLTime: Time32, certDLURL: Hostname },
  { extensible: true },
);

export type ProvisioningReply =
  | { readonly type: 'ack'; readonly value: PseudonymCertProvisioningAck }
  | UnknownAlternative;

/** The same type acknowledges pseudonym, identification and application requests. */
export interface RaEePseudonymCertProvisioningAck extends Extensible {
  readonly version: number;
  readonly requestHash: HashedId8;
  readonly reply: ProvisioningReply;
}
export const RaEePseudonymCertProvisioningAck = sequence<RaEePseudonymCertProvisioningAck>(
  'RaEePseudonymCertProvisioningAck',
  {
    version: VersionOne,
    requestHash: HashedId8,
    reply: choice<ProvisioningReply>(
      'ProvisioningReply',
      { ack: PseudonymCertProvisioningAck },
      { extensible: true },
    ),
  },
  { extensible: true },
);

export interface AuthenticatedDownloadRequest extends Extensible {
  readonly timestamp: Time32;
  readonly filename: string;
}
export const AuthenticatedDownloadRequest = sequence<AuthenticatedDownloadRequest>(
  'AuthenticatedDownloadRequest',
  { timestamp: Time32, filename: utf8String({ min: 0, max: 255 }) },
  { extensible: true },
);

type CommonPdu =
  | { readonly type: 'eeRaCertRequest'; readonly value: EeRaCertRequestMsg }
  | { readonly type: 'raEeCertResponse'; readonly value: never }
  | {
      readonly type: 'raEePseudonymCertProvisioningAck';
      readonly value: RaEePseudonymCertProvisioningAck;
    }
  | { readonly type: 'raEeIdCertProvisioningAck'; readonly value: RaEePseudonymCertProvisioningAck }
  | {
      readonly type: 'raEeAppCertProvisioningAck';
      readonly value: RaEePseudonymCertProvisioningAck;
    }
  | {
      readonly type: 'eeRaAuthenticatedDownloadRequest';
      readonly value: AuthenticatedDownloadRequest;
    }
  | UnknownAlternative;

export type EndEntityRaInterfacePdu122 =
  | CommonPdu
  | {
      readonly type: 'eeRaPseudonymCertProvisioningRequest';
      readonly value: EeRaPseudonymCertProvisioningRequest122;
    }
  | {
      readonly type: 'eeRaIdCertProvisioningRequest';
      readonly value: EeRaIdCertProvisioningRequest122;
    }
  | {
      readonly type: 'eeRaAppCertProvisioningRequest';
      readonly value: EeRaAppCertProvisioningRequest122;
    };
export const EndEntityRaInterfacePdu122 = choice<EndEntityRaInterfacePdu122>(
  'EndEntityRaInterfacePDU',
  {
    eeRaCertRequest: EeRaCertRequestMsg,
    raEeCertResponse: notReceived('RaEeCertResponseMsg'),
    eeRaPseudonymCertProvisioningRequest: EeRaPseudonymCertProvisioningRequest122,
    raEePseudonymCertProvisioningAck: RaEePseudonymCertProvisioningAck,
    eeRaIdCertProvisioningRequest: EeRaIdCertProvisioningRequest122,
    raEeIdCertProvisioningAck: RaEePseudonymCertProvisioningAck,
    eeRaAppCertProvisioningRequest: EeRaAppCertProvisioningRequest122,
    raEeAppCertProvisioningAck: RaEePseudonymCertProvisioningAck,
    eeRaAuthenticatedDownloadRequest: AuthenticatedDownloadRequest,
  },
  { extensible: true },
);

export type EndEntityRaInterfacePdu124 =
  | CommonPdu
  | {
      readonly type: 'eeRaPseudonymCertProvisioningRequest';
      readonly value: EeRaPseudonymCertProvisioningRequest124;
    }
  | {
      readonly type: 'eeRaIdCertProvisioningRequest';
      readonly value: EeRaIdCertProvisioningRequest124;
    }
  | {
      readonly type: 'eeRaAppCertProvisioningRequest';
      readonly value: EeRaAppCertProvisioningRequest124;
    };
export const EndEntityRaInterfacePdu124: Codec<EndEntityRaInterfacePdu124> =
  choice<EndEntityRaInterfacePdu124>(
    'EndEntityRaInterfacePDU',
    {
      eeRaCertRequest: EeRaCertRequestMsg,
      raEeCertResponse: notReceived('RaEeCertResponseMsg'),
      eeRaPseudonymCertProvisioningRequest: EeRaPseudonymCertProvisioningRequest124,
      raEePseudonymCertProvisioningAck: RaEePseudonymCertProvisioningAck,
      eeRaIdCertProvisioningRequest: EeRaIdCertProvisioningRequest124,
      raEeIdCertProvisioningAck: RaEePseudonymCertProvisioningAck,
      eeRaAppCertProvisioningRequest: EeRaAppCertProvisioningRequest124,
      raEeAppCertProvisioningAck: RaEePseudonymCertProvisioningAck,
      eeRaAuthenticatedDownloadRequest: AuthenticatedDownloadRequest,
    },
    { extensible: true },
  );
