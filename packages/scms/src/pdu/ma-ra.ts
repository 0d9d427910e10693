/** CAMP module Ieee1609Dot2MaRaInterface (ma-ra.asn): the same in releases 1.2.2 and 1.2.4. */
import {
  type Captured,
  captured,
  choice,
  type Extensible,
  nullValue,
  octetString,
  sequence,
  sequenceOf,
  type UnknownAlternative,
} from '@chrysalis/coer';
import { HashedId8, HashedId10, Hostname, Ieee1609Dot2Data } from '@chrysalis/ieee1609dot2';
import { LinkageChainId } from './linkage.ts';
import { ScmsError } from './scms-error.ts';
import { VersionOne } from './version.ts';

/** Hash of a request to the PCA: by it MA and RA speak of a certificate. FullSizeHash of scms-base-types.asn. */
export const Hpcr = octetString(32);
/** Revocation identifier: the HashedId8 of an enrollment certificate. */
export const Rif = HashedId8;

/** What the MA asks for; auditors sign its octets, which are kept as they arrived. */
export interface ToBeSignedBlacklistingInstructionMsg extends Extensible {
  readonly maId: string;
  readonly hpcr: readonly Uint8Array[];
}
export const ToBeSignedBlacklistingInstructionMsg = sequence<ToBeSignedBlacklistingInstructionMsg>(
  'ToBeSignedBlacklistingInstructionMsg',
  { maId: Hostname, hpcr: sequenceOf(Hpcr) },
  { extensible: true },
);

export interface ToBeSignedLciRequestMsg extends Extensible {
  readonly maId: string;
  readonly hpcr: readonly Uint8Array[];
}
export const ToBeSignedLciRequestMsg = sequence<ToBeSignedLciRequestMsg>(
  'ToBeSignedLCIRequestMsg',
  { maId: Hostname, hpcr: sequenceOf(Hpcr) },
  { extensible: true },
);

export interface ToBeSignedRseObeIdBlacklistingInstructionMsg extends Extensible {
  readonly maId: string;
  readonly rif: readonly HashedId8[];
}
export const ToBeSignedRseObeIdBlacklistingInstructionMsg =
  sequence<ToBeSignedRseObeIdBlacklistingInstructionMsg>(
    'ToBeSignedRseObeIdBlacklistingInstructionMsg',
    { maId: Hostname, rif: sequenceOf(Rif) },
    { extensible: true },
  );

export interface ToBeSignedCdvRequestMsg extends Extensible {
  readonly maId: string;
  readonly rifValues: readonly HashedId8[];
}
export const ToBeSignedCdvRequestMsg = sequence<ToBeSignedCdvRequestMsg>(
  'ToBeSignedCDVRequestMsg',
  { maId: Hostname, rifValues: sequenceOf(Rif) },
  { extensible: true },
);

/** The form of all four requests. */
export interface MaRaRequestMsg<ToBeSigned> {
  readonly version: number;
  readonly tbs: Captured<ToBeSigned>;
  /** Countersignatures (1609.2 §6.3.8) of auditors over the octets of tbs. */
  readonly signatures: readonly Ieee1609Dot2Data[];
}
const signatures = sequenceOf(Ieee1609Dot2Data);

export type MaRaBlacklistRequestMsg = MaRaRequestMsg<ToBeSignedBlacklistingInstructionMsg>;
export const MaRaBlacklistRequestMsg = sequence<MaRaBlacklistRequestMsg>(
  'MaRaBlacklistRequestMsg',
  { version: VersionOne, tbs: captured(ToBeSignedBlacklistingInstructionMsg), signatures },
);

export type MaRaLciRequestMsg = MaRaRequestMsg<ToBeSignedLciRequestMsg>;
export const MaRaLciRequestMsg = sequence<MaRaLciRequestMsg>('MaRaLCIRequestMsg', {
  version: VersionOne,
  tbs: captured(ToBeSignedLciRequestMsg),
  signatures,
});

export type MaRaRseObeIdBlacklistRequestMsg =
  MaRaRequestMsg<ToBeSignedRseObeIdBlacklistingInstructionMsg>;
export const MaRaRseObeIdBlacklistRequestMsg = sequence<MaRaRseObeIdBlacklistRequestMsg>(
  'MaRaRseObeIdBlacklistRequestMsg',
  { version: VersionOne, tbs: captured(ToBeSignedRseObeIdBlacklistingInstructionMsg), signatures },
);

export type MaRaCdvRequestMsg = MaRaRequestMsg<ToBeSignedCdvRequestMsg>;
export const MaRaCdvRequestMsg = sequence<MaRaCdvRequestMsg>('MaRaCDVRequestMsg', {
  version: VersionOne,
  tbs: captured(ToBeSignedCdvRequestMsg),
  signatures,
});

/**
 * What became of one entry. The module narrows the failures of each reply (ScopedMaRaBlacklistError, ScopedMaRaLCIError)
 * by constraints that OER does not see.
 */
export type MaRaReply<Success> =
  | { readonly type: 'success'; readonly value: Success }
  | { readonly type: 'failure'; readonly value: ScmsError };

export interface BlacklistingStatus {
  readonly hpcr: Uint8Array;
  readonly reply: MaRaReply<null>;
}
export const BlacklistingStatus = sequence<BlacklistingStatus>('BlacklistingStatus', {
  hpcr: Hpcr,
  reply: choice<MaRaReply<null>>('BlacklistingStatus.reply', {
    success: nullValue,
    failure: ScmsError,
  }),
});

export interface RaMaBlacklistResponseMsg extends Extensible {
  readonly version: number;
  readonly requestHash: HashedId8;
  readonly raId: string;
  readonly status: readonly BlacklistingStatus[];
}
export const RaMaBlacklistResponseMsg = sequence<RaMaBlacklistResponseMsg>(
  'RaMaBlacklistResponseMsg',
  {
    version: VersionOne,
    requestHash: HashedId8,
    raId: Hostname,
    status: sequenceOf(BlacklistingStatus),
  },
  { extensible: true },
);

/** How the two LAs find the chains of a device (scms-base-types.asn). */
export interface LciAndHostInfo {
  /** The last i-period for which pre-linkage values were asked for, four octets, the highest first. */
  readonly iMax: Uint8Array;
  readonly la1Lci: LinkageChainId;
  readonly la2Lci: LinkageChainId;
  readonly la1Id: string;
  readonly la2Id: string;
}
export const LciAndHostInfo = sequence<LciAndHostInfo>('LCIAndHostInfo', {
  iMax: octetString(4),
  la1Lci: LinkageChainId,
  la2Lci: LinkageChainId,
  la1Id: Hostname,
  la2Id: Hostname,
});

export interface GroupAndLci {
  /** Of group linkage; zeros for a device of no group. */
  readonly groupIdentifier: Uint8Array;
  readonly info: LciAndHostInfo;
}

export interface Hpcr2Lci {
  readonly hpcr: Uint8Array;
  readonly reply: MaRaReply<GroupAndLci>;
}
export const Hpcr2Lci = sequence<Hpcr2Lci>('HPCR2LCI', {
  hpcr: Hpcr,
  reply: choice<MaRaReply<GroupAndLci>>('HPCR2LCI.reply', {
    success: sequence<GroupAndLci>('HPCR2LCI.reply.success', {
      groupIdentifier: octetString(4),
      info: LciAndHostInfo,
    }),
    failure: ScmsError,
  }),
});

export interface RaMaLciResponseMsg extends Extensible {
  readonly version: number;
  readonly requestHash: HashedId8;
  readonly raId: string;
  readonly lciInfo: readonly Hpcr2Lci[];
}
export const RaMaLciResponseMsg = sequence<RaMaLciResponseMsg>(
  'RaMaLCIResponseMsg',
  {
    version: VersionOne,
    requestHash: HashedId8,
    raId: Hostname,
    lciInfo: sequenceOf(Hpcr2Lci),
  },
  { extensible: true },
);

export interface RseObeIdBlacklistingStatus {
  readonly rif: HashedId8;
  readonly reply: MaRaReply<null>;
}
export const RseObeIdBlacklistingStatus = sequence<RseObeIdBlacklistingStatus>(
  'RseObeIdBlacklistingStatus',
  {
    rif: Rif,
    reply: choice<MaRaReply<null>>('RseObeIdBlacklistingStatus.reply', {
      success: nullValue,
      failure: ScmsError,
    }),
  },
);

export interface RaMaRseObeIdBlacklistResponseMsg extends Extensible {
  readonly version: number;
  readonly requestHash: HashedId8;
  readonly raId: string;
  readonly status: readonly RseObeIdBlacklistingStatus[];
}
export const RaMaRseObeIdBlacklistResponseMsg = sequence<RaMaRseObeIdBlacklistResponseMsg>(
  'RaMaRseObeIdBlacklistResponseMsg',
  {
    version: VersionOne,
    requestHash: HashedId8,
    raId: Hostname,
    status: sequenceOf(RseObeIdBlacklistingStatus),
  },
  { extensible: true },
);

export interface CdvInfo {
  readonly rif: HashedId8;
  /** HashedId10 of each certificate that was issued to the enrollment certificate and is not over. */
  readonly reply: MaRaReply<readonly Uint8Array[]>;
}
export const CdvInfo = sequence<CdvInfo>('CdvInfo', {
  rif: Rif,
  reply: choice<MaRaReply<readonly Uint8Array[]>>('CdvInfo.reply', {
    success: sequenceOf(HashedId10),
    failure: ScmsError,
  }),
});

/** The one response without an extension marker. */
export interface RaMaCdvResponseMsg {
  readonly version: number;
  readonly requestHash: HashedId8;
  readonly raId: string;
  readonly cdvInfo: readonly CdvInfo[];
}
export const RaMaCdvResponseMsg = sequence<RaMaCdvResponseMsg>('RaMaCDVResponseMsg', {
  version: VersionOne,
  requestHash: HashedId8,
  raId: Hostname,
  cdvInfo: sequenceOf(CdvInfo),
});

export type MaRaRequest =
  | { readonly type: 'maRaBlacklistRequest'; readonly value: MaRaBlacklistRequestMsg }
  | { readonly type: 'maRaLCIRequest'; readonly value: MaRaLciRequestMsg }
  | {
      readonly type: 'maRaRseObeIdBlacklistRequest';
      readonly value: MaRaRseObeIdBlacklistRequestMsg;
    }
  | { readonly type: 'maRaCDVRequest'; readonly value: MaRaCdvRequestMsg };

export type RaMaResponse =
  | { readonly type: 'raMaBlacklistResponse'; readonly value: RaMaBlacklistResponseMsg }
  | { readonly type: 'raMaLCIResponse'; readonly value: RaMaLciResponseMsg }
  | {
      readonly type: 'raMaRseObeIdBlacklistResponse';
      readonly value: RaMaRseObeIdBlacklistResponseMsg;
    }
  | { readonly type: 'raMaCDVResponse'; readonly value: RaMaCdvResponseMsg };

export type MaRaInterfacePdu = MaRaRequest | RaMaResponse | UnknownAlternative;
export const MaRaInterfacePdu = choice<MaRaInterfacePdu>(
  'MaRaInterfacePDU',
  {
    maRaBlacklistRequest: MaRaBlacklistRequestMsg,
    raMaBlacklistResponse: RaMaBlacklistResponseMsg,
    maRaLCIRequest: MaRaLciRequestMsg,
    raMaLCIResponse: RaMaLciResponseMsg,
    maRaRseObeIdBlacklistRequest: MaRaRseObeIdBlacklistRequestMsg,
    raMaRseObeIdBlacklistResponse: RaMaRseObeIdBlacklistResponseMsg,
    maRaCDVRequest: MaRaCdvRequestMsg,
    raMaCDVResponse: RaMaCdvResponseMsg,
  },
  { extensible: true },
);
