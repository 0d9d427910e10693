/** CAMP module Ieee1609Dot2LaRaInterface (la-ra.asn), release 1.2.2: the one that can report a failure. */
import {
  type Codec,
  choice,
  constrained,
  type Extensible,
  octetString,
  optional,
  sequence,
  sequenceOf,
  type UnknownAlternative,
} from '@chrysalis/coer';
import { HashedId8, Hostname, LaId, Uint8, Uint16, Uint32 } from '@chrysalis/ieee1609dot2';
import { EncryptedGroupPlv, EncryptedIndividualPlv, LinkageChainId } from './linkage.ts';
import { ScmsError } from './scms-error.ts';
import { VersionOne } from './version.ts';

export interface RaLaPreLinkageValueRequestMsgHeader {
  readonly version: number;
  readonly raId: string;
  readonly pcaId: string;
  /** First and last i-period for which values are wanted, both inclusive. */
  readonly iMin: number;
  readonly iMax: number;
}
export const RaLaPreLinkageValueRequestMsgHeader = sequence<RaLaPreLinkageValueRequestMsgHeader>(
  'RaLaPreLinkageValueRequestMsgHeader',
  { version: VersionOne, raId: Hostname, pcaId: Hostname, iMin: Uint16, iMax: Uint16 },
);

export interface RaLaIndividualPreLinkageValueRequestMsg {
  readonly header: RaLaPreLinkageValueRequestMsgHeader;
  /** Values per i-period. */
  readonly jMax: number;
  readonly numberOfFreshInd?: number;
  readonly continuationsInd?: readonly LinkageChainId[];
}
export const RaLaIndividualPreLinkageValueRequestMsg: Codec<RaLaIndividualPreLinkageValueRequestMsg> =
  constrained(
    sequence<RaLaIndividualPreLinkageValueRequestMsg>('RaLaIndividualPreLinkageValueRequestMsg', {
      header: RaLaPreLinkageValueRequestMsgHeader,
      jMax: Uint8,
      numberOfFreshInd: optional(Uint32),
      continuationsInd: optional(sequenceOf(LinkageChainId)),
    }),
    'a request for fresh chains or continuations',
    (msg) => msg.numberOfFreshInd !== undefined || msg.continuationsInd !== undefined,
  );

export interface RaLaGroupPreLinkageValueRequestMsg {
  readonly header: RaLaPreLinkageValueRequestMsgHeader;
  readonly jMax: number;
  readonly otherLa: Uint8Array;
  readonly groupIdentifier: Uint8Array;
}
export const RaLaGroupPreLinkageValueRequestMsg = sequence<RaLaGroupPreLinkageValueRequestMsg>(
  'RaLaGroupPreLinkageValueRequestMsg',
  {
    header: RaLaPreLinkageValueRequestMsgHeader,
    jMax: Uint32,
    otherLa: LaId,
    groupIdentifier: octetString(4),
  },
);

export interface IndividualPlvResponseLinkageChain {
  readonly jMax: number;
  /** By i from iMin, then by j from 0. */
  readonly values: readonly (readonly EncryptedIndividualPlv[])[];
  readonly linkageChainId: LinkageChainId;
}
export const IndividualPlvResponseLinkageChain = sequence<IndividualPlvResponseLinkageChain>(
  'IndividualPlvResponseLinkageChain',
  {
    jMax: Uint8,
    values: sequenceOf(sequenceOf(EncryptedIndividualPlv)),
    linkageChainId: LinkageChainId,
  },
);

export interface GroupPlvResponseLinkageChain {
  readonly jMax: number;
  readonly otherLa: Uint8Array;
  readonly values: readonly (readonly EncryptedGroupPlv[])[];
  readonly groupIdentifier: Uint8Array;
}
export const GroupPlvResponseLinkageChain = sequence<GroupPlvResponseLinkageChain>(
  'GroupPlvResponseLinkageChain',
  {
    jMax: Uint32,
    otherLa: LaId,
    values: sequenceOf(sequenceOf(EncryptedGroupPlv)),
    groupIdentifier: octetString(4),
  },
);

export interface PreLinkageValueRequestResponse extends Extensible {
  readonly iMin: number;
  readonly iMax: number;
  readonly individual: readonly IndividualPlvResponseLinkageChain[];
  readonly group: readonly GroupPlvResponseLinkageChain[];
}
export const PreLinkageValueRequestResponse = sequence<PreLinkageValueRequestResponse>(
  'PreLinkageValueRequestResponse',
  {
    iMin: Uint16,
    iMax: Uint16,
    individual: sequenceOf(IndividualPlvResponseLinkageChain),
    group: sequenceOf(GroupPlvResponseLinkageChain),
  },
  { extensible: true },
);

export type LaRaReply =
  | { readonly type: 'success'; readonly value: PreLinkageValueRequestResponse }
  | { readonly type: 'failure'; readonly value: ScmsError };

export interface LaRaPreLinkageValueResponseMsg {
  readonly version: number;
  readonly requestHash: HashedId8;
  readonly laId: string;
  readonly reply: LaRaReply;
}
export const LaRaPreLinkageValueResponseMsg = sequence<LaRaPreLinkageValueResponseMsg>(
  'LaRaPreLinkageValueResponseMsg',
  {
    version: VersionOne,
    requestHash: HashedId8,
    laId: Hostname,
    reply: choice<LaRaReply>('LaRaReply', {
      success: PreLinkageValueRequestResponse,
      failure: ScmsError,
    }),
  },
);

export type LaRaInterfacePdu =
  | {
      readonly type: 'raLaIndividualPreLinkageValueRequest';
      readonly value: RaLaIndividualPreLinkageValueRequestMsg;
    }
  | {
      readonly type: 'raLaGroupPreLinkageValueRequest';
      readonly value: RaLaGroupPreLinkageValueRequestMsg;
    }
  | { readonly type: 'laRaPreLinkageValueResponse'; readonly value: LaRaPreLinkageValueResponseMsg }
  | UnknownAlternative;
export const LaRaInterfacePdu = choice<LaRaInterfacePdu>(
  'LaRaInterfacePDU',
  {
    raLaIndividualPreLinkageValueRequest: RaLaIndividualPreLinkageValueRequestMsg,
    raLaGroupPreLinkageValueRequest: RaLaGroupPreLinkageValueRequestMsg,
    laRaPreLinkageValueResponse: LaRaPreLinkageValueResponseMsg,
  },
  { extensible: true },
);
