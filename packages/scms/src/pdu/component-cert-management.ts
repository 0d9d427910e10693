/**
 * CAMP module Ieee1609Dot2ScmsComponentCertificateManagement (component-cert-management.asn): how electors add and
 * remove roots, and the file that holds the CRLs of all series.
 */
import {
  choice,
  type Extensible,
  enumerated,
  sequence,
  sequenceOf,
  type UnknownAlternative,
  type Value,
} from '@chrysalis/coer';
import {
  type Certificate,
  ExplicitCertificate,
  HashedId32,
  Ieee1609Dot2Data,
  Time32,
} from '@chrysalis/ieee1609dot2';

export const EndorsementType = enumerated(
  'EndorsementType',
  ['addRoot', 'addElector', 'removeRoot', 'removeElector'],
  { extensible: true },
);

export interface TbsElectorEndorsement extends Extensible {
  readonly type: Value<typeof EndorsementType>;
  /** SHA-256 of the certificate that is added or removed. */
  readonly certificateHash: HashedId32;
  readonly generationTime: Time32;
}
export const TbsElectorEndorsement = sequence<TbsElectorEndorsement>(
  'TbsElectorEndorsement',
  { type: EndorsementType, certificateHash: HashedId32, generationTime: Time32 },
  { extensible: true },
);

/** A certificate and what electors say of it: SignedElectorEndorsements, one from each elector. */
export interface ElectorBallot extends Extensible {
  readonly certificate: Certificate;
  readonly endorsements: readonly Ieee1609Dot2Data[];
}
export const ElectorBallot = sequence<ElectorBallot>(
  'ElectorBallot',
  { certificate: ExplicitCertificate, endorsements: sequenceOf(Ieee1609Dot2Data, { min: 1 }) },
  { extensible: true },
);

/** One SecuredCrl for each series; ballots for what no CRL can revoke. */
export interface CompositeCrl extends Extensible {
  readonly securedCrlSeries: readonly Ieee1609Dot2Data[];
  readonly revokedRootCAs: readonly ElectorBallot[];
  readonly revokedElectors: readonly ElectorBallot[];
}
export const CompositeCrl = sequence<CompositeCrl>(
  'CompositeCrl',
  {
    securedCrlSeries: sequenceOf(Ieee1609Dot2Data),
    revokedRootCAs: sequenceOf(ElectorBallot),
    revokedElectors: sequenceOf(ElectorBallot),
  },
  { extensible: true },
);

export type ScmsComponentCertificateManagementPdu =
  | { readonly type: 'tbsElectorEndorsement'; readonly value: TbsElectorEndorsement }
  | { readonly type: 'electorBallot'; readonly value: ElectorBallot }
  | UnknownAlternative;
export const ScmsComponentCertificateManagementPdu = choice<ScmsComponentCertificateManagementPdu>(
  'ScmsComponentCertificateManagementPDU',
  { tbsElectorEndorsement: TbsElectorEndorsement, electorBallot: ElectorBallot },
  { extensible: true },
);
