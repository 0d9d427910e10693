/** CAMP module Ieee1609Dot2EndEntityMaInterface (ee-ma.asn). It is a draft: most of a report is a placeholder. */
import {
  choice,
  type Extensible,
  octetString,
  optional,
  sequence,
  type UnknownAlternative,
} from '@chrysalis/coer';
import { Opaque } from '@chrysalis/ieee1609dot2';
import { VersionOne } from './version.ts';

export interface MisbehaviorReportContents extends Extensible {
  readonly version: number;
  /** A placeholder of the module. */
  readonly misbehavingDeviceInfo: Uint8Array;
  /** Basic safety messages of whoever is reported; not in OER. */
  readonly misbehavingDeviceBSMs?: Uint8Array;
  /** Those of the reporter at the time. */
  readonly reporterDeviceBSMs?: Uint8Array;
  /** A placeholder of the module. */
  readonly sensorInfo?: Uint8Array;
}
export const MisbehaviorReportContents = sequence<MisbehaviorReportContents>(
  'MisbehaviorReportContents',
  {
    version: VersionOne,
    misbehavingDeviceInfo: Opaque,
    misbehavingDeviceBSMs: optional(octetString()),
    reporterDeviceBSMs: optional(octetString()),
    sensorInfo: optional(Opaque),
  },
  { extensible: true },
);

export type EndEntityMaInterfacePdu =
  | { readonly type: 'misbehaviorReport'; readonly value: MisbehaviorReportContents }
  | UnknownAlternative;
export const EndEntityMaInterfacePdu = choice<EndEntityMaInterfacePdu>(
  'EndEntityMaInterfacePDU',
  { misbehaviorReport: MisbehaviorReportContents },
  { extensible: true },
);
