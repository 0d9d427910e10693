/** Linkage structures of the CAMP module Ieee1609dot2ScmsBaseTypes (scms-base-types.asn). */
import { octetString, sequence } from '@chrysalis/coer';
import { EncryptedData, IValue, LaId, LinkageSeed } from '@chrysalis/ieee1609dot2';
import { VersionOne } from './version.ts';

export const PreLinkageValue = octetString(9);

/** A pre-linkage value, encrypted by an LA under the key that it shares with the PCA. */
export interface EncryptedIndividualPlv {
  readonly version: number;
  readonly laId: Uint8Array;
  readonly encPlv: EncryptedData;
}
export const EncryptedIndividualPlv = sequence<EncryptedIndividualPlv>('EncryptedIndividualPLV', {
  version: VersionOne,
  laId: LaId,
  encPlv: EncryptedData,
});

/** Group linkage is deprecated in 1.2.2 and gone in 1.2.4; the type decodes what an older peer may send. */
export interface EncryptedGroupPlv {
  readonly version: number;
  readonly laId: Uint8Array;
  readonly encGroupIndex: Uint8Array;
  readonly encGroupPlv: EncryptedData;
}
export const EncryptedGroupPlv = sequence<EncryptedGroupPlv>('EncryptedGroupPLV', {
  version: VersionOne,
  laId: LaId,
  encGroupIndex: octetString(16),
  encGroupPlv: EncryptedData,
});

/** What stands inside an EncryptedIndividualPLV. */
export interface ToBeEncryptedIndividualPlv {
  readonly iValue: number;
  readonly plv: Uint8Array;
}
export const ToBeEncryptedIndividualPlv = sequence<ToBeEncryptedIndividualPlv>(
  'ToBeEncryptedIndividualPLV',
  { iValue: IValue, plv: PreLinkageValue },
);

/** ls(0) of a chain, which the LA encrypts to itself; with it the RA asks to have the chain continued. */
export type LinkageChainId = EncryptedData;
export const LinkageChainId = EncryptedData;

/** What an LA puts into a LinkageChainId. */
export interface LinkageSeedAndLaId {
  readonly linkageSeed: Uint8Array;
  readonly laId: Uint8Array;
}
export const LinkageSeedAndLaId = sequence<LinkageSeedAndLaId>('LinkageSeedAndLaId', {
  linkageSeed: LinkageSeed,
  laId: LaId,
});
