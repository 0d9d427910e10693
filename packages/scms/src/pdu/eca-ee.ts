/** CAMP module Ieee1609Dot2EcaEndEntityInterface (eca-ee.asn): enrollment. */
import {
  choice,
  type Extensible,
  octetString,
  sequence,
  type UnknownAlternative,
} from '@chrysalis/coer';
import {
  Certificate,
  HashedId8,
  ImplicitCertificate,
  Time32,
  ToBeSignedCertificate,
} from '@chrysalis/ieee1609dot2';
import { VersionOne } from './version.ts';

export interface EeEcaCertRequest extends Extensible {
  readonly version: number;
  readonly currentTime: Time32;
  /** What the device asks to have in its certificate, and its request key as verification key. */
  readonly tbsData: ToBeSignedCertificate;
}
export const EeEcaCertRequest = sequence<EeEcaCertRequest>(
  'EeEcaCertRequest',
  { version: VersionOne, currentTime: Time32, tbsData: ToBeSignedCertificate },
  { extensible: true },
);

export interface EcaEeCertResponse extends Extensible {
  readonly version: number;
  readonly requestHash: HashedId8;
  readonly ecaCert: Certificate;
  readonly enrollmentCert: Certificate;
  readonly privKeyReconstruction: Uint8Array;
}
export const EcaEeCertResponse = sequence<EcaEeCertResponse>(
  'EcaEeCertResponse',
  {
    version: VersionOne,
    requestHash: HashedId8,
    ecaCert: Certificate,
    enrollmentCert: ImplicitCertificate,
    privKeyReconstruction: octetString(32),
  },
  { extensible: true },
);

export type EcaEndEntityInterfacePdu =
  | { readonly type: 'eeEcaCertRequest'; readonly value: EeEcaCertRequest }
  | { readonly type: 'ecaEeCertResponse'; readonly value: EcaEeCertResponse }
  | UnknownAlternative;
export const EcaEndEntityInterfacePdu = choice<EcaEndEntityInterfacePdu>(
  'EcaEndEntityInterfacePDU',
  { eeEcaCertRequest: EeEcaCertRequest, ecaEeCertResponse: EcaEeCertResponse },
  { extensible: true },
);
