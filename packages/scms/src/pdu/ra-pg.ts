/** CAMP modules Ieee1609Dot2RaPgInterface and Ieee1609Dot2RaPgError (ra-pg.asn, ra-pg-errors.asn). */
import {
  type Captured,
  captured,
  choice,
  constrained,
  type Extensible,
  enumerated,
  sequence,
  type UnknownAlternative,
  type Value,
} from '@chrysalis/coer';
import { type BasePolicyFile, SignedCustomPolicyFile, ToBeSignedPolicyData } from './policy.ts';
import { VersionOne } from './version.ts';

export const RaPgError = enumerated(
  'RaPgError',
  ['raPgMalformedRequest', 'raPgSignatureFailed', 'raPgPolicyError'],
  { extensible: true },
);
export type RaPgError = Value<typeof RaPgError>;

export interface RaPgPolicySignatureRequestMsg extends Extensible {
  readonly version: number;
  readonly tbs: Captured<ToBeSignedPolicyData>;
}
export const RaPgPolicySignatureRequestMsg = sequence<RaPgPolicySignatureRequestMsg>(
  'RaPgPolicySignatureRequestMsg',
  {
    version: VersionOne,
    tbs: constrained(
      captured(ToBeSignedPolicyData),
      'ToBeSignedCustomPolicyFile',
      ({ value }) => value?.policy.type === 'custom',
    ),
  },
  { extensible: true },
);

export type RaPgSignedFile =
  | { readonly type: 'success'; readonly value: BasePolicyFile }
  | { readonly type: 'failure'; readonly value: RaPgError };

export interface RaPgPolicySignatureRequestReplyMsg {
  readonly version: number;
  readonly signedFile: RaPgSignedFile;
}
export const RaPgPolicySignatureRequestReplyMsg = sequence<RaPgPolicySignatureRequestReplyMsg>(
  'RaPgPolicySignatureRequestReplyMsg',
  {
    version: VersionOne,
    signedFile: choice<RaPgSignedFile>('RaPgPolicySignatureRequestReplyMsg.signedFile', {
      success: SignedCustomPolicyFile,
      failure: RaPgError,
    }),
  },
);

export type RaPgInterfacePdu =
  | { readonly type: 'raPgPolicySignatureRequest'; readonly value: RaPgPolicySignatureRequestMsg }
  | {
      readonly type: 'raPgPolicySignatureRequestReply';
      readonly value: RaPgPolicySignatureRequestReplyMsg;
    }
  | UnknownAlternative;
export const RaPgInterfacePdu = choice<RaPgInterfacePdu>(
  'RaPgInterfacePDU',
  {
    raPgPolicySignatureRequest: RaPgPolicySignatureRequestMsg,
    raPgPolicySignatureRequestReply: RaPgPolicySignatureRequestReplyMsg,
  },
  { extensible: true },
);
