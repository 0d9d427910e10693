/** CAMP module IEEE1609dot2-cert-chains (cert-chain-files.asn): the files of certificates. */
import {
  choice,
  type Extensible,
  sequence,
  sequenceOf,
  type UnknownAlternative,
} from '@chrysalis/coer';
import { Certificate, Hostname, Uint16 } from '@chrysalis/ieee1609dot2';
import { ElectorBallot } from './component-cert-management.ts';

/** Certificates, not chains: each stands once, and issuers are found by digest. */
export interface CertificateStore extends Extensible {
  readonly rootCAEndorsements: readonly ElectorBallot[];
  readonly electorEndorsements: readonly ElectorBallot[];
  readonly maCertificate: Certificate;
  readonly certs: readonly Certificate[];
}
export const CertificateStore = sequence<CertificateStore>(
  'CertificateStore',
  {
    rootCAEndorsements: sequenceOf(ElectorBallot),
    electorEndorsements: sequenceOf(ElectorBallot),
    maCertificate: Certificate,
    certs: sequenceOf(Certificate),
  },
  { extensible: true },
);

export interface CompositeVersion {
  readonly gccfVersion: number;
  readonly lccfVersion: number;
  readonly raHostname: string;
}
export const CompositeVersion = sequence<CompositeVersion>('CompositeVersion', {
  gccfVersion: Uint16,
  lccfVersion: Uint16,
  raHostname: Hostname,
});

/** Made by the PG. */
export interface GlobalCertificateChainFile extends Extensible {
  readonly version: number;
  readonly certStore: CertificateStore;
}
export const GlobalCertificateChainFile = sequence<GlobalCertificateChainFile>(
  'GlobalCertificateChainFile',
  { version: Uint16, certStore: CertificateStore },
  { extensible: true },
);

/** What an RA leaves of it for its devices. */
export interface LocalCertificateChainFile extends Extensible {
  readonly version: CompositeVersion;
  readonly requiredCertStore: CertificateStore;
  readonly optionalCertList: readonly Certificate[];
}
export const LocalCertificateChainFile = sequence<LocalCertificateChainFile>(
  'LocalCertificateChainFile',
  {
    version: CompositeVersion,
    requiredCertStore: CertificateStore,
    optionalCertList: sequenceOf(Certificate),
  },
  { extensible: true },
);

export type CertificateChainFiles =
  | { readonly type: 'globalCertificateChainFile'; readonly value: GlobalCertificateChainFile }
  | { readonly type: 'localCertificateChainFile'; readonly value: LocalCertificateChainFile }
  | UnknownAlternative;
export const CertificateChainFiles = choice<CertificateChainFiles>(
  'CertificateChainFiles',
  {
    globalCertificateChainFile: GlobalCertificateChainFile,
    localCertificateChainFile: LocalCertificateChainFile,
  },
  { extensible: true },
);
