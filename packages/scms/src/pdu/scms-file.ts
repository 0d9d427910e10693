/** ScmsFile of CAMP module IEEE1609dot2ScmsProtocol (scms-protocol.asn): the frame around every file. */
import { choice, sequence, type UnknownAlternative } from '@chrysalis/coer';
import { CertificateChainFiles } from './cert-chain-files.ts';
import { PolicyFiles } from './policy.ts';
import { VersionOne } from './version.ts';

export type ScmsFileContent =
  | { readonly type: 'certChain'; readonly value: CertificateChainFiles }
  | { readonly type: 'policy'; readonly value: PolicyFiles }
  | UnknownAlternative;

export interface ScmsFile {
  readonly version: number;
  readonly content: ScmsFileContent;
}
export const ScmsFile = sequence<ScmsFile>('ScmsFile', {
  version: VersionOne,
  content: choice<ScmsFileContent>(
    'ScmsFile.content',
    { certChain: CertificateChainFiles, policy: PolicyFiles },
    { extensible: true },
  ),
});
