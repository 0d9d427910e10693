/** CAMP module IEEE1609dot2ScmsProtocol (scms-protocol.asn): the frame around every PDU. */
import {
  type Captured,
  type Codec,
  captured,
  choice,
  sequence,
  type UnknownAlternative,
} from '@chrysalis/coer';
import { HashAlgorithm, Signature, SignerIdentifier } from '@chrysalis/ieee1609dot2';
import { ScmsComponentCertificateManagementPdu } from './component-cert-management.ts';
import { EcaEndEntityInterfacePdu } from './eca-ee.ts';
import { EndEntityMaInterfacePdu } from './ee-ma.ts';
import { EndEntityRaInterfacePdu122, EndEntityRaInterfacePdu124 } from './ee-ra.ts';
import { LaRaInterfacePdu } from './la-ra.ts';
import { MaRaInterfacePdu } from './ma-ra.ts';
import { PcaRaInterfacePdu } from './pca-ra.ts';
import { RaPgInterfacePdu } from './ra-pg.ts';
import { notReceived, VersionOne } from './version.ts';

/** The alternatives of ScmsPDU whose modules this project speaks; EeRa is one dialect or the other. */
export type ScmsPduContent<EeRa> =
  | { readonly type: 'ccm'; readonly value: ScmsComponentCertificateManagementPdu }
  | { readonly type: 'ecaEe'; readonly value: EcaEndEntityInterfacePdu }
  | { readonly type: 'eeMa'; readonly value: EndEntityMaInterfacePdu }
  | { readonly type: 'eeRa'; readonly value: EeRa }
  | { readonly type: 'laMa'; readonly value: never }
  | { readonly type: 'laPca'; readonly value: never }
  | { readonly type: 'laRa'; readonly value: LaRaInterfacePdu }
  | { readonly type: 'maPca'; readonly value: never }
  | { readonly type: 'maRa'; readonly value: MaRaInterfacePdu }
  | { readonly type: 'pcaRa'; readonly value: PcaRaInterfacePdu }
  | { readonly type: 'raPg'; readonly value: RaPgInterfacePdu }
  | UnknownAlternative;

export interface ScmsPduOf<EeRa> {
  readonly version: number;
  readonly content: ScmsPduContent<EeRa>;
}

function scmsPdu<EeRa>(eeRa: Codec<EeRa>): Codec<ScmsPduOf<EeRa>> {
  return sequence<{ version: number; content: ScmsPduContent<unknown> }>('ScmsPDU', {
    version: VersionOne,
    content: choice<ScmsPduContent<unknown>>(
      'ScmsPDU.content',
      {
        ccm: ScmsComponentCertificateManagementPdu,
        ecaEe: EcaEndEntityInterfacePdu,
        eeMa: EndEntityMaInterfacePdu,
        eeRa: eeRa as Codec<unknown>,
        laMa: notReceived('LaMaInterfacePDU'),
        laPca: notReceived('LaPcaInterfacePDU'),
        laRa: LaRaInterfacePdu,
        maPca: notReceived('MaPcaInterfacePDU'),
        maRa: MaRaInterfacePdu,
        pcaRa: PcaRaInterfacePdu,
        raPg: RaPgInterfacePdu,
      },
      { extensible: true },
    ),
  }) as Codec<ScmsPduOf<EeRa>>;
}

/** ScmsPDU of releases 1.2.1 and 1.2.2. */
export type ScmsPdu122 = ScmsPduOf<EndEntityRaInterfacePdu122>;
export const ScmsPdu122: Codec<ScmsPdu122> = scmsPdu(EndEntityRaInterfacePdu122);

/** ScmsPDU of release 1.2.4. */
export type ScmsPdu124 = ScmsPduOf<EndEntityRaInterfacePdu124>;
export const ScmsPdu124: Codec<ScmsPdu124> = scmsPdu(EndEntityRaInterfacePdu124);

/** A signed request; the octets of what was signed are kept as they arrived. */
export interface SignedCertificateRequestOf<Pdu> {
  readonly hashId: HashAlgorithm;
  readonly tbsRequest: Captured<Pdu>;
  readonly signer: SignerIdentifier;
  readonly signature: Signature;
}

function signedCertificateRequest<Pdu>(pdu: Codec<Pdu>): Codec<SignedCertificateRequestOf<Pdu>> {
  return sequence<SignedCertificateRequestOf<unknown>>('SignedCertificateRequest', {
    hashId: HashAlgorithm,
    tbsRequest: captured(pdu as Codec<unknown>),
    signer: SignerIdentifier,
    signature: Signature,
  }) as Codec<SignedCertificateRequestOf<Pdu>>;
}

export const SignedCertificateRequest122 = signedCertificateRequest(ScmsPdu122);
export const SignedCertificateRequest124 = signedCertificateRequest(ScmsPdu124);
