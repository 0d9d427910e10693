/**
 * IEEE 1609.2-2016 modules IEEE1609dot2CrlBaseTypes and IEEE1609dot2Crl: certificate revocation lists. Names are those
 * of the published module (crlCraca, iRev); a draft of it that circulates says cracaId and iValue, in the same octets.
 */
import {
  choice,
  constrained,
  type Extensible,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
} from '@chrysalis/coer';
import {
  CrlSeries,
  HashedId8,
  HashedId10,
  IValue,
  LaId,
  LinkageSeed,
  Time32,
  Uint8,
  Uint16,
  Uint32,
} from '@chrysalis/ieee1609dot2';
import { VersionOne } from './version.ts';

/** PSID of CRLs (IEEE1609dot2Crl). */
export const CRL_PSID = 0x100;

/** CRL series of scms-base-types.asn. */
export const CRL_SERIES = {
  obePseudonym: 1,
  scmsComponent: 2,
  eeNonPseudonym: 3,
  eeEnrollment: 4,
  scmsSpecialComponent: 256,
} as const;

export interface CrlPriorityInfo extends Extensible {
  readonly priority?: number;
}
export const CrlPriorityInfo = sequence<CrlPriorityInfo>(
  'CrlPriorityInfo',
  { priority: optional(Uint8) },
  { extensible: true },
);

export interface HashBasedRevocationInfo {
  readonly id: HashedId10;
  /** When the certificate ends, and with it the need to list it. */
  readonly expiry: Time32;
}
export const HashBasedRevocationInfo = sequence<HashBasedRevocationInfo>(
  'HashBasedRevocationInfo',
  { id: HashedId10, expiry: Time32 },
);

export interface ToBeSignedHashIdCrl extends Extensible {
  readonly crlSerial: number;
  readonly entries: readonly HashBasedRevocationInfo[];
}
export const ToBeSignedHashIdCrl = sequence<ToBeSignedHashIdCrl>(
  'ToBeSignedHashIdCrl',
  { crlSerial: Uint32, entries: sequenceOf(HashBasedRevocationInfo) },
  { extensible: true },
);

/** The seeds of one device, those of period iRev. */
export interface IndividualRevocation extends Extensible {
  readonly linkageSeed1: Uint8Array;
  readonly linkageSeed2: Uint8Array;
}
export const IndividualRevocation = sequence<IndividualRevocation>(
  'IndividualRevocation',
  { linkageSeed1: LinkageSeed, linkageSeed2: LinkageSeed },
  { extensible: true },
);

export interface IMaxGroup extends Extensible {
  /** The last period in which these devices have certificates. */
  readonly iMax: number;
  readonly contents: readonly IndividualRevocation[];
}
export const IMaxGroup = sequence<IMaxGroup>(
  'IMaxGroup',
  { iMax: Uint16, contents: sequenceOf(IndividualRevocation) },
  { extensible: true },
);

export interface LAGroup {
  readonly la1Id: Uint8Array;
  readonly la2Id: Uint8Array;
  readonly contents: readonly IMaxGroup[];
}
export const LAGroup = sequence<LAGroup>('LAGroup', {
  la1Id: LaId,
  la2Id: LaId,
  contents: sequenceOf(IMaxGroup),
});

export interface JMaxGroup extends Extensible {
  readonly jmax: number;
  readonly contents: readonly LAGroup[];
}
export const JMaxGroup = sequence<JMaxGroup>(
  'JMaxGroup',
  { jmax: Uint8, contents: sequenceOf(LAGroup) },
  { extensible: true },
);

export interface GroupCrlEntry extends Extensible {
  readonly iMax: number;
  readonly la1Id: Uint8Array;
  readonly linkageSeed1: Uint8Array;
  readonly la2Id: Uint8Array;
  readonly linkageSeed2: Uint8Array;
}
export const GroupCrlEntry = sequence<GroupCrlEntry>(
  'GroupCrlEntry',
  {
    iMax: Uint16,
    la1Id: LaId,
    linkageSeed1: LinkageSeed,
    la2Id: LaId,
    linkageSeed2: LinkageSeed,
  },
  { extensible: true },
);

export interface ToBeSignedLinkageValueCrl extends Extensible {
  /** The period to which all seeds belong: certificates of earlier periods cannot be told. */
  readonly iRev: number;
  /** Counts the CRLs of one iRev. */
  readonly indexWithinI: number;
  readonly individual?: readonly JMaxGroup[];
  readonly groups?: readonly GroupCrlEntry[];
}
export const ToBeSignedLinkageValueCrl = constrained(
  sequence<ToBeSignedLinkageValueCrl>(
    'ToBeSignedLinkageValueCrl',
    {
      iRev: IValue,
      indexWithinI: Uint8,
      individual: optional(sequenceOf(JMaxGroup)),
      groups: optional(sequenceOf(GroupCrlEntry)),
    },
    { extensible: true },
  ),
  'ToBeSignedLinkageValueCrl with individual or groups',
  ({ individual, groups }) => individual !== undefined || groups !== undefined,
);

export type CrlTypeSpecific =
  | { readonly type: 'fullHashCrl'; readonly value: ToBeSignedHashIdCrl }
  | { readonly type: 'deltaHashCrl'; readonly value: ToBeSignedHashIdCrl }
  | { readonly type: 'fullLinkedCrl'; readonly value: ToBeSignedLinkageValueCrl }
  | { readonly type: 'deltaLinkedCrl'; readonly value: ToBeSignedLinkageValueCrl }
  | UnknownAlternative;

/** What a SecuredCrl carries as unsecuredData. */
export interface CrlContents {
  readonly version: number;
  readonly crlSeries: number;
  /** The authority over the list: certificates name it by the low-order three octets. */
  readonly crlCraca: HashedId8;
  readonly issueDate: Time32;
  readonly nextCrl: Time32;
  readonly priorityInfo: CrlPriorityInfo;
  readonly typeSpecific: CrlTypeSpecific;
}
export const CrlContents = sequence<CrlContents>('CrlContents', {
  version: VersionOne,
  crlSeries: CrlSeries,
  crlCraca: HashedId8,
  issueDate: Time32,
  nextCrl: Time32,
  priorityInfo: CrlPriorityInfo,
  typeSpecific: choice<CrlTypeSpecific>(
    'CrlContents.typeSpecific',
    {
      fullHashCrl: ToBeSignedHashIdCrl,
      deltaHashCrl: ToBeSignedHashIdCrl,
      fullLinkedCrl: ToBeSignedLinkageValueCrl,
      deltaLinkedCrl: ToBeSignedLinkageValueCrl,
    },
    { extensible: true },
  ),
});
